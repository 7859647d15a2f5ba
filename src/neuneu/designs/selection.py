"""Greedy forward selection of features, on training rows only."""

from dataclasses import dataclass

import numpy as np

from neuneu.designs.predictors import boosted
from neuneu.designs.splits import Indices, folds
from neuneu.designs.tables import DesignTable


@dataclass(frozen=True)
class Selection:
    """Features in the order they were chosen, starting with the scaling pair, and the inner error after
    each."""

    features: tuple[str, ...]
    errors: tuple[float, ...]


def forward_selection(
    table: DesignTable,
    train: Indices,
    groups: Indices,
    *,
    seed: int = 0,
    least: float = 1e-4,
    most: int = 8,
    repeats: int = 1,
) -> Selection:
    """Add the feature that lowers the inner error most, as long as it does by more than `least`.

    The inner error is the mean absolute error of boosted trees (depth 3, 60 rounds) over 3 inner folds
    that keep groups whole, repeated with `repeats` seeds. `most` features are added at most.
    """
    pairs = [pair for r in range(repeats) for pair in folds(groups[train], 3, seed + r)]

    def error(names: tuple[str, ...]) -> float:
        predict = boosted(names, depth=3, rate=0.1, rounds=60)
        found = [np.abs(predict(table, train[a], train[b]) - table.y[train[b]]).mean() for a, b in pairs]
        return float(np.mean(found))

    chosen = tuple(table.named("scale"))
    errors = [error(chosen)]
    left = [name for name in table.scope("all") if name not in chosen]
    while left and len(errors) <= most:
        scores = {name: error((*chosen, name)) for name in left}
        best = min(scores, key=lambda name: scores[name])
        if errors[-1] - scores[best] <= least:
            break
        chosen, errors = (*chosen, best), [*errors, scores[best]]
        left.remove(best)
    return Selection(chosen, tuple(errors))
