"""Runs of one size and budget inform each other: how their differences today carry over to their ends.

A forecast of one run errs together with those of its peers: whatever the trend does, it does to all of them.
What decides between two is how far apart they are today, and, the more of the run lies behind, how far apart
their forecasts are. With m the median at the end, k the mean of the last checkpoints, s the share of the run
that is seen and σ the deviation of the forecast, run i beats its peer j with probability

    Φ((s · (mᵢ − mⱼ) + (PRESENT + PRESENT_MORE · s) · (kᵢ − kⱼ)) / √(σᵢ² + σⱼ²)).

Runs of other sizes differ by their medians. Over several benchmarks m and k are weighted means and σ that of
independent errors: what the errors of a run's tasks have in common, those of its peers have too.
"""

import numpy as np
from scipy.stats import norm

from neuneu.curves.curve import Curve, Floats
from neuneu.decisions.chances import N_POINTS
from neuneu.evaluation.metrics import Index
from neuneu.forecasters.base import LEVELS
from neuneu.forecasters.baselines import MEAN_POINTS

PRESENT, PRESENT_MORE = 0.35, 0.3
"""Weight of today's difference at the start of a run, and how much more at its end. Chosen by Brier score and
reliability on four open sources (open_sci_ref, multisynt, physicslm4, home; contexts 0.1 to 0.7)."""

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


def contest_points(
    medians: Floats, levels: Floats, deviations: Floats, shares: Floats, groups: Index
) -> Floats:
    """Equally likely end values of each run as they compete, (n_runs, N_POINTS), rows increasing.

    medians: at the end; levels: today, see `present_level`; deviations: of the forecasts; shares: of the run
    that is seen, 1 where it has ended; groups: runs of one size and budget have one code; each (n_runs,),
    higher is better.
    """
    centre = medians.astype(np.float64).copy()
    for group in np.unique(groups):
        peers = np.flatnonzero(groups == group)
        flying = peers[shares[peers] < 1]
        if len(peers) < 2 or not len(flying):
            continue
        from_median = medians[flying] - medians[peers].mean()
        from_level = levels[flying] - levels[peers].mean()
        present = PRESENT + PRESENT_MORE * shares[flying]
        centre[flying] += (shares[flying] - 1) * from_median + present * from_level
    points = (np.arange(N_POINTS) + 0.5) / N_POINTS
    return np.asarray(centre[:, None] + deviations[:, None] * norm.ppf(points)[None, :])
