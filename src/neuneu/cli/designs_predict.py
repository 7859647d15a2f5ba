"""`neuneu designs`: scores predicted from design decisions."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.designs_common import PREDICT, draw, read_pairs
from neuneu.cli.options import AsJson, Output, file_place, folder_place, one_of, show
from neuneu.cli.tables import note
from neuneu.errors import InputError, how_many
from neuneu.files import write_table

if TYPE_CHECKING:
    import polars as pl

predictions = typer.Typer()

Store = Annotated[
    Path | None,
    typer.Option("--store", "-s", help="The design database (a DuckDB file), or home: the packaged suite."),
]
Runs = Annotated[
    str | None,
    typer.Option(
        help="In place of a database: a Parquet file of final scores or of curves, or home (the suite)."
    ),
]
Source = Annotated[str | None, typer.Option(help="--runs: only this source of the file.")]
Metric = Annotated[str | None, typer.Option(help="--runs: this metric; by default one accuracy a task.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", help="Only this task, or the tasks of this .yaml file; repeat for more."),
]
Figure = Annotated[
    Path | None, typer.Option(help="Draw the figure into this .png or .svg file.", callback=file_place)
]


class ProtocolName(StrEnum):
    """How `designs predict` judges predictors."""

    published = "published"
    nested = "nested"


class Regressor(StrEnum):
    """The trees of the published protocol."""

    xgboost = "xgboost"
    lgbm = "lgbm"
    rf = "rf"


@predictions.command(rich_help_panel=PREDICT)
def predict(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    protocol: Annotated[
        ProtocolName, typer.Option(help="nested (to trust) or published (for comparison).")
    ] = ProtocolName.nested,
    predictor: Annotated[
        str, typer.Option(help="nested: methods, comma-separated.")
    ] = "median,log-linear,xgboost,ensemble",
    reference: Annotated[
        str, typer.Option(help="nested: the method that others are tested against.")
    ] = "log-linear",
    features: Annotated[
        str,
        typer.Option(
            help="scale, all, non-scale, kinds (composition, …) or names, with commas; -NAME leaves out. "
            "published: names in place of --selected."
        ),
    ] = "all",
    split: Annotated[
        str,
        typer.Option(help="random, time, largest-K, recipe; family, organisation (database); size (--runs)."),
    ] = "random",
    seeds: Annotated[int, typer.Option(help="Repetitions of the split.")] = 10,
    task: Tasks = None,
    selected: Annotated[
        Path | None, typer.Option(help="CSV of the features that the published selection chose.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="published: fast or xgboost; the same bits.", **one_of("fast", "xgboost"))
    ] = "fast",
    regressor: Annotated[
        Regressor, typer.Option(help="published: trees, with their published grid. rf takes minutes a seed.")
    ] = Regressor.xgboost,
    models: Annotated[
        Path | None,
        typer.Option(
            help="published: keep every tuned model in this new folder: settings, and trees.",
            callback=folder_place,
        ),
    ] = None,
    merge_mmlu: Annotated[
        bool, typer.Option("--merge-mmlu", help="Average the rows of mmlu's settings into one.")
    ] = False,
    merge_arithmetic: Annotated[
        bool, typer.Option("--merge-arithmetic", help="Average the rows of arithmetic_* into one.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes (published: threads); the result is the same.")] = 2,
    cells: Annotated[
        Path | None, typer.Option(help="nested: write every prediction here.", callback=file_place)
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Predict scores from design decisions; print a row a task with errors, baselines and corrected tests.

    Example: neuneu designs predict --store home --predictor log-linear,xgboost --cells cells.parquet

    Example: neuneu designs predict --runs home --split size --predictor chinchilla,log-linear --seeds 1

    Example: neuneu designs predict --protocol published --store home --features code,books --seeds 2
    """
    if seeds < 1:
        raise InputError("must be at least 1", field="seeds", value=seeds)
    if protocol is ProtocolName.published:
        from neuneu.designs.prediction.grids import Keeper
        from neuneu.designs.prediction.published_protocol import as_methods, brief_table
        from neuneu.designs.prediction.sources import published_from_store

        if cells is not None:
            raise InputError("belongs to the nested protocol", field="cells", value=str(cells))
        keeper = Keeper() if models is not None else None
        frame = published_from_store(
            store,
            [name.strip() for name in features.split(",")]
            if selected is None and features != "all"
            else selected,
            task or [],
            seeds=seeds,
            split=split,
            engine=engine if regressor is Regressor.xgboost else regressor.value,
            workers=workers,
            keeper=keeper,
            progress=note,
        )
        if keeper is not None and models is not None:
            note(f"{how_many(keeper.write(models), 'tuned model')} → {models}")
        frame = _merged(frame, merge_mmlu, merge_arithmetic)
        draw(figure, lambda charts: charts.errors_by_task(as_methods(frame), "scale"))
        title = f"published protocol, {split} folds, {how_many(seeds, 'seed')}"
        show(frame, title, brief=brief_table(frame), output=output, as_json=as_json)
        return
    if models is not None:
        raise InputError("belongs to the published protocol", field="models", value=str(models))
    from neuneu.designs.prediction.nested import evaluate
    from neuneu.designs.prediction.score_summaries import summary
    from neuneu.designs.prediction.sources import load_table, selected_features

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    methods = [name.strip() for name in predictor.split(",")]
    rows = evaluate(
        table,
        methods,
        split=split,
        seeds=range(seeds),
        scope=features,
        selected=selected_features(selected),
        workers=workers,
    )
    if reference not in methods:
        reference = methods[0]
    frame = _merged(summary(rows, reference), merge_mmlu, merge_arithmetic)
    if cells is not None:
        write_table(cells, rows)
    draw(figure, lambda charts: charts.errors_by_task(frame, reference))
    title = f"nested protocol, {split} folds, {how_many(seeds, 'seed')}; skill and p against {reference}"
    show_summary(frame, title, output, as_json=as_json)


