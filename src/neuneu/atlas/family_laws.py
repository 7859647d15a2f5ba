"""Laws of a family on a benchmark: its score over capability, which parameters and tokens make."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuneu.atlas.setting import Setting
from neuneu.curves.curve import Floats

BY_SIZE, SIZE_POWER, BY_TOKENS, TOKEN_POWER = 482.01, 0.3478, 2085.43, 0.3658
"""Loss above its floor = 482.01 / N^0.3478 + 2085.43 / D^0.3658: Besiroglu et al. 2024, a replication of
Hoffmann et al. 2022. Only its shape is used: how much a parameter is worth in tokens."""

LOWEST, HIGHEST, STEP = -2.6, 2.6, 0.1
KNOTS = np.round(np.arange(LOWEST, HIGHEST + STEP / 2, STEP), 2)
"""Capabilities at which laws are kept: from a million parameters and tokens to 1e11 and 1e14."""

SMOOTHING = 0.15
"""A law is a mean over so much capability to either side."""
SPREAD_REACH = 0.25
"""Standard deviation of the weights, in capability, with which a law's spread is read off its residuals."""
FALLING = 0.8
"""A task is said to fall with capability where that leaves less than this share of the error of rising."""
FEWEST, NARROWEST = 4, 0.3
"""With fewer points, or over less capability, a law is flat: there is nothing to tell rise from noise by."""
TYPICAL_SPREAD = 0.01
"""Spread of models of one family around its law before any is seen: some checkpoint noise."""
OF_MEAN = 1.2533
"""Standard deviation of a normal distribution over its mean absolute deviation, sqrt(pi / 2)."""


def capability(params: ArrayLike, tokens: ArrayLike) -> Floats:
    """−log of the loss above its floor that so many parameters have after so many tokens.

    params, tokens: > 0, of shapes that go together; parameters without embeddings where that is known.
    Within [LOWEST, HIGHEST].
    """
    n = np.maximum(np.asarray(params, dtype=np.float64), 1.0)
    d = np.maximum(np.asarray(tokens, dtype=np.float64), 1.0)
    above = BY_SIZE * n**-SIZE_POWER + BY_TOKENS * d**-TOKEN_POWER
    return np.clip(-np.log(above), LOWEST, HIGHEST)


@dataclass(frozen=True, eq=False)
class Law:
    """What models of one family score on one task in one setting.

    family; runs: how many; knots: (n,) positions in KNOTS that they reach; values, spread: (n,) score there,
    monotone, and its standard deviation between models, in the metric's own numbers.
    """

    family: str
    setting: Setting
    runs: int
    knots: NDArray[np.intp]
    values: Floats
    spread: Floats


def fit_law(family: str, setting: Setting, runs: int, x: Floats, y: Floats) -> Law:
    """The monotone law nearest to scores y at capabilities x, (n,) each, where they are."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    smooth = np.full(len(y), y.mean())
    if len(x) >= FEWEST and x[-1] - x[0] > NARROWEST:
        smooth = monotone(y, np.ones(len(y)))
    near = np.flatnonzero((x[0] - STEP / 2 <= KNOTS) & (x[-1] + STEP / 2 >= KNOTS))
    at = KNOTS[near]
    place, which = np.unique(np.round(x, 3), return_inverse=True)
    mean = np.bincount(which, smooth) / np.bincount(which)
    around = at[:, None] + np.linspace(-SMOOTHING, SMOOTHING, 7)
    values = np.interp(around.ravel(), place, mean).reshape(around.shape).mean(axis=1)
    weight = np.exp(-0.5 * ((at[:, None] - x) / SPREAD_REACH) ** 2) + 1e-12
    seen = OF_MEAN * (weight * np.abs(y - smooth)).sum(axis=1)
    spread = (seen + TYPICAL_SPREAD) / (weight.sum(axis=1) + 1.0)
    return Law(family, setting, runs, near, values, spread)


def monotone(values: Floats, weights: Floats) -> Floats:
    """The rising or falling sequence nearest to values, (n,), in weighted squares; falls must be clear."""
    from scipy.optimize import isotonic_regression

    rising, falling = (
        np.asarray(isotonic_regression(values, weights=weights, increasing=up).x) for up in (True, False)
    )
    error_up, error_down = (float(weights @ np.abs(values - fit)) for fit in (rising, falling))
    return falling if error_down < FALLING * error_up else rising
