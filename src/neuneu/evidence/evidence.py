"""Evidence: everything a forecaster may look at, cut at the context end."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from neuneu.curves.curve import Curve, CurveKey, Facts, Floats, Integers
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric, find_task
from neuneu.errors import InputError
from neuneu.evidence.cut import Question, context_size
from neuneu.evidence.finished import FinishedRuns, References, planned_end
from neuneu.losses.loss_store import LossStore


@dataclass(frozen=True, slots=True)
class LossView:
    """Losses of one run's checkpoints up to a step (all of them where `last_step` is None)."""

    store: LossStore
    run: str
    last_step: int | None = None

    @property
    def steps(self) -> Integers:
        """Steps that have losses, increasing."""
        steps = self.store.steps(self.run)
        return steps if self.last_step is None else steps[steps <= self.last_step]

    def read(self, step: int) -> Floats:
        """Losses of one checkpoint, (n_positions,), NaN where there is none."""
        if self.last_step is not None and step > self.last_step:
            raise ValueError(f"step {step} is after the context end {self.last_step}")
        return self.store.read(self.run, step)


@dataclass(frozen=True)
class Evidence:
    """Everything a forecaster may look at for one question.

    context: the curve up to the context end, without points for a run that has not started (`unstarted`);
    references: the same task and metric of finished runs, whole;
    reference_metrics: other metrics of the same task and setting of those runs, whole;
    run_curves: the run's other curves, shown only up to the context end (see `other_tasks`, `other_metrics`);
    planned_end: clock where the run will end, where that is known (the token budget is planned beforehand);
    losses: of checkpoints up to the context end; future_losses: of all checkpoints, set only for
    forecasters that are labelled "sees the future".
    """

    context: Curve
    references: tuple[Curve, ...] = ()
    run_curves: tuple[Curve, ...] = ()
    planned_end: float | None = None
    losses: LossView | None = None
    future_losses: LossView | None = None
    reference_metrics: tuple[Curve, ...] = ()

    @cached_property
    def end(self) -> float:
        """Clock of the context end; 0 before the first checkpoint."""
        return float(self.context.clock[-1]) if len(self.context) else 0.0

    @cached_property
    def other_tasks(self) -> tuple[Curve, ...]:
        """Curves of the run on other tasks or in other settings, up to the context end."""
        return self._cut(same_setting=False)

    @cached_property
    def other_metrics(self) -> tuple[Curve, ...]:
        """Other metrics of the same task in the same setting, up to the context end."""
        return self._cut(same_setting=True)

    @cached_property
    def references_by_distance(self) -> tuple[Curve, ...]:
        """References, those nearest in size, plan and recipe first."""

        def distance(reference: Curve) -> tuple[float, str]:
            size_gap, plan_gap, same = relation(self, reference)
            return abs(size_gap) + 0.5 * abs(plan_gap) + (0.0 if same else 1.0), reference.key.run

        return tuple(sorted(self.references, key=distance))

    def earlier(self, curve: Curve, share: float) -> "Evidence | None":
        """The run asked again about a curve of it from an earlier context end, without references.

        share: of this context's clock. None where nothing is after clock 0 by then, or nothing after it.
        """
        size = context_size(curve.clock, share * self.end)
        if not 0 < size < len(curve) or curve.clock[size - 1] <= 0:
            return None
        context = curve.until(float(curve.clock[size - 1]))
        return Evidence(context=context, run_curves=self.run_curves, planned_end=self.planned_end)

    def _cut(self, *, same_setting: bool) -> tuple[Curve, ...]:
        key, own, unit = self.context.key, _setting(self.context), self.context.clock_unit
        others = (c for c in self.run_curves if (_setting(c) == own) is same_setting)
        cuts = (c.until(self.end) for c in others if c.key != key and c.clock_unit == unit)
        return tuple(cut for cut in cuts if len(cut))


def unstarted(key: CurveKey, facts: Facts, references: Iterable[Curve] = ()) -> Evidence:
    """Evidence of a run that has not started: what will be measured, its size, and finished runs."""
    metric, nothing = find_metric(key.metric), np.empty(0)
    context = Curve(
        key=key,
        steps=np.empty(0, dtype=np.int64),
        clock=nothing,
        clock_unit="tokens",
        values=nothing,
        stderr=nothing,
        low=metric.low,
        high=metric.high,
        chance=find_task(key.task).chance if metric.accuracy else None,
        facts=facts,
    )
    end = None if facts.planned_tokens is None else float(facts.planned_tokens)
    return Evidence(context, tuple(references), planned_end=end)


def check_losses(losses: object) -> None:
    """Raise InputError where losses are something else than a store, such as a rule of references."""
    if losses is not None and not isinstance(losses, LossStore):
        rule = "must be a store of losses, as `open_losses` gives; finished runs are given as `references`"
        raise InputError(rule, field="losses", value=losses)


