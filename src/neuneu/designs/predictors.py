"""Predictors of scores from designs: each takes a table and training rows and returns scores of any rows."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from neuneu.designs.boosting import bin_table, fit
from neuneu.designs.gaussian import fit_gaussian
from neuneu.designs.splits import Indices, family, organisation
from neuneu.designs.tables import DesignTable, Matrix
from neuneu.errors import InputError, MissingExtraError

Predictor = Callable[[DesignTable, Indices, Indices], Matrix]
"""(table, training rows, rows to predict) → scores (rows to predict,). All preprocessing is fitted on the
training rows."""


def median(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """The median training score."""
    return np.full(len(test), np.median(table.y[train]))


def log_linear(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """Least squares on the logarithms of parameters and tokens."""
    design = np.column_stack([np.ones(len(table)), table.matrix(table.named("scale"))])
    return np.asarray(design[test] @ np.linalg.lstsq(design[train], table.y[train], rcond=None)[0])


def linear(scope: str, strength: float = 1.0) -> Predictor:
    """Ridge regression on standardised features of a scope, one-hot categories, missing at the mean."""

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        blocks = [_standard(table, name, train) for name in table.scope(scope) if name in table.numbers]
        blocks += [table.one_hot(name) for name in table.scope(scope) if name in table.categories]
        X = np.column_stack(blocks)
        mean, centre = table.y[train].mean(), X[train].mean(0)
        A = X[train] - centre
        weights = np.linalg.solve(A.T @ A + strength * np.eye(X.shape[1]), A.T @ (table.y[train] - mean))
        return np.asarray(mean + (X[test] - centre) @ weights, np.float64)

    return predict


def gaussian_process(*parts: str) -> Predictor:
    """A Gaussian process over scale and these parts: composition, architecture, generation, family.

    A kind's missing values stand at the mean, with one column that says they are missing.
    """

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        return gaussian_quantities(table, train, test, parts)[0]

    return predict


def gaussian_quantities(
    table: DesignTable, train: Indices, test: Indices, parts: Sequence[str]
) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation by the Gaussian process."""
    blocks: list[Matrix] = []
    groups: list[int] = []
    prior: list[float] = []

    def add(block: Matrix, length: float) -> None:
        blocks.append(block)
        groups.extend([len(prior)] * block.shape[1])
        prior.append(float(np.log(length)))

    trend = np.column_stack([_standard(table, name, train) for name in table.named("scale")])
    for column in trend.T:
        add(column[:, None], 1.5)
    for kind, length in (("composition", 4.0), ("architecture", 4.0), ("generation", 8.0)):
        names = table.named(kind) if kind in parts else []
        for name in names:
            add(_standard(table, name, train)[:, None], length)
        if names and kind != "architecture":
            add(np.isnan(table.numbers[names[0]]).astype(float)[:, None], 4.0)
    for name in table.categories if "architecture" in parts else ():
        add(table.one_hot(name), 4.0)
    if "family" in parts:
        add(_identity([organisation(name) for name in table.ids]), 3.0)
        add(_identity([family(name) for name in table.ids]), 3.0)
    X = np.column_stack(blocks)
    model = fit_gaussian(X[train], np.array(groups), trend[train], table.y[train], np.array(prior), steps=25)
    return model.predict(X[test], trend[test])


def boosted(
    scope: str | Sequence[str],
    *,
    depth: int = 3,
    rate: float = 0.1,
    rounds: int = 100,
    bags: int = 1,
    residual: bool = False,
) -> Predictor:
    """Gradient-boosted trees as XGBoost grows them, on a scope or named features.

    bags: mean over this many fits, all but the first on 85 % of the rows; residual: on what log-linear
    leaves.
    """

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        names = table.scope(scope) if isinstance(scope, str) else list(scope)
        X = table.matrix(names).astype(np.float32)
        every = np.arange(len(table))
        base = log_linear(table, train, every) if residual else np.zeros(len(table))
        rng = np.random.default_rng(0)
        total = np.zeros(len(test))
        for bag in range(bags):
            rows = train if bag == 0 else rng.choice(train, max(2, int(0.85 * len(train))), replace=False)
            trees = fit(
                bin_table(X[rows]), (table.y - base)[rows], depth=depth, learning_rate=rate, rounds=rounds
            )
            total += trees.predict(X[test])
        return base[test] + total / bags

    return predict


