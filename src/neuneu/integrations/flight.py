"""A run in flight as its trainer sees it: what was measured so far, and at each checkpoint whether to stop.

The one thing behind the callbacks, the pruner and the scheduler: they hand values in and act on the verdict.
It never ends a run by an error: what cannot be asked is said once, as a warning of the logger `neuneu`, and
the run goes on.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.alerts import PATIENCE
from neuneu.decisions.choices import THRESHOLD
from neuneu.decisions.stopping import Verdict, check_rule, should_stop
from neuneu.errors import InputError, NeuneuError
from neuneu.evidence.finished import read_references
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, Forecaster
from neuneu.forecasts.forecast import ready_forecaster

LOGGER = logging.getLogger("neuneu")

METRIC = "acc"
"""What a task's value is where no metric is named."""

PREFIX = "neuneu/"
"""How the names of logged forecasts begin."""

Tasks = Mapping[str, str | tuple[str, str]]
"""Logged name → task, or (task, metric)."""


class RunInFlight:
    """Values of a run as they come, and verdicts on it.

    tasks: the logged names that count, with their task, or task and metric (acc by default); target: the mean
    over tasks to reach; rival: the run to beat, of the curve table `others`; one of the two. end: the step at
    which the run is planned to end; it may be set until the first question. tokens_per_step: makes tokens the
    clock; facts: params, family, recipe, seed, source, as in a curve table. threshold, patience, forecaster,
    references: as in `should_stop`; patience is three checkpoints by default.
    Raises InputError on what can be told beforehand, such as both or neither of target and rival.
    """

    def __init__(
        self,
        tasks: Tasks,
        *,
        target: float | None = None,
        rival: str | None = None,
        others: Any = None,
        end: float | None = None,
        run: str = "run",
        tokens_per_step: float | None = None,
        facts: Mapping[str, Any] | None = None,
        threshold: float = THRESHOLD,
        patience: int = PATIENCE,
        forecaster: str | Path | Forecaster = DEFAULT_FORECASTER,
        references: Any = None,
    ) -> None:
        if not tasks:
            raise InputError("name at least one logged value, as {'eval_piqa_acc': 'piqa'}", field="tasks")
        if (target is None) == (rival is None):
            raise InputError("give a target or a rival run, one of the two", field="target", value=target)
        check_rule(threshold, patience)
        self.tasks = {
            name: (task, METRIC) if isinstance(task, str) else tuple(task) for name, task in tasks.items()
        }
        self._selection = Selection(metric=_one_metric([metric for _, metric in self.tasks.values()]))
        self.target, self.rival, self.end, self.run = target, rival, end, run
        self.tokens_per_step, self.facts = tokens_per_step, dict(facts or {})
        self.threshold, self.patience = threshold, patience
        self.verdict: Verdict | None = None
        self._others = _rival(others, rival)
        self._references = read_references(references)
        self._forecaster = ready_forecaster(forecaster, self._references.table)
        self._values: dict[tuple[str, int], float] = {}
        self._asked: int | None = None
        self._said: set[str] = set()

    def clear(self) -> None:
        """Forget what was measured: the run begins anew, or goes on from an earlier checkpoint."""
        self._values, self.verdict, self._asked = {}, None, None

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Take up what was logged at a step; names that do not count are left, a value given again counts."""
        for name in self.tasks:
            value = values.get(name)
            if value is None:
                continue
            number = float(value)
            if math.isfinite(number):
                self._values[name, int(step)] = number
            else:
                self._say(f"{name} = {number} at step {step} is no finite number and is left out")

    def ask(self, step: int) -> Verdict | None:
        """The verdict at a step, once all tasks have their value there; None before that.

        Kept as `verdict`. Where it cannot be asked, stop is False and the reason says why.
        """
        missing = [name for name in self.tasks if (name, int(step)) not in self._values]
        if missing:
            earlier = sorted({known for _, known in self._values if known < step})
            if earlier and any((name, earlier[-1]) not in self._values for name in self.tasks):
                self._say(f"no verdict: {', '.join(missing)} not logged at step {earlier[-1]}")
            return None
        try:
            asked = sorted({known for _, known in self._values})
            follows = self._asked is not None and asked[-2:-1] == [self._asked]
            self.verdict = self._ask(self.verdict if follows else None)
            self._asked = int(step)
        except NeuneuError as error:
            self._say(f"no verdict: {error}")
            self.verdict = Verdict(False, math.nan, str(error))
        return self.verdict

    def _ask(self, before: Verdict | None) -> Verdict:
        if self.end is None:
            raise InputError("is needed: the step at which the run is planned to end", field="end")
        return should_stop(
            self.table, self.run, target=self.target, rival=self.rival,
            horizon=self.end * (self.tokens_per_step or 1), threshold=self.threshold, patience=self.patience,
            selection=self._selection, forecaster=self._forecaster, references=self._references,
            before=before,
        )  # fmt: skip

    @property
    def table(self) -> CurveTable:
        """What was measured so far, as a curve table; with the rival, where there is one."""
        scale = self.tokens_per_step
        rows = [
            (*self.tasks[name], step, None if scale is None else round(step * scale), value)
            for (name, step), value in self._values.items()
        ]
        kinds = {"task": pl.String, "metric": pl.String, "step": pl.Int64, "tokens": pl.Int64}
        frame = pl.DataFrame(rows, schema={**kinds, "value": pl.Float64}, orient="row")
        planned = None if scale is None or self.end is None else round(self.end * scale)
        facts = {"run": self.run, **self.facts, "planned_tokens": planned}
        known = [pl.lit(value).alias(name) for name, value in facts.items() if value is not None]
        own = CurveTable.from_frame(frame.with_columns(known), "the trainer's log")
        return own if self._others is None else CurveTable.concat([own, self._others])

    def measured(self) -> list[tuple[int, str, float]]:
        """Step, logged name and value of all that was measured."""
        return [(step, name, value) for (name, step), value in self._values.items()]

    def log(self) -> dict[str, float]:
        """The verdict as numbers for a log: the forecast of the mean over tasks, and the chance."""
        if self.verdict is None or math.isnan(self.verdict.chance):
            return {}
        found = {name: getattr(self.verdict, name) for name in ("chance", "at", "q10", "q50", "q90")}
        return {f"{PREFIX}{name}": float(value) for name, value in found.items()}

    def stopped(self) -> None:
        """Say why the run is stopped."""
        assert self.verdict is not None
        LOGGER.warning("stopping: %s", self.verdict.reason)

    def _say(self, line: str) -> None:
        """A warning, each once."""
        if line not in self._said:
            self._said.add(line)
            LOGGER.warning(line)


def told_steps(history: Iterable[Mapping[str, Any]], flight: RunInFlight) -> None:
    """Take up a log of earlier: entries with `step` and values."""
    for entry in history:
        if "step" in entry:
            flight.add(int(entry["step"]), entry)


def _one_metric(metrics: Sequence[str]) -> str | None:
    """The metric of all tasks; None where they are several accuracies, which have one scale.

    Raises InputError where they are several others: their mean says nothing.
    """
    if len(set(metrics)) == 1:
        return metrics[0]
    for metric in metrics:
        if not find_metric(metric).accuracy:
            raise InputError("is no accuracy: it goes with no other metric", field="tasks", value=metric)
    return None


def _rival(others: Any, rival: str | None) -> CurveTable | None:
    """The rival's curves. Raises InputError where there is no such run."""
    if rival is None:
        return None
    if others is None:
        raise InputError("needs a curve table that has it, as `others`", field="rival", value=rival)
    table = CurveTable.read(others) if isinstance(others, str | Path) else CurveTable.from_frame(others)
    return table.filter(run=rival)
