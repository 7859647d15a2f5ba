"""Laws in the clock, fitted to one context at a time but to all contexts at once.

Points at clock 0 have no log-clock: the laws leave them out. Fewer than two points left, or all at one value,
give the last value.
"""

from dataclasses import dataclass, fields

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch, Points
from neuneu.forecasters.calibration import CalibratedForecaster

EXPONENTS = np.geomspace(0.02, 2.0, 24)
REFINEMENTS = 3
BROKEN_EXPONENTS = np.geomspace(0.03, 1.6, 5)
BREAK_WIDTH = 0.3
BROKEN_POINTS = 32


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
    """Power law a − b · clock ** −c; least squares.

    a is inside the metric's range, c in [0.02, 2] and, where the range is finite (accuracies), b ≥ 0: what
    falls so far is noise around a constant. Where the range is not finite, the law may rise or fall.
    """

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
    """Least squares y ≈ a − b · basis with low ≤ a ≤ high, and b ≥ 0 where high is finite.

    Returns (a, b, sum of squares), each (n,); the last is infinite where the points cannot tell a from b.
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
    flat = np.isfinite(high) & (b < 0)
    b, bounded = np.where(flat, 0.0, b), np.where(flat, mean_y, bounded)
    shift = mean_y + b * mean_g - bounded
    error = np.maximum(yy + 2 * b * gy + b**2 * gg, 0.0) + total * shift**2
    return bounded, b, np.where(known, error, np.inf)


def _better(old: PowerLawFit, new: PowerLawFit) -> PowerLawFit:
    pick = new.error < old.error * (1 - 1e-12)
    return PowerLawFit(*(np.where(pick, getattr(new, k), getattr(old, k)) for k in ("a", "b", "c", "error")))


class BrokenPowerLaw(CalibratedForecaster):
    """Power law whose exponent changes once, smoothly, inside the context (Caballero et al. 2023, one break).

    a − b · u ** −c · (1 + (u / d) ** (1 / f)) ** (−f · change), u = clock / context end, f = `BREAK_WIDTH`;
    least squares over a grid of c, change and d with (a, b) in closed form. The exponents before and after
    the break, c and c + change, are in [0.02, 2]. Where the break does not lower the Bayesian information
    criterion, the plain power law is used.
    """

    name = "broken-power-law"

    def point(self, batch: Batch) -> Floats:
        """The law at each horizon, (n_cells,)."""
        points = batch.points.thinned(BROKEN_POINTS)
        plain = fit_power_law(points, batch.low, batch.high)
        broken = fit_broken_power_law(points, batch.low, batch.high)
        law = np.where(
            _worth_three_more(points, plain.error, broken.error)[batch.cell],
            broken.at(batch.log_horizon, batch.cell),
            plain.at(batch.log_horizon, batch.cell),
        )
        return np.where(np.isfinite(plain.error)[batch.cell], law, batch.last[batch.cell])


@dataclass(frozen=True)
class BrokenPowerLawFit:
    """Parameters of the broken power law of each question, (n,); log_break: log d; error: sum of squares."""

    a: Floats
    b: Floats
    before: Floats
    after: Floats
    log_break: Floats
    error: Floats

    def at(self, log_ratio: Floats, which: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Floats:
        """Value at log(clock / context end), for the question of each."""
        basis = _broken_basis(log_ratio, self.before[which], self.after[which], self.log_break[which])
        return self.a[which] - self.b[which] * basis


def fit_broken_power_law(points: Points, low: Floats, high: Floats) -> BrokenPowerLawFit:
    """Grid over exponents before and after and over where the break is, then one finer round."""
    n = points.n
    first = np.zeros(n)
    np.minimum.at(first, points.owner, points.x)
    zero = np.zeros(n)
    best = BrokenPowerLawFit(zero, zero, zero, zero, zero, np.full(n, np.inf))
    places = np.linspace(0.15, 0.85, 6)
    for before in BROKEN_EXPONENTS:
        for after in BROKEN_EXPONENTS:
            if after == before:
                continue
            for place in places:
                trial = (np.full(n, before), np.full(n, after), first * (1 - place))
                best = _try_broken(points, trial, low, high, best)
    ratio = (BROKEN_EXPONENTS[1] / BROKEN_EXPONENTS[0]) ** (1 / 3)
    width = -first * (places[1] - places[0]) / 3
    for _ in range(4):
        for left in (1 / ratio, 1.0, ratio):
            for right in (1 / ratio, 1.0, ratio):
                for move in (-1.0, 0.0, 1.0):
                    trial = (
                        np.clip(best.before * left, 0.02, 2.0),
                        np.clip(best.after * right, 0.02, 2.0),
                        np.clip(best.log_break + move * width, first, 0.0),
                    )
                    best = _try_broken(points, trial, low, high, best)
        ratio, width = ratio ** (1 / 3), width / 3
    return best


def _try_broken(
    points: Points, trial: tuple[Floats, Floats, Floats], low: Floats, high: Floats, best: BrokenPowerLawFit
) -> BrokenPowerLawFit:
    before, after, log_break = trial
    owner = points.owner
    basis = _broken_basis(points.x, before[owner], after[owner], log_break[owner])
    a, b, error = solve_bounded(points, basis, low, high)
    pick = error < best.error * (1 - 1e-12)
    new = BrokenPowerLawFit(a, b, before, after, log_break, error)
    names = [field.name for field in fields(BrokenPowerLawFit)]
    return BrokenPowerLawFit(**{k: np.where(pick, getattr(new, k), getattr(best, k)) for k in names})


def _broken_basis(x: Floats, before: Floats, after: Floats, log_break: Floats) -> Floats:
    bend = BREAK_WIDTH * np.logaddexp(0.0, (x - log_break) / BREAK_WIDTH)
    return np.asarray(np.exp(-before * x - (after - before) * bend), dtype=np.float64)


def _worth_three_more(
    points: Points, plain: Floats, broken: Floats
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Whether two more parameters and the choice of a break lower the information criterion, (n,)."""
    count = np.maximum(points.count, 1)
    tiny = 1e-16
    both = np.isfinite(plain) & np.isfinite(broken)
    ratio = np.where(both, plain + tiny, 1.0) / np.where(both, broken + tiny, 1.0)
    return np.asarray(both & (count >= 7) & (count * np.log(ratio) > 3 * np.log(count)))
