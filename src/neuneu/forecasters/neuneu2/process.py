"""A Gaussian process over runs: the curve and its reference runs as one surface of size, clock and recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from neuneu.curves.curve import Curve, Floats
from neuneu.errors import InputError, MissingExtraError
from neuneu.evidence.evidence import Evidence, nearest_references, relation
from neuneu.evidence.questions import Questions
from neuneu.forecasters.neuneu2.expected import Laws, process_mean
from neuneu.progress import counted

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

MOST_REFERENCES, REFERENCE_POINTS, CONTEXT_POINTS = 10, 10, 14
"""Curves are averaged into so many bins of log-clock: cost grows with the cube of all points."""
REFERENCE_REACH, CONTEXT_REACH = 2.5, 4.0
"""Points further than this in log-clock before the context end are left out."""
CHUNK = 256
"""Questions solved at once: bounds memory."""
JITTER = 1e-8
"""Added to variances of points, in squares of the unit: keeps covariances of repeated points invertible."""
LEAST_VARIANCE = 1e-12
"""Floor of the variance at a horizon, where rounding would take it below 0."""
DECIMALS = 9
"""Answers are rounded to so many: the last bits depend on how questions are padded and on BLAS's threads."""
FEWEST_POINTS = 4
"""References with fewer checkpoints are left out."""
FARTHEST_SHARE = 10.0
"""Logs of horizon over context end are cut at this where they become a share of the plan: no overflow."""
LATE = 0.75
"""Share of the plan after which schedules that cool down lift a curve."""

VARIANCES = {
    "constant": 4.0, "clock": 0.3, "params": 0.3, "surface": 0.5, "recipe": 0.1, "recipe_clock": 0.1,
    "run": 0.3, "run_clock": 0.02, "run_curve": 0.05, "share": 0.1, "late": 0.05, "memory": 0.2, "noise": 1.0,
}  # fmt: skip
LENGTHS = {
    "surface_clock": 1.5, "surface_params": 1.5, "recipe_clock": 2.0, "recipe_params": 2.0, "run_curve": 2.0,
    "share": 0.3, "memory": 0.3,
}  # fmt: skip
"""Where training starts. Variances are in squares of the evidence's spread (`memory`, `noise`: of the noise
around the curve); lengths in log-clock, log-parameters and share of the plan."""


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

    Tasks of one run differ in values, hardly in where they are measured: layouts are held once. clock,
    params: log relative to the context end and to the run's size; share: of the plan, 0 where unknown;
    planned: whether it is known; recipe, run: 0 for those of the run that is forecast; weight: measurements
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


def make_surface(
    evidences: Sequence[Evidence], log_horizons: Sequence[Floats], units: Units, laws: Laws | None = None
) -> Surface:
    """Lay out questions. log_horizons[i]: log of horizon over context end, (n_i,); laws: of each question's
    task, which give the process its mean; none by default."""
    bins: dict[bytes, _Bins] = {}
    rows = [_points(evidence, unit, bins) for evidence, unit in zip(evidences, units.unit, strict=True)]
    n, width = len(rows), max(row.shape[1] for row in rows)
    points = np.zeros((9, n, width))
    asked = np.zeros((n, max(len(h) for h in log_horizons)))
    plan = np.array([e.end / e.planned_end if e.planned_end else 0.0 for e in evidences])
    for i, row in enumerate(rows):
        points[:8, i, : row.shape[1]] = row
        points[8, i, : row.shape[1]] = 1.0
        asked[i, : len(log_horizons[i])] = log_horizons[i]
    expected = np.zeros_like(asked)
    for i, (evidence, law) in enumerate(zip(evidences, laws or (), strict=laws is not None)):
        if law is not None:
            points[0, i] -= points[8, i] * process_mean(evidence, law, points[2, i], points[3, i])
            expected[i] = process_mean(evidence, law, asked[i], np.zeros_like(asked[i]))
    value, there = points[0], points[8]
    count = there.sum(axis=1)
    mean = (value * there).sum(axis=1) / count
    spread = (((value - mean[:, None]) * there) ** 2).sum(axis=1) / count
    first, layout = _distinct(np.concatenate([*points[1:], asked, plan[:, None]], axis=1))
    weight, clock, params, share, planned, recipe, run, there = points[1:, first]
    asked, plan = asked[first], plan[first, None]
    return Surface(
        clock=clock, params=params, share=share, planned=planned, recipe=recipe, run=run,
        weight=np.maximum(weight, 1.0), there=there, asked=asked,
        asked_share=plan * np.exp(np.minimum(asked, FARTHEST_SHARE)),
        asked_planned=(plan > 0) * np.ones_like(asked),
        layout=layout, y=(value - units.end_value[:, None]) * points[8],
        expected=expected, scale=np.sqrt(spread + units.noise**2), noise=units.noise,
    )  # fmt: skip


