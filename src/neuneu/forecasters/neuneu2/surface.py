"""Questions laid out for the process: where the curve and its reference runs were measured, and what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuneu.atlas.family_laws import capability
from neuneu.curves.curve import Curve, Floats
from neuneu.evidence.evidence import Evidence, nearest_references, relation
from neuneu.forecasters.neuneu2.expected import Laws, process_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_REFERENCES, REFERENCE_POINTS, CONTEXT_POINTS = 10, 10, 14
"""Curves are averaged into so many bins of log-clock: cost grows with the cube of all points."""
REFERENCE_REACH, CONTEXT_REACH = 2.5, 4.0
"""Points further than this in log-clock before the context end are left out."""
FEWEST_POINTS = 4
"""References with fewer checkpoints are left out."""
FARTHEST_SHARE = 10.0
"""Logs of horizon over context end are cut at this where they become a share of the plan: no overflow."""


@dataclass(frozen=True, eq=False)
class Units:
    """What questions are measured in, (n_questions,) each: unit, value at the context end, noise around the
    curve; the last two in units."""

    unit: Floats
    end_value: Floats
    noise: Floats

    def part(self, which: "slice | list[int] | NDArray[np.intp]") -> "Units":
        """Those of these questions."""
        return Units(self.unit[which], self.end_value[which], self.noise[which])


@dataclass(frozen=True, eq=False)
class Surface:
    """Points of many questions, padded: context and references, and the horizons asked.

    Tasks of one run differ in values, hardly in where they are measured: layouts are held once, points of
    references first, then those of the context. clock, params: log relative to the context end and to the
    run's size; share: of the plan, 0 where unknown; planned: whether it is known; recipe, run: 0 for those of
    the run that is forecast; weight: measurements
    averaged, there: 1 where there is a point; all (n_layouts, n_points). asked, asked_share, asked_planned:
    (n_layouts, n_horizons). layout: (n,) which one a question has; y: (n, n_points) values minus the one at
    the context end and what the atlas expects there; expected: (n, n_horizons) what it expects at the
    horizons, both from the context end on; scale: (n,) spread of all points; noise: (n,) around the curve.
    """

    clock: Any
    params: Any
    share: Any
    planned: Any
    recipe: Any
    run: Any
    weight: Any
    there: Any
    asked: Any
    asked_share: Any
    asked_planned: Any
    layout: Any
    y: Any
    expected: Any
    scale: Any
    noise: Any


def alike(evidences: Sequence[Evidence]) -> "NDArray[np.intp]":
    """The kind of each question, (n,): those of one kind differ in values only.

    They have the same checkpoints, size, recipe and plan, and the same reference runs, in the same order.
    """
    kinds: dict[tuple[object, ...], int] = {}
    return np.array([kinds.setdefault(_design(e), len(kinds)) for e in evidences], dtype=np.intp)


def _design(evidence: Evidence) -> tuple[object, ...]:
    context = evidence.context
    references = ((r.key.run, r.clock.tobytes(), r.facts.params, r.facts.recipe) for r in evidence.references)
    own = context.clock.tobytes(), context.facts.params, context.facts.recipe, evidence.planned_end
    return *own, *references


def groups_of(kinds: Sequence[object]) -> "list[NDArray[np.intp]]":
    """Places of each distinct kind, in the order in which they first appear."""
    if not kinds:
        return []
    numbers: dict[object, int] = {}
    number = np.array([numbers.setdefault(kind, len(numbers)) for kind in kinds], dtype=np.intp)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.cumsum(np.bincount(number, minlength=len(numbers)))[:-1])


def make_surface(
    evidences: Sequence[Evidence],
    log_horizons: Sequence[Floats],
    units: Units,
    laws: Laws | None = None,
    kinds: "NDArray[np.intp] | None" = None,
) -> Surface:
    """Lay out questions. log_horizons[i]: log of horizon over context end, (n_i,); laws: of each question's
    task, which give the process its mean, none by default; kinds: `alike`, where it is known."""
    bins: dict[bytes, _Bins] = {}
    kinds = alike(evidences) if kinds is None else kinds
    groups = groups_of([(kind, h.tobytes()) for kind, h in zip(kinds.tolist(), log_horizons, strict=True)])
    layouts = [_layout(evidences[group[0]], bins) for group in groups]
    width = max(layout.rows.shape[1] for layout in layouts)
    n, farthest = len(evidences), max(len(h) for h in log_horizons)
    points, asked = np.zeros((8, len(groups), width)), np.zeros((len(groups), farthest))
    plan, of_question = np.zeros((len(groups), 1)), np.empty(n, dtype=np.intp)
    value, expected = np.zeros((n, width)), np.zeros((n, farthest))
    for j, (group, layout) in enumerate(zip(groups, layouts, strict=True)):
        of_question[group] = j
        first, horizons = evidences[group[0]], log_horizons[group[0]]
        size = layout.rows.shape[1]
        points[:7, j, :size], points[7, j, :size] = layout.rows, 1.0
        asked[j, : len(horizons)] = horizons
        plan[j] = first.end / first.planned_end if first.planned_end else 0.0
        value[group, :size] = layout.values([evidences[i] for i in group], units.unit[group])
        told = [i for i in group if laws and laws[i] is not None]
        if told:
            params = float(first.context.facts.params or 1)
            start = capability(params, first.end)
            at = capability(params * np.exp(layout.rows[2]), first.end * np.exp(layout.rows[1]))
            later = capability(params, first.end * np.exp(horizons))
            for i in told:
                law = (laws or ())[i]
                assert law is not None
                value[i, :size] -= process_mean(law, at, start)
                expected[i, : len(horizons)] = process_mean(law, later, start)
    weight, clock, params_gap, share, planned, recipe, run, there = points
    seen = there[of_question]
    count = seen.sum(axis=1)
    mean = (value * seen).sum(axis=1) / count
    spread = (((value - mean[:, None]) * seen) ** 2).sum(axis=1) / count
    return Surface(
        clock=clock, params=params_gap, share=share, planned=planned, recipe=recipe, run=run,
        weight=np.maximum(weight, 1.0), there=there, asked=asked,
        asked_share=plan * np.exp(np.minimum(asked, FARTHEST_SHARE)),
        asked_planned=(plan > 0) * np.ones_like(asked),
        layout=of_question, y=(value - units.end_value[:, None]) * seen,
        expected=expected, scale=np.sqrt(spread + units.noise**2), noise=units.noise,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Bins:
    """How a curve's checkpoints are averaged: which are kept, where each bin begins among these, bins'
    log-clock and sizes."""

    kept: "NDArray[np.bool_]"
    starts: "NDArray[np.intp]"
    clock: Floats
    weight: Floats

    def averages(self, values: Floats) -> Floats:
        """Mean of the values in each bin, (n_curves, n_bins)."""
        kept = values[:, self.kept]
        if len(self.starts) == kept.shape[1]:
            return np.asarray(kept)
        return np.asarray(np.add.reduceat(kept, self.starts, axis=1) / self.weight)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where questions of one kind are measured.

    rows: (7, n_points) measurements averaged; log of clock over context end; log of parameters over the
    run's; share of the run's plan; whether that is known; number of the recipe; number of the run: the last
    two count from 0, the forecast run's own, in the order of references. curves: the place of each curve
    among the references, None for the context, and how it is averaged, in the order of the points.
    """

    rows: Floats
    curves: "list[tuple[int | None, _Bins]]"

    def values(self, evidences: Sequence[Evidence], unit: Floats) -> Floats:
        """What was measured, (n_evidences, n_points), in units, (n_evidences,)."""
        found = []
        for place, bins in self.curves:
            curves = [e.context if place is None else e.references[place] for e in evidences]
            found.append(bins.averages(np.array([curve.values for curve in curves]) / unit[:, None]))
        return np.concatenate(found, axis=1)


