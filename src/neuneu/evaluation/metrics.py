"""Scores of forecasts, their averages over curves, runs and sources, and intervals by bootstrap over runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.forecasters.base import LEVELS

Bools = NDArray[np.bool_]
Index = NDArray[np.intp]

PINBALL_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Levels that the pinball loss averages: those that every method, the published ones too, can give."""

INTERVALS = {50: (0.25, 0.75), 80: (0.1, 0.9), 90: (0.05, 0.95)}
"""Nominal coverage in per cent → the levels of its central interval."""

SCORES = ("mae", "mse", "pinball", *(f"{kind}{c}" for c in INTERVALS for kind in ("coverage", "width")))
"""Names of the columns of `score_cells`."""

N_DRAWS = 1000


def pinball_loss(quantiles: Floats, values: Floats, levels: Sequence[float]) -> Floats:
    """Mean pinball (quantile) loss of each forecast over the levels, (n,).

    quantiles: (n, n_levels); values: (n,); levels in (0, 1). max(τ(y − q), (τ − 1)(y − q));
    Koenker & Bassett 1978.
    """
    error = values[:, None] - quantiles
    tau = np.asarray(levels)
    return np.asarray(np.maximum(tau * error, (tau - 1) * error).mean(axis=1))


def score_cells(quantiles: Floats, values: Floats) -> Floats:
    """Scores of each cell, (n_cells, len(SCORES)), in the metric's own units.

    quantiles: (n_cells, len(LEVELS)), NaN where a method does not give a level: the scores that need it are
    NaN. A value on the edge of an interval is inside it.
    """
    column = {level: quantiles[:, LEVELS.index(level)] for level in LEVELS}
    error = values - column[0.5]
    asked = np.stack([column[level] for level in PINBALL_LEVELS], axis=1)
    scores = [np.abs(error), error**2, pinball_loss(asked, values, PINBALL_LEVELS)]
    for low, high in INTERVALS.values():
        width = column[high] - column[low]
        inside = (values >= column[low]) & (values <= column[high])
        scores += [np.where(np.isfinite(width), inside, np.nan), width]
    return np.stack(scores, axis=1)


@dataclass(frozen=True)
class Grouping:
    """Where cells belong: cells → curves → runs → sources, every code counting from 0.

    curve: (n_cells,) curve of each cell; run: (n_curves,) run of each curve; source: (n_runs,) source of each
    run. A run of two sources is two runs.
    """

    curve: Index
    run: Index
    source: Index

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return int(self.source.max(initial=-1)) + 1


@dataclass(frozen=True)
class Averages:
    """Mean scores of each source, as measured and in bootstrap draws.

    point: (n_sources, n_scores); draws: (n_draws, n_sources, n_scores); NaN for a source without cells.
    """

    point: Floats
    draws: Floats

    def overall(self) -> "Averages":
        """The unweighted mean over sources that have cells, as if it were one source."""
        return Averages(_mean(self.point, 0)[None], _mean(self.draws, 1)[:, None])


def curve_means(scores: Floats, grouping: Grouping, keep: Bools | None = None) -> Floats:
    """Mean over the (kept) cells of each curve, (n_curves, n_scores); NaN for a curve without one."""
    chosen = np.ones(len(scores), dtype=bool) if keep is None else keep
    curve, n = grouping.curve[chosen], len(grouping.run)
    count = np.bincount(curve, minlength=n).astype(np.float64)
    sums = [np.bincount(curve, weights=column, minlength=n) for column in scores[chosen].T]
    with np.errstate(invalid="ignore"):
        return np.stack(sums, axis=1) / count[:, None]


def average(per_curve: Floats, grouping: Grouping, weights: Floats) -> Averages:
    """Mean over the curves of each source, with bootstrap draws that take whole runs.

    per_curve: (n_curves, n_scores) from `curve_means`; weights: (n_draws, n_runs) from `draw_runs`.
    A score that a curve lacks (NaN) is left out of its source's mean; where all lack it the mean is NaN.
    """
    known = np.isfinite(per_curve)
    n_runs = len(grouping.source)
    sums = _sum_by(np.where(known, per_curve, 0.0), grouping.run, n_runs)
    counts = _sum_by(known.astype(np.float64), grouping.run, n_runs)
    every = np.concatenate([np.ones((1, n_runs)), weights])
    means = np.full((len(every), grouping.n_sources, per_curve.shape[1]), np.nan)
    for source in range(grouping.n_sources):
        of = np.flatnonzero(grouping.source == source)
        with np.errstate(invalid="ignore"):
            means[:, source] = (every[:, of] @ sums[of]) / (every[:, of] @ counts[of])
    return Averages(means[0], means[1:])


def draw_runs(source: Index, seed: int = 0, n_draws: int = N_DRAWS) -> Floats:
    """How often each run is taken when the runs of each source are drawn with replacement.

    source: (n_runs,) source of each run. Returns (n_draws, n_runs); the same draws serve every forecaster,
    so that differences between them are paired.
    """
    weights = np.zeros((n_draws, len(source)))
    for code in np.unique(source):
        of = np.flatnonzero(source == code)
        random = np.random.default_rng([seed, int(code)])
        weights[:, of] = random.multinomial(len(of), np.full(len(of), 1 / len(of)), size=n_draws)
    return weights


def interval(draws: Floats, coverage: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of draws, (n_draws,); None where most have no value or all agree."""
    known = draws[np.isfinite(draws)]
    if len(known) < len(draws) / 2 or not len(known) or known.min() == known.max():
        return None
    low, high = np.quantile(known, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def binomial_noise(future: Floats, n_items: int | None) -> float:
    """Mean E|noise| of accuracies on n_items questions: √(2/π) · √(v(1 − v)/n); NaN if n is unknown."""
    if not n_items or not len(future):
        return float("nan")
    return float(np.sqrt(2 / np.pi) * np.sqrt(future * (1 - future) / n_items).mean())


def ranking_accuracy(
    predicted: Floats, true: Floats, pairs: NDArray[np.intp], weights: Floats
) -> tuple[float, Floats]:
    """Share of pairs whose order is predicted, and the same in bootstrap draws.

    predicted, true: (n,) final values; pairs: (n_pairs, 2) indices into them; weights: (n_draws, n) how often
    each item is drawn (a pair counts the product). Pairs that are truly tied are left out; a predicted tie
    counts one half. NaN without a pair.
    """
    i, j = pairs[true[pairs[:, 0]] != true[pairs[:, 1]]].T
    right = np.sign(predicted[i] - predicted[j]) * np.sign(true[i] - true[j]) / 2 + 0.5
    draws = np.full(len(weights), np.nan)
    for k, row in enumerate(weights):
        both = row[i] * row[j]
        if both.sum() > 0:
            draws[k] = both @ right / both.sum()
    return (float(right.mean()) if len(right) else float("nan")), draws


def skill(mae: Floats, reference: Floats) -> Floats:
    """1 − MAE / reference MAE: 0 as good, 1 perfect, < 0 worse; NaN where the reference does not err."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(reference > 0, 1 - mae / reference, np.nan)


def named(row: Floats) -> Mapping[str, float]:
    """Scores by name, with rmse in place of mse."""
    scores = dict(zip(SCORES, row.tolist(), strict=True))
    mse = scores.pop("mse")
    return {"mae": scores.pop("mae"), "rmse": float(np.sqrt(mse)), **scores}


def _sum_by(values: Floats, code: Index, n: int) -> Floats:
    return np.stack([np.bincount(code, weights=column, minlength=n) for column in values.T], axis=1)


def _mean(values: Floats, axis: int) -> Floats:
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=axis) / count)
