"""The published grids of tree regressors, searched by inner folds; what was tuned, kept in plain files."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.designs.prediction.boosting import Trees, bin_table, fit
from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.predictors import Predictor, each_task
from neuneu.errors import InputError, MissingExtraError, check_known
from neuneu.files import atomic_path, together, write_table
from neuneu.files.arrays import load_arrays

Settings = Mapping[str, Any]
Fitted = Callable[[Matrix, int], Matrix]
"""(rows, first so many trees) → predictions."""
Fitter = Callable[[Matrix, Matrix, Settings, int], Fitted]
"""(rows, scores, settings, seed) → a model with as many trees as the grid has at most."""


@dataclass(frozen=True)
class ParameterGrid:
    """A regressor's settings in the order in which ties are broken, and the numbers of trees of each."""

    settings: tuple[Settings, ...]
    trees: tuple[int, ...]
    fit: Fitter


@dataclass(frozen=True)
class Tuned:
    """What a search chose: settings, trees, its mean absolute error on inner folds, the refitted model."""

    settings: Settings
    trees: int
    inner_mae: float
    model: Fitted

    def predict(self, X: Matrix) -> Matrix:
        """Predictions of the rows of X, (rows,)."""
        return self.model(X, self.trees)


def tune(X: Matrix, y: Matrix, seed: int, engine: str) -> Tuned:
    """The setting with the least error over three shuffled inner folds, first of equals, refitted on all
    rows.

    engine: of GRIDS. Raises InputError on another.
    """
    from sklearn.model_selection import KFold

    grid = find_grid(engine)
    scores: dict[tuple[int, int], list[float]] = {}
    for train, test in KFold(3, shuffle=True, random_state=seed).split(X):
        for place, settings in enumerate(grid.settings):
            predict = grid.fit(X[train], y[train], settings, seed)
            for trees in grid.trees:
                error = np.abs(predict(X[test], trees) - y[test]).mean()
                scores.setdefault((place, trees), []).append(float(error))
    means = {key: float(np.mean(values)) for key, values in scores.items()}
    place, trees = min(means, key=lambda key: means[key])
    settings = grid.settings[place]
    return Tuned(settings, trees, means[place, trees], grid.fit(X, y, settings, seed))


def find_grid(engine: str) -> ParameterGrid:
    """The grid of an engine; InputError where there is none of this name."""
    check_known(engine, GRIDS, "engine", "unknown")
    return GRIDS[engine]


