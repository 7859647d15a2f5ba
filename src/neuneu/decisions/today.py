"""What runs show today: their level and its noise on one task or a mean of several, and between seeds."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.noise import checkpoint_deviation
from neuneu.curves.seeds import JoinedSeeds, Seeds
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.peers import NOISE_POINTS, present_level, present_noise
from neuneu.decisions.shared import Setting, Shared, widest_settings
from neuneu.errors import InputError
from neuneu.evidence.cut import seen
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import LEVELS


def measured(curve: Curve) -> Floats:
    """Quantiles of what a run is worth at its last checkpoint, (len(LEVELS),): its value and its noise.

    Normal around the value; the deviation is that of single checkpoints around their neighbours' line over
    the last NOISE_POINTS (`curves.noise`), or the standard error of the measurement, whichever is larger.
    """
    between = checkpoint_deviation(curve.clock[-NOISE_POINTS:], curve.values[-NOISE_POINTS:])
    between = between if math.isfinite(between) else 0.0
    error = float(curve.stderr[-1]) if np.isfinite(curve.stderr[-1]) else 0.0
    deviation = max(between, error)
    if deviation == 0:
        return np.full(len(LEVELS), float(curve.values[-1]))
    return np.clip(norm.ppf(LEVELS, curve.values[-1], deviation), curve.low, curve.high)


def mean_today(contexts: Sequence[Curve], shared: Shared) -> tuple[float, float]:
    """Weighted mean over tasks of the last checkpoints, higher is better, and its noise; NaN: unknown."""
    weight = np.array([shared.weights[context.key.task] for context in contexts])
    sign = np.array([1 if find_metric(c.key.metric).higher_is_better else -1 for c in contexts])
    noises = np.array([present_noise(context) for context in contexts])
    level = float((weight * sign) @ np.array([present_level(context) for context in contexts]))
    return level, float(np.sqrt(weight**2 @ noises**2))


def tasks_today(peers: Collection[str], every: CurveTable, clock: float) -> list[tuple[Floats, Floats]]:
    """Levels and noises of peers up to a clock, a pair a task, in the setting that most of them have."""
    held: dict[str, dict[Setting, Curve]] = {run: {} for run in peers}
    for curve in every:
        if curve.key.run in held and curve.clock[0] <= clock:
            held[curve.key.run][curve.key[1:]] = curve.until(clock)
    tasks = []
    for setting in widest_settings(held):
        contexts = [own[setting] for own in held.values() if setting in own]
        levels = np.array([present_level(context) for context in contexts])
        tasks.append((levels, np.array([present_noise(context) for context in contexts])))
    return tasks


def between_seeds(joined: JoinedSeeds, selection: Selection, shared: Shared, share: float) -> float:
    """Standard deviation between seeds of what runs are compared on, today: the mean of the last checkpoints.

    √(Σ (kᵢ − k̄)² / Σ (n − 1)) over all runs of the comparison that have n > 1 seeds, where k is the weighted
    mean over tasks. A run of one seed is a draw of as wide a distribution. Raises InputError where none of
    the compared runs has seeds.
    """
    of_run: dict[str, dict[Setting, Curve]] = {}
    for curve in replace(selection, runs=()).narrowed(joined.single):
        of_run.setdefault(curve.key.run, {})[curve.key[1:]] = curve
    squares, free = 0.0, 0
    for run in shared.runs:
        seeds = joined.members.get(run, ())
        levels = [
            sum(_weighted_level(of_run[seed][own], shared, share) for own in shared.settings)
            for seed in seeds
        ]
        squares += float(np.var(levels)) * len(levels) if levels else 0.0
        free += max(len(levels) - 1, 0)
    if not free:
        rule = "none of the compared runs has several seeds; leave it out"
        raise InputError(rule, field="seeds", value=Seeds.band.value)
    return math.sqrt(squares / free)


def _weighted_level(curve: Curve, shared: Shared, share: float) -> float:
    """What a curve adds to its run's mean over tasks today, higher is better."""
    sign = 1 if find_metric(curve.key.metric).higher_is_better else -1
    context = curve.until(float(curve.clock[seen(curve, share) - 1]))
    return sign * shared.weights[curve.key.task] * present_level(context)
