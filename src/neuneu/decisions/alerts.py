"""What somebody should look at in a run in flight, told from its curves alone.

The same curves give the same alerts: nothing is remembered between two looks, so that a watcher that was
killed, or asked once a night, says the same as one that never sleeps. Each alert has its reason in one
sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import norm

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.inspect import outliers
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.shared import shared_curves
from neuneu.decisions.stopping import FEWEST_CHECKPOINTS, should_stop
from neuneu.errors import NeuneuError
from neuneu.evidence.cut import Question
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, LEVELS, Forecast, Forecaster
from neuneu.forecasts.cells import on_levels
from neuneu.forecasts.forecast import ask, read_evidence, ready_forecaster

Kind = Literal["target", "outside", "outlier", "falls"]

PATIENCE = 3
"""Checkpoints in a row for which something must hold before it is told."""

BAND = 0.9
"""Probability of the band that a run should stay in, all its curves together."""

FALLS = 0.02
"""A curve falls where it loses this share of its metric's range (2 points of accuracy) ..."""

NOISES = 4.0
"""... and so many times the deviation between neighbouring checkpoints before."""

NOISE_POINTS = 4
"""Differences between checkpoints that the deviation needs at least."""


@dataclass(frozen=True)
class Alert:
    """Something that somebody should look at.

    kind: target (out of reach), outside (of its own band), outlier (looks like a wrong upload), falls; task:
    None where it is of the whole run; step: the checkpoint that shows it; reason: one sentence.
    """

    kind: Kind
    run: str
    task: str | None
    step: int
    reason: str

    @property
    def subject(self) -> tuple[str, ...]:
        """What it is about: two looks that tell this tell the same, whatever the checkpoint."""
        place = str(self.step) if self.kind == "outlier" else ""
        return self.kind, self.run, self.task or "", place


@dataclass(frozen=True)
class Watched:
    """What is watched for, and how runs are asked. target: the mean over tasks to reach, None for none;
    patience: checkpoints in a row; the rest as in `forecast`."""

    target: float | None = None
    patience: int = PATIENCE
    selection: Selection = field(default_factory=Selection)
    forecaster: str | Path | Forecaster = DEFAULT_FORECASTER
    references: Any = None
    losses: Any = None


def alerts_of(table: CurveTable, run: str, watched: Watched) -> list[Alert]:
    """The alerts of one run of a table. Raises InputError where the selection names what is not there."""
    curves = _own(watched.selection, run).of(table).curves
    found = [alert for curve in curves if (alert := _falls(curve, watched.patience)) is not None]
    found += _outside(table, run, curves, watched)
    for row in outliers(table.frame.filter(run=run)).iter_rows(named=True):
        reason = f"step {row['step']} looks like a wrong upload: {row['detail']}"
        found.append(Alert("outlier", run, row["task"], row["step"], reason))
    return found + _target(table, run, curves, watched)


def _own(selection: Selection, run: str) -> Selection:
    return Selection([run], selection.tasks, selection.metric, selection.n_shot, selection.variant)


def _target(table: CurveTable, run: str, curves: Sequence[Curve], watched: Watched) -> list[Alert]:
    if watched.target is None:
        return []
    try:
        verdict = should_stop(
            table, run, target=watched.target, selection=watched.selection, forecaster=watched.forecaster,
            references=watched.references, losses=watched.losses, patience=watched.patience,
        )  # fmt: skip
    except NeuneuError:
        return []  # of another unit or without a common task: said by the forecast
    step = max(int(curve.steps[-1]) for curve in curves)
    return [Alert("target", run, None, step, verdict.reason)] if verdict.stop else []


def _falls(curve: Curve, patience: int) -> Alert | None:
    """A curve that gets worse at each of the last checkpoints, and by more than its noise explains."""
    if len(curve) < patience + 1 + NOISE_POINTS:
        return None
    values = curve.values if find_metric(curve.key.metric).higher_is_better else -curve.values
    changes = np.diff(values)
    before, last = changes[:-patience], changes[-patience:]
    noise = float(np.median(np.abs(before - np.median(before)))) * 1.4826
    loss = -float(last.sum())
    share = FALLS * (curve.high - curve.low) if np.isfinite(curve.high - curve.low) else 0.0
    if (last >= 0).any() or loss < max(share, NOISES * noise):
        return None
    then, now = curve.values[-patience - 1], curve.values[-1]
    reason = (
        f"{curve.key.task} has got worse at each of its last {patience} checkpoints, from {then:.4g} to "
        f"{now:.4g} at step {curve.steps[-1]}"
    )
    return Alert("falls", curve.key.run, curve.key.task, int(curve.steps[-1]), reason)


