"""What the modules of `neuneu designs` share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Store = Annotated[Path, typer.Option("--store", "-s", help="The design database (a DuckDB file).")]


def draw(path: Path | None, chart: "Callable[[Any], Figure]") -> None:
    """Save a figure where one is asked for; `chart` is given the module `neuneu.reports.design_figures`."""
    if path is not None:
        from neuneu.reports import design_figures as designs
        from neuneu.reports.style import save

        save(chart(designs), path)
