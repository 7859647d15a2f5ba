"""Runs of one size and budget inform each other: how their differences today carry over to their ends.

A forecast of one run errs together with those of its peers: whatever the trend does, it does to all of them.
What decides between two is how far apart they are today, and, the more of the run lies behind, how far apart
their forecasts are. With m the median at the end, k the mean of the last checkpoints, s the share of the run
that is seen and σ the deviation of the forecast, run i beats its peer j with probability

    Φ(c · (s · (mᵢ − mⱼ) + (PRESENT + PRESENT_MORE · s) · (kᵢ − kⱼ)) / √(σᵢ² + σⱼ²)).

c tells how differences of today carry over. Where peers are farther apart than noise sets them, differences
are of the recipes and grow as training goes on; where they are not, they are draws of noise and vanish:
c = r ^ (CARRY · (1 − s)), within 1 / MOST_CARRIED and MOST_CARRIED, where r is the separation of the peers
(`separation`), over all tasks that they have.

Peers are in flight and at one clock (`same_clock`). Runs of other sizes differ by their medians. Over several
benchmarks m and k are weighted means and σ that of independent errors: what the errors of a run's tasks have
in common, those of its peers have too.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.noise import checkpoint_deviation
from neuneu.decisions.chances import N_POINTS
from neuneu.evaluation.metrics import Index
from neuneu.forecasters.base import LEVELS
from neuneu.forecasters.baselines import MEAN_POINTS

PRESENT, PRESENT_MORE = 0.35, 0.3
"""Weight of today's difference at the start of a run, and how much more at its end. Chosen by Brier score and
reliability on four open sources (open_sci_ref, multisynt, physicslm4, home; contexts 0.1 to 0.7)."""

CARRY, MOST_CARRIED = 0.7, 2.0
"""Exponent of the separation at the start of a run, and the factor by which it changes a difference at most.
Chosen on these four, pythia_v1 and polypythia_blimp (docs/decisions.md says what was tried)."""

CARRY_PRIOR = 2.0
"""A separation of 1 counts as much as so many degrees of freedom before anything is seen."""

NOISE_POINTS = 12
"""Noise between checkpoints is told from at most so many of the last ones."""

SAME_CLOCK = 0.25
"""Runs in flight are at one clock where the later is at most this share ahead of the earlier."""

FEWEST_SPREAD = 1e-4
"""Deviation of a forecast at least: what is measured on finitely many items is never known better."""

_WIDTH80 = float(norm.ppf(0.9) - norm.ppf(0.1))
_Q10, _Q90 = LEVELS.index(0.1), LEVELS.index(0.9)


def deviation(quantiles: Floats) -> Floats:
    """Standard deviation of the normal distribution with these 10 and 90 % quantiles.

    quantiles: (…, len(LEVELS)); returns (…,), at least FEWEST_SPREAD.
    """
    return np.maximum((quantiles[..., _Q90] - quantiles[..., _Q10]) / _WIDTH80, FEWEST_SPREAD)


def present_level(context: Curve) -> float:
    """The mean of the last MEAN_POINTS checkpoints."""
    return float(context.values[-MEAN_POINTS:].mean())


def present_noise(context: Curve) -> float:
    """Standard deviation of single checkpoints over the last NOISE_POINTS; NaN under three."""
    if len(context) < 3:
        return math.nan
    return checkpoint_deviation(context.clock[-NOISE_POINTS:], context.values[-NOISE_POINTS:])


def separation(tasks: Sequence[tuple[Floats, Floats]]) -> float:
    """How far peers are apart today against the noise of their checkpoints, r > 0.

    r² = N / (N + P) · Σ (k − k̄)² / Σ (n − 1) ν² + P / (N + P), summed over tasks, N = Σ (n − 1), P =
    CARRY_PRIOR. tasks: of each the levels k and the noises ν of n peers, (n,) each; one with an unknown noise
    does not count. 1 where nothing can be told.
    """
    between = within = free = 0.0
    for levels, noises in tasks:
        if len(levels) > 1 and np.isfinite(noises).all():
            between += float(np.var(levels)) * len(levels)
            within += (len(levels) - 1) * float(np.mean(noises**2))
            free += len(levels) - 1
    ratio = between / within if within > 0 else 1.0
    return math.sqrt((ratio * free + CARRY_PRIOR) / (free + CARRY_PRIOR))


def same_clock(ends: Floats, codes: Index) -> Index:
    """Groups of peers parted by their clock: codes, (n_runs,), that runs have in common who are at one clock.

    ends: clock of each context end; codes: of size and budget.
    """
    found = np.empty(len(ends), dtype=np.intp)
    last, first, code = -1, 0.0, -1
    for place in np.lexsort((ends, codes)).tolist():
        if codes[place] != last or ends[place] > (1 + SAME_CLOCK) * first:
            last, first, code = int(codes[place]), float(ends[place]), code + 1
        found[place] = code
    return found


def contest_points(
    medians: Floats, levels: Floats, deviations: Floats, shares: Floats, groups: Index, apart: Floats
) -> Floats:
    """Equally likely end values of each run as they compete, (n_runs, N_POINTS), rows increasing.

    medians: at the end; levels: today, see `present_level`; deviations: of the forecasts; shares: of the run
    that is seen, 1 where it has ended; groups: peers have one code; apart: separation of a run's peers, see
    `separation`; each (n_runs,), higher is better.
    """
    centre = medians.astype(np.float64).copy()
    for group in np.unique(groups):
        peers = np.flatnonzero((groups == group) & (shares < 1))
        if len(peers) < 2:
            continue
        middle, share = medians[peers].mean(), shares[peers]
        from_level = levels[peers] - levels[peers].mean()
        carried = np.clip(apart[peers] ** (CARRY * (1 - share)), 1 / MOST_CARRIED, MOST_CARRIED)
        ahead = share * (medians[peers] - middle) + (PRESENT + PRESENT_MORE * share) * from_level
        centre[peers] = middle + carried * ahead
    points = (np.arange(N_POINTS) + 0.5) / N_POINTS
    return np.asarray(centre[:, None] + deviations[:, None] * norm.ppf(points)[None, :])
