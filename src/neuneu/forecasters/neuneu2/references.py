"""What finished reference runs say about a run: their rises and levels, read at its horizons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence, nearest_references, relation
from neuneu.forecasters.baselines import smooth
from neuneu.forecasters.neuneu2.surface import groups_of

ALIGNMENTS = ("clock", "plan")
PER_ALIGNMENT = ("nearest", "mean", "similar", "value")
MOST_REFERENCES, FEWEST_POINTS = 12, 4
"""So many references are read, the nearest; those with fewer checkpoints are left out."""
OVERLAP = 2.1
"""Contexts and references are compared over this much log-clock before the context end (a factor of 8)."""
RECENT = 16
"""Context points that are compared at most, evenly picked from those."""
BEYOND, BEFORE = 0.03, 0.2
"""A reference is read so much log-clock beyond its last checkpoint, and before its first, no further."""
PLAN_GAP = 0.5
"""What a gap in the plan counts in distance, where one in size counts 1, and another recipe 1."""
NEARNESS = 1.5
"""Weights of references fall by exp(−`NEARNESS` · distance)."""
OFFSET_SIZE, MISFIT_SIZE = 0.03, 0.01
"""Offset and misfit, in units, on top of noise, by which a reference's similarity falls by a factor e."""
UNKNOWN_MISFIT = 2.0
"""Misfit, in noise, of a reference that does not overlap with the context."""
TINY_WEIGHT, TINY_SPREAD = 1e-12, 1e-4
"""Floors: no division by 0 where all weights vanish, no log of 0 where all references agree."""
REFERENCE_FACTS = (
    "references",
    "nearest",
    "size_gap",
    "plan_gap",
    "same_recipe",
    "misfit",
    "offset",
    "spread",
)


@dataclass(frozen=True, eq=False)
class _Reference:
    """A reference run: log-clock, (n_points,), smooth values on several tasks, (n_tasks, n_points), in units,
    its plan and how it is related to the run."""

    clock: Floats
    values: Floats
    planned: float
    relation: tuple[float, float, float]

    @property
    def distance(self) -> float:
        """How far it is from the run in size, plan and recipe."""
        size_gap, plan_gap, same_recipe = self.relation
        return abs(size_gap) + PLAN_GAP * abs(plan_gap) + (1.0 - same_recipe)

    def at(self, clock: Floats) -> Floats:
        """Values at these log-clocks, (n_tasks, n): linear between checkpoints, constant outside."""
        left = np.clip(np.searchsorted(self.clock, clock, side="right") - 1, 0, len(self.clock) - 2)
        start = self.clock[left]
        share = np.clip((clock - start) / (self.clock[left + 1] - start), 0.0, 1.0)
        before = self.values[:, left]
        return np.asarray(before + share * (self.values[:, left + 1] - before))


@dataclass(frozen=True, eq=False)
class _Reading:
    """Questions that differ in values only, read in one alignment.

    questions: (n_own,); cells: of the batch, (n_own, n_horizons); ends[r]: the log-clock of reference r that
    stands for the context end; recent: context points, (n_recent,) and (n_own, n_recent), and ahead:
    horizons, (n_horizons,), relative to it.
    """

    questions: NDArray[np.intp]
    alignment: int
    cells: NDArray[np.intp]
    references: list[_Reference]
    ends: Floats
    recent: tuple[Floats, Floats]
    ahead: Floats


def from_references(
    batch: Batch, kinds: NDArray[np.intp], end_value: Floats, noise: Floats
) -> tuple[Floats, Floats]:
    """Candidates, (n_cells, alignments × kinds), and facts, (n_cells, alignments × facts), in units.

    kinds: (n,) `alike`; end_value, noise: (n,) value at the context end, noise around the curve. NaN where
    no reference reaches.
    """
    values = np.full((len(batch.cell), len(ALIGNMENTS), len(PER_ALIGNMENT)), np.nan)
    facts = np.full((len(batch.cell), len(ALIGNMENTS), len(REFERENCE_FACTS)), np.nan)
    asked, same = _ask(batch, kinds)
    if asked:
        question = np.concatenate([one.questions for one in asked])
        found = _combine(_read(asked, end_value[question]), end_value[question], noise[question])
        start = 0
        for one in asked:
            rows, n = slice(start, start + len(one.questions)), len(one.ahead)
            values[one.cells, one.alignment] = found[0][rows, :n]
            facts[one.cells, one.alignment] = found[1][rows, :n]
            start = rows.stop
    for cells in same:  # as long as the run: by plan is by clock
        values[cells, 1], facts[cells, 1] = values[cells, 0], facts[cells, 0]
    return _flat(values), _flat(facts)