def _outside(table: CurveTable, run: str, curves: Sequence[Curve], watched: Watched) -> list[Alert]:
    """Curves whose last checkpoints all lie on one side of the band that those before forecast.

    The band holds all curves of the run together with probability BAND (Bonferroni over them), so that of
    sixty tasks not six lie outside by chance. Their mean over benchmarks counts as one more curve.
    """
    n = watched.patience
    asked = [curve for curve in curves if len(curve) - n >= FEWEST_CHECKPOINTS]
    if not asked:
        return []
    given, store = read_evidence(watched.references, watched.losses, table.runs)
    method = ready_forecaster(watched.forecaster, given.table, store)
    questions = [Question(curve, len(curve) - n, curve.clock[-n:]) for curve in asked]
    answers = ask(method, questions, EvidenceBuilder(table, store, given))
    rows = {
        curve.key: on_levels(answer)
        for curve, answer in zip(asked, answers, strict=True)
        if isinstance(answer, Forecast)
    }
    several = len(rows) > 1
    found: list[tuple[str | None, Curve, str, str]] = []
    for curve in asked:
        if curve.key in rows:
            bounds = (curve.low, curve.high)
            beside = _beside(curve.values[-n:], rows[curve.key], len(rows) + several, bounds)
            if beside:
                found.append((curve.key.task, curve, curve.key.task, beside))
    mean = _mean(table, run, watched, rows) if several else None
    if mean is not None:
        first, values, bands = mean
        beside = _beside(values, bands, len(rows) + 1)
        if beside:
            found.append((None, first, "the mean over tasks", beside))
    return [
        Alert(
            "outside", run, task, int(curve.steps[-1]),
            f"{what} {told} at step {curve.steps[-1]}, as at each of its last {n} checkpoints",
        )
        for task, curve, what, told in found
    ]  # fmt: skip


def _beside(
    values: Floats, quantiles: Floats, curves: int, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> str:
    """Where all values, (n,), lie beside their band on one side: the end of a sentence; else empty.

    quantiles: (n, len(LEVELS)); curves: how many share the probability of lying outside; bounds: of the
    metric, which the band keeps to.
    """
    low, middle, high = (quantiles[:, LEVELS.index(level)] for level in (0.05, 0.5, 0.95))
    wider = norm.ppf(1 - (1 - BAND) / 2 / curves) / norm.ppf((1 + BAND) / 2)
    low = np.maximum(middle - wider * (middle - low), bounds[0])
    high = np.minimum(middle + wider * (high - middle), bounds[1])
    side = "below" if (values < low).all() else "above" if (values > high).all() else ""
    return (
        f"is {values[-1]:.4g}, {side} its own {BAND:.0%} band of {low[-1]:.4g} to {high[-1]:.4g}"
        if side
        else ""
    )


def _mean(
    table: CurveTable, run: str, watched: Watched, rows: dict[Any, Floats]
) -> tuple[Curve, Floats, Floats] | None:
    """The mean over benchmarks, as `rank` takes it: values (n,) and quantiles; None where clocks differ."""
    n = watched.patience
    try:
        shared, of_run = shared_curves(_own(watched.selection, run).of(table), named=True)
    except NeuneuError:
        return None
    curves = [curve for curve in of_run[run] if curve.key in rows]
    if not curves or any(not np.array_equal(curve.steps[-n:], curves[0].steps[-n:]) for curve in curves):
        return None
    signs = [1 if find_metric(curve.key.metric).higher_is_better else -1 for curve in curves]
    if len(curves) < len(of_run[run]) or len(set(signs)) > 1:
        return None
    weights = np.array([shared.weights[curve.key.task] for curve in curves])
    values = weights @ np.stack([curve.values[-n:] for curve in curves])
    return curves[0], values, np.tensordot(weights, np.stack([rows[curve.key] for curve in curves]), 1)