def grid_predictor(engine: str, scope: str, seed: int) -> Predictor:
    """A regressor tuned on the training rows by its published grid, on the features of a scope."""

    def predict(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
        X = table.matrix(table.scope(scope))
        return tune(X[train], table.y[train, task], seed, engine).predict(X[test])

    return each_task(predict)


_BOOSTED: tuple[Settings, ...] = tuple(
    {"learning_rate": rate, "max_depth": depth} for rate in (0.01, 0.1, 0.3) for depth in (2, 3, 5)
)
_FORESTS: tuple[Settings, ...] = tuple(
    {"max_depth": depth, "max_features": features, "min_samples_split": split}
    for depth in (2, 3, 5)
    for features in (1.0, "sqrt")
    for split in (2, 5, 10)
)
"""The published "auto" was all features: 1.0."""
MISSING = -1.0
"""What stands for a missing value where LightGBM and forests were published; XGBoost knows it as missing."""


class FastTrees:
    """Trees as XGBoost grows them (`neuneu.designs.prediction.boosting`)."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees

    def __call__(self, X: Matrix, count: int) -> Matrix:
        """Predictions from the first `count` trees."""
        return np.asarray(self.trees.predict(X.astype(np.float32), count), np.float64)


def _fast(X: Matrix, y: Matrix, settings: Settings, seed: int) -> Fitted:
    depth, rate = settings["max_depth"], settings["learning_rate"]
    return FastTrees(fit(bin_table(X), y, depth=depth, learning_rate=rate, rounds=_MOST["fast"]))


def _xgboost(X: Matrix, y: Matrix, settings: Settings, seed: int) -> Fitted:
    import xgboost

    data = xgboost.QuantileDMatrix(X, y, nthread=1)
    common = {"objective": "reg:squarederror", "nthread": 1, "tree_method": "hist"}
    model = xgboost.train({**common, **settings}, data, _MOST["xgboost"])
    return lambda table, count: np.asarray(
        model.inplace_predict(table, iteration_range=(0, count)), np.float64
    )


def _lightgbm(X: Matrix, y: Matrix, settings: Settings, seed: int) -> Fitted:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", "designs") from error
    model = lightgbm.LGBMRegressor(
        **settings, n_estimators=_MOST["lgbm"], min_child_samples=1, random_state=seed,
        deterministic=True, force_row_wise=True, n_jobs=1, verbose=-1,
    )  # fmt: skip
    model.fit(_filled(X), y)
    booster = model.booster_
    return lambda table, count: np.asarray(
        booster.predict(_filled(table), num_iteration=count, num_threads=1), np.float64
    )


def _forest(X: Matrix, y: Matrix, settings: Settings, seed: int) -> Fitted:
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(_MOST["rf"], random_state=seed, n_jobs=1, **settings)
    members = model.fit(_filled(X), y).estimators_

    def predict(table: Matrix, count: int) -> Matrix:  # the first trees are those of a smaller forest
        rows = _filled(table)
        return np.asarray(np.mean([tree.predict(rows) for tree in members[:count]], axis=0), np.float64)

    return predict


def _filled(X: Matrix) -> Matrix:
    return np.where(np.isnan(X), MISSING, X).astype(np.float32)


GRIDS: Mapping[str, ParameterGrid] = {
    "fast": ParameterGrid(_BOOSTED, (50, 100), _fast),
    "xgboost": ParameterGrid(_BOOSTED, (50, 100), _xgboost),
    "lgbm": ParameterGrid(_BOOSTED, (50, 100, 200), _lightgbm),
    "rf": ParameterGrid(_FORESTS, (50, 100), _forest),
}
"""Engines by name; fast and xgboost grow the same trees."""
_MOST = {name: max(grid.trees) for name, grid in GRIDS.items()}


class Keeper:
    """Keeps what searches chose: a row of settings each, and of the fast engine the trees themselves."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._trees: dict[str, Trees] = {}

    def add(self, tuned: Tuned, features: tuple[str, ...], **labels: Any) -> None:
        """Keep a model, under labels that together name it: task, setting, seed, fold, …"""
        name = "-".join(str(value) for value in labels.values()).replace("/", "_").replace(" ", "_")
        settings = {key: str(value) for key, value in sorted(tuned.settings.items())}
        row = {"model": name, **labels, "trees": tuned.trees, "inner_mae": tuned.inner_mae}
        self._rows.append(row | {"features": ", ".join(features), "settings": _text(settings)})
        if isinstance(tuned.model, FastTrees):
            self._trees[name] = tuned.model.trees

    def write(self, folder: str | Path) -> int:
        """Write models.csv and, of the fast engine, MODEL.npz (`load_trees`); returns how many models."""
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise InputError("must be a new or empty folder", field="models", value=str(folder))
        rows = sorted(self._rows, key=lambda row: row["model"])
        with together(folder):
            write_table(folder / "models.csv", pl.DataFrame(rows))
            for name, trees in self._trees.items():
                with atomic_path(folder / f"{name}.npz") as temporary, temporary.open("wb") as file:
                    np.savez_compressed(file, **dict(_arrays(trees)))
        return len(rows)


def load_trees(path: str | Path) -> Trees:
    """Trees that a Keeper wrote; no code is run. Raises InputError where the file is none of that kind."""
    saved = load_arrays(path)
    for name in Trees.__dataclass_fields__:
        if name not in saved:
            raise InputError("no kept trees", where=path, field="array", value=name)
    arrays: dict[str, Any] = {name: saved[name] for name in Trees.__dataclass_fields__}
    return Trees(**{**arrays, "base": np.float32(arrays["base"])})


def _arrays(trees: Trees) -> Iterator[tuple[str, Any]]:
    for name in Trees.__dataclass_fields__:
        yield name, np.asarray(getattr(trees, name))


def _text(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
