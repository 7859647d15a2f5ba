"""Baselines: last value, mean of the last few, a straight line in log-clock, reference shift."""

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.forecasters.batch import Batch
from neuneu.forecasters.calibration import CalibratedForecaster
from neuneu.forecasters.features import mean_of_last

MEAN_POINTS = 5


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
        level = np.where(usable, mean_y - slope * mean_x, batch.last)
        return level[batch.cell] + np.where(usable, slope, 0.0)[batch.cell] * batch.log_horizon
