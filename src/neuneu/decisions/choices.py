"""Which run wins, and whether a run is worth finishing: forecasts → choices, with what they may cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import norm

from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.curves.seeds import JoinedSeeds, Seeds, show_seeds
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.chances import (
    best_probabilities,
    expected_excess,
    reach_probability,
    spread,
    win_probabilities,
)
from neuneu.decisions.early_ends import comparison_notes
from neuneu.decisions.peers import contest_points, deviation, present_level, same_clock, separation
from neuneu.decisions.shared import Shared, shared_curves
from neuneu.decisions.today import between_seeds, mean_today, measured, tasks_today
from neuneu.errors import CannotForecastError, InputError, check_known, percentage
from neuneu.evaluation.leaderboard import SAME_BUDGET
from neuneu.evidence.cut import Question, check_share, seen
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.evidence.finished import FINISHED, planned_end
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, LEVELS, Forecast, Forecaster
from neuneu.forecasts.cells import on_levels
from neuneu.forecasts.forecast import ask, read_evidence, ready_forecaster
from neuneu.forecasts.horizons import UNPLANNED, end_in_flight

THRESHOLD = 0.05
"""Advise to stop where success is less likely than this."""

FLOPS_PER_TOKEN = 6.0
"""Floating-point operations of training, for each parameter and token (Kaplan et al. 2020)."""

ADVICE_IN_BRIEF = ("run", "done", "q50", "p_success", "advice", "compute_saved", "regret")
"""The columns of `advise` that fit a terminal."""


@dataclass(frozen=True)
class Candidate:
    """A run's mean over tasks at a common horizon; higher is better.

    quantiles: (len(LEVELS),); points: equally likely values, increasing; end: clock of the context end; at:
    clock that it is compared at, its own end where it ends before the horizon; finished: whether that has
    been reached, so that the value is measured, not forecast;
    level: mean of the last checkpoints, at the clock that its peers have reached; deviation: of the forecast,
    tasks' errors taken as independent; seeds: how many runs it is the mean of; peers: code of the runs that
    it competes with at one size, budget and clock, -1 where there are none; apart: their separation.
    """

    run: str
    end: float
    at: float
    params: int | None
    quantiles: Floats
    points: Floats
    level: float
    deviation: float
    seeds: int = 1
    peers: int = -1
    apart: float = 1.0

    @property
    def share(self) -> float:
        """How much of the way to `at` is seen, 1 where it has been reached."""
        return 1.0 if self.finished else self.end / self.at

    @property
    def finished(self) -> bool:
        """Whether it has reached the clock that it is compared at."""
        return self.end >= FINISHED * self.at

    def quantile(self, level: float) -> float:
        """The quantile of the mean over tasks at one of LEVELS."""
        return float(self.quantiles[LEVELS.index(level)])

    def of_seeds(self, n: int, between: float) -> "Candidate":
        """This run as the mean of n seeds whose deviation is `between`: wider by that of their mean.

        The forecast's deviation σ becomes √(σ² + between² / n); quantiles are stretched around the median.
        """
        wider = math.hypot(self.deviation, between / math.sqrt(n))
        middle, stretch = self.quantile(0.5), wider / self.deviation
        quantiles = middle + stretch * (self.quantiles - middle)
        points = middle + stretch * (self.points - middle)
        if np.ptp(points) == 0:  # measured, and not known to vary between checkpoints
            quantiles = np.asarray(middle + wider * norm.ppf(LEVELS))
            points = np.asarray(middle + wider * norm.ppf((np.arange(len(points)) + 0.5) / len(points)))
        return replace(self, quantiles=quantiles, points=points, deviation=wider, seeds=n)


@dataclass(frozen=True)
class Comparison:
    """Runs at a common horizon. at: its clock; shared: the curves they are compared on; seeds: which runs are
    the mean of several; between_seeds: standard deviation between seeds today, 0 where none are joined;
    notes: what people should know of the curves, a line each.
    """

    runs: Sequence[Candidate]
    at: float
    shared: Shared
    seeds: JoinedSeeds | None = None
    between_seeds: float = 0.0
    notes: Sequence[str] = ()

    @property
    def points(self) -> Floats:
        """Equally likely values of each run as they compete (see `peers`), (n_runs, n_points)."""
        alone = max(run.peers for run in self.runs) + 1
        groups = [run.peers if run.peers >= 0 else alone + i for i, run in enumerate(self.runs)]
        return contest_points(
            np.array([run.quantile(0.5) for run in self.runs]),
            np.array([run.level for run in self.runs]),
            np.array([run.deviation for run in self.runs]),
            np.array([run.share for run in self.runs]),
            np.array(groups, dtype=np.intp),
            np.array([run.apart for run in self.runs]),
        )

    @property
    def lower_is_better(self) -> bool:
        """Whether every metric compared is a loss, so that tables show values with their sign back."""
        return not any(find_metric(setting[1]).higher_is_better for setting in self.shared.settings)

    def shown(self, run: Candidate) -> dict[str, float]:
        """q10, q50 and q90 of a run in the metric's own numbers."""
        if self.lower_is_better:
            return {"q10": -run.quantile(0.9), "q50": -run.quantile(0.5), "q90": -run.quantile(0.1)}
        return {"q10": run.quantile(0.1), "q50": run.quantile(0.5), "q90": run.quantile(0.9)}

    def bar(self, target: float) -> float:
        """A target as runs are compared, higher is better. Raises InputError where it cannot be reached."""
        metrics = [find_metric(setting[1]) for setting in self.shared.settings]
        if len({metric.higher_is_better for metric in metrics}) > 1:
            raise InputError("the tasks' metrics point both ways; choose a metric", field="metric")
        low, high = min(metric.low for metric in metrics), max(metric.high for metric in metrics)
        if not math.isfinite(target) or not low <= target <= high:
            rule = f"must be in [{low:g}, {high:g}]{percentage(target, high)}"
            raise InputError(rule, field="target", value=target)
        return -target if self.lower_is_better else target


