"""From the laws of many families to the distribution of the score of a family that nobody has seen."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neuneu.atlas.family_laws import KNOTS, STEP, Law, monotone
from neuneu.atlas.setting import Setting
from neuneu.curves.curve import Floats

REACH = 0.6
"""A law's weight falls by e for so much capability beyond what its models reach."""
MOST_RUNS = 30
"""A family weighs as its number of runs, up to so many."""
OWN_RUNS = 1000.0
"""A family that is itself asked about weighs as much as so many runs of others, times the cube of its
nearness."""
SHAPE_OFFSET = 0.7
"""So much of a family's offset is taken off before laws are joined into the shape that all of them share."""
BETWEEN_FAMILIES = 0.12
"""Standard deviation of families in capability: what good data or an old recipe are worth."""
OWN_SHIFT, FARTHER = 0.06, 0.3
"""The same of a family that is itself asked about, where its models reach; and what is added far from them,
as for larger runs than have finished. Chosen by the share of scores inside 80 % intervals of runs that have
not started, with smaller and with all finished runs."""
LAST_STEPS = 5
"""Beyond what any family has reached the shape goes on as it did over so many steps of KNOTS, where a family
is itself asked about: its larger runs."""
OTHER_SETTING = 0.05
"""Standard deviation that a law in a wholly other setting adds, in shares of the metric's range."""
KNOWN_DATA = 0.9
"""Where the training data are known, quantiles are so much nearer to the median: chosen among 0.8, 0.85, 0.9
and 1, by the share of scores inside 80 % intervals before training (75, 78, 81 and 86 %, five families left
out in turn)."""
SHIFTS = (-1.5, -0.7, 0.0, 0.7, 1.5)
"""Shifts in capability, in standard deviations, at which a law is read, each with a fifth of its weight."""
NOISES = (-1.22, 0.0, 1.22)
"""Departures from a law, in standard deviations, each with a third of its weight."""
LIKE, UNLIKE = 0.06, 0.02
"""A path counts by how near it is to a run's level, a normal density of this deviation, and never less than
the second number: of `OTHER_SETTING`'s size."""
SCORE_LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantile levels of every distribution."""


@dataclass(frozen=True, eq=False)
class TaskLaw:
    """What a model of a family that is not in the atlas scores, over KNOTS.

    values: (n_knots, n_levels) quantiles; mean, deviation: (n_knots,); relatives: (n_knots,) how many
    families say so, each counted by its nearness and the likeness of its setting; families: their names;
    runs: their models. paths, weights: (n_paths, n_knots) families, each shifted in capability, and what
    they weigh there.
    """

    values: Floats
    mean: Floats
    deviation: Floats
    relatives: Floats
    families: tuple[str, ...]
    runs: int
    paths: Floats
    weights: Floats

    def at(self, column: Floats, x: Floats) -> Floats:
        """One of the columns over KNOTS, read at capabilities x."""
        return np.interp(x, KNOTS, column)

    def quantiles(self, x: Floats, shift: float | None = None) -> Floats:
        """Quantiles of the score at capabilities x, (n,): (n, n_levels), rising.

        shift: capability that the training data are worth; None where nothing is known of them.
        """
        at = np.atleast_1d(x) + (shift or 0.0)
        values = np.stack([self.at(column, at) for column in self.values.T], axis=1)
        if shift is not None:
            middle = values[:, [SCORE_LEVELS.index(0.5)]]
            values = middle + KNOWN_DATA * (values - middle)
        return np.asarray(np.maximum.accumulate(values, axis=1))

    def rise(self, level: float, start: float, x: Floats) -> "Rise":
        """How paths rise from capability `start`, where a run stands at `level`, to capabilities x, (n,).

        Paths that stand near the level weigh more.
        """
        return self.look(level, start, x).rise

    def look(self, level: float, start: float, x: Floats) -> "LawReading":
        """What the law says at capabilities x, (n,), to a run that stands at `level` at `start`."""
        read = _read(self._columns, np.append(x, start))
        (middle, deviation, relatives), paths = read[:3], read[3:]
        now = paths[:, -1]
        likeness = np.exp(-0.5 * ((now - level) / LIKE) ** 2) + UNLIKE
        weight = _read(self.weights, np.array([start]))[:, 0] * likeness
        weight = weight / weight.sum()
        rises = paths[:, :-1] - now[:, None]
        mean = weight @ rises
        rise = Rise(mean, np.sqrt(weight @ (rises - mean) ** 2), weight @ (rises > TAKE_OFF))
        return LawReading(
            float(middle[-1]), float(deviation[-1]), middle[:-1], deviation[:-1], relatives[:-1], rise
        )

    @cached_property
    def _columns(self) -> Floats:
        """Middle, deviation, relatives and paths, (3 + n_paths, n_knots)."""
        middle = self.values[:, self.values.shape[1] // 2]
        return np.concatenate([np.stack([middle, self.deviation, self.relatives]), self.paths])


@dataclass(frozen=True, eq=False)
class LawReading:
    """A law read for a run: its middle and deviation where the run stands; these, relatives and the rise at
    the capabilities asked, (n,) each."""

    now: float
    deviation_now: float
    middle: Floats
    deviation: Floats
    relatives: Floats
    rise: "Rise"


@dataclass(frozen=True, eq=False)
class Rise:
    """Rises to several capabilities, (n,) each: mean, standard deviation, share above `TAKE_OFF`."""

    mean: Floats
    deviation: Floats
    taking_off: Floats


TAKE_OFF = 0.05
"""A task takes off where its score rises by more than this."""


def _read(columns: Floats, x: Floats) -> Floats:
    """Rows over KNOTS, (n_rows, n_knots), read at capabilities x, (n_rows, n)."""
    place = np.clip((x - KNOTS[0]) / STEP, 0.0, len(KNOTS) - 1.0)
    low = np.minimum(place.astype(np.intp), len(KNOTS) - 2)
    share = place - low
    return np.asarray(columns[:, low] * (1 - share) + columns[:, low + 1] * share)


def combine(
    laws: Sequence[Law], setting: Setting, own: str | None = None, own_shift: float = OWN_SHIFT
) -> TaskLaw | None:
    """The distribution in this setting; None where no law's setting goes with it.

    own: the family that is asked about, if it is among them: near its models it outweighs the others;
    own_shift: standard deviation in capability of what is asked there.

    A family counts once, its law a mean over its settings by their likeness, read beyond its models along the
    shape that all families share. Families are mixed by runs and nearness, each shifted in capability by what
    a mean of so few families leaves open.
    """
    weighed = [(law, setting.likeness(law.setting)) for law in laws]
    weighed = [(law, likeness) for law, likeness in weighed if likeness > 0]
    if not weighed:
        return None
    shape = shared_shape(weighed)
    if own is not None:
        shape = _gone_on(shape, max(int(law.knots[-1]) for law, _ in weighed))
    of_family: dict[str, list[tuple[Law, float]]] = defaultdict(list)
    for law, likeness in weighed:
        of_family[law.family].append((law, likeness))
    names = sorted(of_family)
    parts = [_family(of_family[name], shape) for name in names]
    value, spread, near, runs = (np.stack(part) for part in zip(*parts, strict=True))
    relatives = near.sum(axis=0)
    shift = np.tile(BETWEEN_FAMILIES * np.sqrt(2.0 / np.maximum(relatives, 0.1)), (len(names), 1))
    if own in names:
        place = names.index(own)
        runs[place] = OWN_RUNS * near[place] ** 3
        shift[place] = own_shift + FARTHER * (1.0 - near[place])
    paths, path_weights = _paths(value, near * runs, shift)
    nodes, weights = _nodes(paths, path_weights, np.repeat(spread, len(SHIFTS), axis=0))
    mean = (weights * nodes).sum(axis=0)
    deviation = np.sqrt((weights * (nodes - mean) ** 2).sum(axis=0))
    return TaskLaw(
        _quantiles(nodes, weights),
        mean,
        deviation,
        relatives,
        tuple(names),
        sum(law.runs for law, _ in weighed),
        paths,
        path_weights,
    )


def shared_shape(weighed: Sequence[tuple[Law, float]]) -> Floats:
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


def _gone_on(shape: Floats, last: int) -> Floats:
    """The shape, from its knot `last` on along the line of the `LAST_STEPS` before, (n_knots,)."""
    first = max(last - LAST_STEPS, 0)
    slope = (shape[last] - shape[first]) / max(last - first, 1)
    beyond = np.maximum(np.arange(len(shape)) - last, 0)
    return np.asarray(shape + slope * beyond)


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


def _paths(value: Floats, weight: Floats, shift: Floats) -> tuple[Floats, Floats]:
    """Families, each shifted in capability, and their weights, (n_families · n_shifts, n_knots).

    value, weight, shift: (n_families, n_knots); shift: standard deviation of the shifts.
    """
    place = np.arange(len(KNOTS)) + np.array(SHIFTS)[:, None] * shift[:, None] / STEP
    low = np.clip(np.floor(place).astype(np.intp), 0, len(KNOTS) - 2)
    share = np.clip(place - low, 0.0, 1.0)
    family = np.arange(len(value))[:, None, None]
    shifted = value[family, low] * (1 - share) + value[family, low + 1] * share
    weights = np.broadcast_to((weight / weight.sum(axis=0))[:, None], shifted.shape) / len(SHIFTS)
    return shifted.reshape(-1, len(KNOTS)), weights.reshape(-1, len(KNOTS))


def _nodes(paths: Floats, weights: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Scores in [0, 1] and their weights, (n_nodes, n_knots): paths with noise of their spread."""
    nodes = paths[:, None] + np.array(NOISES)[:, None] * spread[:, None]
    repeated = np.broadcast_to(weights[:, None], nodes.shape) / len(NOISES)
    return np.clip(nodes.reshape(-1, len(KNOTS)), 0.0, 1.0), repeated.reshape(-1, len(KNOTS))


def _quantiles(nodes: Floats, weights: Floats) -> Floats:
    """Weighted quantiles at SCORE_LEVELS, (n_knots, n_levels)."""
    order = np.argsort(nodes, axis=0, kind="stable")
    nodes, weights = (np.take_along_axis(array, order, axis=0) for array in (nodes, weights))
    below = np.cumsum(weights, axis=0) - 0.5 * weights
    columns = [np.interp(SCORE_LEVELS, below[:, k], nodes[:, k]) for k in range(nodes.shape[1])]
    return np.array(columns)
