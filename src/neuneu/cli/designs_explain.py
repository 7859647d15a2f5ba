"""`neuneu designs`: what predictions rest on, what would change them, and what goes with what."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.designs_common import EXPLAIN, PREDICT, draw
from neuneu.cli.designs_predict import Figure, Metric, Runs, Source, Store, Tasks
from neuneu.cli.options import AsJson, Output, file_place, one_of, show
from neuneu.cli.tables import note
from neuneu.errors import InputError, how_many

if TYPE_CHECKING:
    import polars as pl

    from neuneu.designs.prediction.design_table import DesignTable
    from neuneu.designs.prediction.selection import Selector

explanations = typer.Typer()


class By(StrEnum):
    """What SHAP values are told by."""

    feature = "feature"
    kind = "kind"


class Selecting(StrEnum):
    """How `designs select` selects."""

    trees = "trees"
    linear = "linear"
    elastic_net = "elastic-net"
    published = "published"


Split = Annotated[
    str,
    typer.Option(
        help="What folds keep whole.", **one_of("random", "family", "organisation", "recipe", "size")
    ),
]
Seeds = Annotated[int, typer.Option(help="Repetitions of the split.", min=1)]


@explanations.command(rich_help_panel=EXPLAIN)
def explain(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    split: Split = "random",
    seeds: Seeds = 5,
    features: Annotated[
        str, typer.Option(help="scale, all, non-scale, kinds or names, with commas; -NAME leaves out.")
    ] = "all",
    by: Annotated[
        By, typer.Option(help="feature, or kind: scale, architecture, composition, generation.")
    ] = By.feature,
    against: Annotated[
        str | None, typer.Option(help="A number (code, web, …): SHAP values against it, by size of model.")
    ] = None,
    draws: Annotated[
        int, typer.Option(help="--against: draws of models that the intervals rest on.", min=2)
    ] = 200,
    cluster: Annotated[
        str, typer.Option(help="--against: what is drawn.", **one_of("model", "organisation"))
    ] = "model",
    band: Annotated[
        tuple[float, float], typer.Option(help="--against: values whose share of peaks is told.")
    ] = (15.0, 25.0),
    values: Annotated[
        Path | None,
        typer.Option(help="Write the SHAP value (--against: the smooth lines) here.", callback=file_place),
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which features move predictions, and which way: SHAP values of trees on models they were not grown on.

    --against tells where predictions are highest as one number moves: peak, its 95 % interval over draws of
    models (trees grown anew on each), and the share of draws whose peak lies in --band.

    Example: neuneu designs explain --store home --task sciq --seeds 1 --figure shap.png

    Example: neuneu designs explain --store home --by kind --seeds 1 --figure kinds.png

    Example: neuneu designs explain --store home --against code --seeds 1 --draws 10 --figure code.png
    """
    from neuneu.designs.prediction.explain import by_kind, importance, shap_values
    from neuneu.designs.prediction.sources import load_table
    from neuneu.files import write_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    if against is not None:
        frame = _against(table, against, split, seeds, features, draws, cluster, band, values, figure)
        title = f"where predictions are highest as {against} moves; {how_many(draws, 'draw')} of {cluster}s"
    else:
        found = shap_values(table, split=split, seeds=range(seeds), scope=features)
        if values is not None:
            write_table(values, found)
        owners = dict(zip(table.ids, table.clusters, strict=True))
        frame = importance(by_kind(found, table.kinds) if by is By.kind else found, owners)
        if by is By.kind:
            frame = frame.drop("direction")
            draw(figure, lambda charts: charts.kinds_chart(frame), "design_effects")
        else:
            draw(figure, lambda charts: charts.shap_chart(found, frame))
        title = f"mean size of SHAP values, {split} folds"
    show(frame, title, brief=for_terminal(frame), output=output, as_json=as_json)


def _against(
    table: "DesignTable",
    name: str,
    split: str,
    seeds: int,
    features: str,
    draws: int,
    cluster: str,
    band: tuple[float, float],
    lines: Path | None,
    figure: Path | None,
) -> "pl.DataFrame":
    from neuneu.designs.prediction.effects import effect_curves, effect_values
    from neuneu.designs.prediction.sources import find_feature
    from neuneu.files import write_table

    feature = find_feature(table, name)
    dots = effect_values(table, feature, split=split, seeds=range(seeds), scope=features)
    curves, peaks = effect_curves(
        table, feature, split=split, draws=draws, scope=features, cluster=cluster, band=band
    )
    if lines is not None:
        write_table(lines, curves)
    shaded = band if "percentage" in feature else None
    draw(figure, lambda charts: charts.effect_chart(dots, curves, feature, shaded), "design_effects")
    return peaks.drop("draws")


def for_terminal(frame: "pl.DataFrame") -> "pl.DataFrame":
    """With task, setting and metric in one column and short names of features."""
    import polars as pl

    from neuneu.reports.design_figures import short, task_name

    names = [task_name(row) for row in frame.select("task", "setting").to_dicts()]
    brief = frame.drop("setting", "metric").with_columns(pl.Series("task", names))
    if "feature" not in brief.columns:
        return brief
    return brief.with_columns(pl.col("feature").map_elements(short, return_dtype=pl.String))