def _distinct(rows: Floats) -> "tuple[NDArray[np.intp], NDArray[np.intp]]":
    """(the first of each kind of row, which kind each row is)."""
    kinds: dict[bytes, int] = {}
    kind = np.array([kinds.setdefault(row.tobytes(), len(kinds)) for row in rows], dtype=np.intp)
    return np.unique(kind, return_index=True)[1], kind


@dataclass(frozen=True, eq=False)
class _Bins:
    """How a curve's checkpoints are averaged: which are kept, the bin of each, bins' log-clock and sizes."""

    kept: "NDArray[np.bool_]"
    which: "NDArray[np.intp]"
    clock: Floats
    weight: Floats

    def averages(self, values: Floats) -> Floats:
        """Mean of the values in each bin."""
        return np.asarray(
            np.bincount(self.which, values[self.kept], minlength=len(self.weight)) / self.weight
        )


def _points(evidence: Evidence, unit: float, bins: dict[bytes, _Bins]) -> Floats:
    """What is seen of a question, (8, n_points): its context's points first, then each reference's.

    Rows: value in units; measurements averaged in it; log of clock over context end; log of parameters over
    the run's; share of the run's plan; whether that is known; number of the recipe; number of the run: the
    last two count from 0, the forecast run's own, in the order of references. bins: of clocks that have been
    met, by what makes them; added to.
    """
    context, end = evidence.context, evidence.end
    binned = _bins(context, end, CONTEXT_POINTS, CONTEXT_REACH, bins)
    share = np.exp(binned.clock) * end / evidence.planned_end if evidence.planned_end else None
    rows = [_rows(binned, context.values / unit, params=0.0, share=share, recipe=0, run=0)]
    recipes = {context.facts.recipe: 0}
    for number, reference in enumerate(nearest_references(evidence, MOST_REFERENCES), start=1):
        if np.count_nonzero(reference.clock > 0) < FEWEST_POINTS:
            continue
        binned = _bins(reference, end, REFERENCE_POINTS, REFERENCE_REACH, bins)
        size_gap, _, _ = relation(evidence, reference)
        recipe = recipes.setdefault(reference.facts.recipe, len(recipes))
        share = np.exp(binned.clock) * end / reference.clock[-1]
        values = reference.values / unit
        rows.append(_rows(binned, values, params=-size_gap, share=share, recipe=recipe, run=number))
    return np.concatenate(rows, axis=1)


def _rows(
    bins: _Bins, values: Floats, *, params: float, share: Floats | None, recipe: int, run: int
) -> Floats:
    """The rows of `_points` for one curve, (8, n_bins); share: (n_bins,), None where there is no plan."""
    rows = np.empty((8, len(bins.clock)))
    rows[0], rows[1], rows[2], rows[3] = bins.averages(values), bins.weight, bins.clock, params
    rows[4], rows[5] = (0.0, 0.0) if share is None else (share, 1.0)
    rows[6], rows[7] = recipe, run
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
    _, which, weight = np.unique(which, return_inverse=True, return_counts=True)
    return _Bins(kept, which, np.bincount(which, x) / weight, weight.astype(np.float64))


