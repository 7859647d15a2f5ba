"""The table that a command predicts: from a design database, a file of runs or the packaged suite."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from neuneu.designs.labels import find_tasks
from neuneu.designs.nested import Selected
from neuneu.designs.published import published_table, read_selected
from neuneu.designs.runs import read_runs
from neuneu.designs.store import DesignStore
from neuneu.designs.tables import DesignTable, build_table
from neuneu.errors import InputError


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
        raise InputError("give one of --store and --runs", field="store")
    if runs is not None:
        return read_runs(runs, source=source, metric=metric, tasks=tasks)
    for name, value in (("source", source), ("metric", metric)):
        if value is not None:
            raise InputError("belongs to --runs", field=name, value=value)
    with DesignStore(str(store)) as opened:
        return build_table(opened, find_tasks(tasks))


def selected_features(path: str | Path | None) -> Selected | None:
    """(task, setting) → the features that the published selection chose; None for no file."""
    if path is None:
        return None
    return {key: features for key, (features, _, _) in read_selected(path).items()}


def published_from_store(
    store: str | Path | None,
    selected: str | Path | None,
    tasks: Sequence[str],
    *,
    seeds: int,
    split: str,
    engine: str,
    workers: int,
    progress: Callable[[str], None],
) -> pl.DataFrame:
    """The published table of a database (`neuneu.designs.published`)."""
    for name, value in (("store", store), ("selected", selected)):
        if value is None:
            raise InputError("the published protocol needs it", field=name)
    if split not in ("random", "organisation"):
        raise InputError("must be random or organisation", field="split", value=split)
    with DesignStore(str(store)) as opened:
        return published_table(
            opened,
            str(selected),
            seeds=seeds,
            tasks=find_tasks(tasks),
            grouped=split == "organisation",
            engine=engine,
            workers=workers,
            progress=progress,
        )
