"""Candidate forecasts: what each piece of evidence, taken alone, says about the value at a horizon."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.tasks import find_metric
from neuneu.evidence.batch import Batch, Points, make_batch
from neuneu.evidence.evidence import Evidence, other_metrics_of
from neuneu.evidence.features import (
    NOISE_PER_ITEM_ERROR,
    ContextFeatures,
    context_features,
    mean_of_last,
)
from neuneu.forecasters.laws import fit_power_law
from neuneu.forecasters.neuneu2.cooldown import decayed
from neuneu.forecasters.neuneu2.expected import ATLAS_FACTS, FROM_ATLAS, Laws, from_atlas
from neuneu.forecasters.neuneu2.process import Process
from neuneu.forecasters.neuneu2.references import ALIGNMENTS, PER_ALIGNMENT, REFERENCE_FACTS, from_references
from neuneu.forecasters.neuneu2.surface import Units, alike

FROM_CURVE = (
    "last", "end_value", "recent", "mean_5", "power_law", "power_law_rise", "log_linear", "local_line",
    "damped_line", "chance", "process",
)  # fmt: skip
FROM_LOSS = ("loss_rise",)
FROM_REFERENCES = (
    *(f"{kind}_by_{alignment}" for alignment in ALIGNMENTS for kind in PER_ALIGNMENT),
    "process_by_runs",
)
CANDIDATES = FROM_CURVE + FROM_LOSS + FROM_REFERENCES + FROM_ATLAS
"""Names of the candidates, in the order of columns.

