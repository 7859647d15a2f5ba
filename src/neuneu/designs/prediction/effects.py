"""How a prediction moves with one feature: SHAP values against it, by size of model, with a smooth line.

What Liu et al. 2025 read their 15 to 25 % of code from. Their line is refitted to drawn SHAP values; here
each draw of models grows its trees anew, so that the interval holds what the trees do not know either.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.curves.tasks import find_metric
from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.explain import tree_shap
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.nested import outer
from neuneu.errors import InputError, check_known
from neuneu.progress import counted

FRACTION = 0.5
"""Of the models that one point of the smooth line looks at (LOESS, Cleveland 1979), as published."""
POINTS = 41
"""Points of the smooth line, from the least to the greatest known value."""
LEAST = 10
"""Models that a smooth line is drawn through at least."""
MEAN = "(mean of tasks)"
"""The row that averages the tasks, each in units of its scores' spread, better counted upwards."""
HALVES = ("all", "smaller", "larger")
"""Models: all, and those below and from the median number of parameters."""


def effect_values(
    table: DesignTable,
    feature: str,
    *,
    split: str = "random",
    seeds: Sequence[int] = range(5),
    scope: str = "all",
) -> pl.DataFrame:
    """A row a (task, model) that has the feature: id, value, shap (mean over seeds), half (smaller, larger).

    Models are only explained by trees that were not grown on them.
    """
    shap = np.mean([_shap(table, feature, split, seed, scope) for seed in seeds], axis=0)
    value, larger = table.column(feature), _larger(table)
    frames = []
    for k, task in enumerate(table.tasks):
        rows = np.flatnonzero(~np.isnan(shap[:, k]) & ~np.isnan(value))
        frames.append(
            pl.DataFrame(
                {
                    "task": [task.name] * len(rows),
                    "setting": [task.setting] * len(rows),
                    "metric": [task.metric] * len(rows),
                    "id": [table.ids[i] for i in rows],
                    "value": value[rows],
                    "shap": shap[rows, k],
                    "half": ["larger" if larger[i] else "smaller" for i in rows],
                }
            )
        )
    return pl.concat(frames)


