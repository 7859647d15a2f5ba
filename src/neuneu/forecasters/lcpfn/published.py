"""The published LC-PFN file (automl/lcpfn, a whole pickled module) → a model folder; none of its code is run.

Classes that the file names are replaced by empty ones that keep what they are given, so that nothing but
tensors and plain values comes out of it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.files import check_file, refuse_library_errors
from neuneu.files.arrays import load_torch
from neuneu.forecasters.lcpfn.forecaster import LCPFN
from neuneu.forecasters.lcpfn.inference import Array

ALLOWED = ("lcpfn.", "torch.nn.", "torch._C._nn.", "pfns4bo.")
"""Beginnings of the names that a file of a network may refer to."""

HEAD_WIDTH = 128
"""Width of an attention head in the published networks; their weights do not say it."""

RENAMED = {
    "transformer_encoder.layers.": "layers.",
    "encoder.2.": "encoder.",
    "y_encoder.1.": "y_encoder.",
    "criterion.borders": "borders",
}
"""Beginnings of published names → ours."""


class _Kept:
    """Stands in for a class of the file: keeps its state and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def convert_pfn(checkpoint: str | Path, folder: str | Path) -> LCPFN:
    """Read the published file, or a state_dict of it, and write a model folder.

    Raises InputError where it is another file, or refers to anything that a network would not.
    """
    weights = {name: np.asarray(t.float().numpy()) for name, t in _state(Path(checkpoint)).items()}
    ours: dict[str, Array] = {}
    for name, array in weights.items():
        own = next(
            (new + name.removeprefix(old) for old, new in RENAMED.items() if name.startswith(old)), name
        )
        if own == "borders" or not own.startswith("criterion."):
            ours[own] = array
    borders = ours.pop("borders", None)
    width = len(ours.get("encoder.bias", ()))
    if borders is None or not width:
        rule = "not a published LC-PFN: it lacks criterion.borders, or encoder.2.bias"
        raise InputError(rule, where=checkpoint)
    increasing: Floats = borders.astype(np.float64)
    if borders.ndim != 1 or not (np.diff(increasing) > 0).all():
        raise InputError("must increase", where=checkpoint, field="criterion.borders")
    try:
        forecaster = LCPFN().adopt(ours, max(width // HEAD_WIDTH, 1), increasing)
    except InputError as error:
        raise InputError(error.rule, where=checkpoint, field=error.field, value=error.value) from error
    forecaster.save(folder)
    return forecaster


def _state(path: Path) -> dict[str, Tensor]:
    """Every tensor of the file by its dotted name."""
    path = check_file(path)
    with refuse_library_errors(path, "a checkpoint of weights"):
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    strange = [name for name in named if not name.startswith(ALLOWED)]
    if strange:
        rule = "refers to what a network does not need; it is not read"
        raise InputError(rule, where=path, field="global", value=strange[0])
    kept: list[Any] = [(type(name, (_Kept,), {}), name) for name in named]
    with torch.serialization.safe_globals(kept):
        document = load_torch(path)
    if isinstance(document, dict):
        return {str(name): tensor for name, tensor in document.items() if isinstance(tensor, Tensor)}
    return dict(_tensors(document, ""))


def _tensors(module: Any, prefix: str) -> list[tuple[str, Tensor]]:
    """Parameters and buffers of a kept module and of those inside it."""
    found: list[tuple[str, Tensor]] = []
    for kind in ("_parameters", "_buffers"):
        own = getattr(module, kind, None) or {}
        found += [
            (prefix + name, tensor.detach()) for name, tensor in own.items() if isinstance(tensor, Tensor)
        ]
    for name, inner in (getattr(module, "_modules", None) or {}).items():
        found += _tensors(inner, f"{prefix}{name}.")
    return found