@dataclass(frozen=True)
class Process:
    """Hyperparameters of the process, the same for every task: logs of `VARIANCES` and of `LENGTHS`."""

    log_variances: tuple[float, ...] = tuple(float(np.log(v)) for v in VARIANCES.values())
    log_lengths: tuple[float, ...] = tuple(float(np.log(v)) for v in LENGTHS.values())

    def __post_init__(self) -> None:
        """Refuse parameters of another version."""
        if len(self.log_variances) != len(VARIANCES) or len(self.log_lengths) != len(LENGTHS):
            raise InputError("made for another process: train again", field="process")

    def tensors(self) -> "dict[str, NDArray[np.float64]]":
        """Arrays by name, as they are stored."""
        return {
            "process.log_variances": np.array(self.log_variances),
            "process.log_lengths": np.array(self.log_lengths),
        }

    @classmethod
    def from_tensors(cls, tensors: "dict[str, NDArray[Any]]") -> "Process":
        """What `tensors` gave. Raises InputError where arrays are missing or of another version."""
        names = ("process.log_variances", "process.log_lengths")
        if not set(names) <= set(tensors):
            raise InputError(f"must hold {' and '.join(names)}", field="tensors", value=sorted(tensors))
        return cls(*(tuple(map(float, tensors[name])) for name in names))

    def forecast(
        self,
        evidences: Sequence[Evidence],
        log_horizons: Sequence[Floats],
        units: Units,
        laws: Laws | None = None,
    ) -> tuple[Floats, Floats, Floats]:
        """Mean and standard deviation at each horizon, in units, (n_cells,) each, and likelihood, (n,).

        log_horizons[i]: log of horizon over context end, (n_i,); laws: as in `make_surface`; likelihood: log
        density of the context's values given the references, a point.
        """
        means, deviations, likelihoods = [np.empty(0)], [np.empty(0)], [np.empty(0)]
        parameters = np.array(self.log_variances), np.array(self.log_lengths)
        for start in counted(range(0, len(evidences), CHUNK), "batches of curves"):
            part = slice(start, start + CHUNK)
            asked = log_horizons[part]
            known = None if laws is None else laws[part]
            surface = make_surface(evidences[part], asked, units.part(part), known)
            with _blas().limit(limits=1):
                mean, variance, likelihood = posterior(np, surface, *parameters)
            likelihoods.append(likelihood)
            for i, horizons in enumerate(asked):
                means.append((mean + surface.expected)[i, : len(horizons)] + units.end_value[start + i])
                deviations.append(np.sqrt(variance[i, : len(horizons)]))
        return _joined(means), _joined(deviations), _joined(likelihoods)


@cache
def _blas() -> ThreadpoolController:
    """BLAS's threads: for matrices this small they cost more than they save, 50 times where others work."""
    return ThreadpoolController()


def _joined(parts: Sequence[Floats]) -> Floats:
    """One array, rounded to `DECIMALS`."""
    return np.asarray(np.round(np.concatenate(parts), DECIMALS), dtype=np.float64)


def posterior(xp: Any, surface: Surface, log_variances: Any, log_lengths: Any) -> tuple[Any, Any, Any]:
    """Mean (off the end value) and variance at the horizons, (n, n_horizons), and likelihood, (n,).

    K the covariance of the points with their noise, k that of points and horizons, v the variance at a
    horizon before anything is seen: mean = kᵀ K⁻¹ y, variance = v − diag(kᵀ K⁻¹ k) (Rasmussen & Williams
    2006, equations 2.23 and 2.24). likelihood: as `_likelihood`. xp: numpy or torch, whose arrays come and
    go; log_variances, log_lengths: as `Process`.
    """
    s = surface
    variances = dict(zip(VARIANCES, xp.exp(log_variances), strict=True))
    lengths = dict(zip(LENGTHS, xp.exp(log_lengths), strict=True))
    eye = xp.eye(s.clock.shape[1], dtype=s.clock.dtype)
    covariance, across = _covariances(xp, s, variances, lengths, eye)
    unit_vectors = eye[None, :, :CONTEXT_POINTS] + 0.0 * s.y[:, :, None]
    solved = xp.linalg.solve(covariance, xp.concatenate([s.y[:, :, None], unit_vectors, across], 2))
    context = min(CONTEXT_POINTS, s.y.shape[1])
    of_context = (((s.run == 0) * s.there)[:, :context] * 1.0)[s.layout]
    likelihood = _likelihood(xp, of_context, solved[:, :context, 0], solved[:, :context, 1 : 1 + context])
    gain = solved[:, :, 1 + context :]
    mean = (gain * s.y[:, :, None]).sum(1)
    prior = s.scale[:, None] ** 2 * _prior_variance(xp, s, variances)[s.layout]
    prior = prior + s.noise[:, None] ** 2 * variances["memory"]
    return mean, xp.clip(prior - (gain * across).sum(1), LEAST_VARIANCE, None), likelihood


