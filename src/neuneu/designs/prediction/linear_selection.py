"""Selection by linear models, on training rows only: greedy least squares, and the elastic net."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices, folds
from neuneu.designs.prediction.predictors import one_hot, standard
from neuneu.designs.prediction.selection import ChosenFeatures

LEAST_LINEAR = 1e-3
"""A feature is added where it lowers the inner error by more than this: the published threshold."""
RATIOS = (0.1, 0.5, 0.9, 1.0)
"""Shares of the absolute penalty that the elastic net is tried with (Zou and Hastie 2005)."""
STRENGTHS = 30
"""Penalties tried for each share."""
SMALLEST = 1e-3
"""The least penalty tried, in units of the least one that keeps nothing."""
ZERO = 1e-9
"""Coefficients smaller than this, in units of the score, are none."""


@dataclass(frozen=True)
class _Blocks:
    """Standardised columns by feature: a number is one column, a category one a label."""

    names: list[str]
    columns: dict[str, Matrix]

    def matrix(self, names: Sequence[str]) -> Matrix:
        return np.column_stack([self.columns[name] for name in names])


def _blocks(table: DesignTable, train: Indices) -> _Blocks:
    names = table.scope("all")
    columns = {
        name: one_hot(table.categories[name])
        if name in table.categories
        else standard(table, name, train)[:, None]
        for name in names
    }
    return _Blocks(names, columns)


def greedy_linear(
    table: DesignTable, task: int, train: Indices, groups: Indices, *, seed: int = 0, most: int = 8
) -> ChosenFeatures:
    """Least squares, grown a feature at a time from the mean score: the published linear search.

    Missing numbers stand at the mean, categories as one column a label; the inner error is of three folds
    that keep groups whole (published: of rows in order). A feature is added while it lowers it by 10⁻³.
    """
    train = table.known(train, task)
    blocks, y = _blocks(table, train), table.y[:, task]
    pairs = [(train[a], train[b]) for a, b in folds(groups[train], 3, seed)]

    def error(names: Sequence[str]) -> float:
        found = []
        for fit_rows, held in pairs:
            mean = y[fit_rows].mean()
            guess = np.full(len(held), mean)
            if names:
                X = blocks.matrix(names)
                centre = X[fit_rows].mean(0)
                weights = np.linalg.lstsq(X[fit_rows] - centre, y[fit_rows] - mean, rcond=None)[0]
                guess = mean + (X[held] - centre) @ weights
            found.append(np.abs(guess - y[held]).mean())
        return float(np.mean(found))

    chosen: tuple[str, ...] = ()
    errors, left = [error(())], list(blocks.names)
    while left and len(errors) <= most:
        scores = {name: error((*chosen, name)) for name in left}
        best = min(scores, key=lambda name: scores[name])
        if errors[-1] - scores[best] <= LEAST_LINEAR:
            break
        chosen, errors = (*chosen, best), [*errors, scores[best]]
        left.remove(best)
    return ChosenFeatures(chosen, tuple(errors))


def elastic_net(
    table: DesignTable, task: int, train: Indices, groups: Indices, *, seed: int = 0
) -> ChosenFeatures:
    """The features that the elastic net keeps, largest coefficient first (of a category, of all its labels).

    Penalty and its kind by three inner folds that keep groups whole. errors: the inner error of the mean
    score, then that of the whole net, which stands at every feature.
    """
    from sklearn.linear_model import ElasticNet, ElasticNetCV

    train = table.known(train, task)
    blocks, y = _blocks(table, train), table.y[train, task]
    X = blocks.matrix(blocks.names)[train]
    spread = float(y.std()) or 1.0
    pairs = folds(groups[train], 3, seed)
    scaled_y, centred = (y - y.mean()) / spread, X - X.mean(0)
    largest = np.abs(centred.T @ scaled_y).max() / (len(y) * RATIOS[0]) or 1.0
    alphas = largest * np.geomspace(1, SMALLEST, STRENGTHS)
    net = ElasticNetCV(l1_ratio=list(RATIOS), alphas=alphas, cv=pairs, max_iter=5_000, tol=1e-3)
    net.fit(X, scaled_y)
    sizes, place = {}, 0
    for name in blocks.names:
        width = blocks.columns[name].shape[1]
        sizes[name] = float(np.abs(net.coef_[place : place + width]).sum()) * spread
        place += width
    kept = [name for name in sorted(sizes, key=lambda name: -sizes[name]) if sizes[name] > ZERO]
    guess = np.zeros(len(y))
    for fit_rows, held in pairs:
        part = ElasticNet(alpha=net.alpha_, l1_ratio=net.l1_ratio_, max_iter=5_000, tol=1e-3)
        guess[held] = part.fit(X[fit_rows], y[fit_rows] / spread).predict(X[held]) * spread
    mean = float(np.mean([np.abs(y[held] - y[fit_rows].mean()).mean() for fit_rows, held in pairs]))
    error = float(np.mean([np.abs(y[held] - guess[held]).mean() for _, held in pairs]))
    return ChosenFeatures(tuple(kept), (mean, *([error] * len(kept))))
