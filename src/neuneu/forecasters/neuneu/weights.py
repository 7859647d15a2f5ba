"""Weights on disk: config.json + model.safetensors in a folder; no pickle."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuneu.errors import InputError
from neuneu.files import atomic_path, check_file, refuse_library_errors, together, write_json
from neuneu.forecasters.base import CONFIG

WEIGHTS = "model.safetensors"


def save_tensors(
    path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors, whole or not at all."""
    from safetensors.torch import save_file

    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(flat, temporary, metadata=metadata)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises InputError where it is missing or corrupted."""
    from safetensors import safe_open

    with refuse_library_errors(check_file(path), "a whole safetensors file"), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, dict(file.metadata() or {})


def check_size(make: Callable[[], nn.Module], tensors: dict[str, Tensor], where: str | Path) -> None:
    """InputError where a configuration asks for another number of weights than there are.

    Counted without memory for them: a configuration may ask for more than any machine has.
    """
    with refuse_library_errors(where, "a network's configuration"), torch.device("meta"):
        wanted = sum(value.numel() for value in make().state_dict().values())
    there = sum(tensor.numel() for tensor in tensors.values())
    if wanted != there:
        raise InputError(f"asks for {wanted:,} weights; there are {there:,}", where=where, field="model")


def load_weights(model: nn.Module, tensors: dict[str, Tensor], where: str | Path) -> None:
    """Put tensors into a model. Raises InputError where names or shapes differ."""
    own = model.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        rule = "the weight is missing" if name in own else "the model has no such weight"
        raise InputError(rule, where=where, field=name)
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            rule = f"must have shape {tuple(own[name].shape)}"
            raise InputError(rule, where=where, field=name, value=tuple(tensor.shape))
        if not tensor.isfinite().all():
            raise InputError("must be finite", where=where, field=name)
    model.load_state_dict(tensors)


def save_folder(folder: str | Path, model: nn.Module, config: dict[str, Any]) -> None:
    """Write a model folder; config["forecaster"] names the registered forecaster that reads it."""
    with together(folder):
        save_tensors(Path(folder) / WEIGHTS, model.state_dict())
        write_json(Path(folder) / CONFIG, config)


def fingerprint_of(module: nn.Module) -> str:
    """Hash of a module's weights: two modules with the same hash give the same output."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
