"""What finished reference runs say about a run: their rises and levels, read at its horizons."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.forecasters.baselines import smooth
from neuneu.forecasters.batch import Batch
from neuneu.forecasters.evidence import Evidence, nearest_references, relation

ALIGNMENTS = ("clock", "plan")
PER_ALIGNMENT = ("nearest", "mean", "alike", "level")
MOST_REFERENCES, FEWEST_POINTS = 12, 4
OVERLAP = 2.1
"""Contexts and references are compared over this much log-clock before the context end (a factor of 8)."""
BEYOND = 0.03
"""A reference is read so much log-clock beyond its last checkpoint, no further."""
REFERENCE_FACTS = (
    "references",
    "nearest",
    "size_gap",
    "plan_gap",
    "same_recipe",
    "unlike",
    "offset",
    "spread",
)


@dataclass(frozen=True, eq=False)
class _Reference:
    """One reference: its log-clock and smooth values, its plan and how it is related to the run."""

    clock: Floats
    values: Floats
    planned: float
    size_gap: float
    plan_gap: float
    same_recipe: float

    @property
    def distance(self) -> float:
        """How far it is from the run in size, plan and recipe."""
        return abs(self.size_gap) + 0.5 * abs(self.plan_gap) + (1.0 - self.same_recipe)


@dataclass(frozen=True, eq=False)
class _Reading:
    """A reference read against a context: rise and level at the horizons, (n_horizons,), NaN beyond its end;
    how far the context is above it, and how unlike they have been so far, NaN where they do not overlap."""

    reference: _Reference
    rise: Floats
    level: Floats
    offset: float
    unlike: float


def from_references(batch: Batch, level: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Candidates, (n_cells, alignments × kinds), and facts, (n_cells, alignments × facts), in units.

    level, size: (n,) level at the context end and noise around it. NaN where no reference reaches.
    """
    values = np.full((len(batch.cell), len(ALIGNMENTS) * len(PER_ALIGNMENT)), np.nan)
    facts = np.full((len(batch.cell), len(ALIGNMENTS) * len(REFERENCE_FACTS)), np.nan)
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    for i, evidence in enumerate(batch.evidences):
        if not evidence.references or evidence.end <= 0:
            continue
        part = slice(bounds[i], bounds[i + 1])
        references = _references(evidence, batch.unit[i])
        context = _recent(evidence.context.clock, evidence.context.values / batch.unit[i], evidence.end)
        ends = [np.full(len(references), np.log(evidence.end))]
        if evidence.planned_end:
            ends.append(ends[0] + [np.log(r.planned / evidence.planned_end) for r in references])
        for j, end in enumerate(ends):
            own, known = (slice(j * n, (j + 1) * n) for n in (len(PER_ALIGNMENT), len(REFERENCE_FACTS)))
            if j and np.array_equal(end, ends[0]):  # as long as the run: by plan is by clock
                values[part, own] = values[part, : len(PER_ALIGNMENT)]
                facts[part, known] = facts[part, : len(REFERENCE_FACTS)]
                continue
            readings = list(_readings(references, end, context, batch.log_horizon[part], level[i]))
            if readings:
                values[part, own], facts[part, known] = _combine(readings, level[i], size[i])
    return values, facts


def _references(evidence: Evidence, unit: float) -> list[_Reference]:
    """The nearest references that have enough checkpoints."""
    found = []
    for reference in nearest_references(evidence, MOST_REFERENCES):
        moving = reference.clock > 0
        if np.count_nonzero(moving) >= FEWEST_POINTS:
            size_gap, plan_gap, same = relation(evidence, reference)
            smoothed = smooth(reference.values[moving] / unit)
            planned = float(reference.clock[-1])
            clock = np.log(reference.clock[moving])
            found.append(_Reference(clock, smoothed, planned, size_gap, plan_gap, float(same)))
    return found