def _covariances(
    xp: Any, s: Surface, variances: dict[str, Any], lengths: dict[str, Any], eye: Any
) -> tuple[Any, Any]:
    """Covariance of points, (n, n_points, n_points), and of points and horizons, (n, n_points, n_horizons).

    The first with the noise of points, and `JITTER` on its diagonal; 1 where there is no point.
    """
    nothing = xp.zeros_like(s.asked)
    seen = (s.clock, s.params, s.share, s.planned, s.recipe, s.run)
    asked = (s.asked, nothing, s.asked_share, s.asked_planned, nothing, nothing)
    scale, noise = s.scale[:, None, None] ** 2, s.noise[:, None, None] ** 2
    covariance, memory = _kernel(xp, seen, seen, variances, lengths)
    both = s.there[:, :, None] * s.there[:, None, :]
    own_noise = memory * both + (variances["noise"] * s.there / s.weight)[:, :, None] * eye
    jitter = (s.there * JITTER + 1.0 - s.there)[:, :, None] * eye
    covariance = scale * (covariance * both)[s.layout] + noise * own_noise[s.layout] + jitter[s.layout]
    across, memory = _kernel(xp, seen, asked, variances, lengths)
    there = s.there[:, :, None]
    return covariance, scale * (across * there)[s.layout] + noise * (memory * there)[s.layout]


def _likelihood(xp: Any, of_context: Any, weights: Any, precision: Any) -> Any:
    """Log density of the context's values given all others, a point, (n,), without its constant.

    With P the precision of the n context points given the others and w = P (y − mean given the others):
    (log |P| − wᵀ P⁻¹ w) / 2n. of_context: (n, context) 1 where there is a point of the context; weights: w,
    K⁻¹ y there; precision: P, K⁻¹ there, (n, context, context).
    """
    both = of_context[:, :, None] * of_context[:, None, :]
    eye = xp.eye(of_context.shape[1], dtype=of_context.dtype)
    precision = precision * both + (1.0 - of_context)[:, :, None] * eye
    weights = weights * of_context
    distance = (weights * xp.linalg.solve(precision, weights[:, :, None])[:, :, 0]).sum(1)
    return 0.5 * (xp.linalg.slogdet(precision)[1] - distance) / of_context.sum(1)


def _kernel(
    xp: Any,
    one: tuple[Any, ...],
    other: tuple[Any, ...],
    variances: dict[str, Any],
    lengths: dict[str, Any],
) -> tuple[Any, Any]:
    """Covariance of points, (n_layouts, n_one, n_other) each: in squares of the scale, a surface all runs
    share and what a recipe and a run add; in squares of the noise, what neighbours have in common."""
    x, n, share, planned, recipe, run = (a[:, :, None] for a in one)
    x2, n2, share2, planned2, recipe2, run2 = (a[:, None, :] for a in other)
    apart, sizes = xp.abs(x - x2), n - n2
    same_run, same_recipe = (run == run2) * 1.0, (recipe == recipe2) * 1.0
    shared = (
        variances["constant"]
        + variances["clock"] * x * x2
        + variances["params"] * n * n2
        + variances["surface"]
        * _matern(xp, apart / lengths["surface_clock"])
        * xp.exp(-((sizes / lengths["surface_params"]) ** 2))
    )
    of_recipe = xp.exp(-((sizes / lengths["recipe_params"]) ** 2)) * (
        variances["recipe"] + variances["recipe_clock"] * _matern(xp, apart / lengths["recipe_clock"])
    )
    of_run = (
        variances["run"]
        + variances["run_clock"] * x * x2
        + variances["run_curve"] * _matern(xp, apart / lengths["run_curve"])
    )
    of_plan = variances["share"] * xp.exp(-(((share - share2) / lengths["share"]) ** 2)) + variances[
        "late"
    ] * _lateness(xp, share) * _lateness(xp, share2)
    total = shared + same_recipe * of_recipe + same_run * of_run + planned * planned2 * of_plan
    return total, variances["memory"] * same_run * xp.exp(-apart / lengths["memory"])


def _prior_variance(xp: Any, s: Surface, variances: dict[str, Any]) -> Any:
    """Variance at the horizons before anything is seen, in squares of the scale, without the noise's."""
    constant = ("constant", "surface", "recipe", "recipe_clock", "run", "run_curve")
    still = sum(variances[name] for name in constant)
    moving = (variances["clock"] + variances["run_clock"]) * s.asked**2
    plan = variances["share"] + variances["late"] * _lateness(xp, s.asked_share) ** 2
    return still + moving + s.asked_planned * plan


