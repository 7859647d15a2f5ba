"""`neuneu designs`: what predictions rest on, what would change them, and what goes with what."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.designs_common import draw
from neuneu.cli.designs_predict import Figure, Metric, Runs, Source, Store, Tasks
from neuneu.cli.options import AsJson, Output, file_place, note, show
from neuneu.errors import InputError

if TYPE_CHECKING:
    import polars as pl

explanations = typer.Typer()

Split = Annotated[
    str, typer.Option(help="What folds keep whole: random, family, organisation, recipe, size.")
]
Seeds = Annotated[int, typer.Option(help="Repetitions of the split.", min=1)]


@explanations.command()
def explain(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    split: Split = "random",
    seeds: Seeds = 5,
    features: Annotated[str, typer.Option(help="scale, all or non-scale.")] = "all",
    values: Annotated[
        Path | None, typer.Option(help="Write the SHAP value of every model here.", callback=file_place)
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which features move predictions, and which way: SHAP values of trees on models they were not grown on.

    Example: neuneu designs explain --store designs.duckdb --task humaneval --figure shap.png
    """
    from neuneu.designs.prediction.explain import importance, shap_values
    from neuneu.designs.prediction.sources import load_table
    from neuneu.files import write_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    found = shap_values(table, split=split, seeds=range(seeds), scope=features)
    owners = table.clusters
    frame = importance(found, dict(zip(table.ids, owners, strict=True)))
    if values is not None:
        write_table(values, found)
    draw(figure, lambda charts: charts.shap_chart(found, frame))
    if output is None and not as_json:
        frame = _for_terminal(frame)
    show(frame, f"mean size of SHAP values, {split} folds", output=output, as_json=as_json)


def _for_terminal(frame: "pl.DataFrame") -> "pl.DataFrame":
    """With task, setting and metric in one column and short names of features."""
    import polars as pl

    from neuneu.reports.design_figures import short, task_name

    names = [task_name(row) for row in frame.select("task", "setting").to_dicts()]
    brief = frame.drop("setting", "metric").with_columns(pl.Series("task", names))
    return brief.with_columns(pl.col("feature").map_elements(short, return_dtype=pl.String))


