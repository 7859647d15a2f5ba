"""What finished reference runs say about a run: their rises and levels, read at its horizons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence, nearest_references, relation
from neuneu.forecasters.baselines import smooth

ALIGNMENTS = ("clock", "plan")
PER_ALIGNMENT = ("nearest", "mean", "alike", "level")
MOST_REFERENCES, FEWEST_POINTS = 12, 4
OVERLAP = 2.1
"""Contexts and references are compared over this much log-clock before the context end (a factor of 8)."""
RECENT = 16
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
    relation: tuple[float, float, float]

    @property
    def distance(self) -> float:
        """How far it is from the run in size, plan and recipe."""
        size_gap, plan_gap, same_recipe = self.relation
        return abs(size_gap) + 0.5 * abs(plan_gap) + (1.0 - same_recipe)


@dataclass(frozen=True, eq=False)
class _Asked:
    """A question read in one alignment: ends[r] is the log-clock of reference r that stands for the context
    end; recent context points and horizons are relative to it. cells: of the batch."""

    question: int
    alignment: int
    cells: slice
    references: list[_Reference]
    ends: Floats
    recent: tuple[Floats, Floats]
    ahead: Floats


def from_references(batch: Batch, level: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Candidates, (n_cells, alignments × kinds), and facts, (n_cells, alignments × facts), in units.

    level, size: (n,) level at the context end and noise around it. NaN where no reference reaches.
    """
    values = np.full((len(batch.cell), len(ALIGNMENTS), len(PER_ALIGNMENT)), np.nan)
    facts = np.full((len(batch.cell), len(ALIGNMENTS), len(REFERENCE_FACTS)), np.nan)
    asked, same = _ask(batch)
    if asked:
        question = np.array([one.question for one in asked])
        found = _combine(_read(asked, level[question]), level[question], size[question])
        for one, candidates, known in zip(asked, *found, strict=True):
            n = len(one.ahead)
            values[one.cells, one.alignment], facts[one.cells, one.alignment] = candidates[:n], known[:n]
    for cells in same:  # as long as the run: by plan is by clock
        values[cells, 1], facts[cells, 1] = values[cells, 0], facts[cells, 0]
    return _flat(values), _flat(facts)


def _flat(array: Floats) -> Floats:
    return array.reshape(len(array), array.shape[1] * array.shape[2])


def _ask(batch: Batch) -> tuple[list[_Asked], list[slice]]:
    """What is to be read, and cells for which the second alignment is the first."""
    asked, same = [], []
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    for i, evidence in enumerate(batch.evidences):
        if not evidence.references or evidence.end <= 0:
            continue
        references = _references(evidence, batch.unit[i])
        if not references:
            continue
        cells = slice(bounds[i], bounds[i + 1])
        recent = _recent(evidence.context.clock, evidence.context.values / batch.unit[i], evidence.end)
        ends = [np.full(len(references), np.log(evidence.end))]
        if evidence.planned_end:
            by_plan = ends[0] + [np.log(r.planned / evidence.planned_end) for r in references]
            if np.array_equal(by_plan, ends[0]):
                same.append(cells)
            else:
                ends.append(by_plan)
        for j, end in enumerate(ends):
            asked.append(_Asked(i, j, cells, references, end, recent, batch.log_horizon[cells]))
    return asked, same


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
            found.append(_Reference(clock, smoothed, planned, (size_gap, plan_gap, float(same))))
    return found


@dataclass(frozen=True, eq=False)
class _Readings:
    """References read against contexts, padded with NaN: rises and levels at the horizons,
    (n_asked, n_references, n_horizons), NaN beyond a reference's end; how far the context is above each
    reference, and how unlike they have been so far, (n_asked, n_references), NaN where they do not overlap;
    distance and relation (size, plan, recipe) of each."""

    rise: Floats
    level: Floats
    offset: Floats
    unlike: Floats
    distance: Floats
    relation: Floats


