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
"""Exponents that are tried first; the law's are between the first and the last."""
REFINEMENTS = 3
"""Times that the grid around the best exponent is made finer, by the third root of its ratio."""
BROKEN_EXPONENTS = np.geomspace(0.03, 1.6, 5)
"""Exponents before and after a break that are tried first."""
BROKEN_PLACES = np.linspace(0.15, 0.85, 6)
"""Places of a break that are tried first, as shares of the context's span of log-clock."""
BROKEN_REFINEMENTS = 4
"""Times that the grid around the best broken law is made finer."""
BREAK_WIDTH = 0.3
"""Log-clock over which the exponent changes: a factor of 1.35 each way."""
BROKEN_POINTS = 32
"""Contexts are averaged into so many points for the broken law, whose grid is large."""
FEWEST_BROKEN = 7
"""A break is considered with so many points: five parameters, and two to spare."""
EXTRA_PARAMETERS = 3
"""What a break costs in the information criterion: an exponent, its place, and the choice of it."""
LEAST_SPREAD = 1e-18
"""Spread of the basis, over its square, from which a and b can be told apart in float64."""
BETTER = 1 - 1e-12
"""A new fit replaces the best where its error is below this times the best's: not for rounding alone."""
TINY_ERROR = 1e-16
"""Added to sums of squares, in squares of units, before a log is taken of their ratio."""