From the curve: its last value; the end value, which a local line has at the context end; the mean of recent
values and of the last five; a power law, as it is and moved to the end value; a line in log-clock through all
points, through recent ones, and one that flattens out; chance. From another metric of the task (bits per byte
and the like): its power law, read through the recent relation of accuracy to it. From references: the rise of
the nearest one, of all by nearness, of those that have been similar so far, added to the end value; and where
the similar ones stand, unmoved. A reference is read at the same clock or at the same share of its plan.
`process`: a Gaussian process on the curve alone (`process`); `process_by_runs`: on the curve and all
references. From the atlas of benchmarks (`expected`): the rise that it expects added to the end value, where
it expects the score to be, and the rise of families that stand where the run does.
"""

END_WIDTH, LINE_WIDTH, RECENT_WIDTH, WIDE = 0.1, 0.7, 0.3, 3.0
"""Widths in log-clock of exponential weights that fade into the past."""
SLOPE_PRIOR = 1e-3
"""Slopes of local lines are pulled to 0 by so many squares of log-clock, times the width, a point."""
LEAST_FADE = -60.0
"""Weights fade to exp of this, no further: short of underflow."""
LEAST_NOISE = 0.003
"""Noise around a curve in units that is there at least, whatever it shows: three tenths of a point."""
LOSS_POINTS, GAIN_POINTS = 4, 3
"""Checkpoints that another metric must have to be extrapolated, and share with the curve to be related."""
TRUST_AHEAD = 1.0
"""Log-clock after the context end at which it is asked how unsure references leave the process."""
MOST_SPREAD, MOST_GAIN = 3.0, 2.0
"""Logs of that uncertainty over the noise, and gains in likelihood, are cut at these, where widths depend on
them."""
OTHER_FAMILY_GAIN = 0.1
"""Log likelihood a point that references of another family must add to be looked at."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate forecasts of a batch and facts that tell which to trust.

    values: (n_cells, n_candidates) in units, NaN where the evidence is absent; facts: (n_cells, n_facts),
    NaN where unknown; noise: (n,) around the curve, in units; better: (n,) 1 where a higher value is better,
    -1 where a lower one is; trust: (n, n_trust) what the width of intervals depends on beside the context, 0
    without references: whether there are any, how unsure they leave the process `TRUST_AHEAD` of log-clock
    ahead (log over the noise), and what they add to the context's log likelihood, a point; knowledge: (n,
    n_knowledge) the same of the atlas, 0 where it knows nothing; known: (n,) whether it knows the task;
    decay: (n_cells,) as `decayed`.
    """

    values: Floats
    facts: Floats
    noise: Floats
    better: Floats
    trust: Floats
    knowledge: Floats
    known: NDArray[np.bool_]
    decay: Floats

    def part(self, cells: NDArray[np.bool_]) -> "Candidates":
        """These cells only, of the same questions."""
        return replace(self, values=self.values[cells], facts=self.facts[cells], decay=self.decay[cells])

    def first(self, n: int) -> "Candidates":
        """What is told of the first n questions, without cells."""
        nothing = replace(self.part(np.zeros(len(self.values), dtype=np.bool_)), noise=self.noise[:n])
        told = {name: getattr(self, name)[:n] for name in ("better", "trust", "knowledge", "known")}
        return replace(nothing, **told)


def make_candidates(batch: Batch, process: Process, laws: Laws | None = None) -> Candidates:
    """Candidates and facts for every cell of a batch.

    References of another family are looked at only where the curve so far looks more likely with them.
    laws: what the atlas knows of each question's task; where it is not asked, its columns are NaN.
    """
    features = context_features(batch)
    end_value, slope = local_line(batch.points, END_WIDTH, batch.last)
    units = Units(batch.unit, end_value, curve_noise(features))
    ask = partial(_from_process, process=process, units=units, laws=laws)
    batch = _without_unlikely_families(batch, ask)
    kinds = alike(batch.evidences)
    alone = ask(batch, kinds, with_references=False)
    by_runs = ask(batch, kinds, with_references=True)
    atlas_values, atlas_facts, knowledge = from_atlas(batch, laws, end_value, units.noise)
    reference_values, reference_facts = from_references(batch, kinds, end_value, units.noise)
    gain = by_runs.likelihood - alone.likelihood
    values = [
        _from_curve(batch, features, end_value),
        alone.mean[:, None],
        _from_loss(batch, end_value)[:, None],
        reference_values,
        by_runs.mean[:, None],
        atlas_values,
    ]
    facts = [
        _curve_facts(batch, features, units, slope),
        reference_facts,
        by_runs.spread[:, None],
        gain[batch.cell, None],
        _horizon_facts(batch),
        alone.spread[:, None],
        atlas_facts,
    ]
    inside = np.clip(
        np.concatenate(values, axis=1), batch.low[batch.cell, None], batch.high[batch.cell, None]
    )
    some = ~np.isnan(gain)
    unsure = np.clip(by_runs.spread_ahead, -MOST_SPREAD, MOST_SPREAD)
    trust = np.stack([some * 1.0, unsure, np.clip(gain, -MOST_GAIN, MOST_GAIN)], axis=1)
    higher = [find_metric(evidence.context.key.metric).higher_is_better for evidence in batch.evidences]
    return Candidates(
        inside,
        np.concatenate(facts, axis=1),
        units.noise,
        np.where(higher, 1.0, -1.0),
        np.where(some[:, None], trust, 0.0),
        knowledge,
        np.array([law is not None for law in laws or [None] * batch.n], dtype=np.bool_),
        decayed(batch),
    )


def units_of(batch: Batch) -> Units:
    """What the process measures a batch's questions in."""
    end_value, _ = local_line(batch.points, END_WIDTH, batch.last)
    return Units(batch.unit, end_value, curve_noise(context_features(batch)))


def curve_noise(features: ContextFeatures) -> Floats:
    """Noise around the curve in units, (n,): what the curve shows and what its items imply."""
    of_items = np.nan_to_num(NOISE_PER_ITEM_ERROR * features.item_error)
    return np.asarray(np.sqrt(features.noise**2 + of_items**2 + LEAST_NOISE**2), dtype=np.float64)


@dataclass(frozen=True)
class _Answer:
    """What the process says: mean and log spread over noise, (n_cells,); log spread `TRUST_AHEAD` ahead and
    log likelihood of the context, (n,). NaN where it was not asked."""

    mean: Floats
    spread: Floats
    spread_ahead: Floats
    likelihood: Floats


