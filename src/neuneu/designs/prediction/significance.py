"""Whether one predictor beats another: paired tests that own up to overlapping folds, and many tasks at
once."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def half_width(values: Floats, level: float = 0.95) -> float:
    """Half the width of the t interval of the mean of values (n,); values taken as independent."""
    from scipy import stats

    n = len(values)
    return float(stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))


def paired_t(differences: Floats, *, test_share: float | None = None) -> float:
    """Two-sided p of mean difference 0, over resampled estimates (n,) of it.

    test_share: test rows ÷ training rows of one resample; given, the variance is that of Nadeau and Bengio
    2003, (1/n + test_share) s², so that p does not shrink as the same rows are split again and again.
    """
    from scipy import stats

    n = len(differences)
    spread = differences.var(ddof=1) * (1 / n + (test_share or 0.0))
    if spread == 0:
        return 1.0 if differences.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(differences.mean()) / np.sqrt(spread), n - 1))


def benjamini_hochberg(p: Floats) -> Floats:
    """p values (n,) adjusted so that those below α hold the false discovery rate at α (Benjamini-Hochberg
    1995)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p), dtype=np.float64) if len(p) else p