def effect_curves(
    table: DesignTable,
    feature: str,
    *,
    split: str = "random",
    draws: int = 200,
    scope: str = "all",
    cluster: str = "model",
    band: tuple[float, float] = (15.0, 25.0),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(curves, peaks): smooth lines of SHAP values, and where they are highest, with 95 % intervals.

    curves: task, setting, metric, models (all, smaller, larger), value, shap, low, high. peaks: for each line
    peak, low, high, and inside: the share of draws whose peak is in `band`. Scores of which less is better
    (Brier) have their lowest point for a peak. draws: of models (or of whole organisations: cluster), with
    replacement; trees are grown anew on each. Raises InputError where the feature is no number or fewer than
    ten models have it.
    """
    check_known(feature, table.numbers, "against", "unknown")
    if draws < 2:
        raise InputError("must be at least 2", field="draws", value=draws)
    known = table.numbers[feature][~np.isnan(table.numbers[feature])]
    if len(known) < LEAST or known.min() == known.max():
        rule = f"needs {LEAST} models and more than one value"
        raise InputError(rule, field="against", value=feature)
    at = np.linspace(known.min(), known.max(), POINTS)
    whole = _lines(table, feature, at, split, 0, scope)
    rng = np.random.default_rng(0)
    drawn = []
    for draw in counted(range(draws), "draws"):
        rows = draw_models(table, cluster, rng)
        drawn.append(_lines(table.only(rows), feature, at, split, draw, scope))
    return _told(table, at, whole, np.stack(drawn), band)


def draw_models(table: DesignTable, cluster: str, rng: np.random.Generator) -> Indices:
    """As many rows as the table has, or as many clusters, with replacement. cluster: model, organisation."""
    if cluster == "model":
        return rng.integers(0, len(table), len(table))
    if cluster != "organisation":
        raise InputError("must be model or organisation", field="cluster", value=cluster)
    owners = np.unique(np.array(table.clusters), return_inverse=True)[1]
    chosen = rng.integers(0, owners.max() + 1, owners.max() + 1)
    return np.concatenate([np.flatnonzero(owners == owner) for owner in chosen])


def _shap(table: DesignTable, feature: str, split: str, seed: int, scope: str) -> Matrix:
    """SHAP values of a feature, (models, tasks); NaN where a model has no score."""
    names = table.scope(scope)
    if feature not in names:
        raise InputError("not among the features asked for", field="against", value=feature)
    X, place = table.matrix(names), names.index(feature)
    found = np.full(table.y.shape, np.nan)
    for train, test in outer(table, split, table.groups(split), seed):
        for k in range(len(table.tasks)):
            rows, fit_rows = table.known(test, k), table.known(train, k)
            if len(rows) and len(fit_rows):
                found[rows, k] = tree_shap(X, table.y[:, k], fit_rows, rows)[:, place]
    return found


def _larger(table: DesignTable) -> NDArray[np.bool_]:
    size = table.column(table.named("scale")[0])
    return np.asarray(size >= np.median(size), np.bool_)


def _lines(table: DesignTable, feature: str, at: Matrix, split: str, seed: int, scope: str) -> Matrix:
    """Smooth lines, (halves, tasks + 1, points); the last task is the mean of all, in units of spread."""
    shap, value, larger = _shap(table, feature, split, seed, scope), table.numbers[feature], _larger(table)
    found = np.full((len(HALVES), len(table.tasks) + 1, len(at)), np.nan)
    for h, half in enumerate(HALVES):
        chosen = {"all": np.ones(len(table), bool), "smaller": ~larger, "larger": larger}[half]
        for k in range(len(table.tasks)):
            rows = chosen & ~np.isnan(shap[:, k]) & ~np.isnan(value)
            if rows.sum() >= LEAST:
                found[h, k] = smooth(value[rows], shap[rows, k], at)
        spread = np.nanstd(table.y, axis=0)
        scaled = found[h, :-1] * (_up(table) / np.where(spread > 0, spread, 1.0))[:, None]
        known = ~np.isnan(scaled).all(1)
        if known.any():
            found[h, -1] = scaled[known].mean(0)
    return found


def _up(table: DesignTable) -> Matrix:
    return np.array([1.0 if find_metric(task.metric).higher_is_better else -1.0 for task in table.tasks])


WIDER = 1.5
"""How far past the third nearest distinct value a window reaches at least. Models share few mixes: a window
of one or two values would draw its line on past them."""


def smooth(x: Matrix, y: Matrix, at: Matrix, fraction: float = FRACTION) -> Matrix:
    """A locally linear line through (x, y) at these points: tricube weights over the nearest `fraction`.

    x, y: (models,); returns (points,). Cleveland 1979, not robust; windows hold three distinct values.
    """
    count = min(max(int(np.ceil(fraction * len(x))), 3), len(x))
    distance = np.abs(at[:, None] - x[None])
    reach = np.sort(distance, axis=1)[:, count - 1 : count]
    apart_by = np.sort(np.abs(at[:, None] - np.unique(x)[None]), axis=1)
    third = apart_by[:, min(2, apart_by.shape[1] - 1)][:, None]
    reach = np.maximum(np.maximum(reach, WIDER * third), 1e-12)
    weight = np.clip(1 - (distance / reach) ** 3, 0, None) ** 3
    total = weight.sum(1)
    centre = (weight * x).sum(1) / total
    apart = x[None] - centre[:, None]
    spread = (weight * apart**2).sum(1)
    level = (weight * y).sum(1) / total
    slope = (weight * apart * y).sum(1) / np.where(spread > 0, spread, 1.0)
    return np.asarray(level + np.where(spread > 1e-12, slope, 0.0) * (at - centre), np.float64)


def _told(
    table: DesignTable, at: Matrix, whole: Matrix, drawn: Matrix, band: tuple[float, float]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    keys = [(t.name, t.setting, t.metric) for t in table.tasks] + [(MEAN, "", "spread")]
    signs = [*_up(table), 1.0]
    curves, peaks = [], []
    for h, half in enumerate(HALVES):
        for k, key in enumerate(keys):
            line, lines = whole[h, k], drawn[:, h, k]
            lines = lines[~np.isnan(lines).any(1)]
            if np.isnan(line).any() or len(lines) < 2:
                continue
            low, high = np.quantile(lines, [0.025, 0.975], axis=0)
            rows = zip(at, line, low, high, strict=True)
            curves += [(*key, half, *map(float, row)) for row in rows]
            tops = at[np.argmax(signs[k] * lines, axis=1)]
            inside = float(((tops >= band[0]) & (tops <= band[1])).mean())
            ends = np.quantile(tops, [0.025, 0.975])
            top = at[np.argmax(signs[k] * line)]
            peaks.append((*key, half, float(top), float(ends[0]), float(ends[1]), inside, len(lines)))
    texts = dict.fromkeys(("task", "setting", "metric", "models"), pl.String)
    numbers = dict.fromkeys(("value", "shap", "low", "high"), pl.Float64)
    tops_schema = dict.fromkeys(("peak", "low", "high", "inside"), pl.Float64)
    return (
        pl.DataFrame(curves, schema={**texts, **numbers}, orient="row"),
        pl.DataFrame(peaks, schema={**texts, **tops_schema, "draws": pl.Int64}, orient="row"),
    )