def _without_unlikely_families(batch: Batch, ask: Callable[..., "_Answer"]) -> Batch:
    """The batch without references of other families, except where they raise the context's likelihood."""
    of_others = [
        tuple(r for r in e.references if r.facts.family != e.context.facts.family) for e in batch.evidences
    ]
    if not any(of_others):
        return batch
    with_them = [replace(e, references=others) for e, others in zip(batch.evidences, of_others, strict=True)]
    asked = replace(batch, evidences=with_them, log_horizon=np.empty(0), cell=np.empty(0, dtype=np.intp))
    kinds = alike(with_them)
    gain = (
        ask(asked, kinds, with_references=True).likelihood
        - ask(asked, kinds, with_references=False).likelihood
    )
    useful = gain > OTHER_FAMILY_GAIN
    evidences = [
        e
        if keep or not others
        else replace(e, references=tuple(r for r in e.references if all(r is not o for o in others)))
        for e, others, keep in zip(batch.evidences, of_others, useful, strict=True)
    ]
    return replace(batch, evidences=evidences)


def _from_process(
    batch: Batch,
    kinds: NDArray[np.intp],
    process: Process,
    units: Units,
    laws: Laws | None,
    *,
    with_references: bool,
) -> _Answer:
    """Ask the process about every context, or about those with references only. kinds: (n,) `alike`."""
    mean, spread = np.full((2, len(batch.cell)), np.nan)
    ahead, likelihood = np.full((2, batch.n), np.nan)
    chosen = [i for i, e in enumerate(batch.evidences) if e.end > 0 and (e.references or not with_references)]
    if not chosen:
        return _Answer(mean, spread, ahead, likelihood)
    asked = [batch.evidences[i] for i in chosen]
    if not with_references:
        asked = [replace(evidence, references=()) for evidence in asked]
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    ahead_of: dict[bytes, Floats] = {}
    horizons = []
    for i in chosen:
        own = batch.log_horizon[bounds[i] : bounds[i + 1]]
        key = own.tobytes()
        if key not in ahead_of:
            ahead_of[key] = np.append(own, TRUST_AHEAD)
        horizons.append(ahead_of[key])
    found, deviation, found_likelihood = process.forecast(
        asked,
        horizons,
        units.part(chosen),
        None if laws is None else [laws[i] for i in chosen],
        kinds[chosen],
    )
    last = np.cumsum([len(own) for own in horizons]) - 1
    ahead[chosen] = np.log(deviation[last] / units.noise[chosen])
    likelihood[chosen] = found_likelihood
    cells = np.isin(batch.cell, chosen)
    mean[cells] = np.delete(found, last)
    spread[cells] = np.log(np.delete(deviation, last) / units.noise[batch.cell[cells]])
    return _Answer(mean, spread, ahead, likelihood)


def local_line(points: Points, width: float, fallback: Floats) -> tuple[Floats, Floats]:
    """Value at the context end and slope of a line whose weights fade with log-clock, each (n,).

    width: log-clock over which weights fall by a factor e; fallback: (n,) value where there is no point.
    """
    faded = Points(
        points.x,
        points.y,
        points.weight * np.exp(np.maximum(points.x / width, LEAST_FADE)),
        points.owner,
        points.n,
    )
    total = np.maximum(faded.total, 1e-30)
    mean_x, mean_y = faded.sum(faded.x) / total, faded.sum(faded.y) / total
    dx = faded.x - mean_x[faded.owner]
    squares = faded.sum(dx**2) + SLOPE_PRIOR * width * total
    slope = faded.sum(dx * (faded.y - mean_y[faded.owner])) / squares
    known = points.count > 0
    return np.where(known, mean_y - slope * mean_x, fallback), np.where(known, slope, 0.0)


