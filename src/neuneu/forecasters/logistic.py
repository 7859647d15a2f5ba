"""NeuNeu's logistic law in loss, one a task, pooled over runs: as published, and given only the context."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import Batch, Points, make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.features import mean_of_last
from neuneu.evidence.finished import References
from neuneu.evidence.loss_curves import (
    LossCurve,
    context_loss,
    future_loss,
    metric_loss,
    reference_loss,
    setting,
    stored_loss,
)
from neuneu.evidence.questions import MIN_CHECKPOINTS, ask_questions
from neuneu.forecasters.calibration import CalibratedForecaster, Calibration
from neuneu.forecasters.laws import fit_power_law
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

Key = tuple[object, ...]
Law = tuple[float, float, float, float]
MOST_POINTS = 2000
"""Of more checkpoints every k-th is fitted to."""
FEWEST_POINTS = 8
"""Checkpoints that a law of four parameters is fitted to at least."""
SHIFT_POINTS = 3
"""Last values whose mean the law is moved to pass through."""
BOUNDS = ((-2.0, -100.0, -10.0, 0.0), (2.0, 100.0, 10.0, 1.0))
"""Of a, k, x0 and b, as published."""
LOG_OFFSET, MOST_EXPONENT, MOST_TRIES = 1e-8, 500.0, 2000
"""As published: added to losses before the log; bound of the exponent; evaluations of the search."""
LEAST_LOSS = 0.05
"""An extrapolated loss is at least this share of the last one."""


def logistic_law(loss: Floats, law: Law) -> Floats:
    """a / (1 + exp(−k (x − x0))) + b with x = ln(loss + 1e−8), as in NeuNeu's code."""
    a, k, x0, b = law
    inner = np.clip(k * (np.log(loss + LOG_OFFSET) - x0), -MOST_EXPONENT, MOST_EXPONENT)
    return np.asarray(a / (1.0 + np.exp(-inner)) + b, dtype=np.float64)