def _matern(xp: Any, distance: Any) -> Any:
    return (1.0 + distance) * xp.exp(-distance)


def _lateness(xp: Any, share: Any) -> Any:
    """0 until `LATE` of the plan, 1 at its end and after."""
    return xp.clip((share - LATE) / (1.0 - LATE), 0.0, 1.0)


QUESTIONS_AT_ONCE, LEARNING_RATE, WARM_UP, MOST_GRADIENT = 48, 0.04, 0.1, 5.0
"""Questions a step; Adam's highest rate, share of steps that it rises over, norm of gradients at most."""
WITHOUT_REFERENCES = 0.4
"""Share of the questions in training whose references are hidden."""
PRIOR_SHARE = 0.2
"""Share of the training's draws that synthetic curves have."""


def train_process(
    real: Questions, prior: Questions, units: Sequence[Units], laws: Laws | None, steps: int, seed: int
) -> Process:
    """Hyperparameters of least absolute error in units of the square root of noise.

    units: of the real and of the synthetic questions; laws: of the tasks of the real ones, then of the
    synthetic. References are hidden from a part of them. The same seed gives the same parameters (one thread,
    float64).
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "neural") from error
    rng = np.random.default_rng([seed, 50])
    columns = zip(*((one.unit, one.end_value, one.noise) for one in units), strict=True)
    joined = Units(*(np.concatenate(parts) for parts in columns))
    evidences = [*real.evidences, *prior.evidences]
    horizons, truths = [*real.horizons, *prior.horizons], [*real.truths, *prior.truths]
    share = _shares(real.weights, prior.weights)
    start = Process()
    variances, lengths = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for v in (start.log_variances, start.log_lengths)
    )
    optimiser = torch.optim.Adam([variances, lengths], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps, pct_start=WARM_UP)
    for _ in counted(range(steps), "steps of the fit"):
        drawn = rng.choice(len(evidences), min(QUESTIONS_AT_ONCE, len(evidences)), p=share)
        hidden = rng.random(len(drawn)) < WITHOUT_REFERENCES
        asked = [
            replace(evidences[i], references=()) if bare else evidences[i]
            for i, bare in zip(drawn, hidden, strict=True)
        ]
        ahead = [np.log(np.maximum(horizons[i] / evidences[i].end, 1.0)) for i in drawn]
        own = joined.part(drawn)
        surface = make_surface(asked, ahead, own, None if laws is None else [laws[i] for i in drawn])
        mean, _, _ = posterior(torch, _to_torch(surface), variances, lengths)
        off = [truths[i] / joined.unit[i] - joined.end_value[i] for i in drawn]
        loss = _loss(mean + torch.from_numpy(surface.expected), off, own.noise)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([variances, lengths], MOST_GRADIENT)
        optimiser.step()
        schedule.step()
    return Process(*(tuple(np.round(v.detach().numpy(), 6).tolist()) for v in (variances, lengths)))


def _shares(real: Floats, prior: Floats) -> Floats:
    """Chance of each question to be drawn, the real ones' first, in all 1."""
    if not len(prior):
        return np.asarray(real / real.sum())
    return np.concatenate([(1 - PRIOR_SHARE) * real / real.sum(), PRIOR_SHARE * prior / prior.sum()])


def _to_torch(surface: Surface) -> Surface:
    import torch

    return Surface(**{name: torch.from_numpy(array) for name, array in vars(surface).items()})


def _loss(mean: "torch.Tensor", truths: Sequence[Floats], noise: Floats) -> "torch.Tensor":
    """Mean over questions of mean |mean − truth| / √noise over their horizons.

    mean: (n, n_horizons), padded; truths[i]: (n_i,), off the end value; noise: (n,).
    """
    import torch

    target, there = np.zeros(mean.shape), np.zeros(mean.shape)
    for i, truth in enumerate(truths):
        target[i, : len(truth)] = truth
        there[i, : len(truth)] = 1.0 / (len(truth) * np.sqrt(noise[i]))
    return ((mean - torch.from_numpy(target)).abs() * torch.from_numpy(there)).sum() / len(truths)
