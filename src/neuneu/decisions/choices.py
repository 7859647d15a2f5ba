"""Which run wins, and whether a run is worth finishing: forecasts → choices, with what they may cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.chances import (
    N_POINTS,
    best_probabilities,
    expected_excess,
    reach_probability,
    spread,
    win_probabilities,
)
from neuneu.decisions.outlook import ready_forecaster, select
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.evidence import EvidenceBuilder, References, planned_end
from neuneu.forecasters.base import Forecast, Forecaster
from neuneu.losses.loss_store import LossStore

THRESHOLD = 0.05
"""Advise to stop where success is less likely than this."""

ADVICE_IN_BRIEF = ("run", "done", "q50", "p_success", "advice", "compute_saved", "regret")
"""The columns of `advise` that fit a terminal."""


@dataclass(frozen=True)
class Candidate:
    """A run's mean over tasks at a common horizon.

    points: (N_POINTS,) equally likely values, increasing, higher is better; end: clock of its last
    checkpoint; planned: clock where it will end.
    """

    run: str
    end: float
    planned: float
    params: int | None
    points: Floats

    def quantile(self, level: float) -> float:
        """A quantile of the mean over tasks."""
        return float(np.quantile(self.points, level))


def candidates(
    table: CurveTable,
    chosen: CurveTable,
    forecaster: Forecaster,
    *,
    horizon: float | None = None,
    references: References | None = None,
    losses: LossStore | None = None,
) -> tuple[list[Candidate], float]:
    """Each run's distribution at a common horizon, over the (task, metric, setting) that all runs have.

    horizon: a clock value, by default the farthest end that any run has or plans. A run that is already there
    counts with its last value until then, taken as certain. A run's errors on its tasks are taken as fully
    dependent (quantiles of the mean = mean of quantiles): tasks of one run do go wrong together, and where
    they do not the interval is too wide rather than too narrow. Runs are independent of each other. Where
    lower is better, values count negative. Raises InputError where the runs share no task or clock.
    """
    by_run = _shared_curves(chosen)
    units = {curve.clock_unit for curves in by_run.values() for curve in curves}
    if len(units) > 1:
        raise InputError("the runs have no clock in common", field="curves", value=sorted(units))
    every = [curve for curves in by_run.values() for curve in curves]
    at = horizon if horizon is not None else max(planned_end(curve) for curve in every)
    if not np.isfinite(at) or at <= 0:
        raise InputError("must be positive and finite", field="horizon", value=at)
    builder = EvidenceBuilder(table, losses, references)
    ahead = [curve for curve in every if curve.clock[-1] < at]
    evidences = [builder.at(curve, float(curve.clock[-1])) for curve in ahead]
    answers = forecaster.forecast_many(evidences, [np.array([at])] * len(ahead)) if ahead else []
    points: dict[CurveKey, Floats] = {}
    for curve, answer in zip(ahead, answers, strict=True):
        if not isinstance(answer, Forecast):
            raise CannotForecastError(f"{curve.key.run}, {curve.key.task}: {answer.reason}")
        points[curve.key] = spread(answer.values[0], answer.levels, curve.low, curve.high)
    for curve in every:
        if curve.key not in points:
            points[curve.key] = np.full(N_POINTS, _last_until(curve, at))
    return [_candidate(run, curves, points) for run, curves in by_run.items()], at


def candidates_of(
    path: Path,
    runs: Sequence[str] | None,
    task: str | None,
    metric: str | None,
    forecaster: str,
    horizon: float | None,
) -> tuple[list[Candidate], float]:
    """`candidates` of a curve file, the runs and task by name. Raises InputError that lists near names."""
    table = CurveTable.read(path)
    parts = (
        [select(table, run, task, metric) for run in runs] if runs else [select(table, None, task, metric)]
    )
    chosen = parts[0] if len(parts) == 1 else CurveTable.concat(parts)
    return candidates(table, chosen, ready_forecaster(forecaster), horizon=horizon)


def _shared_curves(chosen: CurveTable) -> dict[str, list[Curve]]:
    by_run: dict[str, dict[object, Curve]] = {}
    for curve in chosen:
        by_run.setdefault(curve.key.run, {})[curve.key[1:]] = curve
    shared = set.intersection(*(set(curves) for curves in by_run.values()))
    if not shared:
        raise InputError("the runs share no task in one metric and setting", field="task")
    return {run: [c for key, c in curves.items() if key in shared] for run, curves in by_run.items()}


def _last_until(curve: Curve, clock: float) -> float:
    seen = curve.until(clock)
    if not len(seen):
        rule = f"is before the first checkpoint of {curve.key.run}"
        raise InputError(rule, field="horizon", value=clock)
    return float(seen.values[-1])


def _candidate(run: str, curves: Sequence[Curve], points: Mapping[CurveKey, Floats]) -> Candidate:
    better = [
        points[c.key] if find_metric(c.key.metric).higher_is_better else -points[c.key][::-1] for c in curves
    ]
    return Candidate(
        run,
        end=min(float(c.clock[-1]) for c in curves),
        planned=max(planned_end(c) for c in curves),
        params=curves[0].facts.params,
        points=np.mean(better, axis=0),
    )


def rank(runs: Sequence[Candidate]) -> pl.DataFrame:
    """Runs, the likeliest best first: mean over tasks (q10, q50, q90), P(best), P(beats the favourite)."""
    if len(runs) < 2:
        raise InputError("at least two runs are needed", field="run", value=len(runs))
    points = np.stack([run.points for run in runs])
    best, wins = best_probabilities(points), win_probabilities(points)
    favourite = int(np.lexsort((-points.mean(axis=1), -best))[0])
    frame = pl.DataFrame(
        {
            "run": [run.run for run in runs],
            "q10": [run.quantile(0.1) for run in runs],
            "q50": [run.quantile(0.5) for run in runs],
            "q90": [run.quantile(0.9) for run in runs],
            "p_best": best,
            "p_beats_favourite": [None if i == favourite else wins[i, favourite] for i in range(len(runs))],
        }
    )
    return frame.sort(["p_best", "q50", "run"], descending=[True, True, False])


def pairs(runs: Sequence[Candidate]) -> pl.DataFrame:
    """P(run beats other) of every ordered pair."""
    wins = win_probabilities(np.stack([run.points for run in runs]))
    return pl.DataFrame(
        [
            {"run": one.run, "other": other.run, "p_run_wins": float(wins[i, j])}
            for i, one in enumerate(runs)
            for j, other in enumerate(runs)
            if i != j
        ]
    )


def advise(
    runs: Sequence[Candidate], at: float, *, target: float | None = None, rival: str | None = None,
    threshold: float = THRESHOLD,
) -> pl.DataFrame:  # fmt: skip
    """Stop or go on, for every run that has not reached the horizon.

    A run succeeds if at the horizon its mean over tasks reaches `target`, or beats the run `rival`. Rule:
    stop where P(success) < threshold. If the intervals are calibrated, less than that share of stopped runs
    would have succeeded; `regret` is what stopping forgoes on average, E[(value − bar)⁺], in the metric's
    units. compute_saved: share of the run's whole compute that lies ahead; flops_saved: 6 · params · tokens.
    """
    if (target is None) == (rival is None):
        raise InputError("give a target or a rival run, one of the two", field="target", value=target)
    if not 0 < threshold < 1:
        raise InputError("must lie between 0 and 1, both excluded", field="threshold", value=threshold)
    bars = {run.run: run for run in runs}
    if rival is not None and rival not in bars:
        raise InputError("is not among these runs", field="rival", value=rival)
    rows = []
    for run in runs:
        if run.end >= at or run.run == rival:
            continue
        bar = np.array([target]) if target is not None else bars[str(rival)].points
        chance = float(np.mean([reach_probability(run.points, value) for value in bar]))
        rows.append(
            {
                "run": run.run,
                "done": run.end / at,
                "q10": run.quantile(0.1),
                "q50": run.quantile(0.5),
                "q90": run.quantile(0.9),
                "p_success": chance,
                "advice": "stop" if chance < threshold else "go on",
                "compute_saved": (at - run.end) / at,
                "flops_saved": None if run.params is None else 6.0 * run.params * (at - run.end),
                "regret": float(np.mean([expected_excess(run.points, value) for value in bar])),
            }
        )
    if not rows:
        raise InputError("no run is still before the horizon", field="horizon", value=at)
    return pl.DataFrame(rows, schema_overrides={"flops_saved": pl.Float64}).sort("p_success", "run")


def rule_in_words(threshold: float) -> str:
    """The stopping rule and what it may cost."""
    return (
        f"rule: stop where p_success < {threshold:g}; if the intervals are calibrated, fewer than "
        f"{threshold:.0%} of the stopped runs would have succeeded. compute_saved: share of the run's "
        "compute that lies ahead; regret: what stopping forgoes on average, in the metric's units"
    )