@dataclass
class EvidenceBuilder:
    """Makes evidence for the curves of a table at any context end.

    table: all that is known (other metrics, other tasks, other runs); losses: of their checkpoints;
    references: which finished runs may be looked at, none by default; what `read_references` gives may bring
    runs of another table. Raises InputError where one of them is something else.
    """

    table: CurveTable
    losses: LossStore | None = None
    references: References | None = None
    _outside: frozenset[str] = field(init=False, repr=False)
    _of_run: dict[str, tuple[Curve, ...]] = field(init=False, repr=False)
    _of_task: dict[tuple[object, ...], list[Curve]] = field(init=False, repr=False)
    _of_setting: dict[tuple[object, ...], list[Curve]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the curves by run, by task and by setting of a run."""
        check_losses(self.losses)
        rule: object = self.references
        if rule is not None and not callable(rule):
            raise InputError("must be what `read_references` gives", field="references", value=rule)
        of_run: dict[str, list[Curve]] = defaultdict(list)
        self._of_task, self._of_setting = defaultdict(list), defaultdict(list)
        for curve in (*self.table, *self._other_table()):
            of_run[curve.key.run].append(curve)
            self._of_task[curve.key[1:]].append(curve)
            self._of_setting[curve.key.run, _setting(curve)].append(curve)
        self._of_run = {run: tuple(curves) for run, curves in of_run.items()}

    def _other_table(self) -> list[Curve]:
        """Curves of the references' own table whose runs this table has not."""
        given = self.references.table if isinstance(self.references, FinishedRuns) else None
        if given is None:
            self._outside = frozenset()
            return []
        self._outside = frozenset(given.runs) - frozenset(self.table.runs)
        return [curve for curve in given if curve.key.run in self._outside]

    def ask(self, question: Question, *, sees_future: bool = False) -> Evidence:
        """Evidence for a question."""
        return self.at(question.curve, question.end, sees_future=sees_future)

    def at(self, curve: Curve, end: float, *, sees_future: bool = False) -> Evidence:
        """Evidence for this curve with the context ending at this clock."""
        context = curve.until(end)
        references = self._references(curve)
        return Evidence(
            context=context,
            references=references,
            reference_metrics=tuple(
                other
                for reference in references
                for other in self._of_setting[reference.key.run, _setting(reference)]
                if other.key != reference.key
            ),
            run_curves=self._of_run.get(curve.key.run, ()),
            planned_end=planned_end(curve) if planned_end(curve) > end else None,
            losses=self._view(curve, int(context.steps[-1])),
            future_losses=self._view(curve, None) if sees_future else None,
        )

    def _references(self, curve: Curve) -> tuple[Curve, ...]:
        rule = self.references
        if rule is None:
            return ()
        others: Iterable[Curve] = self._of_task[curve.key[1:]]
        return tuple(
            other
            for other in others
            if other.key.run != curve.key.run and (other.key.run in self._outside or rule(curve, other))
        )

    def _view(self, curve: Curve, last_step: int | None) -> LossView | None:
        if self.losses is None or curve.key.run not in self.losses.runs:
            return None
        return LossView(self.losses, curve.key.run, last_step)


def _setting(curve: Curve) -> tuple[object, ...]:
    return curve.key.task, curve.key.n_shot, curve.key.variant


def other_metrics_of(
    evidences: Iterable[Evidence], wanted: Callable[[Curve], bool]
) -> list[tuple[Curve, ...]]:
    """`other_metrics` of each evidence, those that are wanted; each run's curves are sorted out once."""
    of_runs: dict[int, dict[tuple[object, ...], list[Curve]]] = {}
    found = []
    for evidence in evidences:
        own = id(evidence.run_curves)
        if own not in of_runs:
            of_runs[own] = defaultdict(list)
            for curve in evidence.run_curves:
                if wanted(curve):
                    of_runs[own][_setting(curve)].append(curve)
        context = evidence.context
        others = of_runs[own].get(_setting(context), ())
        cuts = [
            curve.until(evidence.end)
            for curve in others
            if curve.key != context.key and curve.clock_unit == context.clock_unit
        ]
        found.append(tuple(cut for cut in cuts if len(cut)))
    return found


def nearest_references(evidence: Evidence, most: int) -> list[Curve]:
    """The references nearest in size, plan and recipe; at most `most`, in their order where that is all."""
    few = len(evidence.references) <= most
    return list(evidence.references) if few else list(evidence.references_by_distance[:most])


def relation(evidence: Evidence, reference: Curve) -> tuple[float, float, bool]:
    """Log ratios of parameters and of planned clocks, and whether the recipe is the same."""
    own, other = evidence.context.facts, reference.facts
    size_gap = math.log(own.params / other.params) if own.params and other.params else 0.0
    end, last = evidence.planned_end or evidence.end, float(reference.clock[-1])
    plan_gap = math.log(end / last) if last > 0 else 0.0
    return size_gap, plan_gap, own.recipe == other.recipe
