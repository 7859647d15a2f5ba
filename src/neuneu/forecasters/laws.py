"""Laws in the clock, fitted to one context at a time but to all contexts at once.

Points at clock 0 have no log-clock: the laws leave them out. Fewer than two points left, or all at one value,
give the last value.
"""

from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.forecasters.batch import Batch, Points
from neuneu.forecasters.calibration import CalibratedForecaster

EXPONENTS = np.geomspace(0.02, 2.0, 24)
REFINEMENTS = 3


@dataclass(frozen=True)
class PowerLawFit:
    """a − b · (clock / context end) ** −c of each question; error: sum of squares. All (n,)."""

    a: Floats
    b: Floats
    c: Floats
    error: Floats

    def at(self, log_ratio: Floats, which: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Floats:
        """Value at log(clock / context end), for the question of each."""
        return self.a[which] - self.b[which] * np.exp(-self.c[which] * log_ratio)


class PowerLaw(CalibratedForecaster):
    """Power law a − b · clock ** −c with a inside the metric's range and c in [0.02, 2]; least squares."""

    name = "power-law"

    def point(self, batch: Batch) -> Floats:
        """The law at each horizon, (n_cells,)."""
        fit = fit_power_law(batch.points.thinned(), batch.low, batch.high)
        law = fit.at(batch.log_horizon, batch.cell)
        return np.where(np.isfinite(fit.error)[batch.cell], law, batch.last[batch.cell])


def fit_power_law(points: Points, low: Floats, high: Floats) -> PowerLawFit:
    """Variable projection: a grid of c, for each the best bounded (a, b) in closed form; c then refined.

    low, high: (n,) range of a. error is infinite where there are fewer than two points.
    """
    n = points.n
    best = PowerLawFit(np.zeros(n), np.zeros(n), np.ones(n), np.full(n, np.inf))
    for c in EXPONENTS:
        best = _better(best, _project(points, np.full(n, c), low, high))
    ratio = EXPONENTS[1] / EXPONENTS[0]
    for _ in range(REFINEMENTS):
        centre, ratio = best.c, ratio ** (1 / 3)
        for factor in (ratio**-2, ratio**-1, ratio, ratio**2):
            c = np.clip(centre * factor, EXPONENTS[0], EXPONENTS[-1])
            best = _better(best, _project(points, c, low, high))
    return best


def _project(points: Points, c: Floats, low: Floats, high: Floats) -> PowerLawFit:
    basis = np.exp(-c[points.owner] * points.x)
    a, b, error = solve_bounded(points, basis, low, high)
    return PowerLawFit(a, b, c, error)


def solve_bounded(points: Points, basis: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares y ≈ a − b · basis with low ≤ a ≤ high; (a, b, sum of squares), each (n,).

    The sum of squares is infinite where the points cannot tell a from b.
    """
    total = np.maximum(points.total, 1.0)
    mean_g, mean_y = points.sum(basis) / total, points.sum(points.y) / total
    dg, dy = basis - mean_g[points.owner], points.y - mean_y[points.owner]
    gg, gy, yy = points.sum(dg**2), points.sum(dg * dy), points.sum(dy**2)
    known = gg > 1e-18 * np.maximum(mean_g**2 * total, 1e-300)
    b = -gy / np.where(known, gg, 1.0)
    a = mean_y + b * mean_g
    bounded = np.clip(a, low, high)
    squares = gg + total * mean_g**2
    b = np.where(bounded == a, b, ((bounded - mean_y) * mean_g * total - gy) / np.where(known, squares, 1.0))
    shift = mean_y + b * mean_g - bounded
    error = np.maximum(yy + 2 * b * gy + b**2 * gg, 0.0) + total * shift**2
    return bounded, b, np.where(known, error, np.inf)


def _better(old: PowerLawFit, new: PowerLawFit) -> PowerLawFit:
    pick = new.error < old.error * (1 - 1e-12)
    return PowerLawFit(*(np.where(pick, getattr(new, k), getattr(old, k)) for k in ("a", "b", "c", "error")))