def compare_runs(
    table: CurveTable,
    forecaster: str | Path | Forecaster = DEFAULT_FORECASTER,
    *,
    selection: Selection | None = None,
    horizon: float | None = None,
    context: float | None = None,
    references: Any = None,
    losses: Any = None,
    in_flight: bool = False,
    seeds: str = Seeds.each,
    own_ends: bool = False,
) -> Comparison:
    """Each run's distribution at a common horizon: the mean over the benchmarks that all runs have.

    Of each task one setting counts (see `shared_curves`). horizon: a clock value, by default the farthest end
    that any run has or plans; in_flight: whether runs without a plan go on (to UNPLANNED times the farthest
    clock) rather than having ended; a run whose plan ends before it is compared at its own end; own_ends:
    whether every run is, where none is planned at its last checkpoint (looking back) or at
    `end_in_flight` (all seen). context:
    share of each run's clock that may be seen, to look back; all where None. A value that has been measured
    is known up to the noise between checkpoints: what is compared is the run, not the draw of one checkpoint.
    In the quantiles of a mean, a run's errors on its tasks are taken as fully dependent (quantiles of the
    mean = mean of quantiles), which is rather too wide than too narrow; how runs compete: see `peers`. Where
    lower is better, values count negative. seeds: `band` takes runs that differ in their seed alone as one,
    their mean, and every run as a draw of its seeds (see `between_seeds`).
    Raises InputError where the runs share no task or clock, CannotForecastError where the forecaster
    declines.
    """
    selection = selection or Selection()
    table, names, joined = show_seeds(table, seeds, selection.runs)
    selection = replace(selection, runs=names)
    chosen = selection.of(table)
    given, store = read_evidence(references, losses, table.runs)
    method = ready_forecaster(forecaster, given.table, store)
    builder = EvidenceBuilder(table, store, given)
    share = check_share(context)
    shared, of_run = _shared_so_far(chosen, share, named=bool(selection.runs))
    every = [curve for curves in of_run.values() for curve in curves]
    ends = {run: _run_end(curves, share, own=own_ends) for run, curves in of_run.items()}
    if horizon is not None:
        at = float(horizon)
    else:
        at = max(ends.values()) if own_ends else _default_horizon(every, in_flight and share == 1)
    if not math.isfinite(at) or at <= 0:
        raise InputError("must be positive and finite", field="horizon", value=at)
    questions = {curve.key: _question(curve, share, min(at, ends[curve.key.run])) for curve in every}
    ahead = [question for question in questions.values() if question.end < question.horizons[0]]
    answers = ask(method, ahead, builder) if ahead else []
    quantiles: dict[CurveKey, Floats] = {}
    for question, answer in zip(ahead, answers, strict=True):
        key = question.curve.key
        if not isinstance(answer, Forecast):
            raise CannotForecastError(f"{key.run}, {key.task}: {answer.reason}")
        quantiles[key] = on_levels(answer)[0]
    for key, question in questions.items():
        if key not in quantiles:
            quantiles[key] = measured(question.context.until(question.horizons[0]))
    runs = [
        _candidate(run, curves, [questions[curve.key] for curve in curves], quantiles, shared.weights)
        for run, curves in of_run.items()
    ]
    runs = _among_peers(runs, of_run, shared, replace(selection, runs=shared.runs, tasks=()).narrowed(table))
    notes = comparison_notes(table, of_run)
    if joined is None:
        return Comparison(runs, at, shared, notes=notes)
    apart = between_seeds(joined, selection, shared, share)
    runs = [run.of_seeds(joined.count(run.run), apart) for run in runs]
    return Comparison(runs, at, shared, joined, apart, notes)


