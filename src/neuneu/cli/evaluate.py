"""`neuneu evaluate`: forecasters on the same cells, one leaderboard."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, folder_place, make_app, note

app = make_app()


@app.command()
def evaluate(
    curves: Annotated[list[Path], typer.Argument(help="Curve tables (.parquet, .csv, .json).")],
    forecasters: Annotated[
        str, typer.Option("--forecasters", "-f", help="Names or folders, separated by commas.")
    ] = "last-value,power-law",
    protocol: Annotated[
        str, typer.Option(help="fraction, anchored, sequential or rolling (see docs/evaluation.md).")
    ] = "fraction",
    context: Annotated[float, typer.Option(help="Share of the curve that is seen.")] = 0.2,
    by: Annotated[str, typer.Option(help="Count the share by clock or by checkpoints.")] = "clock",
    feed: Annotated[
        str, typer.Option(help="Sequential: append the median, or the truth (sees the future).")
    ] = "median",
    metric: Annotated[str | None, typer.Option(help="This metric; by default one accuracy a curve.")] = None,
    losses: Annotated[Path | None, typer.Option(help="Store of checkpoints' token losses.")] = None,
    references: Annotated[
        str,
        typer.Option(
            help="Finished runs to look at: none, same-source (smaller ones), or finished (any size)."
        ),
    ] = "none",
    manifest: Annotated[
        Path | None,
        typer.Option(help="JSON or YAML with train and test lists, in place of leave-one-source-out."),
    ] = None,
    fit: Annotated[
        bool, typer.Option(help="Fit afresh outside the tested runs; --no-fit: as they ship.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of fits and bootstrap.", min=0)] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for cells.parquet, leaderboard.json and timings.json.",
            callback=folder_place,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare forecasters on the same cells of real curves: one leaderboard.

    Example: neuneu evaluate a.parquet b.parquet --forecasters last-value,power-law,lightgbm -o results
    """
    from neuneu.evaluation.report import evaluate_files, print_leaderboard
    from neuneu.files import to_json

    results = evaluate_files(
        curves,
        [name.strip() for name in forecasters.split(",") if name.strip()],
        protocol=protocol,
        context=context,
        by=by,
        feed=feed,
        metric=metric,
        losses=losses,
        references=references,
        manifest=manifest,
        fit=fit,
        seed=seed,
        output=output,
        progress=note,
    )
    if as_json:
        typer.echo(to_json(results), nl=False)
    else:
        print_leaderboard(results)
