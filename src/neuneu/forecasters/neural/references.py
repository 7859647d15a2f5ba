"""What finished reference runs say about a run: their rises and levels, read at its horizons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.forecasters.baselines import smooth
from neuneu.forecasters.batch import Batch
from neuneu.forecasters.evidence import nearest_references, relation

ALIGNMENTS = ("clock", "plan")
PER_ALIGNMENT = ("nearest", "mean", "alike", "level")
MOST_REFERENCES = 12
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


@dataclass(frozen=True)
class _Reading:
    """One reference read against one context: rises and levels at the horizons, and how alike it looks."""

    rise: Floats
    level: Floats
    distance: float
    size_gap: float
    plan_gap: float
    same_recipe: float
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
        smoothed = [
            (reference, *_smoothed(reference, batch.unit[i]))
            for reference in nearest_references(evidence, MOST_REFERENCES)
        ]
        for j, alignment in enumerate(ALIGNMENTS):
            readings = list(_readings(smoothed, batch, i, part, level[i], alignment))
            if readings:
                columns = slice(j * len(PER_ALIGNMENT), (j + 1) * len(PER_ALIGNMENT))
                values[part, columns], known = _combine(readings, level[i], size[i])
                facts[part, j * len(REFERENCE_FACTS) : (j + 1) * len(REFERENCE_FACTS)] = known
    return values, facts


def _readings(
    smoothed: Sequence[tuple[Curve, Floats, Floats]],
    batch: Batch,
    i: int,
    part: slice,
    level: float,
    alignment: str,
) -> Iterator[_Reading]:
    """Read references (with their log-clock and smooth values) at the horizons, and over the context."""
    evidence = batch.evidences[i]
    context = evidence.context
    x, y = _recent(context.clock, context.values / batch.unit[i], evidence.end)
    ahead = batch.log_horizon[part]
    for reference, clock, values in smoothed:
        if len(clock) < 4:
            continue
        shift = (
            np.log(reference.clock[-1] / evidence.planned_end)
            if alignment == "plan" and evidence.planned_end
            else 0.0
        )
        if alignment == "plan" and not evidence.planned_end:
            return
        end = np.log(evidence.end) + shift
        if not clock[0] - 0.2 <= end <= clock[-1] + BEYOND:
            continue
        at_end = float(np.interp(end, clock, values))
        later = np.where(end + ahead <= clock[-1] + BEYOND, np.interp(end + ahead, clock, values), np.nan)
        seen = (x + end >= clock[0] - 0.2) & (x + end <= clock[-1] + BEYOND)
        gap = y[seen] - np.interp(x[seen] + end, clock, values)
        size_gap, plan_gap, same = relation(evidence, reference)
        yield _Reading(
            rise=later - at_end,
            level=later,
            distance=abs(size_gap) + 0.5 * abs(plan_gap) + (0.0 if same else 1.0),
            size_gap=size_gap,
            plan_gap=plan_gap,
            same_recipe=float(same),
            offset=level - at_end,
            unlike=float(gap.std()) if len(gap) >= 2 else np.nan,
        )


def _recent(clock: Floats, values: Floats, end: float) -> tuple[Floats, Floats]:
    """Up to 16 context points of the last `OVERLAP` of log-clock, relative to the context end."""
    moving = clock > 0
    x = np.log(clock[moving]) - np.log(end)
    recent = np.flatnonzero(x >= -OVERLAP)
    if len(recent) > 16:
        recent = recent[np.round(np.linspace(0, len(recent) - 1, 16)).astype(np.intp)]
    return x[recent], values[moving][recent]


def _smoothed(reference: Curve, unit: float) -> tuple[Floats, Floats]:
    moving = reference.clock > 0
    return np.log(reference.clock[moving]), smooth(reference.values[moving] / unit)


def _combine(readings: list[_Reading], level: float, size: float) -> tuple[Floats, Floats]:
    """Candidates of one alignment, (n_horizons, 4), and facts, (n_horizons, n_reference_facts)."""
    rise, levels = np.stack([r.rise for r in readings]), np.stack([r.level for r in readings])
    distance = np.array([r.distance for r in readings])
    unlike = np.array([r.unlike for r in readings])
    offset = np.array([r.offset for r in readings])
    known = np.where(np.isnan(unlike), 2 * size, unlike)
    near = np.exp(-1.5 * distance)
    alike = near * np.exp(-np.abs(offset) / (0.03 + size)) * np.exp(-known / (0.01 + size))
    reach = ~np.isnan(rise)
    order = np.where(reach, distance[:, None], np.inf)
    nearest = np.argmin(order, axis=0)
    columns = np.arange(rise.shape[1])
    some = reach.any(axis=0)
    mean_rise, spread = _weighted(rise, near)
    alike_rise, _ = _weighted(rise, alike)
    alike_level, _ = _weighted(levels, alike)
    candidates = np.stack(
        [level + rise[nearest, columns], level + mean_rise, level + alike_rise, alike_level], axis=1
    )
    size_gap, plan_gap, same = (
        np.array([getattr(reading, name) for reading in readings])[nearest]
        for name in ("size_gap", "plan_gap", "same_recipe")
    )
    facts = np.stack(
        [
            np.log1p(reach.sum(axis=0)),
            distance[nearest],
            size_gap,
            plan_gap,
            same,
            np.log((known[nearest] + 1e-4) / size),
            offset[nearest] / size,
            np.log((spread + 1e-4) / size),
        ],
        axis=1,
    )
    facts[~some] = np.nan
    return candidates, facts


def _weighted(values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and spread over the first axis, leaving out NaN; NaN where nothing is left."""
    reach = ~np.isnan(values)
    weight = np.where(reach, weights[:, None] + 1e-12, 0.0)
    total = weight.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    mean = (weight * np.where(reach, values, 0.0)).sum(axis=0) / safe
    spread = np.sqrt((weight * np.where(reach, values - mean, 0.0) ** 2).sum(axis=0) / safe)
    return np.where(total > 0, mean, np.nan), np.where(total > 0, spread, np.nan)
