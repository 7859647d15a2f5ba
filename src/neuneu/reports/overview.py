"""What a reader wants first: what each run will score, how sure that is, and which run leads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neuneu.curves.curve import Curve, Facts
from neuneu.curves.seeds import Seeds, show_seeds
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.choices import Comparison, compare_runs, rank
from neuneu.decisions.shared import Setting
from neuneu.decisions.trust import Trust, trust
from neuneu.errors import NeuneuError
from neuneu.evidence.cut import truth_at
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import Forecaster


@dataclass(frozen=True)
class RunRow:
    """A run as it leads: values are means over the benchmarks that are compared, in the metric's numbers.

    seen: clock up to which it is known; at: clock that it is compared at; ended: whether it has got there;
    now: mean of its last checkpoints; q10, q50, q90: at `at`; p_best: that no other run beats it; truth: what
    was measured at `at`, in a look back, None where that is not known.
    """

    run: str
    params: int | None
    seen: float
    at: float
    ended: bool
    now: float
    q10: float
    q50: float
    q90: float
    p_best: float
    truth: float | None = None


@dataclass(frozen=True)
class Overview:
    """Runs compared, the likeliest best first.

    settings: what they are compared on, one a task; n_benchmarks: in how many benchmarks; percent: whether
    all are accuracies; lower_is_better: whether all are losses; in_words: what the mean is of; lacking: runs
    and tasks that were left out → why; problem: why nothing can be compared, "" where it can; trust: which
    tasks to trust; facts: of every run.
    """

    rows: Sequence[RunRow] = ()
    settings: Sequence[Setting] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    n_benchmarks: int = 0
    percent: bool = True
    lower_is_better: bool = False
    clock_unit: str = "tokens"
    in_words: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    trust: Trust | None = None
    facts: Mapping[str, Facts] = field(default_factory=dict)


def make_overview(
    given: CurveTable, forecaster: str | Path | Forecaster, *, selection: Selection, **asked: Any
) -> Overview:
    """Compare the chosen runs as `rank` does, each at its own end (see `compare_runs`).

    asked: context, references, losses and seeds, as `compare_runs` takes them. Where runs cannot be compared
    (nothing shared, a forecaster that declines), the overview says why.
    """
    table, runs, _ = show_seeds(given, asked.get("seeds", Seeds.each), selection.runs)
    curves = replace(selection, runs=runs).of(table).curves
    facts = {curve.key.run: curve.facts for curve in curves}
    found_trust = trust(given, selection)
    try:
        found = compare_runs(given, forecaster, selection=selection, in_flight=True, own_ends=True, **asked)
    except NeuneuError as error:
        return Overview(problem=str(error), trust=found_trust, facts=facts)
    metrics = [find_metric(setting[1]) for setting in found.shared.settings]
    shared = [curve for curve in curves if curve.key[1:] in set(found.shared.settings)]
    return Overview(
        rows=_rows(found, shared),
        settings=found.shared.settings,
        weights=found.shared.weights,
        n_benchmarks=len(found.shared.benchmarks),
        percent=all(metric.accuracy for metric in metrics),
        lower_is_better=found.lower_is_better,
        clock_unit=shared[0].clock_unit,
        in_words=found.shared.in_words,
        lacking=found.shared.lacking,
        trust=found_trust,
        facts=facts,
    )


def _rows(found: Comparison, curves: Sequence[Curve]) -> list[RunRow]:
    by_run = {run.run: run for run in found.runs}
    sign = -1.0 if found.lower_is_better else 1.0
    rows = []
    for row in rank(found).iter_rows(named=True):
        run = by_run[row["run"]]
        own = [curve for curve in curves if curve.key.run == run.run]
        rows.append(
            RunRow(
                run.run, run.params, run.end, run.at, run.finished, sign * run.level,
                row["q10"], row["q50"], row["q90"], row["p_best"],
                _truth(own, run.end, run.at, found.shared.weights),
            )
        )  # fmt: skip
    return rows


def _truth(curves: Sequence[Curve], seen: float, at: float, weights: Mapping[str, float]) -> float | None:
    """The mean that was measured at `at`; None where that lies not after what was seen, or a task lacks."""
    if at <= seen:
        return None
    values = [truth_at(curve, np.array([at]))[1][0] for curve in curves]
    mean = sum(weights[curve.key.task] * value for curve, value in zip(curves, values, strict=True))
    return float(mean) if np.isfinite(mean) else None