def _from_curve(batch: Batch, features: ContextFeatures, end_value: Floats) -> Floats:
    """The candidates `FROM_CURVE` but the process, (n_cells, n_candidates)."""
    cell, ahead = batch.cell, batch.log_horizon
    points = batch.points
    total = np.maximum(points.total, 1.0)
    mean_x, mean_y = points.sum(points.x) / total, points.sum(points.y) / total
    dx = points.x - mean_x[points.owner]
    squares = points.sum(dx**2)
    slope = points.sum(dx * points.y) / np.where(squares > 1e-18, squares, np.inf)
    line = np.where(points.count > 0, mean_y - slope * mean_x, batch.last)
    law = fit_power_law(points.thinned(), batch.low, batch.high)
    fitted = np.isfinite(law.error)
    at_end, later = law.at(np.zeros(batch.n), np.arange(batch.n)), law.at(ahead, cell)
    line_end, local_slope = local_line(points, LINE_WIDTH, batch.last)
    recent = points.keep(points.x > -RECENT_WIDTH)
    recent_mean = np.where(recent.total > 0, recent.sum(recent.y) / np.maximum(recent.total, 1.0), batch.last)
    return np.stack(
        [
            batch.last[cell],
            end_value[cell],
            recent_mean[cell],
            mean_of_last(batch, 5)[cell],
            np.where(fitted[cell], later, end_value[cell]),
            np.where(fitted[cell], end_value[cell] + later - at_end[cell], end_value[cell]),
            line[cell] + slope[cell] * ahead,
            line_end[cell] + local_slope[cell] * ahead,
            end_value[cell] + local_slope[cell] * -np.expm1(-ahead),
            (features.recent_mean - features.above_chance)[cell],
        ],
        axis=1,
    )


def _from_loss(batch: Batch, end_value: Floats) -> Floats:
    """Rise that a lower-is-better metric of the task implies, (n_cells,); NaN where there is none."""
    values = np.full(len(batch.cell), np.nan)
    owners, losses = [], []
    for i, others in enumerate(other_metrics_of(batch.evidences, _lower_is_better)):
        if others and len(others[0]) >= LOSS_POINTS:
            owners.append(i)
            losses.append(others[0])
    if not owners:
        return values
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    horizons = [batch.evidences[i].end * np.exp(batch.log_horizon[bounds[i] : bounds[i + 1]]) for i in owners]
    loss_batch = make_batch([Evidence(context=loss) for loss in losses], horizons)
    law = fit_power_law(loss_batch.points.thinned(), loss_batch.low, loss_batch.high)
    later = law.at(loss_batch.log_horizon, loss_batch.cell)
    now = law.at(np.zeros(loss_batch.n), np.arange(loss_batch.n))
    fall = later - now[loss_batch.cell]
    for j, (i, loss) in enumerate(zip(owners, losses, strict=True)):
        if np.isfinite(law.error[j]):
            gain = _gain(batch.evidences[i].context, loss) * loss_batch.unit[j] / batch.unit[i]
            values[bounds[i] : bounds[i + 1]] = end_value[i] + gain * fall[loss_batch.cell == j]
    return values


def _lower_is_better(curve: Curve) -> bool:
    return not find_metric(curve.key.metric).higher_is_better


def _gain(curve: Curve, loss: Curve) -> float:
    """Slope of the curve's values over the other metric's, later points weighing more."""
    x, y, clock = loss.values, curve.values, curve.clock
    if not np.array_equal(curve.steps, loss.steps):
        _, of_curve, of_loss = np.intersect1d(curve.steps, loss.steps, return_indices=True)
        x, y, clock = x[of_loss], y[of_curve], clock[of_curve]
    if len(x) < GAIN_POINTS:
        return 0.0
    clock = np.maximum(clock, 1e-300)
    weight = np.exp(np.maximum(np.log(clock / clock[-1]) / LINE_WIDTH, LEAST_FADE))
    dx = x - (weight @ x) / weight.sum()
    squares = weight @ dx**2
    return float(weight @ (dx * y) / squares) if squares > 1e-18 else 0.0


SHORTEST_SPAN = 0.1
"""Spans of log-clock below count as this, where a log is taken of them."""
JUMP_POINTS, JUMP_CURVES, MOST_JUMP = 6, 3, 5.0
"""Last changes are read off so many points, shared by so many curves at least, and cut at so many times the
usual change."""

CURVE_FACTS = (
    "n_points", "span", "noise", "end_value", "to_bound", "above_chance", "slope", "recent_slope", "spread",
    "last_off_end", "items", "jump", "params", "best", "worst", "three", "curvature",
)  # fmt: skip
HORIZON_FACTS = ("ahead", "of_plan", "plan_left", "process_spread")
FACTS = (
    *CURVE_FACTS,
    *(f"{fact}_by_{a}" for a in ALIGNMENTS for fact in REFERENCE_FACTS),
    "process_spread_by_runs",
    "process_gain_by_runs",
    *HORIZON_FACTS,
    *ATLAS_FACTS,
)
"""Names of the facts, in the order of columns."""


