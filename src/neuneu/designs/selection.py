"""Greedy forward selection of features, on training rows only."""

from dataclasses import dataclass

import numpy as np

from neuneu.designs.boosting import bin_table, fit
from neuneu.designs.splits import Indices, folds
from neuneu.designs.tables import DesignTable

DEPTH, RATE, ROUNDS = 3, 0.1, 60


@dataclass(frozen=True)
class Selection:
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
) -> Selection:
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
    return Selection(chosen, tuple(errors))