def _flat(array: Floats) -> Floats:
    return array.reshape(len(array), array.shape[1] * array.shape[2])


def _ask(batch: Batch, kinds: NDArray[np.intp]) -> tuple[list[_Reading], list[NDArray[np.intp]]]:
    """What is to be read, and cells for which the second alignment is the first."""
    asked, same = [], []
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    chosen = [i for i, e in enumerate(batch.evidences) if e.references and e.end > 0]
    horizons = [batch.log_horizon[bounds[i] : bounds[i + 1]] for i in chosen]
    for group in groups_of([(kinds[i], h.tobytes()) for i, h in zip(chosen, horizons, strict=True)]):
        own, ahead = np.array(chosen)[group], horizons[group[0]]
        evidences, unit = [batch.evidences[i] for i in own], batch.unit[own]
        first = evidences[0]
        references = _references(evidences, unit)
        if not references:
            continue
        cells = bounds[own][:, None] + np.arange(len(ahead))
        recent = _recent(first.context.clock, np.array([e.context.values for e in evidences]), first.end)
        recent = recent[0], recent[1] / unit[:, None]
        ends = [np.full(len(references), np.log(first.end))]
        if first.planned_end:
            by_plan = ends[0] + [np.log(r.planned / first.planned_end) for r in references]
            if np.array_equal(by_plan, ends[0]):
                same.append(cells.ravel())
            else:
                ends.append(by_plan)
        for j, end in enumerate(ends):
            asked.append(_Reading(own, j, cells, references, end, recent, ahead))
    return asked, same


def _references(evidences: Sequence[Evidence], unit: Floats) -> list[_Reference]:
    """The nearest references of questions of one kind that have enough checkpoints."""
    found = []
    first = evidences[0]
    places = {id(reference): place for place, reference in enumerate(first.references)}
    for reference in nearest_references(first, MOST_REFERENCES):
        moving = reference.clock > 0
        if np.count_nonzero(moving) >= FEWEST_POINTS:
            size_gap, plan_gap, same = relation(first, reference)
            place = places[id(reference)]
            values = np.array([e.references[place].values for e in evidences])[:, moving]
            found.append(
                _Reference(
                    np.log(reference.clock[moving]),
                    smooth(values / unit[:, None]),
                    float(reference.clock[-1]),
                    (size_gap, plan_gap, float(same)),
                )
            )
    return found


@dataclass(frozen=True, eq=False)
class _Readings:
    """References read against contexts, padded with NaN.

    rise, value: at the horizons, since the context end and as it is, (n_asked, n_references, n_horizons), NaN
    beyond a reference's end; offset: how far the context is above each reference; misfit: standard deviation
    of their difference so far, NaN where they do not overlap; distance: each (n_asked, n_references);
    relation: (n_asked, n_references, 3) size, plan, recipe.
    """

    rise: Floats
    value: Floats
    offset: Floats
    misfit: Floats
    distance: Floats
    relation: Floats


def _read(asked: Sequence[_Reading], end_value: Floats) -> _Readings:
    """Read all references at the context end, over the context and at the horizons."""
    n, most = sum(len(one.questions) for one in asked), max(len(one.references) for one in asked)
    farthest = max(len(one.ahead) for one in asked)
    x, y = np.full((2, n, 1, RECENT), np.nan)
    ahead = np.full((n, 1, farthest), np.nan)
    end, first, last, distance = np.full((4, n, most), np.nan)
    relation = np.full((n, most, 3), np.nan)
    read = np.full((n, most, 1 + RECENT + farthest), np.nan)
    start = 0
    for one in asked:
        rows = slice(start, start + len(one.questions))
        start = rows.stop
        points = np.concatenate([[0.0], one.recent[0], one.ahead])
        k, h = len(one.recent[0]), len(one.ahead)
        x[rows, 0, :k], y[rows, 0, :k] = one.recent
        ahead[rows, 0, :h] = one.ahead
        end[rows, : len(one.ends)] = one.ends
        for r, reference in enumerate(one.references):
            first[rows, r], last[rows, r] = reference.clock[0] - BEFORE, reference.clock[-1] + BEYOND
            distance[rows, r], relation[rows, r] = reference.distance, reference.relation
            values = reference.at(points + one.ends[r])
            read[rows, r, : 1 + k] = values[:, : 1 + k]
            read[rows, r, 1 + RECENT : 1 + RECENT + h] = values[:, 1 + k :]
    there = (first <= end) & (end <= last)
    at_end = read[:, :, 0]
    overlap, later = x + end[:, :, None], ahead + end[:, :, None]
    seen = (overlap >= first[:, :, None]) & (overlap <= last[:, :, None])
    value = np.where((later <= last[:, :, None]) & there[:, :, None], read[:, :, 1 + RECENT :], np.nan)
    misfit = _spread(y - read[:, :, 1 : 1 + RECENT], seen)
    distance = np.where(there, distance, np.inf)
    offset = end_value[:, None] - at_end
    return _Readings(value - at_end[:, :, None], value, offset, misfit, distance, relation)


