"""`neuneu designs`: scores predicted from design decisions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.common import AsJson, Output, note, show
from neuneu.cli.designs_common import Store
from neuneu.errors import InputError
from neuneu.files import write_table

predictions = typer.Typer()


class Protocol(StrEnum):
    """How `designs predict` judges predictors."""

    published = "published"
    nested = "nested"


@predictions.command()
def predict(
    store: Store,
    protocol: Annotated[Protocol, typer.Option(help="nested (to trust) or published (for comparison).")],
    predictor: Annotated[
        str, typer.Option(help="nested: methods, comma-separated.")
    ] = "median,log-linear,linear,gaussian-process,xgboost,lightgbm,stack",
    features: Annotated[str, typer.Option(help="nested: scale, all or non-scale.")] = "all",
    split: Annotated[str, typer.Option(help="random, organisation; nested also family, time.")] = "random",
    seeds: Annotated[int, typer.Option(help="Repetitions of the split.")] = 50,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeat for more.")] = None,
    selected: Annotated[
        Path | None, typer.Option(help="published: CSV of the features it selected for each task.")
    ] = None,
    engine: Annotated[str, typer.Option(help="published: fast or xgboost; the same bits.")] = "fast",
    workers: Annotated[int, typer.Option(help="published: threads.")] = 2,
    cells: Annotated[Path | None, typer.Option(help="nested: write every prediction here.")] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Predict scores from design decisions; print a row a task with errors, baselines and corrected tests.

    Example: neuneu designs predict --protocol nested --split organisation --seeds 5 --store designs.duckdb

    Example: neuneu designs predict --protocol published --store designs.duckdb --selected results_303.csv
    """
    from neuneu.designs.labels import find_tasks
    from neuneu.designs.store import DesignStore

    tasks = find_tasks(task or [])
    if seeds < 1:
        raise InputError("must be at least 1", field="seeds", value=seeds)
    with DesignStore(store) as opened:
        if protocol is Protocol.published:
            from neuneu.designs.published import published_table

            if selected is None:
                raise InputError("the published protocol needs it", field="selected")
            if split not in ("random", "organisation"):
                raise InputError("must be random or organisation", field="split", value=split)
            frame = published_table(
                opened,
                selected,
                seeds=seeds,
                tasks=tasks,
                grouped=split == "organisation",
                engine=engine,
                workers=workers,
                progress=note,
            )
        else:
            from neuneu.designs.nested import table_of

            methods = [name.strip() for name in predictor.split(",")]
            frame, rows = table_of(
                opened, tasks, methods, split=split, seeds=seeds, scope=features, progress=note
            )
            if cells is not None:
                write_table(cells, rows)
    show(frame, f"{protocol.value} protocol, {split} folds, {seeds} seeds", output=output, as_json=as_json)
