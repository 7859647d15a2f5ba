"""Greedy forward selection of features, on training rows only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from neuneu.designs.prediction.boosting import bin_table, fit
from neuneu.designs.prediction.design_table import DesignTable
from neuneu.designs.prediction.folds import LARGEST, Indices, folds
from neuneu.errors import InputError
from neuneu.progress import counted

DEPTH, RATE, ROUNDS = 3, 0.1, 60


@dataclass(frozen=True)
class ChosenFeatures:
    """Features in the order they were chosen, starting with the scaling pair, and the inner error after
    each."""

    features: tuple[str, ...]
    errors: tuple[float, ...]


def forward_selection(
    table: DesignTable,
    task: int,
    train: Indices,
    groups: Indices,
    *,
    seed: int = 0,
    least: float = 1e-4,
    most: int = 8,
    repeats: int = 1,
) -> ChosenFeatures:
    """Add the feature that lowers the inner error of a task most, as long as it does by more than `least`.

    The inner error is the mean absolute error of boosted trees (depth 3, 60 rounds) over 3 inner folds
    that keep groups whole, repeated with `repeats` seeds. `most` features are added at most.
    """
    train = table.known(train, task)
    pairs = [pair for r in range(repeats) for pair in folds(groups[train], 3, seed + r)]
    every = table.scope("all")
    X = table.matrix(every)[train].astype(np.float32)
    y = table.y[train, task]

    def error(names: tuple[str, ...]) -> float:
        part = X[:, [every.index(name) for name in names]]
        found = []
        for a, b in pairs:
            trees = fit(bin_table(part[a]), y[a], depth=DEPTH, learning_rate=RATE, rounds=ROUNDS)
            found.append(np.abs(trees.predict(part[b]) - y[b]).mean())
        return float(np.mean(found))

    chosen = tuple(table.named("scale"))
    errors = [error(chosen)]
    left = [name for name in every if name not in chosen]
    while left and len(errors) <= most:
        scores = {name: error((*chosen, name)) for name in left}
        best = min(scores, key=lambda name: scores[name])
        if errors[-1] - scores[best] <= least:
            break
        chosen, errors = (*chosen, best), [*errors, scores[best]]
        left.remove(best)
    return ChosenFeatures(chosen, tuple(errors))


Selector = Callable[..., ChosenFeatures]
"""(table, task, training rows, groups, seed=…) → what is selected."""


def selections(
    table: DesignTable,
    *,
    selector: Selector = forward_selection,
    split: str = "random",
    seeds: Sequence[int] = range(1),
) -> pl.DataFrame:
    """What is selected in each of the training parts of a split: a row a (task, seed, fold, step).

    step 0 is the scaling pair, with no feature; `error` is the inner error once the step's feature is in.
    """
    if split == "time" or split.startswith(LARGEST):
        raise InputError("must keep groups, or nothing, whole", field="split", value=split)
    groups, rows = table.groups(split), []
    for k, task in enumerate(counted(table.tasks, "tasks")):
        for seed in seeds:
            for fold, (train, _) in enumerate(folds(groups, 3, seed)):
                found = selector(table, k, train, groups, seed=seed)
                added = [None, *found.features[len(found.features) - len(found.errors) + 1 :]]
                key = (task.name, task.setting, task.metric, seed, fold)
                steps = zip(added, found.errors, strict=True)
                rows += [(*key, step, name, error) for step, (name, error) in enumerate(steps)]
    names = ("task", "setting", "metric", "seed", "fold", "step", "feature", "error")
    return pl.DataFrame(rows, schema=names, schema_overrides={"feature": pl.String}, orient="row")


def choices(found: pl.DataFrame) -> pl.DataFrame:
    """How often each feature is selected: a row a (task, feature), most often first.

    chosen: share of the training parts; step: mean place among the features; gain_percent: how far the
    inner error falls as it is added, on average over the parts that choose it.
    """
    key = ["task", "setting", "metric"]
    before = pl.col("error").shift(1).over(*key, "seed", "fold")
    parts = pl.struct("seed", "fold").n_unique().over(key)
    steps = found.with_columns((100 * (1 - pl.col("error") / before)).alias("gain"), parts.alias("parts"))
    return (
        steps.drop_nulls("feature")
        .group_by(*key, "feature", maintain_order=True)
        .agg(
            (pl.len() / pl.first("parts")).alias("chosen"),
            pl.mean("step"),
            pl.mean("gain").alias("gain_percent"),
        )
        .sort(*key, "chosen", "step", "feature", descending=[False, False, False, True, False, False])
    )
