"""Correlation of forecasts with what came true: Pearson's of the numbers, Spearman's of their ranks."""

import numpy as np

from neuneu.curves.curve import Floats

FEWEST = 3
"""Two points always correlate perfectly."""


def pearson(predicted: Floats, truth: Floats) -> float | None:
    """Pearson's correlation, (n,) each; None of fewer than three points, or where either is constant."""
    if len(truth) < FEWEST or np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return None
    return float(np.clip(np.corrcoef(predicted, truth)[0, 1], -1.0, 1.0))


def spearman(predicted: Floats, truth: Floats) -> float | None:
    """Pearson's correlation of the ranks, equal values sharing the mean of theirs; None as `pearson`."""
    from scipy.stats import rankdata

    return pearson(np.asarray(rankdata(predicted)), np.asarray(rankdata(truth)))
