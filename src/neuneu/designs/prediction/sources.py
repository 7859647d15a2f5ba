"""The table that a command predicts: from a design database, a file of runs or the packaged suite."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from neuneu.designs.database.contribute import read_contribution
from neuneu.designs.database.home import open_store
from neuneu.designs.prediction.design_table import LOGARITHMIC, SCALE, DesignTable, build_table
from neuneu.designs.prediction.folds import LARGEST, count_of, family, organisation
from neuneu.designs.prediction.grids import Keeper
from neuneu.designs.prediction.nested import Selected
from neuneu.designs.prediction.published_protocol import build_rows, published_table, read_selected
from neuneu.designs.prediction.published_search import as_published, search, selection_steps
from neuneu.designs.prediction.runs import read_runs
from neuneu.designs.prediction.sweep import forecast, with_rows
from neuneu.designs.prediction.task_files import tasks_of
from neuneu.errors import InputError, offered
from neuneu.files.tables import read_parquet


def load_table(
    store: str | Path | None,
    runs: str | Path | None,
    *,
    source: str | None = None,
    metric: str | None = None,
    tasks: Sequence[str] = (),
) -> DesignTable:
    """The models of a database or the runs of a file, one of which must be given."""
    if (store is None) == (runs is None):
        raise InputError("give one of `store` and `runs`", field="store")
    if runs is not None:
        return read_runs(runs, source=source, metric=metric, tasks=tasks)
    for name, value in (("source", source), ("metric", metric)):
        if value is not None:
            raise InputError("belongs to `runs`", field=name, value=value)
    with open_store(str(store)) as opened:
        return build_table(opened, tasks_of(opened, tasks))


def selected_features(path: str | Path | None) -> Selected | None:
    """(task, setting) → the features that the published selection chose; None for no file."""
    if path is None:
        return None
    return {key: features for key, (features, _, _) in read_selected(path).items()}


def published_from_store(
    store: str | Path | None,
    selected: str | Path | Sequence[str] | None,
    tasks: Sequence[str],
    *,
    seeds: int,
    split: str,
    engine: str,
    workers: int,
    progress: Callable[[str], None],
    keeper: Keeper | None = None,
) -> pl.DataFrame:
    """The published table of a database (`neuneu.designs.prediction.published_protocol`)."""
    for name, value in (("store", store), ("selected", selected)):
        if value is None:
            raise InputError("the published protocol needs it", field=name)
    if split not in ("random", "organisation") and not split.startswith(LARGEST):
        raise InputError(f"must be random, organisation or {LARGEST}K", field="split", value=split)
    with open_store(str(store)) as opened:
        return published_table(
            opened,
            selected or (),
            seeds=seeds,
            tasks=tasks_of(opened, tasks),
            grouped=split == "organisation",
            largest=count_of(split) if split.startswith(LARGEST) else None,
            engine=engine,
            workers=workers,
            keeper=keeper,
            progress=progress,
        )


def search_store(
    store: str | Path | None,
    tasks: Sequence[str],
    *,
    seeds: int,
    workers: int,
    progress: Callable[[str], None],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the published search's file, its steps) for tasks of a database (`prediction.published_search`)."""
    if store is None:
        raise InputError("the published search needs it", field="store")
    with open_store(str(store)) as opened:
        tables = build_rows(opened, tasks_of(opened, tasks))
    found = [search(rows, seeds=seeds, workers=workers, progress=progress) for rows in tables]
    pairs = list(zip(tables, found, strict=True))
    file = pl.DataFrame([as_published(rows, one) for rows, one in pairs])
    return file, pl.concat([selection_steps(rows, one) for rows, one in pairs])


def known_of(store: str | Path | None, runs: str | Path | None, feature: str) -> dict[str, float | str]:
    """Model → its value of a feature (logarithms of what spans decades), or its label; unknown ones left
    out."""
    table = load_table(store, runs)
    if feature in table.categories:
        pairs = zip(table.ids, table.categories[feature], strict=True)
        return {name: label for name, label in pairs if label}
    column = table.numbers[find_feature(table, feature)]
    return {name: float(value) for name, value in zip(table.ids, column, strict=True) if np.isfinite(value)}


def find_feature(table: DesignTable, name: str) -> str:
    """The number of this name, or the only one whose name ends so."""
    if name in table.numbers:
        return name
    found = [known for known in table.numbers if known.endswith(f"_{name}")]
    if len(found) != 1:
        raise InputError("unknown" + offered(name, table.numbers), field="feature", value=name)
    return found[0]


def forecast_design(
    design: str | Path, store: str | Path | None, tasks: Sequence[str], *, method: str, split: str
) -> pl.DataFrame:
    """Predict a model that a filled-in template describes (`database.contribute`), from a database.

    Its own evaluations, if any, are not looked at; a model of the same id in the database is left out.
    Raises InputError where parameters or tokens are missing.
    """
    facts: dict[str, object] = {}
    for table_rows in read_contribution(design).tables.values():
        if "benchmark" not in table_rows.columns:
            facts |= {key: value for key, value in table_rows.row(0, named=True).items() if value is not None}
    for name in SCALE:
        if name not in facts:
            raise InputError("needed for a prediction", where=design, field=name)
    table = load_table(store, None, tasks=tasks)
    kept = np.array([i for i, name in enumerate(table.ids) if name != facts["id"]])
    table = table.only(kept)
    numbers = {
        name: float(np.log(value)) if name in LOGARITHMIC else float(value)
        for name, value in facts.items()
        if name in table.numbers and isinstance(value, int | float)
    }
    texts = {name: str(value) for name, value in facts.items() if name in table.categories}
    labels = {"family": family(str(facts["id"])), "organisation": organisation(str(facts["id"]))}
    larger = with_rows(table, [str(facts["id"])], [numbers], texts={**texts, **labels})
    return forecast(larger, np.arange(len(table)), method=method, split=split)


def read_cells(path: str | Path, method: str | None = None) -> pl.DataFrame:
    """Predictions that `designs predict --cells` wrote, all or of one method."""
    frame = read_parquet(path)
    for name in ("task", "setting", "metric", "method", "id", "true", "q10", "q50", "q90", "extrapolates"):
        if name not in frame.columns:
            raise InputError("column needed", where=path, field="column", value=name)
    if method is None:
        return frame
    found = frame.filter(pl.col("method") == method)
    if found.is_empty():
        rule = "unknown" + offered(method, frame["method"].unique().sort())
        raise InputError(rule, where=path, field="predictor", value=method)
    return found


def missing_scores(table: DesignTable) -> pl.DataFrame:
    """A row a (model, task) without a score, models that lack most first, with how many each lacks."""
    rows = [
        (name, task.name, task.setting, task.metric, int(np.isnan(table.y[i]).sum()))
        for i, name in enumerate(table.ids)
        for k, task in enumerate(table.tasks)
        if np.isnan(table.y[i, k])
    ]
    schema = {**dict.fromkeys(("id", "task", "setting", "metric"), pl.String), "lacks": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.sort("lacks", "id", "task", "setting", descending=[True, False, False, False])
