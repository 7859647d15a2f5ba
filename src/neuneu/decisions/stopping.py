"""Should a run in flight stop? A verdict with its reason in one sentence, for trainers and for `watch`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
) -> Verdict:
    """Whether a run in flight should stop: its mean over tasks is unlikely to reach `target` or beat `rival`.

    Stop where that is less likely than `threshold`. There is no verdict from fewer than FEWEST_CHECKPOINTS.
    Raises InputError on a run or rival that is not there, and where neither or both of target and rival are
    given.
    """
    if (target is None) == (rival is None):
        raise InputError("give a target or a rival run, one of the two", field="target", value=target)
    chosen = selection or Selection()
    for field, name in (("run", run), ("rival", rival)):
        if name is not None:
            check_known(name, curves.runs, field)
    own = Selection([run], chosen.tasks, chosen.metric, chosen.n_shot, chosen.variant).of(curves)
    fewest = min(len(curve) for curve in own)
    if fewest < FEWEST_CHECKPOINTS:
        return Verdict(False, float("nan"), f"{run} has {fewest} checkpoints: too few to tell")
    names = [run] if rival is None else [run, rival]
    found = compare_runs(
        curves, forecaster, selection=Selection(names, chosen.tasks, chosen.metric, chosen.n_shot,
        chosen.variant), horizon=horizon, references=references, losses=losses, in_flight=True,
    )  # fmt: skip
    return _verdict(found, run, target, rival, threshold)


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
