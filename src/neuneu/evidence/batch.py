"""Batch: many questions as flat arrays, so that a method works on all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Curve, Floats
from neuneu.evidence.evidence import Evidence

Index = NDArray[np.intp]

FARTHEST = 30.0
"""Largest log ratio of horizon to context end: 1e13 times; also used where the context ends at clock 0."""

MAX_POINTS = 64
"""Contexts longer than this are averaged into so many bins of log-clock where a fit is costly."""

SHORTEST = 1e-12
"""Span of log-clock that bins have at least, all together: no division by 0."""

SMALLEST_UNIT = 1e-300
"""Values smaller than this count as 0: nothing can be measured in them."""


@dataclass(frozen=True, eq=False)
class Points:
    """Context points of many curves, one after the other.

    x: (n_points,) log of clock over context end, ≤ 0; y: (n_points,) values in units (`Batch.unit`);
    weight: (n_points,) measurements behind a point; owner: (n_points,) which question, not decreasing;
    n: number of questions, some of which may have no point.
    """

    x: Floats
    y: Floats
    weight: Floats
    owner: Index
    n: int

    def sum(self, values: Floats) -> Floats:
        """Weighted sum over each question's points, (n,)."""
        return _add_up(self.owner, values * self.weight, self.n)

    @cached_property
    def total(self) -> Floats:
        """Measurements of each question, (n,)."""
        return _add_up(self.owner, self.weight, self.n)

    @cached_property
    def count(self) -> Index:
        """Points of each question, (n,)."""
        return np.bincount(self.owner, minlength=self.n)

    @cached_property
    def start(self) -> Index:
        """Index of each question's first point, (n,)."""
        return np.concatenate([[0], np.cumsum(self.count)[:-1]]).astype(np.intp)

    @cached_property
    def rank_from_end(self) -> Index:
        """0 for the last point of a question, 1 for the one before, …, (n_points,)."""
        return (self.start + self.count)[self.owner] - 1 - np.arange(len(self.x))

    def keep(self, mask: NDArray[np.bool_]) -> "Points":
        """Only these points."""
        return Points(self.x[mask], self.y[mask], self.weight[mask], self.owner[mask], self.n)

    def thinned(self, limit: int = MAX_POINTS) -> "Points":
        """Questions with more than `limit` points averaged into at most that many, the others as they are.

        Bins are of equal width in log-clock, from the question's first point to its context end; x and y of
        what falls into one are averaged by weight, and its weights added up. Order is kept.
        """
        if not (self.count > limit).any():
            return self
        first = np.where(self.count > 0, self.x[np.minimum(self.start, len(self.x) - 1)], -1.0)
        width = np.maximum(-first, SHORTEST) / limit
        bin_of = np.minimum((self.x - first[self.owner]) / width[self.owner], limit - 1).astype(np.intp)
        many = (self.count > limit)[self.owner]
        key = self.owner * (limit + 1) + bin_of
        key[~many] = -np.arange(1, np.count_nonzero(~many) + 1)  # a bin of its own
        first_of, group = _groups_in_order(key)
        weight = _add_up(group, self.weight)
        x = _add_up(group, self.x * self.weight) / weight
        y = _add_up(group, self.y * self.weight) / weight
        return Points(x, y, weight, self.owner[first_of], self.n)


@dataclass(frozen=True, eq=False)
class Batch:
    """Questions of many evidences at many horizons.

    points: context points with a positive clock; unit: (n,) what values are measured in: the width of the
    metric's range, or the context's largest absolute value where the range is not finite; last: (n,) last
    value; low, high: (n,) range; log_horizon: (n_cells,) log of horizon over context end, ≥ 0; cell:
    (n_cells,) which question a horizon belongs to. Everything but `unit` is in units.
    """

    evidences: Sequence[Evidence]
    points: Points
    unit: Floats
    last: Floats
    low: Floats
    high: Floats
    log_horizon: Floats
    cell: Index

    @property
    def n(self) -> int:
        """Number of questions."""
        return len(self.evidences)

    def clip(self, values: Floats) -> Floats:
        """Cell values, (n_cells,), moved into the metric's range."""
        return np.clip(values, self.low[self.cell], self.high[self.cell])


def make_batch(evidences: Sequence[Evidence], horizons: Sequence[Floats]) -> Batch:
    """Lay out evidences and their horizons; horizons at or before the context end count as the end."""
    n = len(evidences)
    contexts = [evidence.context for evidence in evidences]
    counts = np.array([len(context) for context in contexts], dtype=np.intp)
    owner = np.repeat(np.arange(n), counts)
    clock = _join([context.clock for context in contexts])
    values = _join([context.values for context in contexts])
    ends = np.array([context.clock[-1] for context in contexts], dtype=np.float64)
    unit = np.array([unit_of(context) for context in contexts], dtype=np.float64)
    y = values / unit[owner]
    with np.errstate(divide="ignore"):
        log_clock, log_end = np.log(clock), np.log(ends)
    moving = np.isfinite(log_clock)
    points = Points(
        np.minimum(log_clock[moving] - log_end[owner[moving]], 0.0),
        y[moving],
        np.ones(np.count_nonzero(moving)),
        owner[moving],
        n,
    )
    cell = np.repeat(np.arange(n), [len(h) for h in horizons])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(_join(horizons)) - log_end[cell]
    lasts = np.cumsum(counts) - 1
    return Batch(
        evidences=evidences,
        points=points,
        unit=unit,
        last=y[lasts] if n else np.empty(0),
        low=np.array([context.low for context in contexts], dtype=np.float64) / unit,
        high=np.array([context.high for context in contexts], dtype=np.float64) / unit,
        log_horizon=np.clip(np.nan_to_num(ratio, nan=0.0, posinf=FARTHEST), 0.0, FARTHEST),
        cell=cell,
    )


def join_batches(one: Batch, other: Batch) -> Batch:
    """The questions of two batches, the first's first."""
    x, y, weight = (
        np.concatenate([getattr(part.points, name) for part in (one, other)]) for name in ("x", "y", "weight")
    )
    owner = np.concatenate([one.points.owner, other.points.owner + one.n])
    columns = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("unit", "last", "low", "high", "log_horizon")
    }
    cell = np.concatenate([one.cell, other.cell + one.n])
    points = Points(x, y, weight, owner, one.n + other.n)
    return Batch(evidences=[*one.evidences, *other.evidences], points=points, cell=cell, **columns)


def unit_of(curve: Curve) -> float:
    """Width of the metric's range where it is finite, else the largest absolute value (1 if all are 0)."""
    width = curve.high - curve.low
    if np.isfinite(width):
        return float(width)
    largest = float(np.max(np.abs(curve.values)))
    return largest if largest > SMALLEST_UNIT else 1.0


def _groups_in_order(key: Index) -> tuple[Index, Index]:
    """(first place of each group, (n_groups,); group of each place, (n,)): places of one key are a group, and
    groups are numbered as they first appear."""
    _, first_at, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first_at, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return first_at[order], number[inverse]


def _add_up(owner: Index, values: Floats, n: int = 0) -> Floats:
    return np.bincount(owner, weights=values, minlength=n).astype(np.float64)


def _join(arrays: Sequence[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *arrays]).astype(np.float64)
