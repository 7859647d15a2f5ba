"""`neuneu designs`: errors of predictions, what each group of features is worth, and similar tasks."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.designs_common import EXPLAIN, draw
from neuneu.cli.designs_explain import Seeds, Split, for_terminal
from neuneu.cli.designs_predict import Figure, Metric, Runs, Source, Store, Tasks, show_summary
from neuneu.cli.options import AsJson, Output, file_place, one_of, show
from neuneu.errors import InputError, how_many

diagnostics = typer.Typer()


@diagnostics.command(rich_help_panel=EXPLAIN)
def errors(
    cells: Annotated[Path, typer.Argument(help="What `designs predict --cells` wrote (.parquet).")],
    by: Annotated[
        str, typer.Option(help="model or task (each model on each task).", **one_of("model", "task"))
    ] = "model",
    predictor: Annotated[str | None, typer.Option(help="Only this method.")] = None,
    against: Annotated[
        str | None, typer.Option(help="A feature: how much of the errors it explains (R²), task by task.")
    ] = None,
    store: Store = None,
    runs: Runs = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Draw true against predicted scores into this .png or .svg file.", callback=file_place
        ),
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Where predictions are off, worst first: which models score higher or lower than their designs say.

    --against FEATURE, whose values --store or --runs holds, gives a row a task instead: slope, R², p.

    Example: neuneu designs errors cells.parquet --predictor xgboost --figure errors.png --truth truth.png

    Example: neuneu designs errors cells.parquet --predictor xgboost --against code --store home
    """
    from neuneu.designs.prediction.score_summaries import error_table, errors_against, signed_errors
    from neuneu.designs.prediction.sources import known_of, read_cells

    found = read_cells(cells, predictor)
    draw(truth, lambda charts: charts.truth_chart(found), "design_effects")
    if against is not None:
        known = known_of(store, runs, against)
        frame = errors_against(found, against, known)
        dots = signed_errors(found, known)
        first = frame.filter(method=found["method"][0])
        draw(figure, lambda charts: charts.against_chart(dots, first, against), "design_effects")
        brief = for_terminal(frame).drop("feature")
        show(frame, f"errors against {against}", brief=brief, output=output, as_json=as_json)
        return
    if store is not None or runs is not None:
        raise InputError("belongs to --against", field="store" if store is not None else "runs")
    frame = error_table(found, by=by)
    draw(figure, lambda charts: charts.model_errors(frame))
    show(frame, f"errors by {by}, worst first", output=output, as_json=as_json)


@diagnostics.command(rich_help_panel=EXPLAIN)
def ablate(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    predictor: Annotated[str, typer.Option(help="The method; not one that needs scale.")] = "xgboost",
    split: Split = "random",
    seeds: Seeds = 5,
    workers: Annotated[int, typer.Option(help="Processes; the result is the same.")] = 2,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """What each group of features is worth: errors with all, and with one group left out at a time.

    Groups: scale, architecture, composition, generation, training, as far as the table has them. p is against
    all features on the same folds, corrected for overlapping folds and for the whole table.

    Example: neuneu designs ablate --store home --split recipe --seeds 2 --task sciq --task blimp
    """
    from neuneu.designs.prediction.ablation import leave_one_out
    from neuneu.designs.prediction.score_summaries import summary
    from neuneu.designs.prediction.sources import load_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    rows = leave_one_out(table, predictor, split=split, seeds=range(seeds), workers=workers)
    frame = summary(rows, "all")
    draw(figure, lambda charts: charts.errors_by_task(frame, "all"))
    title = f"{predictor} without a group, {split} folds, {how_many(seeds, 'seed')}; skill and p against all"
    show_summary(frame, title, output, as_json=as_json)


@diagnostics.command(rich_help_panel=EXPLAIN)
def tree(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    split: Split = "random",
    seeds: Seeds = 5,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Tasks joined by what their predictions lean on: Ward's clustering of their SHAP values.

    Example: neuneu designs tree --store home --seeds 1 --figure tree.png
    """
    import polars as pl

    from neuneu.designs.prediction.explain import shap_values, task_profiles, task_tree
    from neuneu.designs.prediction.sources import load_table
    from neuneu.reports.design_figures import task_name

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    found = shap_values(table, split=split, seeds=range(seeds))
    frame, links = task_tree(found)
    names = [task_name({"task": name, "setting": setting}) for name, setting in task_profiles(found)[0]]
    draw(figure, lambda charts: charts.tree_chart(links, names), "design_effects")
    text = [pl.col(name).list.join("; ") for name in ("first", "second")]
    show(frame.with_columns(text), "tasks, the most similar first", output=output, as_json=as_json)
