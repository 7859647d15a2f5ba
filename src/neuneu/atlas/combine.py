"""From the laws of many families to the distribution of the score of a family that nobody has seen."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuneu.atlas.family_laws import KNOTS, STEP, Law, monotone
from neuneu.atlas.setting import Setting
from neuneu.curves.curve import Floats

REACH = 0.6
"""A law's weight falls by e for so much capability beyond what its models reach."""
MOST_RUNS = 30
"""A family weighs as its number of runs, up to so many."""
SHAPE_OFFSET = 0.7
"""So much of a family's offset is taken off before laws are joined into the shape that all of them share."""
BETWEEN_FAMILIES = 0.12
"""Standard deviation of families in capability: what good data or an old recipe are worth."""
OTHER_SETTING = 0.05
"""Standard deviation that a law in a wholly other setting adds, in shares of the metric's range."""
SHIFTS = (-1.5, -0.7, 0.0, 0.7, 1.5)
"""Shifts in capability, in standard deviations, at which a law is read, each with a fifth of its weight."""
NOISES = (-1.22, 0.0, 1.22)
"""Departures from a law, in standard deviations, each with a third of its weight."""
SCORE_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantile levels of every distribution."""


@dataclass(frozen=True, eq=False)
class TaskLaw:
    """What a model of a family that is not in the atlas scores, over KNOTS.

    values: (n_knots, n_levels) quantiles; mean, deviation: (n_knots,); relatives: (n_knots,) how many
    families say so, each counted by its nearness and the likeness of its setting; families: their names;
    runs: their models.
    """

    values: Floats
    mean: Floats
    deviation: Floats
    relatives: Floats
    families: tuple[str, ...]
    runs: int

    def at(self, column: Floats, x: Floats) -> Floats:
        """One of the columns over KNOTS, read at capabilities x."""
        return np.interp(x, KNOTS, column)


def combine(laws: Sequence[Law], setting: Setting) -> TaskLaw | None:
    """The distribution in this setting; None where no law's setting goes with it.

    A family counts once, its law a mean over its settings by their likeness, read beyond its models along the
    shape that all families share. Families are mixed by runs and nearness, each shifted in capability by what
    a mean of so few families leaves open.
    """
    weighed = [(law, setting.likeness(law.setting)) for law in laws]
    weighed = [(law, likeness) for law, likeness in weighed if likeness > 0]
    if not weighed:
        return None
    shape = _shape(weighed)
    of_family: dict[str, list[tuple[Law, float]]] = defaultdict(list)
    for law, likeness in weighed:
        of_family[law.family].append((law, likeness))
    names = sorted(of_family)
    parts = [_family(of_family[name], shape) for name in names]
    value, spread, near, runs = (np.stack(part) for part in zip(*parts, strict=True))
    relatives = near.sum(axis=0)
    shift = BETWEEN_FAMILIES * np.sqrt(2.0 / np.maximum(relatives, 0.1))
    nodes, weights = _nodes(value, spread, near * runs, shift)
    mean = (weights * nodes).sum(axis=0)
    deviation = np.sqrt((weights * (nodes - mean) ** 2).sum(axis=0))
    return TaskLaw(
        _quantiles(nodes, weights),
        mean,
        deviation,
        relatives,
        tuple(names),
        sum(law.runs for law, _ in weighed),
    )


def _shape(weighed: Sequence[tuple[Law, float]]) -> Floats:
    """How the score goes with capability in all families, (n_knots,): a monotone mean of their laws."""
    shape = np.zeros(len(KNOTS))
    for first in (True, False):
        total, weight = np.zeros(len(KNOTS)), np.zeros(len(KNOTS))
        for law, likeness in weighed:
            own = likeness * min(law.runs, MOST_RUNS)
            count = len(law.knots)
            offset = 0.0
            if not first:
                offset = SHAPE_OFFSET * count / (count + 3) * float(np.mean(law.values - shape[law.knots]))
            total[law.knots] += own * (law.values - offset)
            weight[law.knots] += own
        reached = np.flatnonzero(weight > 0)
        mean = monotone(total[reached] / weight[reached], weight[reached])
        shape = np.interp(KNOTS, KNOTS[reached], mean)
    return shape


def _family(weighed: Sequence[tuple[Law, float]], shape: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Value, spread, nearness and runs of one family, (n_knots,) each."""
    total, square, weight = np.zeros((3, len(KNOTS)))
    near = np.zeros(len(KNOTS))
    for law, likeness in weighed:
        inside = np.clip(np.arange(len(KNOTS)), law.knots[0], law.knots[-1])
        at = inside - law.knots[0]
        value = law.values[at] + shape - shape[inside]
        nearness = likeness * np.exp(-np.abs(KNOTS - KNOTS[inside]) / REACH)
        own = nearness * likeness * min(law.runs, MOST_RUNS)
        total += own * value
        square += own * (law.spread[at] ** 2 + (OTHER_SETTING * (1.0 - likeness)) ** 2)
        weight += own
        near = np.maximum(near, nearness)
    runs = max(min(law.runs, MOST_RUNS) for law, _ in weighed)
    return total / weight, np.sqrt(square / weight), near, np.full(len(KNOTS), float(runs))


def _nodes(value: Floats, spread: Floats, weight: Floats, shift: Floats) -> tuple[Floats, Floats]:
    """Scores in [0, 1] and their weights, (n_nodes, n_knots): families, shifted in capability, with noise.

    value, spread, weight: (n_families, n_knots); shift: (n_knots,) its standard deviation.
    """
    place = np.arange(len(KNOTS)) + np.array(SHIFTS)[:, None] * shift / STEP
    low = np.clip(np.floor(place).astype(np.intp), 0, len(KNOTS) - 2)
    share = np.clip(place - low, 0.0, 1.0)
    shifted = value[:, low] * (1 - share) + value[:, low + 1] * share
    nodes = shifted[:, :, None] + np.array(NOISES)[:, None] * spread[:, None, None]
    weights = np.broadcast_to((weight / weight.sum(axis=0))[:, None, None], nodes.shape)
    count = len(SHIFTS) * len(NOISES)
    nodes = np.clip(nodes.reshape(-1, len(KNOTS)), 0.0, 1.0)
    return nodes, weights.reshape(-1, len(KNOTS)) / count


def _quantiles(nodes: Floats, weights: Floats) -> Floats:
    """Weighted quantiles at SCORE_LEVELS, (n_knots, n_levels)."""
    order = np.argsort(nodes, axis=0, kind="stable")
    nodes, weights = (np.take_along_axis(array, order, axis=0) for array in (nodes, weights))
    below = np.cumsum(weights, axis=0) - 0.5 * weights
    columns = [np.interp(SCORE_LEVELS, below[:, k], nodes[:, k]) for k in range(nodes.shape[1])]
    return np.array(columns)
