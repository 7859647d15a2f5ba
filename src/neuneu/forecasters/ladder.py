"""The two-step ladder from finished smaller runs: loss from size and data, accuracy from loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.features import mean_of_last
from neuneu.evidence.loss_curves import LossCurve, context_loss, reference_loss
from neuneu.evidence.questions import Questions
from neuneu.forecasters.base import Forecast, Refusal
from neuneu.forecasters.calibration import CalibratedForecaster, Calibration
from neuneu.forecasters.logistic import LEAST_LOSS, Law, fit_logistic, logistic_law

EXPONENTS = (0.1, 0.2, 0.3, 0.45, 0.65)
"""Of size and of data in the loss law that are tried; those of the literature are near 0.3."""
WARM = 0.2
"""Reference checkpoints before this share of their run are left out of the loss law."""
SHIFT_POINTS = 3
"""Last checkpoints that both steps are moved to pass through."""
POINTS_PER_RUN = 24
"""Of each reference so many checkpoints are fitted to, so that no run counts for its length."""
FEWEST_LOSSES, FEWEST_REFERENCES = 3, 2
"""Checkpoints with losses that a reference must have, and references of that kind."""


@dataclass(frozen=True)
class LossLaw:
    """Loss = e + a · params ** −alpha + b · clock ** −beta (Hoffmann et al. 2022), in scaled units."""

    e: float
    a: float
    b: float
    alpha: float
    beta: float
    params_unit: float
    clock_unit: float

    def at(self, params: float, clock: Floats) -> Floats:
        """Loss of a run of this size at these clocks."""
        size = (params / self.params_unit) ** -self.alpha
        data = (np.maximum(clock, 1e-300) / self.clock_unit) ** -self.beta
        return np.asarray(self.e + self.a * size + self.b * data, dtype=np.float64)


class Ladder(CalibratedForecaster):
    """Bhagia et al. 2024, given the run's context: loss from size and tokens, then accuracy from loss.

    Both steps are fitted to finished smaller runs. The first is moved to pass through the run's own loss at
    the context end, the second through its accuracy there. Declines without two such runs that have losses
    (of the store, or bits per byte of the task) or without the run's own loss.
    """

    name = "ladder"
    reads = frozenset({"run", "references", "losses"})

    def __init__(self) -> None:
        self._steps: dict[tuple[object, ...], tuple[LossLaw, Law] | None] = {}

    def refuse(self, evidence: Evidence) -> str | None:
        """No loss of the run, or fewer than two finished smaller runs with losses."""
        if evidence.context.facts.params is None:
            return "needs the number of parameters of the run"
        if context_loss(evidence) is None:
            return "needs token or item losses, or bits per byte, of the run"
        if self._fitted(evidence) is None:
            return "needs two or more finished smaller runs with losses and this task"
        return None

    def point(self, batch: Batch) -> Floats:
        """Mean of the last values plus the rise that the two steps give, (n_cells,)."""
        values = np.empty(len(batch.cell))
        bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        now = mean_of_last(batch, SHIFT_POINTS)
        for i, evidence in enumerate(batch.evidences):
            part = slice(bounds[i], bounds[i + 1])
            values[part] = now[i] + self._rise(evidence, batch.log_horizon[part]) / batch.unit[i]
        return values

    def _rise(self, evidence: Evidence, log_horizon: Floats) -> Floats:
        loss, steps = context_loss(evidence), self._fitted(evidence)
        params = evidence.context.facts.params
        assert loss is not None
        assert steps is not None
        assert params is not None
        loss_law, accuracy_law = steps
        recent = evidence.context.clock[-SHIFT_POINTS:]
        seen = loss.at(recent)
        offset = float(np.mean(seen - loss_law.at(params, recent)))
        later = loss_law.at(params, evidence.end * np.exp(log_horizon)) + offset
        later = np.maximum(later, LEAST_LOSS * seen[-1])
        return logistic_law(later, accuracy_law) - float(np.mean(logistic_law(seen, accuracy_law)))

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Fit both steps once for all questions of a call that have the same references."""
        try:
            return super().forecast_many(evidences, horizons)
        finally:
            self._steps.clear()

    def calibrate(self, questions: Questions) -> Calibration:
        """Residual quantiles on questions with known answers, fitted as in `forecast_many`."""
        try:
            return super().calibrate(questions)
        finally:
            self._steps.clear()

    def _fitted(self, evidence: Evidence) -> tuple[LossLaw, Law] | None:
        """Both steps, remembered during one call: its evidences keep alive the objects that `id` names."""
        stored = None if evidence.losses is None else id(evidence.losses.store)
        key = (evidence.context.key, stored, tuple(id(reference) for reference in evidence.references))
        if key not in self._steps:
            self._steps[key] = fit_steps(evidence)
        return self._steps[key]


def fit_steps(evidence: Evidence) -> tuple[LossLaw, Law] | None:
    """Both steps from the references; None where fewer than two of them have losses."""
    pairs = [
        (reference, loss)
        for reference in evidence.references
        if reference.facts.params
        and (loss := reference_loss(evidence, reference)) is not None
        and len(loss) >= FEWEST_LOSSES
    ]
    if len(pairs) < FEWEST_REFERENCES:
        return None
    law = fit_loss_law(pairs)
    losses, accuracies = [], []
    for curve, loss in pairs:
        inside = (curve.clock >= max(loss.clock[0], 1e-300)) & (curve.clock <= loss.clock[-1])
        losses.append(loss.at(curve.clock[inside]))
        accuracies.append(curve.values[inside])
    accuracy = fit_logistic(np.concatenate(losses), np.concatenate(accuracies))
    return (law, accuracy) if accuracy is not None else None


def fit_loss_law(pairs: Sequence[tuple[Curve, LossCurve]]) -> LossLaw:
    """Non-negative least squares for (e, a, b) over a grid of exponents; a = 0 where all sizes are one."""
    from scipy.optimize import nnls

    params, clock, loss = _checkpoints(pairs)
    params_unit, clock_unit = float(np.median(params)), float(np.median(clock))
    one_size = bool(np.ptp(params) == 0)
    best, lowest = LossLaw(float(loss.mean()), 0.0, 0.0, 1.0, 1.0, params_unit, clock_unit), np.inf
    for alpha in EXPONENTS[:1] if one_size else EXPONENTS:
        size = np.zeros(len(loss)) if one_size else (params / params_unit) ** -alpha
        for beta in EXPONENTS:
            basis = np.stack([np.ones(len(loss)), size, (clock / clock_unit) ** -beta], axis=1)
            (e, a, b), error = nnls(basis, loss)
            if error < lowest:
                lowest = error
                best = LossLaw(float(e), float(a), float(b), alpha, beta, params_unit, clock_unit)
    return best


def _checkpoints(pairs: Sequence[tuple[Curve, LossCurve]]) -> tuple[Floats, Floats, Floats]:
    """Parameters, clock and loss of at most `POINTS_PER_RUN` later checkpoints of each run."""
    params, clocks, losses = [], [], []
    for curve, loss in pairs:
        later = np.flatnonzero(loss.clock >= WARM * loss.clock[-1])
        later = later[np.unique(np.linspace(0, len(later) - 1, POINTS_PER_RUN).astype(int))]
        params.append(np.full(len(later), float(curve.facts.params or 1)))
        clocks.append(loss.clock[later])
        losses.append(loss.loss[later])
    return np.concatenate(params), np.concatenate(clocks), np.concatenate(losses)