def _spread(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Standard deviation of what is seen along the last axis, NaN of fewer than two."""
    n = seen.sum(axis=-1)
    mean = np.where(seen, values, 0.0).sum(axis=-1) / np.maximum(n, 1)
    away = np.where(seen, values - mean[..., None], 0.0)
    return np.where(n < 2, np.nan, np.sqrt((away * away).sum(axis=-1) / np.maximum(n, 1)))


def _recent(clock: Floats, values: Floats, end: float) -> tuple[Floats, Floats]:
    """Up to `RECENT` context points of the last `OVERLAP` of log-clock, relative to the context end.

    values: (n_own, n_points).
    """
    moving = clock > 0
    x = np.log(clock[moving]) - np.log(end)
    recent = np.flatnonzero(x >= -OVERLAP)
    if len(recent) > RECENT:
        recent = recent[np.round(np.linspace(0, len(recent) - 1, RECENT)).astype(np.intp)]
    return x[recent], values[:, moving][:, recent]


def _combine(readings: _Readings, end_value: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Candidates, (n_asked, n_horizons, 4) as `PER_ALIGNMENT`, and facts, (n_asked, n_horizons, n_facts).

    end_value, noise: (n_asked,). Of a reference at distance d, with offset o and misfit m, of noise s,
    nearness is exp(−1.5 d) and similarity nearness · exp(−|o| / (0.03 + s) − m / (0.01 + s)). The candidates
    are end_value plus the rise of the nearest reference, plus the mean rise by nearness, plus the mean rise
    by similarity; and the mean value by similarity. Means are over the references that reach the horizon;
    where none does, all is NaN.
    """
    end_value, noise, distance = end_value[:, None], noise[:, None], readings.distance
    misfit = np.where(np.isnan(readings.misfit), UNKNOWN_MISFIT * noise, readings.misfit)
    nearness = np.exp(-NEARNESS * distance)
    near_in_value = np.exp(-np.abs(readings.offset) / (OFFSET_SIZE + noise))
    similarity = nearness * near_in_value * np.exp(-misfit / (MISFIT_SIZE + noise))
    reach = ~np.isnan(readings.rise)
    nearest = np.argmin(np.where(reach, distance[:, :, None], np.inf), axis=1)
    rise, value = np.where(reach, readings.rise, 0.0), np.where(reach, readings.value, 0.0)
    by_nearness, by_similarity = (_shares(weights, reach) for weights in (nearness, similarity))
    mean_rise = (by_nearness * rise).sum(axis=1)
    spread = np.sqrt((by_nearness * (rise - mean_rise[:, None]) ** 2).sum(axis=1))
    candidates = np.stack(
        [
            end_value + np.take_along_axis(readings.rise, nearest[:, None], axis=1)[:, 0],
            end_value + mean_rise,
            end_value + (by_similarity * rise).sum(axis=1),
            (by_similarity * value).sum(axis=1),
        ],
        axis=-1,
    )
    distance, misfit, offset = (
        np.take_along_axis(part, nearest, axis=1) for part in (distance, misfit, readings.offset)
    )
    facts = np.stack(
        [
            np.log1p(reach.sum(axis=1)),
            distance,
            *np.moveaxis(np.take_along_axis(readings.relation, nearest[:, :, None], axis=1), -1, 0),
            np.log((misfit + TINY_SPREAD) / noise),
            offset / noise,
            np.log((spread + TINY_SPREAD) / noise),
        ],
        axis=-1,
    )
    reached = reach.any(axis=1)
    candidates[~reached] = facts[~reached] = np.nan
    return candidates, facts


def _shares(weights: Floats, reach: NDArray[np.bool_]) -> Floats:
    """Weights of references at each horizon, adding up to 1 over those that reach it, as `reach`."""
    weight = np.where(reach, weights[:, :, None] + TINY_WEIGHT, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.asarray(weight / np.where(total > 0, total, 1.0))
