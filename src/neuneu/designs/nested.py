"""The protocol to trust: whole groups on one side, everything chosen inside the training rows, honest
intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from neuneu.designs.labels import Task
from neuneu.designs.predictors import MEMBERS, Predictor, boosted, lightgbm, predictor, tuned
from neuneu.designs.selection import forward_selection
from neuneu.designs.significance import benjamini_hochberg, half_width, paired_t
from neuneu.designs.splits import Indices, check_split, folds, time_folds
from neuneu.designs.store import DesignStore
from neuneu.designs.tables import DesignTable, Matrix, build_tables
from neuneu.errors import InputError

INNER = 5
SOFTNESS = 0.15
"""Relative excess of inner error at which a member's other half of the weight falls by e."""

SHRINKAGE = 10.0
"""How strongly weights of the stack are drawn towards equal ones, in units of the members' mean error."""

METHODS = ("median", "log-linear", "linear", "gaussian-process", "xgboost", "lightgbm", "stack")
NESTED = ("xgboost-tuned", "lightgbm-tuned", "xgboost-selected")


@dataclass(frozen=True)
class Prediction:
    """Scores of the test rows: median, and the ends of the 80 % interval; outside says which rows
    extrapolate."""

    value: Matrix
    low: Matrix
    high: Matrix
    outside: Matrix


def predict_rows(
    table: DesignTable,
    method: str,
    train: Indices,
    test: Indices,
    groups: Indices,
    *,
    scope: str = "all",
    seed: int = 0,
) -> Prediction:
    """Predict the test rows from the training rows alone.

    Intervals are split-conformal: the 80 % quantile of the errors that the same method makes on the inner
    folds, which keep the same groups whole as the outer ones. Scores stay inside [0, 1], Brier scores
    inside [0, 2].
    """
    inner = folds(groups[train], min(INNER, len(np.unique(groups[train]))), seed)
    if method == "stack":
        value, errors = _stack(table, train, test, inner)
    else:
        made = _make(table, method, train, groups, scope, seed)
        held = np.full(len(train), np.nan)
        for fit_rows, held_rows in inner:
            held[held_rows] = made(table, train[fit_rows], train[held_rows])
        value, errors = made(table, train, test), held - table.y[train]
    high = 2.0 if table.task.metric == "brier_score" else 1.0
    reach = _conformal(np.abs(errors), 0.8)
    clipped = np.clip(value, 0.0, high)
    return Prediction(
        clipped,
        np.clip(value - reach, 0, high),
        np.clip(value + reach, 0, high),
        _outside(table, train, test),
    )


def _make(
    table: DesignTable, method: str, train: Indices, groups: Indices, scope: str, seed: int
) -> Predictor:
    if method == "xgboost-tuned":
        return tuned(lambda **s: boosted(scope, **s), "xgboost", table, train, groups, trials=20, seed=seed)
    if method == "lightgbm-tuned":
        return tuned(lambda **s: lightgbm(scope, **s), "lightgbm", table, train, groups, trials=20, seed=seed)
    if method == "xgboost-selected":
        names = forward_selection(table, train, groups, seed=seed).features
        return tuned(lambda **s: boosted(names, **s), "xgboost", table, train, groups, trials=10, seed=seed)
    return predictor(method, scope)


def _stack(
    table: DesignTable, train: Indices, test: Indices, inner: Sequence[tuple[Indices, Indices]]
) -> tuple[Matrix, Matrix]:
    """Predictions and inner errors of a convex combination of MEMBERS, weights from the inner folds.

    Half of the weight is that of least squares, shrunk towards equal weights; half falls with a
    member's error.
    """
    from scipy.optimize import nnls

    members = list(MEMBERS.values())
    held = np.zeros((len(train), len(members)))
    for fit_rows, held_rows in inner:
        for k, member in enumerate(members):
            held[held_rows, k] = member(table, train[fit_rows], train[held_rows])
    y = table.y[train]
    weight = SHRINKAGE * 0.3 * np.sqrt(len(y)) * np.abs(held - y[:, None]).mean()
    count = len(members)
    A = np.vstack([held, 100 * np.ones(count), weight * np.eye(count)])
    b = np.concatenate([y, [100.0], np.full(count, weight / count)])
    solved = nnls(A, b)[0]
    errors = np.abs(held - y[:, None]).mean(0)
    ranked = np.exp(-(errors / errors.min() - 1) / SOFTNESS)
    weights = solved / solved.sum() / 2 + ranked / ranked.sum() / 2
    new = np.column_stack([member(table, train, test) for member in members])
    return new @ weights, held @ weights - y


def _conformal(errors: Matrix, level: float) -> float:
    """The quantile of absolute errors that covers a new one with this probability, (n + 1)-corrected."""
    n = len(errors)
    return float(np.sort(errors)[min(n - 1, int(np.ceil((n + 1) * level)) - 1)])


