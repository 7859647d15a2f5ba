"""The one number that a search over trials reports, and whether a trial is worth going on with."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from neuneu.curves.tasks import find_metric
from neuneu.decisions.stopping import Verdict
from neuneu.errors import InputError
from neuneu.integrations.flight import RunInFlight

TASK = "objective"


class Objective:
    """What trials report: a metric at steps up to `end`; a trial must reach `target`, or the best so far.

    asked: what else `RunInFlight` takes. Raises InputError on what can be told beforehand.
    """

    def __init__(self, metric: str, end: float, target: float | None, asked: Mapping[str, Any]) -> None:
        if not math.isfinite(end) or end <= 0:
            raise InputError("must be positive and finite", field="end", value=end)
        self.metric, self.end, self.target, self.asked = metric, end, target, dict(asked)
        self._flight = RunInFlight({TASK: (TASK, metric)}, end=end, target=target or 0.0, **self.asked)

    def check_direction(self, *, higher: bool) -> None:
        """Raise InputError where the search's direction is not that of the metric."""
        if find_metric(self.metric).higher_is_better != higher:
            way = "higher" if find_metric(self.metric).higher_is_better else "lower"
            rule = f"is better when {way}, the search goes the other way; name the metric that is reported"
            raise InputError(rule, field="metric", value=self.metric)

    def ask(self, run: str, values: Mapping[int, float], done: Sequence[float], *, higher: bool) -> Verdict:
        """The verdict on a trial. values: by step; done: final values of the trials that have ended."""
        self.check_direction(higher=higher)
        target = self.target
        if target is None:
            known = [value for value in done if math.isfinite(value)]
            if not known:
                return Verdict(False, math.nan, "no trial has ended yet: there is nothing to come to")
            target = max(known) if higher else min(known)
        flight = self._flight
        flight.clear()
        flight.run, flight.target = run, target
        for step, value in values.items():
            flight.add(step, {TASK: value})
        verdict = flight.ask(max(values, default=0))
        return verdict or Verdict(False, math.nan, f"{run} has no finite value at its last step")
