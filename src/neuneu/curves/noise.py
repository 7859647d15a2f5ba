"""How much values move between neighbouring checkpoints for no reason of training: the one owner of noise.

`inspect`, `inspect --trust`, decisions and the noise floors of evaluations, figures and reports all mean the
standard deviation σ of single checkpoints around the line of their neighbours; a floor is √(2/π) σ, the
expected size of such noise.
"""

import math

import numpy as np

from neuneu.curves.curve import Floats


def checkpoint_deviation(clock: Floats, values: Floats) -> float:
    """Standard deviation of the noise of single checkpoints, from how far each is off its neighbours' line.

    clock: (n,) increasing; values: (n,). With w the share of the way from the checkpoint before to the one
    after, r = v − ((1 − w) · v₋ + w · v₊) has variance σ² · (1 + (1 − w)² + w²) where the trend is straight
    between neighbours, so that neither trend nor spacing counts as noise: σ² = mean r² / (1 + (1 − w)² + w²).
    Two values say E|v₊ − v| · √π / 2 (trend included); NaN under two.
    """
    if len(values) < 2:
        return math.nan
    if len(values) == 2:
        return float(abs(values[1] - values[0])) * math.sqrt(math.pi) / 2
    w = (clock[1:-1] - clock[:-2]) / (clock[2:] - clock[:-2])
    off = values[1:-1] - ((1 - w) * values[:-2] + w * values[2:])
    return float(np.sqrt(np.mean(off**2 / (1 + (1 - w) ** 2 + w**2))))


def noise_deviation(clock: Floats, values: Floats) -> float:
    """`checkpoint_deviation` where trend and noise can be told apart; NaN under three values."""
    return checkpoint_deviation(clock, values) if len(values) > 2 else math.nan


def noise_floor(clock: Floats, values: Floats) -> float:
    """The mean absolute error that a perfect forecast of single checkpoints would still make, √(2/π) · σ.

    clock: (n,) increasing; values: (n,), those that are forecast. NaN under three values.
    """
    return math.sqrt(2 / math.pi) * noise_deviation(clock, values)