def _shared_so_far(chosen: CurveTable, share: float, *, named: bool) -> tuple[Shared, dict[str, list[Curve]]]:
    """`shared_curves` of the runs that have a checkpoint in the context; others are left out, and told.

    named: whether the runs were chosen one by one; then all of them stay, and the question refuses.
    """
    shared, of_run = shared_curves(chosen, named=named)
    late = [run for run, curves in of_run.items() if not all(seen(curve, share) for curve in curves)]
    if named or not late or len(late) == len(of_run):
        return shared, of_run
    rest = [run for run in of_run if run not in late]
    shared, of_run = shared_curves(chosen.filter(run=rest), named=named)
    why = dict.fromkeys(late, "no checkpoint in the context")
    return replace(shared, lacking={**shared.lacking, **why}), of_run


def _among_peers(
    runs: Sequence[Candidate], of_run: Mapping[str, Sequence[Curve]], shared: Shared, every: CurveTable
) -> list[Candidate]:
    """Runs in flight with what they and their peers show today (see `peers`); others as they are.

    every: the curves of these runs on all of their tasks, which say how far peers are apart.
    """
    flying = [i for i, run in enumerate(runs) if not run.finished and run.params is not None]
    budgets = [(runs[i].params, round(math.log(runs[i].at) / SAME_BUDGET)) for i in flying]
    codes = {budget: code for code, budget in enumerate(dict.fromkeys(budgets))}
    groups = same_clock(
        np.array([runs[i].end for i in flying]), np.array([codes[b] for b in budgets], dtype=np.intp)
    )
    found = list(runs)
    for group in np.unique(groups).tolist():
        peers = [i for i, code in zip(flying, groups, strict=True) if code == group]
        clock = min(runs[i].end for i in peers)
        peers = [i for i in peers if all(curve.clock[0] <= clock for curve in of_run[runs[i].run])]
        if len(peers) < 2:  # nor is one a peer that shows nothing yet at the clock of the others
            continue
        today = {i: mean_today([c.until(clock) for c in of_run[runs[i].run]], shared) for i in peers}
        if len(shared.settings) == 1:
            tasks = tasks_today({runs[i].run for i in peers}, every, clock)
        else:
            tasks = [(np.array([today[i][0] for i in peers]), np.array([today[i][1] for i in peers]))]
        apart = separation(tasks)
        for i in peers:
            found[i] = replace(runs[i], level=today[i][0], peers=group, apart=apart)
    return found


def _default_horizon(curves: Sequence[Curve], in_flight: bool) -> float:
    """The farthest end that any run has or plans; of runs in flight without a plan UNPLANNED times that."""
    farthest = max(planned_end(curve) for curve in curves)
    unplanned = all(curve.facts.planned_tokens is None for curve in curves)
    return UNPLANNED * farthest if in_flight and unplanned else farthest


def _run_end(curves: Sequence[Curve], share: float, *, own: bool) -> float:
    """Where a run ends: by its plan; without one it may go on, unless each run is taken at its own end."""
    last = max(curves, key=lambda curve: float(curve.clock[-1]))
    if own:
        return end_in_flight(last) if share == 1 else float(last.clock[-1])
    return planned_end(last) if last.facts.planned_tokens is not None else math.inf


def _question(curve: Curve, share: float, at: float) -> Question:
    size = seen(curve, share)
    if not size or curve.clock[0] > at:
        what = "context" if size == 0 and share < 1 else "horizon"
        rule = (
            f"is before the first checkpoint after clock 0 of {curve.key.run} on {curve.key.task}; its "
            f"checkpoints are from {curve.clock[0]:.4g} to {curve.clock[-1]:.4g} {curve.clock_unit}"
        )
        raise InputError(rule, field=what, value=share if what == "context" else at)
    return Question(curve, size, np.array([at]), share)


def _candidate(
    run: str,
    curves: Sequence[Curve],
    questions: Sequence[Question],
    quantiles: Mapping[CurveKey, Floats],
    weights: Mapping[str, float],
) -> Candidate:
    rows, points, levels = [], [], []
    for curve, question in zip(curves, questions, strict=True):
        own = quantiles[curve.key]
        given = np.isfinite(own)
        known = [level for level, there in zip(LEVELS, given, strict=True) if there]
        values = spread(own[given], known, curve.low, curve.high)
        higher = find_metric(curve.key.metric).higher_is_better
        rows.append(own if higher else -own[::-1])
        points.append(values if higher else -values[::-1])
        levels.append((1 if higher else -1) * present_level(question.context))
    weight = np.array([weights[curve.key.task] for curve in curves])
    alone = len(curves) == 1
    return Candidate(
        run,
        end=min(question.end for question in questions),
        at=max(float(question.horizons[0]) for question in questions),
        params=curves[0].facts.params,
        quantiles=rows[0] if alone else weight @ np.stack(rows),
        points=points[0] if alone else weight @ np.stack(points),
        level=float(weight @ np.array(levels)),
        deviation=float(np.sqrt(weight**2 @ deviation(np.stack(rows)) ** 2)),
    )


