"""What every command shares: its typer app, tables on the terminal, --output and --json."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuneu.files import check_place, to_json, write_table

if TYPE_CHECKING:
    import polars as pl


def file_place(path: Path | None) -> Path | None:
    """Callback of an option that names a file to write: known to be writable before the work."""
    return path if path is None else check_place(path)


def folder_place(path: Path | None) -> Path | None:
    """Callback of an option that names a folder to write into."""
    return path if path is None else check_place(path, folder=True)


Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write the table to a .parquet, .csv or .json file.", callback=file_place
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


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
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value, digits) for value in row))
    Console().print(table)


def note(message: str) -> None:
    """A line for people on stderr, so that stdout stays clean."""
    sys.stderr.write(message + "\n")


def _cell(value: Any, digits: int) -> str:
    from rich.markup import escape

    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return escape(str(value))