CELLS_AT_ONCE = 1_000_000
"""So many points times exponents are tried at once: bounds memory."""
FITTED = ("a", "b", "c", "error")


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
    if not n:
        return best
    rows = max(1, CELLS_AT_ONCE // (len(EXPONENTS) * max(1, int(points.count.max()))))
    parts = [slice(start, start + rows) for start in range(0, n, rows)]
    fits = [_fit_rows(_Rows.of(points, part), low[part], high[part]) for part in parts]
    return PowerLawFit(*(np.concatenate([getattr(fit, k) for fit in fits]) for k in FITTED))


def _fit_rows(rows: "_Rows", low: Floats, high: Floats) -> PowerLawFit:
    n = len(rows.x)
    best = PowerLawFit(np.zeros(n), np.zeros(n), np.ones(n), np.full(n, np.inf))
    best = _try(rows, np.repeat(EXPONENTS[:, None], n, axis=1), low, high, best)
    ratio = EXPONENTS[1] / EXPONENTS[0]
    for _ in range(REFINEMENTS):
        ratio = ratio ** (1 / 3)
        factors = np.array([ratio**-2, ratio**-1, ratio, ratio**2])
        c = np.clip(best.c * factors[:, None], EXPONENTS[0], EXPONENTS[-1])
        best = _try(rows, c, low, high, best)
    return best


@dataclass(frozen=True, eq=False)
class _Rows:
    """Points of questions, a row each, (n, most points): x; y off the question's mean; weight, 0 beyond its
    last point; mean and total weight, (n,), at least 1."""

    x: Floats
    y: Floats
    weight: Floats
    mean: Floats
    total: Floats

    @classmethod
    def of(cls, points: Points, part: slice) -> "_Rows":
        """The points of these questions."""
        count, start = points.count[part], points.start[part]
        place = np.arange(int(count.max(initial=0)))
        there = place < count[:, None]
        at = np.where(there, start[:, None] + place, 0)
        x, y, weight = (
            np.where(there, values[at], 0.0) if len(values) else np.zeros(at.shape)
            for values in (points.x, points.y, points.weight)
        )
        total = np.maximum(weight.sum(axis=1), 1.0)
        mean = (weight * y).sum(axis=1) / total
        return cls(x, y - mean[:, None], weight, mean, total)


def _try(rows: _Rows, c: Floats, low: Floats, high: Floats, best: PowerLawFit) -> PowerLawFit:
    """The best law of these exponents, (n_tried, n), where it is better than the best so far."""
    basis = np.exp(-c[:, :, None] * rows.x)
    weighed = basis * rows.weight
    mean_g = weighed.sum(axis=2) / rows.total
    off = basis - mean_g[:, :, None]
    s_gg = np.einsum("enp,enp,np->en", off, off, rows.weight)
    s_gy = np.einsum("enp,np->en", off, rows.weight * rows.y)
    s_yy = (rows.weight * rows.y**2).sum(axis=1)
    a, b, error = _bounded(rows.total, mean_g, rows.mean, s_gg, s_gy, s_yy, low, high)
    for fit in zip(a, b, c, error, strict=True):
        best = _better(best, PowerLawFit(*fit))
    return best


def solve_bounded(points: Points, basis: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares y ≈ a − b g with low ≤ a ≤ high, and b ≥ 0 where high is finite, in closed form.

    basis: (n_points,) g at each point; low, high: (n,). Returns (a, b, sum of squares), each (n,); the last
    is infinite where the points cannot tell a from b. With means ȳ, ḡ and sums of squares about them, the
    free solution is b = −Sgy / Sgg, a = ȳ + b ḡ. Where that a is out of bounds, a is the bound and
    b = Σ (a − y) g / Σ g²; where b is then below 0 and must not be, b = 0 and a = ȳ. The error is
    Syy + 2 b Sgy + b² Sgg + n (ȳ + b ḡ − a)².
    """
    total = np.maximum(points.total, 1.0)
    mean_g, mean_y = points.sum(basis) / total, points.sum(points.y) / total
    dg, dy = basis - mean_g[points.owner], points.y - mean_y[points.owner]
    s_gg, s_gy, s_yy = points.sum(dg**2), points.sum(dg * dy), points.sum(dy**2)
    return _bounded(total, mean_g, mean_y, s_gg, s_gy, s_yy, low, high)


def _bounded(
    total: Floats,
    mean_g: Floats,
    mean_y: Floats,
    s_gg: Floats,
    s_gy: Floats,
    s_yy: Floats,
    low: Floats,
    high: Floats,
) -> tuple[Floats, Floats, Floats]:
    """`solve_bounded` from total weight, means and sums of squares about them, (…, n)."""
    known = s_gg > LEAST_SPREAD * np.maximum(mean_g**2 * total, 1e-300)
    b = -s_gy / np.where(known, s_gg, 1.0)
    free = mean_y + b * mean_g
    a = np.clip(free, low, high)
    sum_g2 = s_gg + total * mean_g**2
    at_bound = ((a - mean_y) * mean_g * total - s_gy) / np.where(known, sum_g2, 1.0)
    b = np.where(a == free, b, at_bound)
    flat = np.isfinite(high) & (b < 0)
    b, a = np.where(flat, 0.0, b), np.where(flat, mean_y, a)
    shift = mean_y + b * mean_g - a
    error = np.maximum(s_yy + 2 * b * s_gy + b**2 * s_gg, 0.0) + total * shift**2
    return a, b, np.where(known, error, np.inf)


def _better(old: PowerLawFit, new: PowerLawFit) -> PowerLawFit:
    pick = new.error < old.error * BETTER
    return PowerLawFit(*(np.where(pick, getattr(new, k), getattr(old, k)) for k in FITTED))


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
            _break_is_worth(points, plain.error, broken.error)[batch.cell],
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
    for before in BROKEN_EXPONENTS:
        for after in BROKEN_EXPONENTS:
            if after == before:
                continue
            for place in BROKEN_PLACES:
                trial = (np.full(n, before), np.full(n, after), first * (1 - place))
                best = _try_broken(points, trial, low, high, best)
    ratio = (BROKEN_EXPONENTS[1] / BROKEN_EXPONENTS[0]) ** (1 / 3)
    width = -first * (BROKEN_PLACES[1] - BROKEN_PLACES[0]) / 3
    for _ in range(BROKEN_REFINEMENTS):
        for left in (1 / ratio, 1.0, ratio):
            for right in (1 / ratio, 1.0, ratio):
                for move in (-1.0, 0.0, 1.0):
                    trial = (
                        np.clip(best.before * left, EXPONENTS[0], EXPONENTS[-1]),
                        np.clip(best.after * right, EXPONENTS[0], EXPONENTS[-1]),
                        np.clip(best.log_break + move * width, first, 0.0),
                    )
                    best = _try_broken(points, trial, low, high, best)
        ratio, width = ratio ** (1 / 3), width / 3
    return best


def _try_broken(
    points: Points, trial: tuple[Floats, Floats, Floats], low: Floats, high: Floats, best: BrokenPowerLawFit
) -> BrokenPowerLawFit:
    """The better of the best so far and the best law of these exponents and breaks, (n,) each."""
    before, after, log_break = trial
    owner = points.owner
    basis = _broken_basis(points.x, before[owner], after[owner], log_break[owner])
    a, b, error = solve_bounded(points, basis, low, high)
    pick = error < best.error * BETTER
    new = BrokenPowerLawFit(a, b, before, after, log_break, error)
    names = [field.name for field in fields(BrokenPowerLawFit)]
    return BrokenPowerLawFit(**{k: np.where(pick, getattr(new, k), getattr(best, k)) for k in names})


def _broken_basis(x: Floats, before: Floats, after: Floats, log_break: Floats) -> Floats:
    """What b multiplies at x = log u, (n_points,) each: u ** −before, and ∝ u ** −after behind the break."""
    bend = BREAK_WIDTH * np.logaddexp(0.0, (x - log_break) / BREAK_WIDTH)
    return np.asarray(np.exp(-before * x - (after - before) * bend), dtype=np.float64)


def _break_is_worth(
    points: Points, plain: Floats, broken: Floats
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Whether a break lowers the Bayesian information criterion, (n,)."""
    count = np.maximum(points.count, 1)
    both = np.isfinite(plain) & np.isfinite(broken)
    ratio = np.where(both, plain + TINY_ERROR, 1.0) / np.where(both, broken + TINY_ERROR, 1.0)
    return np.asarray(
        both & (count >= FEWEST_BROKEN) & (count * np.log(ratio) > EXTRA_PARAMETERS * np.log(count))
    )
