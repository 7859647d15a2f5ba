"""The protocol to trust: whole groups on one side, everything chosen inside the training rows, honest
intervals."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Literal

import numpy as np
import polars as pl

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.ensemble import ensemble
from neuneu.designs.prediction.folds import LARGEST, Indices, count_of, folds, largest_fold, time_folds
from neuneu.designs.prediction.forms import FORMS, form_predictor
from neuneu.designs.prediction.grids import grid_predictor
from neuneu.designs.prediction.predictors import MAKERS, Predictor, boosted, lightgbm, predictor, tuned
from neuneu.designs.prediction.published_method import published_predictor, selected_predictor
from neuneu.errors import InputError, check_known
from neuneu.progress import counted

INNER = 5
COVERAGE = 0.8
FEWEST_GROUPS = 2
"""Inner folds hold one group out and need another to learn from."""

TUNED: Mapping[str, tuple[Callable[..., Predictor], Literal["xgboost", "lightgbm"]]] = {
    "xgboost-tuned": (boosted, "xgboost"),
    "lightgbm-tuned": (lightgbm, "lightgbm"),
}
"""Methods tuned by Optuna → what is tuned, and in which space."""
PUBLISHED = ("published-scale", "published-selected", "published-nested")
BY_GRID = {"xgboost-grid": "fast", "lgbm-grid": "lgbm", "rf-grid": "rf"}
"""Methods tuned by the published grids → their engines."""
METHODS = (*MAKERS, *FORMS, "ensemble", *TUNED, *BY_GRID, *PUBLISHED)
ON_SCALE = ("ensemble", "gaussian-process")
"""Methods that cannot do without scale (those of scale alone are baselines, whatever the features)."""

Selected = Mapping[tuple[str, str], Sequence[str]]
"""(task, setting) → the features that the published selection chose."""


@dataclass(frozen=True)
class FoldQuestion:
    """One method asked for the scores of the test rows, given the training rows of one fold."""

    method: str
    seed: int
    fold: int
    train: Indices
    test: Indices


@dataclass(frozen=True)
class Prediction:
    """Scores of the test rows (rows, tasks): median, and the ends of the 80 % interval; outside (rows,) says
    which rows extrapolate."""

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
    selected: Selected | None = None,
) -> Prediction:
    """Predict the test rows from the training rows alone.

    Intervals are split-conformal: the 80 % quantile of the errors that the same method makes on the inner
    folds, which keep the same groups whole as the outer ones; what was tuned stays as it was tuned on all
    training rows. The published methods give none (NaN). Scores stay in the range of their metric.
    """
    made = _make(table, method, train, groups, scope, seed, selected)
    reach = np.full(len(table.tasks), np.nan)
    if method not in PUBLISHED:
        if len(np.unique(groups[train])) < FEWEST_GROUPS:
            rule = "all models are one group of this split, so that none can be held out; take another"
            raise InputError(rule, field="split")
        held = np.empty((len(train), len(table.tasks)))
        for fit_rows, held_rows in folds(groups[train], min(INNER, len(np.unique(groups[train]))), seed):
            held[held_rows] = made(table, train[fit_rows], train[held_rows])
        errors = np.abs(held - table.y[train])
        reach = np.array([conformal(column[~np.isnan(column)], COVERAGE) for column in errors.T])
    value = made(table, train, test)
    least, most = np.array([task.range for task in table.tasks]).T
    low, middle, high = (np.clip(part, least, most) for part in (value - reach, value, value + reach))
    return Prediction(middle, low, high, outside(table, train, test))


def _make(
    table: DesignTable,
    method: str,
    train: Indices,
    groups: Indices,
    scope: str,
    seed: int,
    selected: Selected | None,
) -> Predictor:
    if method in TUNED:
        maker, space = TUNED[method]
        return tuned(partial(maker, scope), space, table, train, groups, trials=20, seed=seed)
    if method in PUBLISHED:
        return _published(method, table, train, groups, seed, selected)
    if method in BY_GRID:
        return grid_predictor(BY_GRID[method], scope, seed)
    if method in FORMS:
        return form_predictor(method)
    return ensemble if method == "ensemble" else predictor(method, scope)


def _published(
    method: str, table: DesignTable, train: Indices, groups: Indices, seed: int, selected: Selected | None
) -> Predictor:
    if method == "published-nested":
        return selected_predictor(table, train, groups, seed)
    if method == "published-selected" and selected is None:
        raise InputError("the method published-selected needs it", field="selected")
    return published_predictor(seed, selected if method == "published-selected" else None)


def conformal(errors: Matrix, level: float) -> float:
    """The quantile of absolute errors that covers a new one with this probability, (n + 1)-corrected."""
    n = len(errors)
    return float(np.sort(errors)[min(n - 1, int(np.ceil((n + 1) * level)) - 1)])


def outside(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """1 for rows with a parameter or token count, or share of the data, beyond all training rows, or with a
    recipe that none of them has."""
    flags = np.zeros(len(test))
    for name in table.named("scale", "composition"):
        if name in table.categories:
            seen = {table.categories[name][i] for i in train}
            flags[[table.categories[name][i] not in seen for i in test]] = 1
            continue
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
    if split.startswith(LARGEST):
        return [largest_fold(table.column(table.named("scale")[0]), groups, count_of(split))]
    return folds(groups, count, seed)


def evaluate(
    table: DesignTable,
    methods: Sequence[str],
    *,
    split: str = "random",
    seeds: Sequence[int] = range(5),
    scope: str = "all",
    selected: Selected | None = None,
    workers: int = 1,
) -> pl.DataFrame:
    """Every method on the same folds: a row a (task, method, seed, fold, model) with the 80 % interval.

    The folds part models, so that a tested model is hidden on every task. Inner folds keep the split's
    groups whole. workers: processes; the result does not depend on their number.
    """
    for method in methods:
        check_known(method, METHODS, "predictor", "unknown")
    groups = table.groups(split)  # of all features: what is left out must not make twins
    table, scope = narrowed(table, scope, methods)
    questions = [
        FoldQuestion(method, seed, fold, train, test)
        for seed in (seeds[:1] if split == "time" or split.startswith(LARGEST) else seeds)
        for fold, (train, test) in enumerate(outer(table, split, groups, seed))
        for method in methods
    ]
    jobs = [(table, question, groups, scope, selected) for question in questions]
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(_answer, *job) for job in jobs]
            frames = [future.result() for future in counted(futures, "fits")]
    else:
        frames = [_answer(*job) for job in counted(jobs, "fits")]
    return pl.concat(frames)


def narrowed(table: DesignTable, scope: str, methods: Sequence[str]) -> tuple[DesignTable, str]:
    """The table without the features that no scope but this one asks for, and the scope by names.

    Scale stays in the table, for baselines; methods that cannot do without it refuse a scope that lacks it.
    """
    if scope in ("scale", "all"):
        return table, scope
    names, scale = table.scope(scope), table.named("scale")
    if not set(scale) <= set(names):
        for method in methods:
            if method in ON_SCALE:
                raise InputError(f"{method} always uses scale", field="features", value=scope)
    return table.with_features([*scale, *names]), ",".join(names)


def _answer(
    table: DesignTable, question: FoldQuestion, groups: Indices, scope: str, selected: Selected | None
) -> pl.DataFrame:
    found = predict_rows(
        table,
        question.method,
        question.train,
        question.test,
        groups,
        scope=scope,
        seed=question.seed,
        selected=selected,
    )
    frames = []
    for k, task in enumerate(table.tasks):
        seen = ~np.isnan(table.y[question.test, k])
        rows = question.test[seen]
        frames.append(
            pl.DataFrame(
                {
                    "task": [task.name] * len(rows),
                    "setting": [task.setting] * len(rows),
                    "metric": [task.metric] * len(rows),
                    "method": [question.method] * len(rows),
                    "seed": np.full(len(rows), question.seed),
                    "fold": np.full(len(rows), question.fold),
                    "id": [table.ids[i] for i in rows],
                    "true": table.y[rows, k],
                    "stderr": table.stderr[rows, k],
                    "q50": found.value[seen, k],
                    "q10": found.low[seen, k],
                    "q90": found.high[seen, k],
                    "extrapolates": found.outside[seen] > 0,
                }
            ).with_columns(pl.col("stderr", "q10", "q90").fill_nan(None))
        )
    return pl.concat(frames)
