"""`neuneu demo`: what neuneu does, on runs that ship with it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.options import AsJson, ReferenceRuns, folder_place, known_forecasters, make_app
from neuneu.cli.tables import note, print_table
from neuneu.errors import how_many
from neuneu.files import to_json

if TYPE_CHECKING:
    from neuneu.reports.demo import Demo

app = make_app()


@app.command()
def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for curves, forecasts, figure and report.", callback=folder_place
        ),
    ] = Path("demo"),
    forecaster: Annotated[
        str | None,
        typer.Option(
            "--forecaster",
            "-f",
            help="Name or folder; by default the best that ships.",
            autocompletion=known_forecasters,
        ),
    ] = None,
    references: ReferenceRuns = "none",
    as_json: AsJson = False,
) -> None:
    """Forecast the second half of packaged training runs from their first half; needs no network.

    Example: neuneu demo --output demo, then open demo/report.html
    """
    from neuneu.reports.demo import run_demo

    print_demo(run_demo(output, forecaster, references), as_json=as_json)


def print_demo(found: "Demo", *, as_json: bool = False) -> None:
    """The table and where the files are, for people; or one JSON document."""
    import polars as pl

    from neuneu.reports.report_tables import fitted_note

    table = found.table()
    if as_json:
        sys.stdout.write(to_json({"scores": table.to_dicts(), "files": [str(path) for path in found.files]}))
        return
    answer = next(iter(found.answers.values()))
    note(
        f"{how_many(len(answer.panels), 'curve')} of {how_many(len(answer.runs), 'small language model')} on "
        f"{how_many(len(answer.tasks), 'task')}; each is forecast from its first part, the rest is compared "
        "with what came true"
    )
    scored = answer.scored
    unit = "points" if scored is not None and scored.percent else "metric units"
    floor = scored.noise_floor * scored.unit if scored is not None else float("nan")
    covered = pl.Series("in 80 % interval", [f"{100 * share:.0f} %" for share in table["in 80 % interval"]])
    print_table(
        table, "", brief=table.with_columns(covered), digits=2, parts=range(0, len(table), len(answer.names)),
        legend=f"error: mean distance from truth, in {unit}; noise between checkpoints alone: {floor:.2f}",
    )  # fmt: skip
    if fitted := fitted_note(answer):
        note(fitted)
    for path in found.files:
        note(f"→ {path}")
