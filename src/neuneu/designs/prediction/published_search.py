"""The published search for features: greedy, on all models, judged on the models and seeds it chose by.

Kept as Liu et al. 2025 ran it, for comparison: no model is held out, so its errors are scored on itself.
`neuneu.designs.prediction.selection` selects inside training parts.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl

from neuneu.designs.database.schema import DATASETS, MODELS
from neuneu.designs.prediction.published_protocol import DATABASE_FEATURES, SCALE, TaskRows, seed_errors
from neuneu.designs.prediction.selection import ChosenFeatures
from neuneu.errors import InputError, check_known
from neuneu.progress import counted

SEEDS = 10
"""Splits that the published search averages over: seeds 0 to 9."""
LEAST = 1e-4
"""A feature is added where it lowers the mean absolute error by more than this, as published."""


def candidates(rows: TaskRows) -> list[str]:
    """The features that the published search tries, in the order of its columns: those of the database, then
    those of what models write."""
    own = {column.name for table in (MODELS, DATASETS) for column in table.columns}
    database = [name for name in DATABASE_FEATURES if name in rows.features and name not in SCALE]
    return database + [name for name in rows.features if name not in own]


def search(
    rows: TaskRows,
    *,
    seeds: int = SEEDS,
    least: float = LEAST,
    names: Sequence[str] | None = None,
    workers: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> ChosenFeatures:
    """Add the feature that lowers the error of the published protocol most, while it does by more than
    `least`.

    names: the candidates, by default all. errors: of the scaling pair, then after each feature, on the very
    seeds that chose it. Raises InputError where a candidate is no feature or a seed count is below 1.
    """
    if seeds < 1:
        raise InputError("must be at least 1", field="seeds", value=seeds)
    left = [*(candidates(rows) if names is None else names)]
    for name in left:
        check_known(name, candidates(rows), "feature", "unknown")

    def one(job: tuple[Sequence[str], int]) -> float:
        return seed_errors(rows, job[0], job[1]).model

    with ThreadPoolExecutor(max(1, workers)) as pool:

        def errors(sets: Sequence[Sequence[str]]) -> list[float]:
            jobs = [(chosen, seed) for chosen in sets for seed in range(seeds)]
            found = list(counted(pool.map(one, jobs), "fits", len(jobs)))
            return [float(np.mean(found[k : k + seeds])) for k in range(0, len(found), seeds)]

        chosen: tuple[str, ...] = SCALE
        known = errors([chosen])
        while left:
            tried = errors([(*chosen, name) for name in left])
            best = int(np.argmin(tried))
            if known[-1] - tried[best] <= least:
                break
            chosen, known = (*chosen, left.pop(best)), [*known, tried[best]]
            progress(f"{rows.task.key}: {known[-2]:.4f} → {known[-1]:.4f} with {chosen[-1]}")
    return ChosenFeatures(chosen, tuple(known))


def as_published(rows: TaskRows, found: ChosenFeatures) -> dict[str, str | float]:
    """A row of the published file of selections, which `read_selected` reads.

    Its column baseline_mae is here the error of the scaling pair, which the published file lost.
    """
    added = found.features[len(SCALE) :]
    steps = zip(added, found.errors[:-1], found.errors[1:], strict=True)
    history = [
        {"feature": name, "mae_before": before, "mae_after": after, "improvement": before - after}
        for name, before, after in steps
    ]
    gains = {step["feature"]: {"mae_improvement": step["improvement"]} for step in history}
    return {
        "selected_features": repr(list(found.features)),
        "improvement_scores": repr(gains),
        "selection_history": repr(history),
        "final_mae": found.errors[-1],
        "baseline_mae": found.errors[0],
        "task": rows.task.name,
        "setting": rows.task.setting,
    }


def selection_steps(rows: TaskRows, found: ChosenFeatures) -> pl.DataFrame:
    """What was added, a row a feature: task, setting, metric, step, feature, mae, gain_percent."""
    added = found.features[len(SCALE) :]
    task = rows.task
    return pl.DataFrame(
        [
            (task.name, task.setting, task.metric, k + 1, name, found.errors[k + 1],
             100 * (1 - found.errors[k + 1] / found.errors[k]))
            for k, name in enumerate(added)
        ],
        schema={
            **dict.fromkeys(("task", "setting", "metric"), pl.String),
            "step": pl.Int64,
            "feature": pl.String,
            "mae": pl.Float64,
            "gain_percent": pl.Float64,
        },
        orient="row",
    )  # fmt: skip


def agreement(found: pl.DataFrame, published: pl.DataFrame) -> pl.DataFrame:
    """Two files of selections side by side: a row a task, with the features in both, and in one alone.

    Columns shared, only_first, only_second: lists of features; first_mae and second_mae: their last errors.
    """
    key = ["task", "setting"]
    joined = found.join(published, on=key, suffix="_second", how="inner", maintain_order="left")
    first, second = pl.col("features"), pl.col("features_second")
    return joined.select(
        *key,
        first.list.set_intersection(second).alias("shared"),
        first.list.set_difference(second).alias("only_first"),
        second.list.set_difference(first).alias("only_second"),
        pl.col("mae").alias("first_mae"),
        pl.col("mae_second").alias("second_mae"),
    )
