"""`neuneu forecast`: quantiles at horizons."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, Output, make_app, note, print_table, show
from neuneu.forecasters.base import DEFAULT_FORECASTER

app = make_app()


@app.command()
def forecast(
    curves: Annotated[Path, typer.Argument(help="Curve table (.parquet, .csv, .json).")],
    run: Annotated[str | None, typer.Option(help="This run only.")] = None,
    task: Annotated[str | None, typer.Option(help="This task only.")] = None,
    metric: Annotated[str | None, typer.Option(help="This metric; by default one accuracy a curve.")] = None,
    forecaster: Annotated[
        str, typer.Option("--forecaster", "-f", help="Name or folder.")
    ] = DEFAULT_FORECASTER,
    context: Annotated[
        str, typer.Option(help="What may be seen: all, or a share of the clock such as 0.2.")
    ] = "all",
    horizon: Annotated[
        list[str] | None,
        typer.Option(help="Clock value (3e11) or multiple of the context end (2x); repeatable."),
    ] = None,
    references: Annotated[
        str,
        typer.Option(
            help="Finished runs: none, same-source (smaller ones), finished (any size), or a curve table."
        ),
    ] = "none",
    losses: Annotated[Path | None, typer.Option(help="Store of checkpoints' token losses.")] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Forecast runs: quantiles of each curve at horizons.

    Runs in flight are forecast from all that is known; with --context 0.2 a finished run is forecast from its
    first fifth at every later checkpoint. Example: neuneu forecast runs.parquet --run my-run --horizon 2x
    """
    from neuneu.curves.table import read_curves
    from neuneu.decisions.outlook import (
        Horizon,
        brief,
        look_ahead,
        outlook_frame,
        read_context,
        read_references,
        ready_forecaster,
        select,
        title,
    )

    asked = [Horizon.parse(text) for text in horizon or []]
    share = read_context(context)
    table = read_curves(curves)
    chosen = select(table, run, task, metric)
    allowed, finished = read_references(references)
    store = None
    if losses is not None:
        from neuneu.losses.open import open_losses

        store = open_losses(losses, table.runs)
    method = ready_forecaster(forecaster, finished, store)
    outlooks = look_ahead(
        table,
        chosen,
        method,
        context=share,
        horizons=asked,
        references=allowed,
        finished=finished,
        losses=store,
    )
    frame = outlook_frame(outlooks, method.name)
    if output is None and not as_json:
        print_table(brief(frame), f"{method.name}, {title(outlooks)}")
    else:
        show(frame, "", output=output, as_json=as_json)
    declined = frame["refused"].drop_nulls()
    if len(declined):
        note(f"{method.name} declined {len(declined)} of {len(frame)} cells: {declined[0]}")
