"""What a context shows at a glance: noise, slope, span; each (n,), in units and log-clock."""

from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch, Points

TYPICAL_NOISE = 0.01
"""Checkpoint noise in units before any is seen; counts as much as `PRIOR_POINTS` points."""
PRIOR_POINTS = 4.0
NOISE_PER_ITEM_ERROR = 0.45
"""Checkpoint noise over the standard error from items: neighbours answer most items the same."""
SLOPE_REACH = float(np.log(8.0))
"""Slopes are read off so much log-clock at most: a factor of 8."""
SUREST = 0.05
"""Accuracies nearer than this to 0 or 1 have the standard error of one that is not."""
MEAN_POINTS = 3
"""Last values that are averaged to say where a curve stands."""
RECENT = 6
"""Noise is read off so many last points: early checkpoints are still at the mercy of warm-up."""


@dataclass(frozen=True, eq=False)
class ContextFeatures:
    """Properties of contexts, each (n,).

    n_points; span: log of last over first clock; noise: standard deviation of a checkpoint around a smooth
    curve; slope: rise per unit of log-clock over the recent half of the span (shrunk where it is noise);
    recent_mean: of the last `MEAN_POINTS` values; spread: standard deviation of values; item_error: standard
    error from the items of the task, NaN where unknown; above_chance: recent_mean minus chance, NaN where
    unknown.
    """

    n_points: Floats
    span: Floats
    noise: Floats
    slope: Floats
    recent_mean: Floats
    spread: Floats
    item_error: Floats
    above_chance: Floats


def context_features(batch: Batch) -> ContextFeatures:
    """Read the features of every context of a batch."""
    points = batch.points
    total = np.maximum(points.total, 1.0)
    recent_mean = mean_of_last(batch, MEAN_POINTS)
    items = item_error(batch)
    noise = context_noise(points, np.where(np.isfinite(items), NOISE_PER_ITEM_ERROR * items, TYPICAL_NOISE))
    mean = points.sum(points.y) / total
    spread = np.sqrt(points.sum((points.y - mean[points.owner]) ** 2) / total)
    first = np.zeros(points.n)
    np.minimum.at(first, points.owner, points.x)
    chance = np.array([e.context.chance if e.context.chance is not None else np.nan for e in batch.evidences])
    return ContextFeatures(
        n_points=points.count.astype(np.float64),
        span=-first,
        noise=noise,
        slope=recent_slope(points, noise, -first),
        recent_mean=recent_mean,
        spread=spread,
        item_error=items,
        above_chance=recent_mean - chance / batch.unit,
    )


def mean_of_last(batch: Batch, k: int) -> Floats:
    """Mean of each context's last k values, (n,); the last value where no point has a positive clock."""
    recent = batch.points.keep(batch.points.rank_from_end < k)
    return np.where(recent.total > 0, recent.sum(recent.y) / np.maximum(recent.total, 1.0), batch.last)


def context_noise(points: Points, prior: Floats) -> Floats:
    """Standard deviation of a point around the line through its neighbours in log-clock, (n,).

    Taken over the last `RECENT` points and pulled towards `prior`, (n,), where there are few.
    """
    x, y, owner = points.x, points.y, points.owner
    middle = np.flatnonzero((owner[2:] == owner[:-2]) & (points.rank_from_end[1:-1] <= RECENT)) + 1
    gap = x[middle + 1] - x[middle - 1]
    share = np.where(gap > 0, (x[middle] - x[middle - 1]) / np.where(gap > 0, gap, 1.0), 0.5)
    between = y[middle - 1] * (1 - share) + y[middle + 1] * share
    residual = (y[middle] - between) / np.sqrt(1 + share**2 + (1 - share) ** 2)
    squares = np.bincount(owner[middle], weights=residual**2, minlength=points.n)
    seen = np.bincount(owner[middle], minlength=points.n)
    noise = np.sqrt((squares + PRIOR_POINTS * prior**2) / (seen + PRIOR_POINTS))
    return np.asarray(noise, dtype=np.float64)


def recent_slope(points: Points, noise: Floats, span: Floats) -> Floats:
    """Least-squares slope in log-clock over the later half of the span, at most ln 8, (n,).

    Pulled to 0 as far as noise alone could have made it; 0 where there are fewer than two points.
    """
    reach = np.maximum(np.minimum(0.5 * span, SLOPE_REACH), 1e-9)
    recent = points.keep((points.x >= -reach[points.owner]) | (points.rank_from_end < MEAN_POINTS))
    total = np.maximum(recent.total, 1.0)
    centre_x, centre_y = recent.sum(recent.x) / total, recent.sum(recent.y) / total
    dx, dy = recent.x - centre_x[recent.owner], recent.y - centre_y[recent.owner]
    squares = recent.sum(dx**2)
    slope = recent.sum(dx * dy) / np.where(squares > 0, squares, 1.0)
    error = noise**2 / np.where(squares > 0, squares, 1.0)
    shrunk = slope * slope**2 / (slope**2 + error + 1e-30)
    return np.where(squares > 1e-18, shrunk, 0.0)


def item_error(batch: Batch) -> Floats:
    """Standard error of the last value from its own stderr, else from the number of items, (n,)."""
    errors = []
    for evidence, unit in zip(batch.evidences, batch.unit, strict=True):
        curve = evidence.context
        error = float(curve.stderr[-1])
        if not np.isfinite(error) and curve.n_items and (curve.low, curve.high) == (0.0, 1.0):
            p = min(max(float(curve.values[-1]), SUREST), 1 - SUREST)
            error = float(np.sqrt(p * (1 - p) / curve.n_items))
        errors.append(error / unit)
    return np.array(errors, dtype=np.float64)
