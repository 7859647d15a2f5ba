"""Predictors of scores from designs: each takes a table and training rows and returns scores of any rows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neuneu.designs.prediction.boosting import bin_table, fit
from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices, folds
from neuneu.designs.prediction.gaussian import ScoreProcess, fit_gaussian
from neuneu.errors import MissingExtraError, check_known

Predictor = Callable[[DesignTable, Indices, Indices], Matrix]
"""(table, training rows, rows to predict) → scores (rows to predict, tasks). All preprocessing is fitted on
the training rows; of the rows to predict only the features are looked at, never a score."""

SingleTask = Callable[[DesignTable, int, Indices, Indices], Matrix]
"""(table, task, training rows that have the score, rows to predict) → scores (rows to predict,)."""


def each_task(single: SingleTask) -> Predictor:
    """A predictor that treats every task by itself."""

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        columns = [single(table, k, table.known(train, k), test) for k in range(len(table.tasks))]
        return np.column_stack(columns)

    return predict


def _median(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
    return np.full(len(test), np.median(table.y[train, task]))


def _log_linear(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
    design = np.column_stack([np.ones(len(table)), table.matrix(table.named("scale"))])
    weights = np.linalg.lstsq(design[train], table.y[train, task], rcond=None)[0]
    return np.asarray(design[test] @ weights, np.float64)


median = each_task(_median)
"""The median training score."""

log_linear = each_task(_log_linear)
"""Least squares on the logarithms of parameters and tokens."""


def linear(scope: str, strength: float = 1.0) -> Predictor:
    """Ridge regression on standardised features of a scope, one-hot categories, missing at the mean."""

    def predict(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
        blocks = [standard(table, name, train) for name in table.scope(scope) if name in table.numbers]
        blocks += [one_hot(table.categories[n]) for n in table.scope(scope) if n in table.categories]
        X, y = np.column_stack(blocks), table.y[:, task]
        mean, centre = y[train].mean(), X[train].mean(0)
        A = X[train] - centre
        weights = np.linalg.solve(A.T @ A + strength * np.eye(X.shape[1]), A.T @ (y[train] - mean))
        return np.asarray(mean + (X[test] - centre) @ weights, np.float64)

    return each_task(predict)


def boosted(scope: str | Sequence[str], *, depth: int = 3, rate: float = 0.1, rounds: int = 100) -> Predictor:
    """Gradient-boosted trees as XGBoost grows them, on a scope or named features."""

    def predict(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
        X = _features(table, scope).astype(np.float32)
        trees = fit(bin_table(X[train]), table.y[train, task], depth=depth, learning_rate=rate, rounds=rounds)
        return trees.predict(X[test]).astype(np.float64)

    return each_task(predict)


def lightgbm(
    scope: str | Sequence[str], *, leaves: int = 7, rate: float = 0.1, rounds: int = 100, least: int = 3
) -> Predictor:
    """LightGBM on a scope or named features, deterministic, one thread."""

    def predict(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
        try:
            import lightgbm as library
        except ImportError as error:
            raise MissingExtraError("lightgbm", "designs") from error
        X = _features(table, scope)
        model = library.LGBMRegressor(
            num_leaves=leaves,
            learning_rate=rate,
            n_estimators=rounds,
            min_child_samples=least,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbose=-1,
        )
        return np.asarray(model.fit(X[train], table.y[train, task]).predict(X[test]), np.float64)

    return each_task(predict)


def forest(
    kind: Literal["random", "extra"], parts: str | Sequence[str], *, residual: bool = False, trees: int = 100
) -> Predictor:
    """A forest grown on all tasks at once, each in units of its spread; tasks known for other rows apart.

    kind: random (Breiman 2001) or extra (Geurts 2006: random cuts). parts: a scope, or kinds of features.
    Compute and tokens a parameter stand beside parameters and tokens. residual: grown on what log-linear
    leaves.
    """

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

        names = table.scope(parts) if isinstance(parts, str) else table.named(*parts)
        X = table.matrix(names)
        X = np.column_stack([X, ratios(table)]) if set(table.named("scale")) <= set(names) else X
        X = np.where(np.isnan(X), -1.0, X)
        base = log_linear(table, train, np.arange(len(table))) if residual else np.zeros_like(table.y)
        left = table.y - base
        result = np.empty((len(test), len(table.tasks)))
        for rows, tasks in patterns(table, train):
            y = left[np.ix_(rows, tasks)]
            spread = np.where(y.std(0) > 0, y.std(0), 1.0)
            maker = RandomForestRegressor if kind == "random" else ExtraTreesRegressor
            model = maker(trees, random_state=0, n_jobs=1).fit(X[rows], _squeezed(y / spread))
            result[:, tasks] = model.predict(X[test]).reshape(len(test), -1) * spread
        return result + base[test]

    return predict


def gaussian_process(*parts: str) -> Predictor:
    """A Gaussian process over scale and these parts: composition, architecture, training, generation, labels.

    A part's missing values stand at the mean, with one column that says they are missing.
    """

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        return _process(table, train, table.y[train], parts)(test)

    return predict


def _process(
    table: DesignTable, train: Indices, scores: Matrix, parts: Sequence[str]
) -> Callable[[Indices], Matrix]:
    X, groups, prior, trends = _blocks(table, train, parts)
    model: ScoreProcess = fit_gaussian(X[train], groups, X[train, :trends], scores, prior)
    return lambda test: model.predict(X[test], X[test, :trends])[0]


LENGTHS = {"composition": 4.0, "architecture": 6.0, "training": 4.0, "generation": 8.0}
"""Length scales expected of numbers in units of their spread: the more of a kind, the less each matters."""


def _blocks(
    table: DesignTable, train: Indices, parts: Sequence[str]
) -> tuple[Matrix, NDArray[np.int64], Matrix, int]:
    """Columns, the group of each, log length scales expected, and how many columns (first) are the trend."""
    blocks: list[Matrix] = []
    prior: list[float] = []

    def add(block: Matrix, length: float) -> None:
        blocks.append(block.reshape(len(table), -1))
        prior.append(float(np.log(length)))

    trend = table.named("scale")
    for name in trend:
        add(standard(table, name, train), 1.5)
    for kind in (part for part in LENGTHS if part in parts):
        names = table.named(kind)
        for name in names:
            if name in table.categories:
                add(one_hot(table.categories[name]), 4.0)
            else:
                add(standard(table, name, train), LENGTHS[kind])
        if names and names[0] in table.numbers and np.isnan(table.numbers[names[0]]).any():
            add(np.isnan(table.numbers[names[0]]).astype(float), 4.0)
    for found in table.labels.values() if "labels" in parts else ():
        add(one_hot(found), 3.0)
    groups = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
    return np.column_stack(blocks), groups, np.array(prior), len(trend)


def tuned(
    make: Callable[..., Predictor],
    space: Literal["xgboost", "lightgbm"],
    table: DesignTable,
    train: Indices,
    groups: Indices,
    *,
    trials: int,
    seed: int,
) -> Predictor:
    """The settings with the least inner error over all tasks, by Optuna's TPE; inner folds keep groups."""
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "designs") from error

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    inner = folds(groups[train], 3, seed)

    def objective(trial: "optuna.Trial") -> float:
        predictor = make(**_settings(trial, space))
        errors = [
            np.abs(predictor(table, train[fit_rows], train[held]) - table.y[train[held]])
            for fit_rows, held in inner
        ]
        return float(np.nanmean(np.concatenate(errors)))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return make(**_settings(study.best_trial, space))