def fit_logistic(loss: Floats, accuracy: Floats) -> Law | None:
    """Bounded least squares from the published start and with the published bounds.

    a in [−2, 2], k in [−100, 100], x0 in [−10, 10], b in [0, 1]; loss, accuracy: (n,). None where there
    are fewer than `FEWEST_POINTS` or the search does not converge.
    """
    from scipy.optimize import curve_fit

    if len(loss) < FEWEST_POINTS or np.ptp(loss) == 0:
        return None
    every = max(1, len(loss) // MOST_POINTS)
    x, y = np.log(loss[::every] + LOG_OFFSET), accuracy[::every]
    start = (float(np.ptp(y)), -1.0, float(np.median(x)), float(np.clip(y.min(), 0.0, 1.0)))

    def law(x: Floats, a: float, k: float, x0: float, b: float) -> Floats:
        return np.asarray(a / (1.0 + np.exp(np.clip(-k * (x - x0), -MOST_EXPONENT, MOST_EXPONENT))) + b)

    try:
        found, _ = curve_fit(law, x, y, p0=np.clip(start, *BOUNDS), bounds=BOUNDS, max_nfev=MOST_TRIES)
    except (RuntimeError, ValueError):
        return None
    a, k, x0, b = (float(v) for v in found)
    return a, k, x0, b


class LogisticFuture(CalibratedForecaster):
    """The published law: accuracy from the run's true loss at each horizon. Sees the future.

    One law for each task, metric and setting, pooled over the runs of `fit`; a task that none of them has is
    read off the finished reference runs. Quantiles come from runs that the law was not fitted to.
    """

    name = "logistic-future"
    learns = True
    reads = frozenset({"run", "references", "losses"})
    sees_future = True

    def __init__(self) -> None:
        self.laws: dict[Key, Law] = {}

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit the laws; calibrate each half of the runs on laws of the other half."""
        runs = curves.runs
        questions = ask_questions(
            curves, losses, references, whole_evidence=True, sees_future=self.sees_future, seed=seed
        )
        points, truths, weights, asked = [], [], [], []
        for half in (0, 1):
            held_out = set(runs[half::2])
            self.laws = pooled_laws([c for c in curves if c.key.run not in held_out], losses)
            kept = [
                i
                for i, e in enumerate(questions.evidences)
                if e.context.key.run in held_out and self.refuse(e) is None
            ]
            batch = make_batch([questions.evidences[i] for i in kept], [questions.horizons[i] for i in kept])
            points.append(batch.clip(self.point(batch)))
            for i in kept:
                n = len(questions.truths[i])
                truths.append(questions.truths[i])
                weights.append(np.full(n, questions.weights[i] / n))
            asked += kept
        if not asked:
            raise InputError(
                "needs runs with losses, or with bits per byte, of the tasks",
                field="forecaster",
                value=self.name,
            )
        batch = make_batch([questions.evidences[i] for i in asked], [questions.horizons[i] for i in asked])
        truth = np.concatenate(truths) / batch.unit[batch.cell]
        self.calibration = Calibration.fit(np.concatenate(points), truth, np.concatenate(weights), batch)
        self.laws = pooled_laws(curves.curves, losses)
        return self

    def learned(self) -> dict[str, Any]:
        """The laws: what each is of, and its parameters."""
        return {"laws": [[list(key), list(law)] for key, law in self.laws.items()]}

    def take_over(self, document: dict[str, Any]) -> None:
        """Read the laws."""
        laws: dict[Key, Law] = {}
        for (task, metric, n_shot, variant), (a, k, x0, b) in document["laws"]:
            laws[task, metric, n_shot, variant] = float(a), float(k), float(x0), float(b)
        self.laws = laws

    def refuse(self, evidence: Evidence) -> str | None:
        """No loss, or no law for the task."""
        if self.loss(evidence) is None:
            return "needs token or item losses, or bits per byte, of the run" + (
                " after the context end" if self.sees_future else ""
            )
        if self.law(evidence) is None:
            return "needs finished runs with losses and this task"
        return None

    def loss(self, evidence: Evidence) -> LossCurve | None:
        """The loss that this version may see; one that goes on beyond the context end."""
        loss = future_loss(evidence)
        return loss if loss is not None and loss.clock[-1] > evidence.end else None

    def law(self, evidence: Evidence) -> Law | None:
        """The law of the context's task: from `fit`, else from the references."""
        key = law_key(evidence.context)
        if key in self.laws:
            return self.laws[key]
        pairs = [(r, reference_loss(evidence, r)) for r in evidence.references]
        return _pool([(curve, loss) for curve, loss in pairs if loss is not None])

    def point(self, batch: Batch) -> Floats:
        """The law at the true loss of each horizon, (n_cells,)."""
        return self._read(batch, lambda i, clock: self._loss_of(batch, i).at(clock))

    def _loss_of(self, batch: Batch, i: int) -> LossCurve:
        loss = self.loss(batch.evidences[i])
        assert loss is not None
        return loss

    def _read(self, batch: Batch, loss_at: "object") -> Floats:
        values = np.empty(len(batch.cell))
        bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        for i, evidence in enumerate(batch.evidences):
            part = slice(bounds[i], bounds[i + 1])
            law = self.law(evidence)
            assert law is not None
            clock = evidence.end * np.exp(batch.log_horizon[part])
            values[part] = logistic_law(loss_at(i, clock), law) / batch.unit[i]  # type: ignore[operator]
        return values


class Logistic(LogisticFuture):
    """The law given only the context: the run's own loss is extrapolated by a power law.

    The curve is shifted to pass through the context end. Laws are as in `LogisticFuture`.
    """

    name = "logistic"
    sees_future = False

    def loss(self, evidence: Evidence) -> LossCurve | None:
        """The loss up to the context end."""
        return context_loss(evidence)

    def point(self, batch: Batch) -> Floats:
        """The law's rise from the context end to each horizon, on top of the last values, (n_cells,)."""
        losses = [self._loss_of(batch, i) for i in range(batch.n)]
        extrapolated = extrapolate(losses, batch)
        bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        later = self._read(batch, lambda i, clock: extrapolated[bounds[i] : bounds[i + 1]])
        shift = mean_of_last(batch, SHIFT_POINTS)
        for i, evidence in enumerate(batch.evidences):
            recent = evidence.context.clock[-SHIFT_POINTS:]
            law = self.law(evidence)
            assert law is not None
            shift[i] -= float(np.mean(logistic_law(losses[i].at(recent), law))) / batch.unit[i]
        return later + shift[batch.cell]


def extrapolate(losses: Sequence[LossCurve], batch: Batch) -> Floats:
    """Power law through each loss at each horizon, (n_cells,); stays positive."""
    if not losses:
        return np.empty(0)
    ends = [evidence.end for evidence in batch.evidences]
    owner = np.repeat(np.arange(len(losses)), [len(loss) for loss in losses])
    x = np.concatenate([np.log(loss.clock) - np.log(end) for loss, end in zip(losses, ends, strict=True)])
    y = np.concatenate([loss.loss for loss in losses])
    points = Points(np.minimum(x, 0.0), y, np.ones(len(x)), owner, len(losses)).thinned()
    fit = fit_power_law(points, np.zeros(len(losses)), np.full(len(losses), np.inf))
    last = np.array([loss.loss[-1] for loss in losses])
    law = fit.at(batch.log_horizon, batch.cell)
    value = np.where(np.isfinite(fit.error)[batch.cell], law, last[batch.cell])
    return np.maximum(value, LEAST_LOSS * last[batch.cell])


def law_key(curve: Curve) -> Key:
    """Curves that share a law: task, metric, shots, variant."""
    return tuple(curve.key[1:])


def pooled_laws(curves: Sequence[Curve], losses: LossStore | None) -> dict[Key, Law]:
    """A law for each task, metric and setting with losses, over these runs' checkpoints but step 0."""
    of_setting: dict[Key, list[Curve]] = defaultdict(list)
    for curve in curves:
        of_setting[curve.key.run, setting(curve)].append(curve)
    pools: dict[Key, list[tuple[Curve, LossCurve]]] = defaultdict(list)
    for curve in curves:
        if curve.high != 1.0 or len(curve) < MIN_CHECKPOINTS:
            continue
        if losses is not None and curve.key.run in losses.runs:
            loss = stored_loss(curve, losses, curve.key.run)
        else:
            loss = metric_loss(tuple(of_setting[curve.key.run, setting(curve)]))
        if loss is not None:
            pools[law_key(curve)].append((curve, loss))
    laws = {key: _pool(pool) for key, pool in pools.items()}
    return {key: law for key, law in laws.items() if law is not None}


def _pool(pairs: Sequence[tuple[Curve, LossCurve]]) -> Law | None:
    if not pairs:
        return None
    losses, accuracies = [], []
    for curve, loss in pairs:
        inside = (curve.clock >= loss.clock[0]) & (curve.clock <= loss.clock[-1]) & (curve.clock > 0)
        losses.append(loss.at(curve.clock[inside]))
        accuracies.append(curve.values[inside])
    return fit_logistic(np.concatenate(losses), np.concatenate(accuracies))
