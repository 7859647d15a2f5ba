"""The formats by name, and the one call that reads any of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuneu.curves.readers.datadecide import read_datadecide
from neuneu.curves.readers.lm_eval import read_lm_eval
from neuneu.curves.readers.neuneu_npy import read_neuneu_npy
from neuneu.curves.readers.olmo_ladder import read_olmo_ladder
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given, ReadResult
from neuneu.curves.readers.pythia import read_pythia
from neuneu.curves.readers.wandb import read_wandb
from neuneu.errors import InputError

FORMATS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "lm-eval": (read_lm_eval, ("step_pattern",)),
    "pythia": (read_pythia, ()),
    "olmo-ladder": (read_olmo_ladder, ()),
    "datadecide": (read_datadecide, ()),
    "wandb": (read_wandb, ("tokens_column",)),
    "neuneu-npy": (read_neuneu_npy, ("values_are",)),
}
"""Format → (its reader, the options that only it takes)."""


def read_format(
    name: str, paths: Sequence[str | Path], *, given: Given = NOTHING_GIVEN, **options: str | None
) -> ReadResult:
    """Read files of a named format. options: those of its reader; None is not given.

    Raises InputError on an unknown format and on an option that the format does not take.
    """
    if name not in FORMATS:
        raise InputError(f"unknown; known: {', '.join(FORMATS)}", field="format", value=name)
    reader, takes = FORMATS[name]
    said = {option: value for option, value in options.items() if value is not None}
    for option, value in said.items():
        if option not in takes:
            raise InputError(f"is no option of {name}", field=option.replace("_", "-"), value=value)
    result: ReadResult = reader(paths, given=given, **said)
    return result
