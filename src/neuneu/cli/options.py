"""What every command shares: its typer app, tables on the terminal, --output and --json."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuneu.cli.names import in_options
from neuneu.errors import InputError
from neuneu.files import check_place, to_json, write_table

if TYPE_CHECKING:
    import polars as pl

    from neuneu.curves.table import CurveTable


def file_place(path: Path | None) -> Path | None:
    """Callback of an option that names a file to write: known to be writable before the work."""
    return path if path is None else check_place(path)


def folder_place(path: Path | None) -> Path | None:
    """Callback of an option that names a folder to write into."""
    return path if path is None else check_place(path, folder=True)


def named_place(path: Path | None) -> Path | None:
    """Callback of an option that names a file where it has an ending, else a folder."""
    return path if path is None else check_place(path, folder=not path.suffix)


Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write the table to a .parquet, .csv or .json file.", callback=file_place
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]

Runs = Annotated[list[str] | None, typer.Option("--run", help="Only this run; repeatable.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Only this task; repeatable.")]
MetricName = Annotated[
    str | None, typer.Option("--metric", help="This metric; by default one accuracy a curve.")
]
Shots = Annotated[int | None, typer.Option("--n-shot", "--shots", help="Only with this number of shots.")]
Variant = Annotated[str | None, typer.Option("--variant", help="Only this variant of the tasks.")]
ReferenceRuns = Annotated[
    str,
    typer.Option(
        "--references",
        help="Finished runs to look at: none, smaller or finished (of the same family), or a curve table.",
    ),
]
SeedsShown = Annotated[
    str,
    typer.Option(
        "--seeds", help="Runs that differ in their seed alone: each by itself, or as one with a band."
    ),
]
Losses = Annotated[Path | None, typer.Option("--losses", help="Store of checkpoints' token losses.")]
Device = Annotated[
    str | None, typer.Option("--device", help="Where networks work: cpu, cuda, cuda:1 or auto.")
]
Delta = Annotated[
    str | None,
    typer.Option("--delta", help="Delta probes: anchor, or cumulative (changes added up step by step)."),
]
Anchor = Annotated[
    int | None,
    typer.Option(
        "--anchor",
        help="Delta probes: checkpoint after step 0 whose accuracy is known, 0 the first.",
        min=0,
    ),
]
Methods = Annotated[
    str | None,
    typer.Option("--forecaster", "-f", help="Names, folders or package.module:Class, separated by commas."),
]


def split_names(text: str | None) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def read_share(text: str | None) -> float | None:
    """`all` → 1, or a share of the clock such as 0.2; None stays None. Raises InputError."""
    if text is None or text == "all":
        return None if text is None else 1.0
    try:
        return float(text)
    except ValueError as error:
        raise InputError("must be `all` or a share such as 0.2", field="context", value=text) from error


def broken_in_words(table: "CurveTable") -> list[str]:
    """Curves of a table that break a rule of rows and that nobody asked for, a line each."""
    return [f"left out: {error}" for _, error in table.broken]


def make_app() -> typer.Typer:
    """A typer app whose commands are called by name, with plain errors and tracebacks."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.callback()(_no_options)
    return app


def _no_options() -> None:
    """Exists so that an app with one command still takes its name."""


def show(frame: "pl.DataFrame", title: str, *, output: Path | None = None, as_json: bool = False) -> None:
    """Print a table for people, or as JSON; write it to `output` if given."""
    if output is not None:
        write_table(output, frame)
    if as_json:
        sys.stdout.write(to_json(frame.to_dicts()))
    elif output is None:
        print_table(frame, title)
    else:
        note(f"{len(frame)} rows → {output}")


def print_table(frame: "pl.DataFrame", title: str, *, digits: int = 4) -> None:
    """Print a table on the terminal: numbers to the right, rounded."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=None)
    table.pad_edge, table.collapse_padding = False, True  # more columns whole on a narrow terminal
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value, digits) for value in row))
    Console().print(table)


def note(message: str) -> None:
    """A line for people on stderr, so that stdout stays clean."""
    sys.stderr.write(in_options(message) + "\n")


def _cell(value: Any, digits: int) -> str:
    from rich.markup import escape

    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return escape(str(value))
