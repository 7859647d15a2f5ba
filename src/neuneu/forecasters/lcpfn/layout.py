"""Contexts and horizons as a prior-fitted network reads them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch

POINTS = 24
"""Contexts are averaged into at most so many points."""

FLOOR = 0.03
"""Values are divided by the root of their variance and this squared, in units of the metric's range."""

RECENT = 3
"""Values are differences from the mean of so many last points."""

FAR = 4.0
"""Log ratio of clocks that counts as 1: 55 times."""


@dataclass(frozen=True, eq=False)
class Laid:
    """Questions laid out for the network.

    clock, values: (n, n_points) log of clock over context end, ≤ 0, and values, normalised, padded on the
    right; there: (n, n_points) False on padding; centre, scale: (n,) a value is centre + scale × normalised.
    """

    clock: Floats
    values: Floats
    there: NDArray[np.bool_]
    centre: Floats
    scale: Floats


def lay_out(batch: Batch) -> Laid:
    """Contexts of a batch, at most POINTS averaged points each; one without a point shows its last value."""
    points = batch.points.thinned(POINTS)
    column = np.arange(len(points.x)) - points.start[points.owner]
    width = int(points.count.max(initial=1))
    clock, values = np.zeros((2, batch.n, width))
    there = np.zeros((batch.n, width), dtype=np.bool_)
    clock[points.owner, column], values[points.owner, column] = points.x, points.y
    there[points.owner, column] = True
    empty = points.count == 0
    values[empty, 0], there[empty, 0] = batch.last[empty], True
    return normalised(clock, values, there)


def normalised(clock: Floats, values: Floats, there: NDArray[np.bool_]) -> Laid:
    """Values around the mean of the last RECENT points, over their spread; all (n, n_points)."""
    count = there.sum(axis=1)
    recent = there & (np.arange(there.shape[1]) >= (count - RECENT)[:, None])
    centre = (values * recent).sum(axis=1) / recent.sum(axis=1)
    away = np.where(there, values - centre[:, None], 0.0)
    mean = away.sum(axis=1) / count
    variance = (np.where(there, away - mean[:, None], 0.0) ** 2).sum(axis=1) / count
    scale = np.sqrt(variance + FLOOR**2)
    return Laid(clock, away / scale[:, None], there, centre, scale)


def clock_features(clock: Floats) -> Floats:
    """(…,) log ratios to the context end → (…, 2) what the network reads of them: far and near."""
    return np.stack([clock / FAR, np.tanh(clock)], axis=-1)
