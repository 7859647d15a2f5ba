"""Baselines: last value, mean of the last few, a straight line in log-clock, reference shift."""

from functools import lru_cache

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.features import mean_of_last
from neuneu.forecasters.calibration import CalibratedForecaster

MEAN_POINTS = 5
"""Last values that `mean-k` averages."""
SHIFT_POINTS = 3
"""Last values whose mean references are moved to pass through."""
SMOOTH_POINTS = 5
"""Neighbours that references are averaged over."""
MOST_DOUBLINGS = 60.0
"""Distance at which a reference's weight, halved for each doubling of compute, stops falling."""


class LastValue(CalibratedForecaster):
    """The value at the context end, for ever."""

    name = "last-value"

    def point(self, batch: Batch) -> Floats:
        """Last value, (n_cells,)."""
        return batch.last[batch.cell]


class MeanOfLast(CalibratedForecaster):
    """The mean of the last five values (of all where there are fewer), for ever."""

    name = "mean-k"

    def point(self, batch: Batch) -> Floats:
        """Mean of the last values, (n_cells,)."""
        return mean_of_last(batch, MEAN_POINTS)[batch.cell]


class LogLinear(CalibratedForecaster):
    """A least-squares line in log-clock through all points with a positive clock.

    With fewer than two of them, the last value.
    """

    name = "log-linear"

    def point(self, batch: Batch) -> Floats:
        """The line at each horizon, (n_cells,)."""
        points = batch.points
        total = np.maximum(points.total, 1.0)
        mean_x, mean_y = points.sum(points.x) / total, points.sum(points.y) / total
        dx = points.x - mean_x[points.owner]
        squares = points.sum(dx**2)
        slope = points.sum(dx * (points.y - mean_y[points.owner])) / np.where(squares > 0, squares, 1.0)
        usable = squares > 1e-18
        at_end = np.where(usable, mean_y - slope * mean_x, batch.last)
        return at_end[batch.cell] + np.where(usable, slope, 0.0)[batch.cell] * batch.log_horizon


class ReferenceShift(CalibratedForecaster):
    """The same task's curves of finished smaller runs, moved to pass through the context end.

    Each reference is read in log-clock relative to the runs' ends where both are known (planned end of this
    run, last clock of the reference), else at the same clock; its rise after the context end is added to the
    mean of the last values. Several references are averaged with weights that halve for every factor of two
    in compute (parameters × final clock) that they are away. Declines where there is no reference.
    """

    name = "reference-shift"
    reads = frozenset({"references"})

    def refuse(self, evidence: Evidence) -> str | None:
        """No finished smaller run of the same task."""
        if not any(len(reference) >= 2 for reference in evidence.references):
            return "needs finished smaller runs of the same task and metric; none in the evidence"
        return None

    def point(self, batch: Batch) -> Floats:
        """Mean of the last values plus the references' mean rise, (n_cells,)."""
        now = mean_of_last(batch, SHIFT_POINTS)
        rise = np.zeros(len(batch.cell))
        bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        for i, evidence in enumerate(batch.evidences):
            part = slice(bounds[i], bounds[i + 1])
            rise[part] = reference_rise(evidence, batch.log_horizon[part]) / batch.unit[i]
        return now[batch.cell] + rise


def reference_rise(evidence: Evidence, log_horizon: Floats) -> Floats:
    """Weighted mean rise of the references from the context end to each horizon, (n_horizons,)."""
    references = [reference for reference in evidence.references if len(reference) >= 2]
    weights = [_nearness(evidence, reference) for reference in references]
    rise = np.zeros(len(log_horizon))
    for reference, weight in zip(references, weights, strict=True):
        clock = np.concatenate([[evidence.end], evidence.end * np.exp(log_horizon)])
        if evidence.planned_end:
            clock = clock * (reference.clock[-1] / evidence.planned_end)
        values = _read(reference, clock)
        rise += weight / sum(weights) * (values[1:] - values[0])
    return rise


def _read(reference: Curve, clock: Floats) -> Floats:
    """The reference, smoothed over its neighbours, at these clocks: linear in log-clock, constant outside."""
    moving = reference.clock > 0
    x, y = np.log(reference.clock[moving]), smooth(reference.values[moving])
    return np.interp(np.log(np.maximum(clock, 1e-300)), x, y) if len(x) else np.zeros(len(clock))


def smooth(values: Floats, width: int = SMOOTH_POINTS) -> Floats:
    """Centred running mean along the last axis, (…, n_values), of fewer values near the ends."""
    n = values.shape[-1]
    width = min(width, n)
    after = (width - 1) // 2
    total = np.zeros(values.shape)
    for shift in range(after - width + 1, after + 1):
        begin, end = max(0, -shift), min(n, n - shift)
        total[..., begin:end] += values[..., begin + shift : end + shift]
    return np.asarray(total / _averaged(n, width))


@lru_cache
def _averaged(n: int, width: int) -> Floats:
    """How many of n values a centred window holds at each."""
    return np.convolve(np.ones(n), np.ones(width), "same")


def _nearness(evidence: Evidence, reference: Curve) -> float:
    """2 ** −(doublings of compute between the run and the reference); 1 where that is unknown."""
    own, other = evidence.context.facts.params, reference.facts.params
    end = evidence.planned_end or evidence.end
    if not own or not other or end <= 0:
        return 1.0
    distance = abs(np.log2(own * end) - np.log2(other * max(reference.clock[-1], 1e-300)))
    return float(2.0 ** -min(distance, MOST_DOUBLINGS))
