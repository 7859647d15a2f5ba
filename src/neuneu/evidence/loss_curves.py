"""The loss that goes with an accuracy curve: mean token or item loss, else a loss-like metric of the task."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from neuneu.curves.curve import Curve, Floats, Integers
from neuneu.evidence.evidence import Evidence
from neuneu.losses.loss_store import LossStore

LOSS_METRICS = ("bpb", "bits_per_byte", "loss", "ce_loss", "answer_loss", "nll")
"""Metrics that fall as accuracy rises, the preferred one first."""


@dataclass(frozen=True, eq=False)
class LossCurve:
    """Loss over the clock: both (n,), clock increasing, losses positive."""

    clock: Floats
    loss: Floats

    def __len__(self) -> int:
        return len(self.loss)

    def at(self, clock: Floats) -> Floats:
        """Loss at these clocks, linear in log-clock between checkpoints, constant outside."""
        return np.interp(np.log(np.maximum(clock, 1e-300)), np.log(self.clock), self.loss)


def context_loss(evidence: Evidence) -> LossCurve | None:
    """The run's own loss up to the context end; None where there is none."""
    if evidence.losses is not None and len(evidence.losses.steps):
        store = evidence.losses.store
        return stored_loss(evidence.context, store, evidence.losses.run, evidence.losses.last_step)
    return metric_loss(evidence.other_metrics)


def future_loss(evidence: Evidence) -> LossCurve | None:
    """The run's loss at all its checkpoints, after the context end too; only for methods that may see it."""
    view = evidence.future_losses
    if view is not None and len(view.steps):
        return stored_loss(evidence.context, view.store, view.run)
    own = [c for c in evidence.run_curves if setting(c) == setting(evidence.context)]
    return metric_loss(tuple(own))


def reference_loss(evidence: Evidence, reference: Curve) -> LossCurve | None:
    """The loss of a finished reference run, of the same kind as `context_loss`; None where there is none."""
    view = evidence.losses
    if view is not None and len(view.steps):
        if reference.key.run not in view.store.runs:
            return None
        return stored_loss(reference, view.store, reference.key.run)
    return metric_loss(tuple(c for c in evidence.reference_metrics if c.key.run == reference.key.run))


def metric_loss(curves: tuple[Curve, ...]) -> LossCurve | None:
    """The first loss-like metric among these curves."""
    for name in LOSS_METRICS:
        for curve in curves:
            usable = (curve.clock > 0) & (curve.values > 0)
            if curve.key.metric == name and usable.any():
                return LossCurve(curve.clock[usable], curve.values[usable])
    return None


def stored_loss(curve: Curve, store: LossStore, run: str, last_step: int | None = None) -> LossCurve | None:
    """Mean loss of the store's checkpoints of a run, on the clock of `curve` (steps in proportion)."""
    steps, means = _means(store, run)
    usable = (steps > 0) & np.isfinite(means) & (means > 0)
    if last_step is not None:
        usable &= steps <= last_step
    known = curve.steps > 0
    if not usable.any() or not known.any():
        return None
    x, y = curve.steps[known].astype(np.float64), curve.clock[known]
    asked = steps[usable].astype(np.float64)
    clock = np.where(asked > x[-1], asked * (y[-1] / x[-1]), np.interp(asked, x, y))
    clock = np.where(asked < x[0], asked * (y[0] / x[0]), clock)
    return LossCurve(clock, means[usable])


def setting(curve: Curve) -> tuple[object, ...]:
    """Task, shots and variant: what a loss and an accuracy must share to go together."""
    return curve.key.task, curve.key.n_shot, curve.key.variant


def _means(store: LossStore, run: str) -> tuple[Integers, Floats]:
    """Steps and mean losses of a run; vectors are read again only where there are other checkpoints now."""
    steps = store.steps(run)
    known = _KNOWN.setdefault(store, {})
    if run not in known or not np.array_equal(known[run][0], steps):
        known[run] = steps, store.mean(run)
    return known[run]


_KNOWN: "WeakKeyDictionary[LossStore, dict[str, tuple[Integers, Floats]]]" = WeakKeyDictionary()
"""Steps and mean losses by store and run; forgotten with the store."""