def _outside(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """1 for rows with a parameter or token count, or share of the data, beyond all training rows."""
    flags = np.zeros(len(test))
    for name in [*table.named("scale"), *table.named("composition")]:
        column = table.numbers[name]
        known = column[train][~np.isnan(column[train])]
        if len(known):
            flags[(column[test] < known.min()) | (column[test] > known.max())] = 1
    return flags


def outer(
    table: DesignTable, split: str, groups: Indices, seed: int, count: int = 3
) -> list[tuple[Indices, Indices]]:
    """The outer (train, test) pairs of a split."""
    if split == "time":
        return time_folds(table.dates, groups, count)
    return folds(groups, count, seed)


def evaluate(
    table: DesignTable,
    methods: Sequence[str],
    *,
    split: str = "random",
    seeds: int = 5,
    scope: str = "all",
    given: Callable[[int], list[tuple[Indices, Indices]]] | None = None,
) -> pl.DataFrame:
    """Every method on the same folds: a row a (task, method, seed, fold, model) with the 80 % interval.

    given: seed → outer folds, in place of the split's own. Inner folds keep the split's groups whole.
    """
    for method in methods:
        if method not in (*METHODS, *NESTED, *MEMBERS):
            raise InputError(
                f"unknown; known: {', '.join([*METHODS, *NESTED])}", field="predictor", value=method
            )
    groups = table.groups(check_split(split))
    frames = []
    for seed in range(1 if split == "time" else seeds):
        pairs = given(seed) if given is not None else outer(table, split, groups, seed)
        for fold, (train, test) in enumerate(pairs):
            for method in methods:
                found = predict_rows(table, method, train, test, groups, scope=scope, seed=seed)
                frames.append(_frame(table, method, seed, fold, test, found))
    return pl.concat(frames)


def _frame(
    table: DesignTable, method: str, seed: int, fold: int, test: Indices, found: Prediction
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "task": [table.task.name] * len(test),
            "setting": [table.task.setting] * len(test),
            "metric": [table.task.metric] * len(test),
            "method": [method] * len(test),
            "seed": np.full(len(test), seed),
            "fold": np.full(len(test), fold),
            "id": [table.ids[i] for i in test],
            "true": table.y[test],
            "stderr": table.stderr[test],
            "q50": found.value,
            "q10": found.low,
            "q90": found.high,
            "extrapolates": found.outside > 0,
        }
    ).with_columns(pl.col("stderr").fill_nan(None))


def summary(predictions: pl.DataFrame, reference: str = "log-linear") -> pl.DataFrame:
    """A row a (task, method): MAE (mean of folds, then seeds), coverage and width of the 80 % interval,
    label noise.

    noise: mean absolute error that the labels' own standard errors would cause (normal), null where unknown.
    p, p_fdr: against the reference on the same folds; Nadeau-Bengio corrected, then Benjamini-Hochberg
    over all rows of the table. skill_percent: how far the MAE is below the reference's.
    """
    key = ["task", "setting", "metric"]
    error = (pl.col("q50") - pl.col("true")).abs()
    scored = predictions.with_columns(
        error.alias("error"),
        pl.col("true").is_between("q10", "q90").alias("covered"),
        (pl.col("q90") - pl.col("q10")).alias("width"),
    )
    by_fold = scored.group_by(*key, "method", "seed", "fold", maintain_order=True).agg(
        pl.mean("error", "covered", "width"),
        (pl.mean("stderr") * np.sqrt(2 / np.pi)).alias("noise"),
        pl.len(),
    )
    rows = []
    for (*names, method), part in by_fold.group_by(*key, "method", maintain_order=True):
        own = part.group_by("seed", maintain_order=True).agg(pl.mean("error"))["error"].to_numpy()
        base = by_fold.filter(
            pl.all_horizontal(pl.col(k) == v for k, v in zip(key, names, strict=True))
            & (pl.col("method") == reference)
        )
        p = None
        if len(base) == len(part) and method != reference and len(part) > 1:
            differences = (base["error"] - part["error"]).to_numpy()
            total = int(part.filter(pl.col("seed") == part["seed"][0])["len"].sum())
            tested_rows = float(part["len"].to_numpy().mean())
            p = paired_t(differences, test_share=tested_rows / (total - tested_rows))
        rows.append(
            {
                **dict(zip(key, names, strict=True)),
                "method": method,
                "mae": float(own.mean()),
                "mae_ci": half_width(own) if len(own) > 1 else None,
                "skill_percent": float((1 - own.mean() / base["error"].to_numpy().mean()) * 100)
                if len(base)
                else None,
                "coverage80": part["covered"].mean(),
                "width80": part["width"].mean(),
                "noise": part["noise"].mean(),
                "p": p,
            }
        )
    frame = pl.DataFrame(rows, schema_overrides={"p": pl.Float64, "mae_ci": pl.Float64, "noise": pl.Float64})
    tested = frame["p"].is_not_null()
    adjusted = np.full(len(frame), np.nan)
    if tested.any():
        adjusted[tested.to_numpy()] = benjamini_hochberg(frame["p"].drop_nulls().to_numpy())
    return frame.with_columns(pl.Series("p_fdr", adjusted).fill_nan(None))


def table_of(
    store: DesignStore,
    tasks: Sequence[Task],
    methods: Sequence[str],
    *,
    split: str = "random",
    seeds: int = 5,
    scope: str = "all",
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The summary of all methods on all tasks of a design database, and every prediction behind it."""
    parts = []
    for table in build_tables(store, tasks):
        parts.append(evaluate(table, methods, split=split, seeds=seeds, scope=scope))
        errors = (
            parts[-1]
            .group_by("method", maintain_order=True)
            .agg((pl.col("q50") - pl.col("true")).abs().mean().alias("mae"))
        )
        told = ", ".join(f"{method} {mae:.4f}" for method, mae in errors.iter_rows())
        progress(f"{table.task.key}: {told}")
    rows = pl.concat(parts)
    return summary(rows), rows
