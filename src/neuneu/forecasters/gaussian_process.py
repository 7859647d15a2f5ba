"""A Gaussian process in log-clock around the power law."""

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch, Points
from neuneu.forecasters.calibration import CalibratedForecaster
from neuneu.forecasters.laws import fit_power_law

POINTS = 24
"""Contexts are averaged into at most so many points; cost grows with the cube."""
LENGTHS = (0.3, 1.0, 3.0)
SIGNALS = (0.0, 0.3, 1.0, 4.0)
"""Length scales in log-clock, and variances of the process over that of the noise, that are tried."""
CHUNK = 2048
"""Questions solved at once: bounds memory."""
LEAST_VARIANCE, BETTER = 1e-16, 1e-9
"""Floor of the noise's variance; by how much a likelihood must be higher to be taken: not rounding alone."""


class GaussianProcess(CalibratedForecaster):
    """Power-law mean and a Matérn 3/2 process in log-clock for what departs from it.

    Length scale and signal of each context are those of highest marginal likelihood on a grid, the noise in
    closed form. Far from the context the forecast returns to the power law.
    """

    name = "gaussian-process"

    def point(self, batch: Batch) -> Floats:
        """Power law plus the process's mean at each horizon, (n_cells,)."""
        points = batch.points.thinned(POINTS)
        fit = fit_power_law(points, batch.low, batch.high)
        usable = np.isfinite(fit.error)
        residual = np.where(usable[points.owner], points.y - fit.at(points.x, points.owner), 0.0)
        law = np.where(usable[batch.cell], fit.at(batch.log_horizon, batch.cell), batch.last[batch.cell])
        return law + _process_mean(points, residual, batch)


def _process_mean(points: Points, residual: Floats, batch: Batch) -> Floats:
    added = np.zeros(len(batch.cell))
    for start in range(0, batch.n, CHUNK):
        stop = min(start + CHUNK, batch.n)
        x, r, there = _padded(points, residual, start, stop)
        alpha, length, signal = _most_likely(x, r, there)
        cells = slice(*np.searchsorted(batch.cell, [start, stop]))
        which = batch.cell[cells] - start
        distance = np.abs(batch.log_horizon[cells, None] - x[which])
        kernel = signal[which, None] * _matern(distance / length[which, None]) * there[which]
        added[cells] = np.sum(kernel * alpha[which], axis=1)
    return added


def _most_likely(x: Floats, r: Floats, there: Floats) -> tuple[Floats, Floats, Floats]:
    """(K⁻¹ r, length scale, signal) of highest marginal likelihood; (n, p), (n,), (n,).

    x, r, there: (n, p) log-clock, residuals, 1 where there is a point. With K = signal · Matérn + 1 and the
    noise σ² = rᵀ K⁻¹ r / n in closed form, the likelihood is −½ (n log σ² + log |K|) but for a constant
    (Rasmussen & Williams 2006, equation 2.30).
    """
    n, p = x.shape
    count = np.maximum(there.sum(axis=1), 1.0)
    alpha, length, signal = np.zeros((n, p)), np.ones(n), np.zeros(n)
    best = np.full(n, -np.inf)
    distance = np.abs(x[:, :, None] - x[:, None, :])
    mask = there[:, :, None] * there[:, None, :]
    for trial_length in LENGTHS:
        correlation = _matern(distance / trial_length) * mask
        for trial_signal in SIGNALS:
            covariance = trial_signal * correlation + np.eye(p)
            factor = np.linalg.cholesky(covariance)
            solved = np.linalg.solve(covariance, r[:, :, None])[:, :, 0]
            variance = np.maximum(np.sum(r * solved, axis=1) / count, LEAST_VARIANCE)
            log_determinant = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
            likelihood = -0.5 * (count * np.log(variance) + log_determinant)
            pick = likelihood > best + BETTER
            best = np.where(pick, likelihood, best)
            alpha = np.where(pick[:, None], solved, alpha)
            length, signal = np.where(pick, trial_length, length), np.where(pick, trial_signal, signal)
    return alpha, length, signal


def _padded(points: Points, residual: Floats, start: int, stop: int) -> tuple[Floats, Floats, Floats]:
    """Log-clock, residuals and whether there is a point, each (stop − start, POINTS), padded with 0."""
    part = slice(*np.searchsorted(points.owner, [start, stop]))
    row = points.owner[part] - start
    column = np.arange(len(points.x))[part] - points.start[points.owner[part]]
    arrays = np.zeros((3, stop - start, POINTS))
    for array, values in zip(arrays, (points.x[part], residual[part], np.ones(len(row))), strict=True):
        array[row, column] = values
    return arrays[0], arrays[1], arrays[2]


def _matern(distance: Floats) -> Floats:
    scaled = np.sqrt(3.0) * distance
    return np.asarray((1.0 + scaled) * np.exp(-scaled), dtype=np.float64)