def rank(found: Comparison) -> pl.DataFrame:
    """Runs, the likeliest best first: mean over tasks (q10, q50, q90), P(best), P(beats the favourite)."""
    points = found.points
    best, wins = best_probabilities(points), win_probabilities(points)
    favourite = int(np.lexsort((-points.mean(axis=1), -best))[0])
    rows = [
        {
            "run": run.run,
            **found.shown(run),
            "p_best": float(best[i]),
            "p_beats_favourite": None if i == favourite else float(wins[i, favourite]),
            "at": run.at,
            "finished": run.finished,
            **({} if found.seeds is None else {"seeds": run.seeds}),
        }
        for i, run in enumerate(found.runs)
    ]
    order = sorted(range(len(rows)), key=lambda i: (-best[i], -found.runs[i].quantile(0.5), rows[i]["run"]))
    return pl.DataFrame([rows[i] for i in order], schema_overrides={"p_beats_favourite": pl.Float64})


def pairs(found: Comparison) -> pl.DataFrame:
    """P(run beats other) of every ordered pair."""
    wins = win_probabilities(found.points)
    return pl.DataFrame(
        [
            {"run": one.run, "other": other.run, "p_run_wins": float(wins[i, j])}
            for i, one in enumerate(found.runs)
            for j, other in enumerate(found.runs)
            if i != j
        ],
        schema={"run": pl.String, "other": pl.String, "p_run_wins": pl.Float64},
    )


def advise(
    found: Comparison, *, target: float | None = None, rival: str | None = None,
    threshold: float = THRESHOLD,
) -> pl.DataFrame:  # fmt: skip
    """Stop or go on, for every run that has not reached its end or the horizon.

    A run succeeds if at the horizon its mean over tasks reaches `target`, or beats the run `rival`. Rule:
    stop where P(success) < threshold. If the intervals are calibrated, less than that share of stopped runs
    would have succeeded; `regret` is what stopping forgoes on average, E[(value − bar)⁺], in the metric's
    units. compute_saved: share of the run's whole compute that lies ahead; flops_saved: 6 · params · tokens.
    """
    if (target is None) == (rival is None):
        raise InputError("give a target or a rival run, one of the two", field="target", value=target)
    if not 0 < threshold < 1:
        rule = f"must lie between 0 and 1, both excluded{percentage(threshold)}"
        raise InputError(rule, field="threshold", value=threshold)
    points = {run.run: run.points for run in found.runs}
    if target is not None:
        bar = np.array([found.bar(target)])
    else:
        check_known(rival, points, "rival", "is not among these runs")
        points = {run.run: own for run, own in zip(found.runs, found.points, strict=True)}
        bar = points[str(rival)]
    rows = [
        _advice(found, run, points[run.run], bar, threshold)
        for run in found.runs
        if not run.finished and run.run != rival
    ]
    if not rows:
        rule = "every run has reached its end or the horizon: there is nothing left to stop; give a later one"
        raise InputError(rule, field="horizon", value=found.at)
    return pl.DataFrame(rows, schema_overrides={"flops_saved": pl.Float64}).sort("p_success", "run")


def _advice(
    found: Comparison, run: Candidate, points: Floats, bar: Floats, threshold: float
) -> dict[str, object]:
    """A row of `advise`. points: equally likely values of the run; bar: of what it has to reach."""
    chance = float(np.mean([reach_probability(points, value) for value in bar]))
    ahead = run.at - run.end
    return {
        "run": run.run,
        "done": run.end / run.at,
        **found.shown(run),
        "p_success": chance,
        "advice": "stop" if chance < threshold else "go on",
        "compute_saved": ahead / run.at,
        "flops_saved": None if run.params is None else FLOPS_PER_TOKEN * run.params * ahead,
        "regret": float(np.mean([expected_excess(points, value) for value in bar])),
    }


def rule_in_words(threshold: float) -> str:
    """The stopping rule and what it may cost."""
    return (
        f"rule: stop where p_success < {threshold:g}; if the intervals are calibrated, fewer than "
        f"{threshold:.0%} of the stopped runs would have succeeded. compute_saved: share of the run's "
        "compute that lies ahead; regret: what stopping forgoes on average, in the metric's units"
    )