def _layout(evidence: Evidence, bins: dict[bytes, _Bins]) -> _Layout:
    """Where a question is measured: each reference's points, then its context's.

    bins: of clocks that have been met, by what makes them; added to.
    """
    context, end = evidence.context, evidence.end
    recipes = {context.facts.recipe: 0}
    places = {id(reference): place for place, reference in enumerate(evidence.references)}
    rows, curves = [], []
    for number, reference in enumerate(nearest_references(evidence, MOST_REFERENCES), start=1):
        if np.count_nonzero(reference.clock > 0) < FEWEST_POINTS:
            continue
        binned = _bins(reference, end, REFERENCE_POINTS, REFERENCE_REACH, bins)
        size_gap, _, _ = relation(evidence, reference)
        recipe = recipes.setdefault(reference.facts.recipe, len(recipes))
        share = np.exp(binned.clock) * end / reference.clock[-1]
        rows.append(_rows(binned, params=-size_gap, share=share, recipe=recipe, run=number))
        curves.append((places[id(reference)], binned))
    binned = _bins(context, end, CONTEXT_POINTS, CONTEXT_REACH, bins)
    share = np.exp(binned.clock) * end / evidence.planned_end if evidence.planned_end else None
    rows.append(_rows(binned, params=0.0, share=share, recipe=0, run=0))
    return _Layout(np.concatenate(rows, axis=1), [*curves, (None, binned)])


def _rows(bins: _Bins, *, params: float, share: Floats | None, recipe: int, run: int) -> Floats:
    """The rows of `_Layout` for one curve, (7, n_bins); share: (n_bins,), None where there is no plan."""
    rows = np.empty((7, len(bins.clock)))
    rows[0], rows[1], rows[2] = bins.weight, bins.clock, params
    rows[3], rows[4] = (0.0, 0.0) if share is None else (share, 1.0)
    rows[5], rows[6] = recipe, run
    return rows


def _bins(curve: Curve, end: float, limit: int, reach: float, known: dict[bytes, _Bins]) -> _Bins:
    """At most `limit` bins of the checkpoints after `reach` of log-clock before the context end."""
    key = curve.clock.tobytes() + np.array([end, limit, reach]).tobytes()
    if key not in known:
        known[key] = _make_bins(curve.clock, end, limit, reach)
    return known[key]


def _make_bins(clock: Floats, end: float, limit: int, reach: float) -> _Bins:
    """`_bins` of a clock, (n_checkpoints,): at least the last two checkpoints, whatever the reach."""
    x = np.log(np.maximum(clock, 1e-300)) - np.log(end)
    moving = np.flatnonzero(clock > 0)
    recent = moving[x[moving] >= -reach]
    if len(recent) < 2:
        recent = moving[-2:]
    kept = np.zeros(len(clock), dtype=np.bool_)
    kept[recent] = True
    x = x[kept]
    if len(x) <= limit:
        return _Bins(kept, np.arange(len(x)), x, np.ones_like(x))
    edges = np.linspace(x[0], x[-1] + 1e-9, limit + 1)
    which = np.minimum(np.searchsorted(edges, x, side="right") - 1, limit - 1)
    _, starts, which, weight = np.unique(which, return_index=True, return_inverse=True, return_counts=True)
    return _Bins(kept, starts, np.bincount(which, x) / weight, weight.astype(np.float64))
