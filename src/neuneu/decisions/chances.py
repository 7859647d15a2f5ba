"""Probabilities from quantiles: who is ahead, who is best, how likely a target is. Sampling-free."""

from collections.abc import Sequence

import numpy as np

from neuneu.curves.curve import Floats

N_POINTS = 512
"""Equally likely values that stand for a forecast's distribution."""


def spread(
    quantiles: Floats, levels: Sequence[float], low: float, high: float, n_points: int = N_POINTS
) -> Floats:
    """Equally likely values of a forecast, (n_points,), increasing, inside [low, high].

    quantiles: (n_levels,). Between two levels the quantile function is linear; beyond the outermost it goes
    on at the slope of the outermost pair.
    """
    tau = np.asarray(levels, dtype=np.float64)
    if len(tau) > 1:
        left = quantiles[0] - (quantiles[1] - quantiles[0]) / (tau[1] - tau[0]) * tau[0]
        right = quantiles[-1] + (quantiles[-1] - quantiles[-2]) / (tau[-1] - tau[-2]) * (1 - tau[-1])
    else:
        left = right = quantiles[0]
    middle = (np.arange(n_points) + 0.5) / n_points
    values = np.interp(middle, [0.0, *tau, 1.0], [left, *quantiles, right])
    return np.asarray(np.clip(values, low, high))


def below(points: Floats, values: Floats) -> Floats:
    """Share of equally likely points below each value, a tie counted half. points: increasing."""
    left, right = np.searchsorted(points, values, "left"), np.searchsorted(points, values, "right")
    return np.asarray((left + right) / (2 * len(points)))


def win_probabilities(points: Floats) -> Floats:
    """P(run i beats run j) for independent runs, (n_runs, n_runs); ½ on the diagonal and for sure ties.

    points: (n_runs, n_points), each row increasing.
    """
    wins = np.array([[below(other, own).mean() for other in points] for own in points])
    np.fill_diagonal(wins, 0.5)
    return wins


def best_probabilities(points: Floats) -> Floats:
    """P(run i is the best) for independent runs, (n_runs,), summing to 1; ties are shared.

    points: (n_runs, n_points), each row increasing. ∫ Π_{j≠i} F_j dF_i.
    """
    n = len(points)
    chance = np.array(
        [np.prod([below(points[j], points[i]) for j in range(n) if j != i], axis=0).mean() for i in range(n)]
    )
    total = chance.sum()
    return np.asarray(chance / total if total > 0 else np.full(n, 1 / n))


def reach_probability(points: Floats, target: float) -> float:
    """P(value ≥ target) of equally likely, increasing points."""
    return float(1 - np.searchsorted(points, target, "left") / len(points))


def expected_excess(points: Floats, target: float) -> float:
    """E[(value − target)⁺]: what would be forgone on average by not finding out."""
    return float(np.maximum(points - target, 0).mean())
