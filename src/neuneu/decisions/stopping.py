"""Should a run in flight stop? A verdict with its reason in one sentence, for trainers and for `watch`."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.table import KEY, CurveTable
from neuneu.decisions.chances import reach_probability
from neuneu.decisions.choices import THRESHOLD, Comparison, compare_runs
from neuneu.errors import InputError, check_known, percentage
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, Forecaster

FEWEST_CHECKPOINTS = 3
"""No verdict from fewer checkpoints."""

LEAST_SAID = 0.001
"""A reason says a smaller probability as "less than 0.1%": none is nothing."""


@dataclass(frozen=True)
class Verdict:
    """Whether to stop a run.

    stop: True or False; chance: of reaching the target or beating the rival, NaN where there is no verdict
    yet; reason: one sentence; at, q10, q50, q90: the forecast of the mean over tasks that it rests on and its
    clock, NaN where there is no verdict yet; held: checkpoints in a row at which the chance was under the
    threshold, counted up to the patience.
    """

    stop: bool
    chance: float
    reason: str
    at: float = math.nan
    q10: float = math.nan
    q50: float = math.nan
    q90: float = math.nan
    held: int = 0

    def __bool__(self) -> bool:
        """Whether to stop."""
        return self.stop

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p><b>{'Stop' if self.stop else 'Go on'}</b>: {escape(self.reason)}</p>"


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
    before: Verdict | None = None,
) -> Verdict:
    """Whether a run in flight should stop: its mean over tasks is unlikely to reach `target` or beat `rival`.

    Stop where that is less likely than `threshold`, and was at each of the last `patience` checkpoints of the
    run, each time from what was known of it then; before: the verdict at the checkpoint before, where it was
    asked, so that it is not asked again. There is no verdict from fewer than FEWEST_CHECKPOINTS.
    Raises InputError on a run or rival that is not there, where neither or both of target and rival are
    given, and on a threshold or patience out of range.
    """
    check_rule(threshold, patience)
    if (target is None) == (rival is None):
        raise InputError("give a target or a rival run, one of the two", field="target", value=target)
    chosen = selection or Selection()
    for field, name in (("run", run), ("rival", rival)):
        if name is not None:
            check_known(name, curves.runs, field)
    setting = chosen.tasks, chosen.metric, chosen.n_shot, chosen.variant
    own = Selection([run], *setting).of(curves).frame
    names = [run] if rival is None else [run, rival]

    def verdict(known: CurveTable, own: pl.DataFrame) -> Verdict:
        fewest = min(own.group_by(KEY).len()["len"], default=0)
        if fewest < FEWEST_CHECKPOINTS:
            return Verdict(False, math.nan, f"{run} has {fewest} checkpoints: too few to tell")
        found = compare_runs(
            known, forecaster, selection=Selection(names, *setting), horizon=horizon, references=references,
            losses=losses, in_flight=True,
        )  # fmt: skip
        return _verdict(found, run, target, rival, threshold)

    now = verdict(curves, own)
    if not now.stop:
        return now
    if before is not None:
        held = min(before.held + 1, patience)
    else:
        held, steps = 1, own["step"].unique().sort()
        while held < min(patience, len(steps)):
            last = pl.col("step") <= int(steps[-1 - held])
            known = CurveTable(curves.frame.filter((pl.col("run") != run) | last))
            if not verdict(known, own.filter(last)).stop:
                break
            held += 1
    return _held(now, held, patience)


def _held(now: Verdict, held: int, patience: int) -> Verdict:
    """A verdict to stop that has held for some checkpoints, of which so many are needed."""
    if patience == 1:
        return replace(now, held=held)
    times = f"for {held} checkpoint{'s' * (held > 1)}"
    needed = f": {patience} are needed" if held < patience else ""
    return replace(now, stop=held >= patience, held=held, reason=f"{now.reason}, {times}{needed}")


def check_rule(threshold: float, patience: int) -> None:
    """Raise InputError on a threshold that is no probability, or a patience below one checkpoint."""
    if not 0 < threshold < 1:
        rule = f"must lie between 0 and 1, both excluded{percentage(threshold)}"
        raise InputError(rule, field="threshold", value=threshold)
    if patience < 1:
        raise InputError("must be at least 1", field="patience", value=patience)


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
    verb, likely = "is only" if stop else "is", f"{chance:.1%}"
    if chance < LEAST_SAID:
        verb, likely = "is", f"less than {LEAST_SAID:.1%}"
    sides = "under" if stop else "not under"
    values = found.shown(own)
    reason = (
        f"{run} {verb} {likely} likely {what} at clock {own.at:.4g} ({found.shared.in_words}; 80 %: "
        f"{values['q10']:.4g} to {values['q90']:.4g}), {sides} the threshold of {threshold:g}"
    )
    return Verdict(stop, chance, reason, own.at, values["q10"], values["q50"], values["q90"])
