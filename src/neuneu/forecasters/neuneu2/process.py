"""A Gaussian process over runs: the curve and its reference runs as one surface of size, clock and recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from neuneu.curves.curve import Floats
from neuneu.errors import InputError, MissingExtraError
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.questions import Questions
from neuneu.forecasters.neuneu2.expected import Laws
from neuneu.forecasters.neuneu2.surface import Surface, Units, make_surface
from neuneu.progress import counted

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

CHUNK = 256
"""Questions laid out at once: bounds memory."""
NUMBERS_AT_ONCE = 60_000
"""So many numbers of covariances are solved at once, which stay near the processor."""
CORNER = 1e15
"""More than any variance that points explain: they are below `JITTER`⁻¹ times their number."""
JITTER = 1e-8
"""Added to variances of points, in squares of the unit: keeps covariances of repeated points invertible."""
LEAST_VARIANCE = 1e-12
"""Floor of the variance at a horizon, where rounding would take it below 0."""
DECIMALS = 9
"""Answers are rounded to so many: the last bits depend on how questions are padded and on BLAS's threads."""
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
        kinds: "NDArray[np.intp] | None" = None,
    ) -> tuple[Floats, Floats, Floats]:
        """Mean and standard deviation at each horizon, in units, (n_cells,) each, and likelihood, (n,).

        log_horizons[i]: log of horizon over context end, (n_i,); laws, kinds: as in `make_surface`;
        likelihood: as in `posterior`.
        """
        means, deviations, likelihoods = [np.empty(0)], [np.empty(0)], [np.empty(0)]
        parameters = np.array(self.log_variances), np.array(self.log_lengths)
        for start in counted(range(0, len(evidences), CHUNK), "batches of curves"):
            part = slice(start, start + CHUNK)
            asked = log_horizons[part]
            known = None if laws is None else laws[part]
            alike = None if kinds is None else kinds[part]
            surface = make_surface(evidences[part], asked, units.part(part), known, alike)
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


@dataclass(frozen=True, eq=False)
class _Kernels:
    """Covariances of each layout's points, (n_layouts, n_points, n_points), and of points and horizons,
    (n_layouts, n_points, n_horizons): in squares of the scale, and of the noise; what is added to the
    first whatever the units; and variances at the horizons, (n_layouts, n_horizons), in squares of the scale.
    """

    signal: Any
    noise: Any
    jitter: Any
    signal_across: Any
    noise_across: Any
    prior: Any


