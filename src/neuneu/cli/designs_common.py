"""What the modules of `neuneu designs` share."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuneu.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Store = Annotated[
    Path,
    typer.Option("--store", "-s", help="The design database (a DuckDB file), or home: the packaged suite."),
]

DATABASE, CONTRIBUTE = "The database", "Contribute to it"
PREDICT, EXPLAIN = "Predict scores", "Explain predictions"
GENERATE, TEXTS = "Generations and taggers", "Texts"
"""Panels of `neuneu designs --help`."""


def draw(path: Path | None, chart: "Callable[[Any], Figure]", module: str = "design_figures") -> None:
    """Save a figure where one is asked for; `chart` is given a module of `neuneu.reports`."""
    if path is not None:
        from neuneu.reports.style import save

        save(chart(import_module(f"neuneu.reports.{module}")), path)


def read_pairs(entries: list[str], field: str, form: str) -> dict[str, str]:
    """NAME=ID, … → {name: id}; the id is what follows the last =. InputError where one is none, or twice.

    field: the option that they were given to; form: what an entry must look like, RUN=ID.
    """
    pairs: dict[str, str] = {}
    for entry in entries:
        name, _, model = entry.rpartition("=")
        if not name or not model:
            raise InputError(f"must be {form}", field=field, value=entry)
        if name in pairs:
            raise InputError("must not be given twice", field=field, value=name)
        pairs[name] = model
    return pairs
