"""What every command shares: its typer app, tables on the terminal, --output and --json."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuneu.cli.tables import DIGITS, note, print_table
from neuneu.errors import InputError, how_many
from neuneu.files import check_place, to_json, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


def file_place(path: Path | None) -> Path | None:
    """Callback of an option that names a file to write: known to be writable before the work."""
    return path if path is None else check_place(path)


def changed_place(path: Path | None) -> Path | None:
    """Callback of an option that names a file to make, or to change where it is there already."""
    return path if path is None else check_place(path, changed=True)


def known_schedule(schedule: str | None) -> str | None:
    """Callback of an option that names a schedule: one that is none is refused before anything is read."""
    if schedule is None:
        return None
    from neuneu.curves.readers.learning_rates import read_schedule

    return read_schedule(schedule)


def folder_place(path: Path | None) -> Path | None:
    """Callback of an option that names a folder to write into."""
    return path if path is None else check_place(path, folder=True)


def named_place(path: Path | None) -> Path | None:
    """Callback of an option that names a file where it has an ending, else a folder."""
    return path if path is None else check_place(path, folder=not path.suffix)


def one_of(*names: str) -> dict[str, Any]:
    """What an option of these names takes beside its help: they are shown there and completed.

    Whoever takes the value refuses others, so that names known to a room are checked there alone.
    """
    return {"metavar": f"[{'|'.join(names)}]", "autocompletion": lambda: list(names)}


def known_forecasters(incomplete: str) -> list[str]:
    """Completes names of forecasters, after commas too."""
    from neuneu.forecasters.base import forecaster_names

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in forecaster_names() if name.startswith(last)]


def known_references() -> list[str]:
    """Completes the rules by which finished runs are looked at."""
    return ["none", "smaller", "finished"]


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
LearningRate = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        help="Of the learning rate: constant, cosine, linear, or wsd:0.8, which falls from that share of the "
        "plan on; or a table of step and learning_rate to the planned end.",
        callback=known_schedule,
    ),
]
Shots = Annotated[int | None, typer.Option("--n-shot", "--shots", help="Only with this number of shots.")]
Variant = Annotated[str | None, typer.Option("--variant", help="Only this variant of the tasks.")]
ReferenceRuns = Annotated[
    str,
    typer.Option(
        "--references",
        help="Finished runs to look at: none, smaller or finished (of the same family), or a curve table.",
        autocompletion=known_references,
    ),
]
SeedsShown = Annotated[
    str,
    typer.Option(
        "--seeds",
        help="Runs that differ in their seed alone: each by itself, or as one with a band.",
        **one_of("each", "band"),
    ),
]
Losses = Annotated[Path | None, typer.Option("--losses", help="Store of checkpoints' token losses.")]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Where networks work: cpu, cuda, cuda:1 or auto.",
        autocompletion=lambda: ["cpu", "cuda", "auto"],
    ),
]
Delta = Annotated[
    str | None,
    typer.Option(
        "--delta",
        help="Delta probes: anchor, or cumulative (changes added up step by step).",
        **one_of("anchor", "cumulative"),
    ),
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
    typer.Option(
        "--forecaster",
        "-f",
        help="Names, folders or package.module:Class, separated by commas.",
        autocompletion=known_forecasters,
    ),
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


def make_app() -> typer.Typer:
    """A typer app whose commands are called by name, with plain errors and tracebacks."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(_no_options)
    return app


def _no_options() -> None:
    """Exists so that an app with one command still takes its name."""


def show(
    frame: "pl.DataFrame",
    title: str,
    *,
    output: Path | None = None,
    as_json: bool = False,
    brief: "pl.DataFrame | None" = None,
    least: "Sequence[str]" = (),
    legend: str = "",
    digits: int = DIGITS,
) -> None:
    """Print a table for people, or as JSON; write it to `output` if given.

    brief, least, legend, digits: what a terminal shows, as `print_table` takes it; the rest gets `frame`.
    """
    if output is not None:
        write_table(output, frame)
    if as_json:
        sys.stdout.write(to_json(frame.to_dicts()))
    elif output is None:
        print_table(frame, title, brief=brief, least=least, legend=legend, digits=digits)
    else:
        note(f"{how_many(len(frame), 'row')} → {output}")