def lightgbm(
    scope: str | Sequence[str], *, leaves: int = 7, rate: float = 0.1, rounds: int = 100, least: int = 3
) -> Predictor:
    """LightGBM on a scope or named features, deterministic, one thread."""

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        try:
            import lightgbm as library
        except ImportError as error:
            raise MissingExtraError("lightgbm", "designs") from error
        names = table.scope(scope) if isinstance(scope, str) else list(scope)
        X = table.matrix(names)
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
        return np.asarray(model.fit(X[train], table.y[train]).predict(X[test]), np.float64)

    return predict


def tuned(
    make: Callable[..., Predictor],
    space: str,
    table: DesignTable,
    train: Indices,
    groups: Indices,
    *,
    trials: int,
    seed: int,
) -> Predictor:
    """The predictor of the settings with the least inner error, found by Optuna's TPE; inner folds keep
    groups.

    space: xgboost or lightgbm.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "designs") from error
    from neuneu.designs.splits import folds

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    inner = folds(groups[train], 3, seed)

    def objective(trial: "optuna.Trial") -> float:
        predictor = make(**_settings(trial, space))
        errors = [
            np.abs(predictor(table, train[fit_rows], train[held]) - table.y[train[held]]).mean()
            for fit_rows, held in inner
        ]
        return float(np.mean(errors))

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


MEMBERS: dict[str, Predictor] = {
    "log-linear": log_linear,
    "gp-scale": gaussian_process(),
    "gp-composition": gaussian_process("composition"),
    "gp-architecture": gaussian_process("composition", "architecture"),
    "gp-family": gaussian_process("composition", "architecture", "family"),
    "gp-generation": gaussian_process("composition", "generation", "family"),
    "trees-scale": boosted("scale", bags=3),
    "trees-composition": lambda t, a, b: boosted([*t.named("scale"), *t.named("composition")], bags=4)(
        t, a, b
    ),
    "trees-database": lambda t, a, b: boosted(_database(t), bags=4)(t, a, b),
    "gp-written": gaussian_process("generation"),
    "gp-siblings": gaussian_process("composition", "family"),
    "trees-all": boosted("all", bags=3),
    "trees-deep": lambda t, a, b: boosted([*t.named("scale"), *t.named("composition")], depth=5, bags=3)(
        t, a, b
    ),
    "trees-written": lambda t, a, b: boosted([*t.named("scale"), *t.named("generation")], bags=3)(t, a, b),
    "residual-trees": lambda t, a, b: boosted(_database(t), bags=4, residual=True)(t, a, b),
}
"""What the stack is made of."""


def _database(table: DesignTable) -> list[str]:
    return [name for name in table.scope("all") if table.kinds.get(name) != "generation"]


def predictor(name: str, scope: str = "all") -> Predictor:
    """A predictor by name: median, log-linear, linear, gaussian-process, xgboost, lightgbm, or a member of
    the stack."""
    made: dict[str, Callable[[], Predictor]] = {
        "median": lambda: median,
        "log-linear": lambda: log_linear,
        "linear": lambda: linear(scope),
        "gaussian-process": lambda: gaussian_process(
            *(("composition", "architecture") if scope == "all" else ())
        ),
        "xgboost": lambda: boosted(scope),
        "lightgbm": lambda: lightgbm(scope),
    }
    if name in MEMBERS and name not in made:
        return MEMBERS[name]
    if name not in made:
        raise InputError(
            f"unknown; known: {', '.join([*made, *MEMBERS, 'stack'])}", field="predictor", value=name
        )
    return made[name]()


def _standard(table: DesignTable, name: str, train: Indices) -> Matrix:
    column = table.numbers[name]
    known = column[train][~np.isnan(column[train])]
    if len(known) == 0:
        return np.zeros(len(column))
    spread = known.std()
    standard: Matrix = np.nan_to_num((column - known.mean()) / (spread if spread > 0 else 1.0))
    return standard


def _identity(labels: Sequence[str]) -> Matrix:
    levels: NDArray[np.int64] = np.unique(np.array(labels), return_inverse=True)[1]
    identity: Matrix = np.eye(int(levels.max()) + 1)[levels]
    return identity