def _curve_facts(batch: Batch, features: ContextFeatures, units: Units, slope: Floats) -> Floats:
    """The facts `CURVE_FACTS`, (n_cells, n_facts). slope: (n,) of the line that gives the end value."""
    end_value, noise = units.end_value, units.noise
    span = np.maximum(features.span, SHORTEST_SPAN)
    bound = np.minimum(end_value - batch.low, batch.high - end_value)
    facts = np.stack(
        [
            np.log(np.maximum(features.n_points, 1.0)),
            np.log(span),
            np.log(noise),
            end_value,
            np.where(np.isfinite(bound), bound, 1.0),
            features.above_chance / noise,
            features.slope / noise,
            slope / noise,
            np.log((features.spread + 1e-4) / noise),
            (batch.last - end_value) / noise,
            np.log(np.maximum(features.item_error, 1e-6)),
            _shared_jump(batch),
            _log_params(batch),
            *_shape(batch, features, units),
        ],
        axis=1,
    )
    return facts[batch.cell]


def _log_params(batch: Batch) -> Floats:
    """Log of the run's parameters, (n,); NaN where unknown."""
    params = [evidence.context.facts.params for evidence in batch.evidences]
    return np.array([np.log(count) if count else np.nan for count in params])


def _shape(batch: Batch, features: ContextFeatures, units: Units) -> list[Floats]:
    """The last four facts of the curve, (n,) each, over the noise: how far its best and its worst value, and
    the mean of the last three, are above the end value; and how much steeper it has become."""
    points, end_value, noise = batch.points, units.end_value, units.noise
    best, worst = np.full(batch.n, -np.inf), np.full(batch.n, np.inf)
    np.maximum.at(best, points.owner, points.y)
    np.minimum.at(worst, points.owner, points.y)
    known = points.count > 0
    line = local_line(points, LINE_WIDTH, batch.last)[1]
    wide_line = local_line(points, WIDE, batch.last)[1]
    return [
        np.where(known, best - end_value, 0.0) / noise,
        np.where(known, worst - end_value, 0.0) / noise,
        (features.recent_mean - end_value) / noise,
        (line - wide_line) / noise,
    ]


def _shared_jump(batch: Batch) -> Floats:
    """Mean last change of the run's other tasks in units of their usual change, (n,); NaN without them.

    Tells a checkpoint that is odd in every task from one that is odd in this task.
    """
    seen: dict[tuple[int, float], dict[str, list[float]]] = {}
    means = []
    for evidence in batch.evidences:
        key = (id(evidence.run_curves), evidence.end)
        if key not in seen:
            seen[key] = _last_changes(evidence)
        changes = [c for task, own in seen[key].items() if task != evidence.context.key.task for c in own]
        means.append(float(np.mean(changes)) if len(changes) >= JUMP_CURVES else np.nan)
    return np.array(means)


def _last_changes(evidence: Evidence) -> dict[str, list[float]]:
    """Last change of each accuracy of the run in units of its usual change, by task."""
    changes: dict[str, list[float]] = {}
    end = evidence.end
    for curve in evidence.run_curves:
        if curve.clock_unit != evidence.context.clock_unit or (curve.low, curve.high) != (0.0, 1.0):
            continue
        n = int(curve.clock.searchsorted(end, side="right"))
        recent = curve.values[max(0, n - JUMP_POINTS) : n].tolist()
        steps = [later - earlier for earlier, later in pairwise(recent)]
        usual = sum(map(abs, steps[:-1])) / (len(steps) - 1) if len(steps) >= 3 else 0.0
        if usual > 0:
            change = min(max(steps[-1] / usual, -MOST_JUMP), MOST_JUMP)
            changes.setdefault(curve.key.task, []).append(change)
    return changes


def _horizon_facts(batch: Batch) -> Floats:
    ends = np.array(
        [np.log(e.planned_end / e.end) if e.planned_end and e.end > 0 else np.nan for e in batch.evidences]
    )
    plan = ends[batch.cell]
    return np.stack([batch.log_horizon, plan, plan - batch.log_horizon], axis=1)
