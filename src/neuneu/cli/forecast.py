"""`neuneu forecast`: quantiles at horizons."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.options import (
    Anchor,
    AsJson,
    Delta,
    Device,
    Losses,
    Methods,
    MetricName,
    Output,
    ReferenceRuns,
    Runs,
    Shots,
    Tasks,
    Variant,
    changed_place,
    make_app,
    read_share,
    show,
    split_names,
)
from neuneu.cli.tables import note
from neuneu.errors import how_many

if TYPE_CHECKING:
    import polars as pl

    from neuneu.forecasts.forecast import TableForecasts

app = make_app()


@app.command()
def forecast(
    curves: Annotated[Path, typer.Argument(help="Curve table (.parquet, .csv, .json).")],
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    forecaster: Methods = None,
    context: Annotated[
        str, typer.Option(help="What may be seen: all, or a share of the clock such as 0.2.")
    ] = "all",
    horizon: Annotated[
        list[str] | None,
        typer.Option(help="Clock value (3e11) or multiple of the context end (2x); repeatable."),
    ] = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    device: Device = None,
    delta: Delta = None,
    anchor: Anchor = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            help="Enter the forecasts in this file; `neuneu settle` compares later.", callback=changed_place
        ),
    ] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Forecast runs: quantiles of each curve at horizons.

    Runs in flight are forecast from all that is known; with --context 0.2 a finished run is forecast from its
    first fifth at every later checkpoint. Example: neuneu forecast runs.parquet --run my-run --horizon 2x
    """
    from neuneu.curves.broken import broken_in_words
    from neuneu.curves.table import CurveTable
    from neuneu.evidence.select import Selection
    from neuneu.forecasters.base import DEFAULT_FORECASTER
    from neuneu.forecasts import forecast as forecasts
    from neuneu.forecasts.horizons import given, read_horizons

    asked = read_horizons(horizon or [])
    share = read_share(context)
    table = CurveTable.read_sound(curves)
    found = forecasts.forecast(
        table,
        split_names(forecaster) or [DEFAULT_FORECASTER],
        selection=Selection(run or (), task or (), metric, n_shot, variant),
        context=share,
        plan=given(asked) if asked else None,
        references=references,
        losses=losses,
        options={"device": device, "delta": delta, "anchor": anchor},
    )
    show(found.cells, title(found), brief=brief(found.cells), least=LEAST, output=output, as_json=as_json)
    if ledger is not None:
        from neuneu.decisions.ledger import enter

        note(f"{how_many(enter(found, ledger), 'forecast')} entered → {ledger}")
    for line in [*broken_in_words(table.broken), *left_out_in_words(found)]:
        note(line)


LEAST = ("reason", "value", "q10", "q90")
"""Columns that a narrow terminal leaves out first."""


def brief(frame: "pl.DataFrame") -> "pl.DataFrame":
    """The columns of cells that fit a terminal; without what is the same or missing in all rows."""
    import polars as pl

    wanted = ["task", "clock", "q10", "q50", "q90", "value", "reason"]
    varied = [n for n in ("forecaster", "run", "metric", "n_shot", "variant") if frame[n].n_unique() > 1]
    present = [name for name in wanted if frame[name].null_count() < len(frame)]
    clock = [f"{value:.4g}" for value in frame["clock"]]
    return frame.with_columns(clock=pl.Series(clock, dtype=pl.String)).select(*varied, *present)


def title(found: "TableForecasts") -> str:
    """What is forecast, in a line for people."""
    units = sorted({each.curve.clock_unit for each in found.curves})
    who = found.runs[0] if len(found.runs) == 1 else f"{len(found.runs)} runs"
    curves = how_many(len(found.curves), "curve")
    references = "" if found.references == "none" else f", references: {found.references}"
    return f"{', '.join(found.names)}, {who}, {curves}, clock in {' and '.join(units)}{references}"


def left_out_in_words(found: "TableForecasts") -> list[str]:
    """Refusals and curves that were not asked, counted, for people."""
    lines = []
    for name in found.names:
        refused = found.cells.filter(forecaster=name, refused=True)
        if len(refused):
            every = len(found.cells.filter(forecaster=name))
            lines.append(f"{name} declined {len(refused)} of {every} cells: {refused['reason'][0]}")
    if found.left_out:
        n = len(found.left_out)
        lines.append(
            f"{n} curve{'s were' if n > 1 else ' was'} not asked: {next(iter(found.left_out.values()))}"
        )
    return lines