def _settings(trial: "optuna.trial.BaseTrial", space: str) -> dict[str, float | int]:  # type: ignore[name-defined]  # noqa: F821
    rate = trial.suggest_float("rate", 0.01, 0.3, log=True)
    rounds = trial.suggest_int("rounds", 25, 200, step=25)
    if space == "xgboost":
        return {"rate": rate, "rounds": rounds, "depth": trial.suggest_int("depth", 1, 5)}
    return {
        "rate": rate,
        "rounds": rounds,
        "leaves": trial.suggest_int("leaves", 2, 15),
        "least": trial.suggest_int("least", 1, 8),
    }


MAKERS: dict[str, Callable[[str], Predictor]] = {
    "median": lambda scope: median,
    "log-linear": lambda scope: log_linear,
    "linear": linear,
    "gaussian-process": lambda scope: gaussian_process(
        *(("composition", "architecture", "training") if scope != "scale" else ())
    ),
    "xgboost": boosted,
    "lightgbm": lightgbm,
    "forest": partial(forest, "extra"),
}
"""Predictors by name, given the scope of features."""


def predictor(name: str, scope: str = "all") -> Predictor:
    """A predictor by name, on the features of a scope: scale, all or non-scale."""
    check_known(name, MAKERS, "predictor", "unknown")
    return MAKERS[name](scope)


def patterns(table: DesignTable, rows: Indices) -> list[tuple[Indices, Indices]]:
    """(rows, tasks) pairs: tasks whose scores are known for the same of these rows, together."""
    known = ~np.isnan(table.y[rows])
    return [
        (rows[pattern], np.flatnonzero((known == pattern[:, None]).all(0)))
        for pattern in np.unique(known, axis=1).T
    ]


def ratios(table: DesignTable) -> Matrix:
    """Logarithms of compute (the product of parameters and tokens) and of tokens a parameter, (models, 2)."""
    scale = table.matrix(table.named("scale"))
    return np.column_stack([scale.sum(1), scale[:, -1] - scale[:, 0]])


def one_hot(labels: Sequence[str]) -> Matrix:
    """One column of 0 and 1 a label, the empty one too."""
    levels = np.unique(np.array(labels))
    return np.asarray(np.array(labels)[:, None] == levels, np.float64)


def _features(table: DesignTable, scope: str | Sequence[str]) -> Matrix:
    return table.matrix(table.scope(scope) if isinstance(scope, str) else scope)


def _squeezed(y: Matrix) -> Matrix:
    return y[:, 0] if y.shape[1] == 1 else y


def standard(table: DesignTable, name: str, train: Indices) -> Matrix:
    """A number in units of its spread over the training rows, missing at the mean; long tails drawn in."""
    column = table.numbers[name]
    if table.kinds[name] == "generation":
        column = np.sign(column) * np.log1p(np.abs(column))
    known = column[train][~np.isnan(column[train])]
    if len(known) == 0 or known.std() == 0:
        return np.zeros(len(column))
    standard: Matrix = np.nan_to_num((column - known.mean()) / known.std())
    return standard