@explanations.command()
def select(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    split: Split = "organisation",
    seeds: Annotated[int, typer.Option(help="Repetitions of the split.", min=1)] = 1,
    steps: Annotated[
        Path | None, typer.Option(help="Write every step of every selection here.", callback=file_place)
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which features forward selection adds to scale, and how often, in training parts of a split.

    A feature that only some parts choose is chosen by chance of the split.

    Example: neuneu designs select --store designs.duckdb --task humaneval --figure selected.png
    """
    from neuneu.designs.prediction.selection import choices, selections
    from neuneu.designs.prediction.sources import load_table
    from neuneu.files import write_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    found = selections(table, split=split, seeds=range(seeds), progress=note)
    if steps is not None:
        write_table(steps, found)
    frame = choices(found)
    draw(figure, lambda charts: charts.selection_chart(frame))
    if output is None and not as_json:
        frame = _for_terminal(frame)
    show(frame, f"selected in {3 * seeds} training parts, {split} folds", output=output, as_json=as_json)


@explanations.command()
def sweep(
    model: Annotated[str, typer.Argument(help="The model that is changed.")],
    feature: Annotated[str, typer.Argument(help="The number that is changed, or the end of its name: code.")],
    low: Annotated[float, typer.Option(help="Its first value, in its own unit.")] = 0.0,
    high: Annotated[float, typer.Option(help="Its last value.")] = 100.0,
    steps: Annotated[int, typer.Option(help="How many values.", min=1)] = 21,
    predictor: Annotated[str, typer.Option(help="The method that predicts.")] = "ensemble",
    split: Split = "organisation",
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """What if: scores that a model would have with other values of one feature, with 80 % intervals.

    A share of the data grows at the expense of the others. Values far from all known data are marked.

    Example: neuneu designs sweep EleutherAI/pythia-6.9b code --task humaneval --store designs.duckdb
    """
    import numpy as np

    from neuneu.designs.prediction.sources import find_feature, load_table
    from neuneu.designs.prediction.sweep import sweep as run

    for name, value in (("low", low), ("high", high)):
        if not np.isfinite(value):
            raise InputError("must be a finite number", field=name, value=value)
    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    values = [float(value) for value in np.linspace(low, high, steps)]
    frame = run(table, model, find_feature(table, feature), values, method=predictor, split=split)
    draw(figure, lambda charts: charts.sweep_chart(frame))
    if output is None and not as_json:
        frame = _for_terminal(frame).drop("id", "feature")
    show(frame, f"{model} with other values of {feature}", output=output, as_json=as_json)


@explanations.command()
def forecast(
    design: Annotated[
        Path, typer.Argument(help="A filled-in template (`designs template`), .yaml or .json.")
    ],
    store: Store = None,
    predictor: Annotated[str, typer.Option(help="The method that predicts.")] = "ensemble",
    split: Split = "organisation",
    task: Tasks = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Scores of a model that is only designed: median and 80 % interval a task, extrapolation marked.

    Example: neuneu designs forecast mine.yaml --store designs.duckdb
    """
    from neuneu.designs.prediction.sources import forecast_design

    frame = forecast_design(design, store, task or [], method=predictor, split=split)
    show(frame, f"{frame['id'][0]}, before it is trained", output=output, as_json=as_json)


@explanations.command()
def composition(
    store: Store = None,
    split: Split = "organisation",
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Read a model's pretraining data from what it writes; errors beside those of two simple guesses.

    Example: neuneu designs composition --store designs.duckdb --figure composition.png
    """
    from neuneu.designs.prediction.analyses import composition_errors, compositions
    from neuneu.designs.prediction.sources import load_table

    found = compositions(load_table(store, None), split=split)
    draw(figure, lambda charts: charts.composition_chart(found))
    show(
        found if output is not None else composition_errors(found),
        f"points of the data, {split} folds",
        output=output,
        as_json=as_json,
    )


@explanations.command()
def correlate(
    of: Annotated[str, typer.Argument(help="tasks, features or both.")] = "tasks",
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which scores, or features, go together; p values corrected for all pairs at once.

    Example: neuneu designs correlate both --store designs.duckdb --figure correlations.png
    """
    from neuneu.designs.prediction.analyses import correlations
    from neuneu.designs.prediction.sources import load_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    frame = correlations(table, of=of)
    draw(figure, lambda charts: charts.correlation_chart(frame))
    show(frame, f"correlations of {of}", output=output, as_json=as_json)


@explanations.command("components")
def components_(
    of: Annotated[
        str, typer.Argument(help="tasks, features or generation (of what models write).")
    ] = "tasks",
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    count: Annotated[int, typer.Option(help="How many components.", min=1)] = 3,
    models: Annotated[
        Path | None, typer.Option(help="Write each model's place here.", callback=file_place)
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Principal components of scores or features: how much they share, and which leans on which.

    Example: neuneu designs components --store designs.duckdb --figure components.png

    Example: neuneu designs components generation --store designs.duckdb --figure generation.png
    """
    from neuneu.designs.prediction.analyses import components
    from neuneu.designs.prediction.sources import load_table
    from neuneu.files import write_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    loadings, places = components(table, count, of=of)
    if models is not None:
        write_table(models, places)
    owners = table.clusters
    draw(
        figure,
        lambda charts: charts.components_chart(loadings, places, dict(zip(table.ids, owners, strict=True))),
    )
    show(loadings, f"principal components of {of}", output=output, as_json=as_json)


@explanations.command()
def errors(
    cells: Annotated[Path, typer.Argument(help="What `designs predict --cells` wrote (.parquet).")],
    by: Annotated[str, typer.Option(help="model or task (each model on each task).")] = "model",
    predictor: Annotated[str | None, typer.Option(help="Only this method.")] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Where predictions are off, worst first: which models score higher or lower than their designs say.

    Example: neuneu designs errors cells.parquet --predictor ensemble --figure errors.png
    """
    from neuneu.designs.prediction.sources import read_cells
    from neuneu.designs.prediction.summaries import error_table

    frame = error_table(read_cells(cells, predictor), by=by)
    draw(figure, lambda charts: charts.model_errors(frame))
    if output is None and not as_json:
        note("the 30 largest; --output for all")
        frame = frame.head(30)
    show(frame, f"errors by {by}, worst first", output=output, as_json=as_json)


@explanations.command()
def coverage(
    store: Store = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which models lack which evaluations of the published tasks: a row a pair that nobody has made.

    Example: neuneu designs coverage --store designs.duckdb --figure coverage.png
    """
    from neuneu.designs.prediction.sources import load_table, missing_scores

    table = load_table(store, None)
    frame = missing_scores(table)
    draw(figure, lambda charts: charts.coverage_chart(table.ids, [task.key for task in table.tasks], frame))
    show(frame, f"{len(frame)} scores missing", output=output, as_json=as_json)