def posterior(xp: Any, surface: Surface, log_variances: Any, log_lengths: Any) -> tuple[Any, Any, Any]:
    """Mean (off the end value) and variance at the horizons, (n, n_horizons), and likelihood, (n,).

    K = L Lᵀ the covariance of the points with their noise, k that of points and horizons, v the variance at a
    horizon before anything is seen, z = L⁻¹ y, A = L⁻¹ k: mean = Aᵀ z, variance = v − diag(Aᵀ A) (Rasmussen &
    Williams 2006, equations 2.25 and 2.26). likelihood: log density of the context's values given the
    references, a point, without its constant: as the context's points stand last, that is the mean of
    −log L_ii − z_i² / 2 over them. xp: numpy or torch, whose arrays come and go; log_variances, log_lengths:
    as `Process`.
    """
    s = surface
    variances = dict(zip(VARIANCES, xp.exp(log_variances), strict=True))
    lengths = dict(zip(LENGTHS, xp.exp(log_lengths), strict=True))
    kernels = _kernels(xp, s, variances, lengths)
    most = max(1, NUMBERS_AT_ONCE // s.y.shape[1] ** 2) if xp is np else len(s.y)
    parts = [
        _condition(xp, s, kernels, variances["memory"], slice(start, start + most))
        for start in range(0, len(s.y), most)
    ]
    mean, variance, likelihood = (xp.concatenate(part) for part in zip(*parts, strict=True))
    return mean, variance, likelihood


def _condition(xp: Any, s: Surface, kernels: _Kernels, memory: Any, which: slice) -> tuple[Any, Any, Any]:
    """`posterior` of these questions. memory: variance of the noise that neighbours share, in its squares."""
    layout, k = s.layout[which], kernels
    scale, noise = s.scale[which, None, None] ** 2, s.noise[which, None, None] ** 2
    covariance = scale * k.signal[layout] + noise * k.noise[layout] + k.jitter[layout]
    across = scale * k.signal_across[layout] + noise * k.noise_across[layout]
    right = xp.concatenate([s.y[which, :, None], across], 2)
    if xp is np:
        lower, solved = _factor(covariance, right)
    else:
        lower = xp.linalg.cholesky(covariance)
        solved = xp.linalg.solve_triangular(lower, right, upper=False)
    z, gain = solved[:, :, 0], solved[:, :, 1:]
    mean = (gain * z[:, :, None]).sum(1)
    prior = scale[:, 0] * k.prior[layout] + noise[:, 0] * memory
    of_context = ((s.run == 0) * s.there)[layout] * 1.0
    diagonal = xp.log(xp.diagonal(lower, 0, 1, 2))
    likelihood = -(of_context * (diagonal + 0.5 * z**2)).sum(1) / of_context.sum(1)
    return mean, xp.clip(prior - (gain**2).sum(1), LEAST_VARIANCE, None), likelihood


def _factor(covariance: Floats, right: Floats) -> tuple[Floats, Floats]:
    """L of L Lᵀ = covariance, (n, m, m), and L⁻¹ right, (n, m, k).

    Both stand in one factor, that of the covariance bordered by `right`, whatever the corner, if it is large.
    """
    n, m, k = right.shape
    bordered = np.zeros((n, m + k, m + k))
    bordered[:, :m, :m] = covariance
    bordered[:, m:, :m] = right.transpose(0, 2, 1)
    corner = np.arange(m, m + k)
    bordered[:, corner, corner] = CORNER
    factor = np.linalg.cholesky(bordered)
    return factor[:, :m, :m], factor[:, m:, :m].transpose(0, 2, 1)


def _kernels(xp: Any, s: Surface, variances: dict[str, Any], lengths: dict[str, Any]) -> _Kernels:
    """Covariances of each layout. Where there is no point, 1 on the diagonal."""
    nothing = xp.zeros_like(s.asked)
    seen = (s.clock, s.params, s.share, s.planned, s.recipe, s.run)
    asked = (s.asked, nothing, s.asked_share, s.asked_planned, nothing, nothing)
    eye = xp.eye(s.clock.shape[1], dtype=s.clock.dtype)
    covariance, memory = _kernel(xp, seen, seen, variances, lengths)
    both, there = s.there[:, :, None] * s.there[:, None, :], s.there[:, :, None]
    own_noise = memory * both + (variances["noise"] * s.there / s.weight)[:, :, None] * eye
    jitter = (s.there * JITTER + 1.0 - s.there)[:, :, None] * eye
    across, memory_across = _kernel(xp, seen, asked, variances, lengths)
    return _Kernels(
        covariance * both,
        own_noise,
        jitter,
        across * there,
        memory_across * there,
        _prior_variance(xp, s, variances),
    )


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
    real: Questions, prior: Questions, units: Sequence[Units], steps: int, seed: int
) -> Process:
    """Hyperparameters of least absolute error in units of the square root of noise.

    units: of the real and of the synthetic questions. References are hidden from a part of them, and the
    atlas from all: parameters serve tasks that it knows and those that it does not. The same seed gives the
    same parameters (one thread, float64).
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
        surface = make_surface(asked, ahead, own)
        mean, _, _ = posterior(torch, _to_torch(surface), variances, lengths)
        off = [truths[i] / joined.unit[i] - joined.end_value[i] for i in drawn]
        loss = _loss(mean, off, own.noise)
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