def _readings(
    references: Sequence[_Reference],
    ends: Floats,
    context: tuple[Floats, Floats],
    ahead: Floats,
    level: float,
) -> Iterator[_Reading]:
    """References read at log-clock ends[j] as the context end, over the context and at the horizons."""
    x, y = context
    for reference, end in zip(references, ends, strict=True):
        clock, values = reference.clock, reference.values
        first, last = clock[0] - 0.2, clock[-1] + BEYOND
        if not first <= end <= last:
            continue
        at = np.concatenate([[end], x + end, ahead + end])
        read = np.interp(at, clock, values)
        at_end = float(read[0])
        overlap, later = at[1 : len(x) + 1], at[len(x) + 1 :]
        seen = (overlap >= first) & (overlap <= last)
        gap = (y - read[1 : len(x) + 1])[seen]
        levels = np.where(later <= last, read[len(x) + 1 :], np.nan)
        yield _Reading(reference, levels - at_end, levels, level - at_end, _spread(gap))


def _spread(values: Floats) -> float:
    """Standard deviation, NaN of fewer than two; NumPy's own costs more than all else in a reading."""
    n = len(values)
    if n < 2:
        return math.nan
    away = values - np.add.reduce(values) / n
    return math.sqrt(np.add.reduce(away * away) / n)


def _recent(clock: Floats, values: Floats, end: float) -> tuple[Floats, Floats]:
    """Up to 16 context points of the last `OVERLAP` of log-clock, relative to the context end."""
    moving = clock > 0
    x = np.log(clock[moving]) - np.log(end)
    recent = np.flatnonzero(x >= -OVERLAP)
    if len(recent) > 16:
        recent = recent[np.round(np.linspace(0, len(recent) - 1, 16)).astype(np.intp)]
    return x[recent], values[moving][recent]


def _combine(readings: list[_Reading], level: float, size: float) -> tuple[Floats, Floats]:
    """Candidates of one alignment, (n_horizons, 4), and facts, (n_horizons, n_reference_facts)."""
    rise, levels = np.stack([r.rise for r in readings]), np.stack([r.level for r in readings])
    distance = np.array([r.reference.distance for r in readings])
    unlike = np.array([r.unlike for r in readings])
    offset = np.array([r.offset for r in readings])
    known = np.where(np.isnan(unlike), 2 * size, unlike)
    near = np.exp(-1.5 * distance)
    alike = near * np.exp(-np.abs(offset) / (0.03 + size)) * np.exp(-known / (0.01 + size))
    reach = ~np.isnan(rise)
    nearest = np.argmin(np.where(reach, distance[:, None], np.inf), axis=0)
    columns = np.arange(rise.shape[1])
    nearest_rise = rise[nearest, columns]
    some = reach.any(axis=0)
    rise, levels = np.where(reach, rise, 0.0), np.where(reach, levels, 0.0)
    by_near, by_alike = (_shares(weights, reach) for weights in (near, alike))
    mean_rise = (by_near * rise).sum(axis=0)
    spread = np.sqrt((by_near * (rise - mean_rise) ** 2).sum(axis=0))
    alike_rise, alike_level = (by_alike * rise).sum(axis=0), (by_alike * levels).sum(axis=0)
    candidates = np.stack([level + nearest_rise, level + mean_rise, level + alike_rise, alike_level], axis=1)
    relations = np.array(
        [(r.reference.size_gap, r.reference.plan_gap, r.reference.same_recipe) for r in readings]
    )
    facts = np.stack(
        [
            np.log1p(reach.sum(axis=0)),
            distance[nearest],
            *relations[nearest].T,
            np.log((known[nearest] + 1e-4) / size),
            offset[nearest] / size,
            np.log((spread + 1e-4) / size),
        ],
        axis=1,
    )
    candidates[~some] = facts[~some] = np.nan
    return candidates, facts


def _shares(weights: Floats, reach: NDArray[np.bool_]) -> Floats:
    """Weights of references at each horizon, adding up to 1 over those that reach it, (n_references, n)."""
    weight = np.where(reach, weights[:, None] + 1e-12, 0.0)
    total = weight.sum(axis=0)
    return np.asarray(weight / np.where(total > 0, total, 1.0))