def _read(asked: Sequence[_Asked], level: Floats) -> _Readings:
    """Read all references at the context end, over the context and at the horizons."""
    n, most = len(asked), max(len(one.references) for one in asked)
    farthest = max(len(one.ahead) for one in asked)
    x, y = np.full((2, n, 1, RECENT), np.nan)
    ahead = np.full((n, 1, farthest), np.nan)
    end, first, last, distance = np.full((4, n, most), np.nan)
    relation = np.full((n, most, 3), np.nan)
    read = np.full((n, most, 1 + RECENT + farthest), np.nan)
    for i, one in enumerate(asked):
        points = np.concatenate([[0.0], one.recent[0], one.ahead])
        k, h = len(one.recent[0]), len(one.ahead)
        x[i, 0, :k], y[i, 0, :k] = one.recent
        ahead[i, 0, :h] = one.ahead
        end[i, : len(one.ends)] = one.ends
        for r, reference in enumerate(one.references):
            first[i, r], last[i, r] = reference.clock[0] - 0.2, reference.clock[-1] + BEYOND
            distance[i, r], relation[i, r] = reference.distance, reference.relation
            values = np.interp(points + one.ends[r], reference.clock, reference.values)
            read[i, r, : 1 + k] = values[: 1 + k]
            read[i, r, 1 + RECENT : 1 + RECENT + h] = values[1 + k :]
    there = (first <= end) & (end <= last)
    at_end = read[:, :, 0]
    overlap, later = x + end[:, :, None], ahead + end[:, :, None]
    seen = (overlap >= first[:, :, None]) & (overlap <= last[:, :, None])
    levels = np.where((later <= last[:, :, None]) & there[:, :, None], read[:, :, 1 + RECENT :], np.nan)
    unlike = _spread(y - read[:, :, 1 : 1 + RECENT], seen)
    distance = np.where(there, distance, np.inf)
    return _Readings(levels - at_end[:, :, None], levels, level[:, None] - at_end, unlike, distance, relation)


def _spread(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Standard deviation of what is seen along the last axis, NaN of fewer than two."""
    n = seen.sum(axis=-1)
    mean = np.where(seen, values, 0.0).sum(axis=-1) / np.maximum(n, 1)
    away = np.where(seen, values - mean[..., None], 0.0)
    return np.where(n < 2, np.nan, np.sqrt((away * away).sum(axis=-1) / np.maximum(n, 1)))


def _recent(clock: Floats, values: Floats, end: float) -> tuple[Floats, Floats]:
    """Up to `RECENT` context points of the last `OVERLAP` of log-clock, relative to the context end."""
    moving = clock > 0
    x = np.log(clock[moving]) - np.log(end)
    recent = np.flatnonzero(x >= -OVERLAP)
    if len(recent) > RECENT:
        recent = recent[np.round(np.linspace(0, len(recent) - 1, RECENT)).astype(np.intp)]
    return x[recent], values[moving][recent]


def _combine(readings: _Readings, level: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Candidates, (n_asked, n_horizons, 4), and facts, (n_asked, n_horizons, n_reference_facts)."""
    level, size, distance = level[:, None], size[:, None], readings.distance
    known = np.where(np.isnan(readings.unlike), 2 * size, readings.unlike)
    near = np.exp(-1.5 * distance)
    alike = near * np.exp(-np.abs(readings.offset) / (0.03 + size)) * np.exp(-known / (0.01 + size))
    reach = ~np.isnan(readings.rise)
    nearest = np.argmin(np.where(reach, distance[:, :, None], np.inf), axis=1)
    at_nearest = np.take_along_axis(readings.rise, nearest[:, None], axis=1)[:, 0]
    some = reach.any(axis=1)
    rise, levels = np.where(reach, readings.rise, 0.0), np.where(reach, readings.level, 0.0)
    by_near, by_alike = (_shares(weights, reach) for weights in (near, alike))
    mean_rise = (by_near * rise).sum(axis=1)
    spread = np.sqrt((by_near * (rise - mean_rise[:, None]) ** 2).sum(axis=1))
    alike_rise, alike_level = (by_alike * rise).sum(axis=1), (by_alike * levels).sum(axis=1)
    candidates = np.stack([level + at_nearest, level + mean_rise, level + alike_rise, alike_level], axis=-1)
    of_nearest = (np.take_along_axis(part, nearest, axis=1) for part in (distance, known, readings.offset))
    distance, known, offset = of_nearest
    facts = np.stack(
        [
            np.log1p(reach.sum(axis=1)),
            distance,
            *np.moveaxis(np.take_along_axis(readings.relation, nearest[:, :, None], axis=1), -1, 0),
            np.log((known + 1e-4) / size),
            offset / size,
            np.log((spread + 1e-4) / size),
        ],
        axis=-1,
    )
    candidates[~some] = facts[~some] = np.nan
    return candidates, facts


def _shares(weights: Floats, reach: NDArray[np.bool_]) -> Floats:
    """Weights of references at each horizon, adding up to 1 over those that reach it, as `reach`."""
    weight = np.where(reach, weights[:, :, None] + 1e-12, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.asarray(weight / np.where(total > 0, total, 1.0))
