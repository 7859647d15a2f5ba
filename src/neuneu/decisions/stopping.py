"""Should a run in flight stop? A verdict with its reason in one sentence, for trainers and for `watch`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.decisions.chances import reach_probability
from neuneu.decisions.choices import THRESHOLD, Comparison, compare_runs
from neuneu.errors import InputError, check_known
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, Forecaster

FEWEST_CHECKPOINTS = 3
"""No verdict from fewer checkpoints."""


@dataclass(frozen=True)
class Verdict:
    """Whether to stop a run. stop: True or False; chance: of reaching the target or beating the rival, NaN
    where there is no verdict yet; reason: one sentence."""

    stop: bool
    chance: float
    reason: str

    def __bool__(self) -> bool:
        """Whether to stop."""
        return self.stop


def should_stop(
    curves: CurveTable,
    run: str,
    *,
    target: float | None = None,
    rival: str | None = None,
    horizon: float | None = None,
    threshold: float = THRESHOLD,
    selection: Selection | None = None,
    forecaster: str | Path | Forecaster = DEFAULT_FORECASTER,
    references: Any = None,
    losses: Any = None,
    patience: int = 1,
) -> Verdict:
    """Whether a run in flight should stop: its mean over tasks is unlikely to reach `target` or beat `rival`.

    Stop where that is less likely than `threshold`, and was at each of the last `patience` checkpoints of the
    run, each time from what was known of it then. There is no verdict from fewer than FEWEST_CHECKPOINTS.
    Raises InputError on a run or rival that is not there, where neither or both of target and rival are
    given, and on a threshold or patience out of range.
    """
    if not 0 < threshold < 1:
        raise InputError("must lie between 0 and 1, both excluded", field="threshold", value=threshold)
    if patience < 1:
        raise InputError("must be at least 1", field="patience", value=patience)
    if (target is None) == (rival is None):
        raise InputError("give a target or a rival run, one of the two", field="target", value=target)
    chosen = selection or Selection()
    for field, name in (("run", run), ("rival", rival)):
        if name is not None:
            check_known(name, curves.runs, field)
    own = Selection([run], chosen.tasks, chosen.metric, chosen.n_shot, chosen.variant)
    names = [run] if rival is None else [run, rival]
    every = Selection(names, chosen.tasks, chosen.metric, chosen.n_shot, chosen.variant)

    def verdict(known: CurveTable) -> Verdict:
        fewest = min(len(curve) for curve in own.of(known))
        if fewest < FEWEST_CHECKPOINTS:
            return Verdict(False, float("nan"), f"{run} has {fewest} checkpoints: too few to tell")
        found = compare_runs(
            known, forecaster, selection=every, horizon=horizon, references=references, losses=losses,
            in_flight=True,
        )  # fmt: skip
        return _verdict(found, run, target, rival, threshold)

    now = verdict(curves)
    if not now.stop or patience == 1:
        return now
    steps = own.of(curves).frame["step"].unique().sort()
    for back in range(1, patience):
        last = int(steps[-1 - back]) if back < len(steps) else -1
        known = curves.frame.filter((pl.col("run") != run) | (pl.col("step") <= last))
        if run not in known["run"] or not verdict(CurveTable(known)).stop:
            held = f"for {back} checkpoint{'s' * (back > 1)}: {patience} are needed"
            return Verdict(False, now.chance, f"{now.reason}, {held}")
    return Verdict(True, now.chance, f"{now.reason}, for {patience} checkpoints")


def _verdict(
    found: Comparison, run: str, target: float | None, rival: str | None, threshold: float
) -> Verdict:
    place = next(i for i, each in enumerate(found.runs) if each.run == run)
    own = found.runs[place]
    if own.finished:
        return Verdict(False, float("nan"), f"{run} has reached its end")
    if rival is None:
        assert target is not None
        chance, what = reach_probability(own.points, found.bar(target)), f"to reach {target:g}"
    else:
        points = found.points
        against = next(i for i, each in enumerate(found.runs) if each.run == rival)
        chance = float(np.mean([reach_probability(points[place], value) for value in points[against]]))
        what = f"to beat {rival}"
    stop = chance < threshold
    verb = "is" if not stop else "is only"
    sides = "under" if stop else "not under"
    values = found.shown(own)
    reason = (
        f"{run} {verb} {chance:.1%} likely {what} at clock {own.at:.4g} ({found.shared.in_words}; 80 %: "
        f"{values['q10']:.4g} to {values['q90']:.4g}), {sides} the threshold of {threshold:g}"
    )
    return Verdict(stop, chance, reason)