def show_summary(frame: "pl.DataFrame", title: str, output: Path | None, *, as_json: bool) -> None:
    """A summary of predictors, a row a task and method; on a terminal briefly, with the mean of all rows."""
    from neuneu.designs.prediction.score_summaries import brief, overall

    show(frame, title, brief=brief(frame), output=output, as_json=as_json)
    if output is None and not as_json and sys.stdout.isatty():
        show(overall(frame), "mean over these rows")


def _merged(frame: "pl.DataFrame", mmlu: bool, arithmetic: bool) -> "pl.DataFrame":
    from neuneu.designs.prediction.score_summaries import merge_rows

    for name, asked in (("mmlu", mmlu), ("arithmetic", arithmetic)):
        frame = merge_rows(frame, name) if asked else frame
    return frame


@predictions.command(rich_help_panel=PREDICT)
def facts(
    curves: Annotated[Path, typer.Argument(help="A curve table (.parquet, .csv, .json).")],
    store: Annotated[Path, typer.Option("--store", "-s", help="The design database (a DuckDB file).")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The curve table with the facts filled in.", callback=file_place),
    ],
    model: Annotated[
        list[str] | None, typer.Option(help="RUN=ID where a run is not called as in the database; repeat.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fill size, planned tokens and recipe of runs from the database: facts that neuneu-2 reads.

    Example: neuneu designs facts curves.parquet -s designs.duckdb --model my-run=org/model -o more.parquet
    """
    import polars as pl

    from neuneu.curves.table import CurveTable
    from neuneu.designs.database.facts import fill_facts
    from neuneu.designs.database.home import open_store

    pairs = read_pairs(model or [], "model", "RUN=ID")
    with open_store(store) as opened:
        table, filled = fill_facts(CurveTable.read(curves), opened, pairs)
    table.write(output)
    count = len(filled.filter(pl.any_horizontal(pl.exclude("run", "model").is_not_null())))
    title = f"Facts filled in of {count} of {how_many(len(filled), 'run')} → {output}"
    if not count:
        title = f"No fact was filled in: the curves have them, or the database lacks them → {output}"
    show(filled, title, as_json=as_json)