@explanations.command(rich_help_panel=EXPLAIN)
def select(
    store: Store = None,
    runs: Runs = None,
    source: Source = None,
    metric: Metric = None,
    task: Tasks = None,
    method: Annotated[
        Selecting,
        typer.Option(
            help="trees, linear (greedy) or elastic-net, in training parts; published: the published search, "
            "on all models, scored on itself."
        ),
    ] = Selecting.trees,
    split: Split = "organisation",
    seeds: Annotated[
        int | None,
        typer.Option(help="Repetitions of the split: 1; published: 10.", min=1, show_default=False),
    ] = None,
    steps: Annotated[
        Path | None, typer.Option(help="Write every step of every selection here.", callback=file_place)
    ] = None,
    workers: Annotated[int, typer.Option(help="published: threads.")] = 2,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which features selection adds to scale, and how often, in training parts of a split.

    A feature that only some parts choose is chosen by chance of the split. --method published writes, with
    --output, the file that `designs predict --selected` reads: errors are scored on the models that chose.

    Example: neuneu designs select --store home --split recipe --task sciq --figure selected.png

    Example: neuneu designs select --store home --split recipe --task sciq --method elastic-net

    Example: neuneu designs select --store home --task sciq --method published --seeds 1 -o selected.csv
    """
    from neuneu.designs.prediction.selection import choices, selections
    from neuneu.designs.prediction.sources import load_table, search_store
    from neuneu.files import write_table

    if method is Selecting.published:
        if runs is not None or figure is not None:
            field = "runs" if runs is not None else "figure"
            raise InputError("belongs to selection in training parts", field=field)
        file, told = search_store(store, task or [], seeds=seeds or 10, workers=workers, progress=note)
        if steps is not None:
            write_table(steps, told)
        if output is not None or as_json:
            show(file, "", output=output, as_json=as_json)
        else:
            show(
                for_terminal(told), f"published search over {how_many(seeds or 10, 'seed')}: scored on itself"
            )
        return
    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    found = selections(table, selector=_selector(method), split=split, seeds=range(seeds or 1))
    if steps is not None:
        write_table(steps, found)
    frame = choices(found)
    draw(figure, lambda charts: charts.selection_chart(frame))
    title = f"selected in {3 * (seeds or 1)} training parts by {method.value}, {split} folds"
    show(frame, title, brief=for_terminal(frame), output=output, as_json=as_json)


def _selector(method: Selecting) -> "Selector":
    from neuneu.designs.prediction.linear_selection import elastic_net, greedy_linear
    from neuneu.designs.prediction.selection import forward_selection

    linear = {Selecting.linear: greedy_linear, Selecting.elastic_net: elastic_net}
    return linear.get(method, forward_selection)


@explanations.command(rich_help_panel=PREDICT)
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

    Example: neuneu designs sweep home/llama-200k-code-seed0 code --store home --split recipe --task sciq
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
    brief = for_terminal(frame).drop("id", "feature")
    show(frame, f"{model} with other values of {feature}", brief=brief, output=output, as_json=as_json)


@explanations.command(rich_help_panel=PREDICT)
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

    Example: neuneu designs forecast mine.yaml --store home --split recipe
    """
    from neuneu.designs.prediction.sources import forecast_design

    frame = forecast_design(design, store, task or [], method=predictor, split=split)
    show(frame, f"{frame['id'][0]}, before it is trained", output=output, as_json=as_json)


@explanations.command(rich_help_panel=EXPLAIN)
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


@explanations.command(rich_help_panel=EXPLAIN)
def correlate(
    of: Annotated[
        str, typer.Argument(help="What is correlated.", **one_of("tasks", "features", "both"))
    ] = "tasks",
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

    Example: neuneu designs correlate both --store home --figure correlations.png
    """
    from neuneu.designs.prediction.analyses import correlations
    from neuneu.designs.prediction.sources import load_table

    table = load_table(store, runs, source=source, metric=metric, tasks=task or [])
    frame = correlations(table, of=of)
    draw(figure, lambda charts: charts.correlation_chart(frame))
    show(frame, f"correlations of {of}", output=output, as_json=as_json)


@explanations.command("components", rich_help_panel=EXPLAIN)
def components_(
    of: Annotated[
        str,
        typer.Argument(
            help="Of what; generation: of what models write.", **one_of("tasks", "features", "generation")
        ),
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

    Example: neuneu designs components --store home --figure components.png

    Example: neuneu designs components features --store home --figure features.png
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


@explanations.command(rich_help_panel=EXPLAIN)
def coverage(
    store: Store = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which models lack which evaluations of the published tasks: a row a pair that nobody has made.

    Example: neuneu designs coverage --store home
    """
    from neuneu.designs.prediction.sources import load_table, missing_scores

    table = load_table(store, None)
    frame = missing_scores(table)
    draw(figure, lambda charts: charts.coverage_chart(table.ids, [task.key for task in table.tasks], frame))
    show(
        frame,
        how_many(len(frame), "missing score") if len(frame) else "No score is missing",
        output=output,
        as_json=as_json,
    )
