"""Forecasters × cells → results: every method answers the same questions."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from neuneu.curves.broken import broken_in_words
from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.curves.groups import benchmarks_of, members_in
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, how_many
from neuneu.evaluation.metrics import Bools, Grouping, Index
from neuneu.evaluation.protocol import Protocol, questions
from neuneu.evaluation.sequential import one_by_one
from neuneu.evaluation.splits import Fold, Source, Split
from neuneu.evidence.cut import Question
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.evidence.finished import FinishedRuns
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import (
    Forecast,
    Forecaster,
    Refusal,
    load_forecaster,
    make_forecaster,
    resolve_forecaster,
)
from neuneu.forecasters.fitted import fitted_in_words
from neuneu.forecasts.cells import FALLBACK, Answers
from neuneu.forecasts.forecast import ask, in_words, label_of, share_options
from neuneu.losses.loss_store import LossStore
from neuneu.progress import counted

YARDSTICKS = (FALLBACK, "power-law")
"""What every method is compared with; the first one's forecast is scored where a method declines."""

CHUNK = 1024
"""Questions answered in one call: bounds memory."""


@dataclass(frozen=True)
class Cells:
    """Every (run, task, context end, horizon) that is asked, ordered by source, curve, context end, step.

    questions: with `source` the index of each one's source in `sources`; owner: (n_cells,) question of each
    cell; curve: (n_cells,) curve of each cell; keys: (source, CurveKey) of each curve; left_out: how many
    curves are too short; notes: what else is not asked and why, a line each.
    """

    sources: tuple[str, ...]
    questions: tuple[Question, ...]
    source: Index
    left_out: int
    notes: tuple[str, ...] = ()

    @cached_property
    def owner(self) -> Index:
        """Question of each cell, (n_cells,)."""
        return np.repeat(np.arange(len(self.questions)), [len(q.horizons) for q in self.questions])

    def part(self, question: int) -> slice:
        """Places of a question's cells."""
        return slice(int(self._bounds[question]), int(self._bounds[question + 1]))

    @cached_property
    def _bounds(self) -> Index:
        return np.concatenate([[0], np.cumsum([len(q.horizons) for q in self.questions])])

    @cached_property
    def values(self) -> Floats:
        """What came true, (n_cells,)."""
        return np.concatenate([q.curve.values[q.size :] for q in self.questions])

    @cached_property
    def clock(self) -> Floats:
        """Clock of each horizon, (n_cells,)."""
        return np.concatenate([q.horizons for q in self.questions])

    @cached_property
    def steps(self) -> Index:
        """Step of each horizon, (n_cells,)."""
        return np.concatenate([q.curve.steps[q.size :] for q in self.questions])

    @cached_property
    def curves(self) -> list[tuple[int, CurveKey]]:
        """(source, key) of each curve, in order."""
        return list(dict.fromkeys(self._of_question))

    @property
    def _of_question(self) -> list[tuple[int, CurveKey]]:
        return [(int(s), q.curve.key) for s, q in zip(self.source, self.questions, strict=True)]

    @cached_property
    def grouping(self) -> Grouping:
        """Cells → curves → runs → sources."""
        place = {curve: code for code, curve in enumerate(self.curves)}
        runs = list(dict.fromkeys((source, key.run) for source, key in self.curves))
        run_place = {run: code for code, run in enumerate(runs)}
        return Grouping(
            curve=np.array([place[curve] for curve in self._of_question], dtype=np.intp)[self.owner],
            run=np.array([run_place[source, key.run] for source, key in self.curves], dtype=np.intp),
            source=np.array([source for source, _ in runs], dtype=np.intp),
        )


@dataclass(frozen=True)
class Scored:
    """One method's forecasts of all cells, and how they came about.

    given: where it declined, last-value's quantiles stand in; reasons: how many cells it declined, by reason.
    """

    name: str
    given: Answers
    fitted: str
    sees_future: bool
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def quantiles(self) -> Floats:
        """(n_cells, len(LEVELS)), NaN at levels that it does not give."""
        return self.given.quantiles

    @property
    def refused(self) -> Bools:
        """Where it declined, (n_cells,)."""
        return self.given.refused

    @property
    def refused_in_words(self) -> str | None:
        """How many cells it declined, and the commonest reason; None where it declined none."""
        if not self.reasons:
            return None
        reason, count = max(self.reasons.items(), key=lambda item: item[1])
        part = f", {count:,} of them" if len(self.reasons) > 1 else ""
        return f"{self.name} refused {how_many(sum(self.reasons.values()), 'cell')}{part}: {reason}"


@dataclass(frozen=True)
class EvaluationSettings:
    """All that a comparison is made under, the same for every method.

    references: which finished runs a method may look at, none by default; selection: which curves of the
    tested runs are asked, each in one metric; fit: whether registered methods are fitted afresh on what
    the split allows (else they are used as they ship); options: of those methods that take them
    (`Forecaster.with_options`).
    """

    protocol: Protocol
    split: Split
    losses: LossStore | None = None
    references: FinishedRuns = field(default_factory=FinishedRuns)
    selection: Selection = field(default_factory=Selection)
    fit: bool = True
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


def make_cells(sources: Sequence[Source], setting: EvaluationSettings) -> Cells:
    """The cells that this setting asks: of each run each benchmark once (`groups`).

    Where tasks are named, and in protocols of `every_task`, each task is asked.

    Raises InputError where there is none, and where a curve that is asked breaks a rule of rows.
    """
    tested = frozenset().union(*(fold.test for fold in setting.split.folds))
    named = bool(setting.selection.tasks) or setting.split.tasks is not None
    each_task = named or setting.protocol.every_task
    asked: list[Question] = []
    code: list[int] = []
    left_out = 0
    notes: list[str] = []
    setting.selection.check([source.table for source in sources])
    for index, source in enumerate(sources):
        setting.selection.check_sound(source.table)
        notes += broken_in_words(source.table.broken)
        curves = [
            curve
            for curve in setting.selection.narrowed(source.table)
            if (source.name, curve.key.run) in tested
            and (setting.split.tasks is None or curve.key.task in setting.split.tasks)
        ]
        if not each_task:
            curves, told = _once(curves, members_in(source.table.frame))
            notes += told
        found = questions(curves, setting.protocol)
        left_out += len(curves) - len({q.curve.key for q in found})
        asked += found
        code += [index] * len(found)
    if not asked:
        rule = f"no curve has {setting.protocol.min_checkpoints} checkpoints and a context point"
        metric = setting.selection.metric
        raise InputError(rule + (f" in metric {metric}" if metric else ""), field="curves", value=left_out)
    names, places = tuple(source.name for source in sources), np.array(code, dtype=np.intp)
    return Cells(names, tuple(asked), places, left_out, tuple(dict.fromkeys(notes)))


def _once(curves: Sequence[Curve], members: Mapping[str, Sequence[str]]) -> tuple[list[Curve], list[str]]:
    """Of each run the curves that count each benchmark once, and why others do not, a line a reason."""
    tasks: dict[str, set[str]] = {}
    for curve in curves:
        tasks.setdefault(curve.key.run, set()).add(curve.key.task)
    once = {some: benchmarks_of(some, members) for some in map(frozenset, tasks.values())}
    without = {run: once[frozenset(some)].left_out for run, some in tasks.items()}
    told = {f"left out: {line}" for found in once.values() for line in found.left_out_in_words}
    return [curve for curve in curves if curve.key.task not in without[curve.key.run]], sorted(told)


def run_benchmark(
    forecasters: Sequence[str | Path | Forecaster],
    sources: Sequence[Source],
    setting: EvaluationSettings,
) -> tuple[Cells, list[Scored]]:
    """Every method on the same cells, the yardsticks (last-value, power-law) first whether named or not.

    forecasters: names, folders or instances. Fold by fold, each method is fitted on what the fold allows, of
    an instance a copy, and answers the fold's questions; a folder answers as it was saved.
    """
    labels = [label_of(each) for each in forecasters]
    if len(set(labels)) != len(labels):
        raise InputError("must not name one twice", field="forecasters", value=",".join(labels))
    shared = share_options([_fresh(each) for each in forecasters], setting.options)
    taken = dict(zip(labels, shared, strict=True))
    cells = make_cells(sources, setting)
    others = [each for each in forecasters if label_of(each) not in YARDSTICKS]
    methods = [
        _Method(each, cells, setting, taken.get(label_of(each), {})) for each in (*YARDSTICKS, *others)
    ]
    builders = [EvidenceBuilder(s.table, setting.losses, setting.references) for s in sources]
    for fold in counted(setting.split.folds, "folds"):
        train = fold.train() if setting.fit else None
        for method in counted(methods, "forecasters"):
            method.answer(fold, train, builders, methods[0].given.quantiles)
    return cells, [method.scored() for method in methods]


class _Method:
    """One method while it is being fitted and asked, fold by fold."""

    def __init__(
        self,
        forecaster: str | Path | Forecaster,
        cells: Cells,
        setting: EvaluationSettings,
        options: Mapping[str, Any],
    ) -> None:
        self.forecaster, self.options = forecaster, options
        self.name = label_of(forecaster) + in_words(options)
        self.cells, self.setting = cells, setting
        self.fitted = setting.fit and not _is_folder(forecaster)
        self.given = Answers.empty(len(cells.values))
        self.seconds = {"fit": 0.0, "forecast": 0.0}
        self.sees_future = setting.protocol.sees_future
        self.ships = False

    def answer(
        self, fold: Fold, train: CurveTable | None, builders: Sequence[EvidenceBuilder], fallback: Floats
    ) -> None:
        """Fit on `train` and answer the fold's questions; refused ones take the fallback's quantiles."""
        began = perf_counter()
        forecaster = self._fit(train)
        self.seconds["fit"] += perf_counter() - began
        began = perf_counter()
        for source, _, chunk in counted(list(_chunks(self.cells, fold)), "batches of curves"):
            asked = [self.cells.questions[i] for i in chunk]
            if isinstance(forecaster, Refusal):
                answers: list[Forecast | Refusal] = [forecaster] * len(chunk)
            elif self.setting.protocol.kind == "sequential":
                answers = one_by_one(forecaster, asked, builders[source], self.setting.protocol)
            else:
                answers = ask(forecaster, asked, builders[source])
            for i, answer in zip(chunk, answers, strict=True):
                if isinstance(answer, Refusal) and self.name == FALLBACK:
                    raise InputError(answer.reason, field="forecaster", value=self.name)
                self.given.note(i, self.cells.part(i), answer, fallback)
        self.seconds["forecast"] += perf_counter() - began

    def _fit(self, train: CurveTable | None) -> Forecaster | Refusal:
        """The method fitted on what the fold allows; a refusal where that is too little for it."""
        forecaster = _fresh(self.forecaster) if self.fitted else resolve_forecaster(self.forecaster)
        forecaster.with_options(**self.options)
        self.sees_future |= forecaster.sees_future
        if not self.fitted:
            return forecaster
        if train is None:
            self.ships |= not forecaster.learns
            return Refusal("no other run to learn from") if forecaster.learns else forecaster
        setting = self.setting
        try:
            rule = setting.references if setting.references.name != "none" else None
            return forecaster.fit(train, setting.losses, references=rule, seed=setting.seed)
        except InputError as error:
            if error.field not in ("forecaster", "curves"):
                raise
            if not forecaster.learns:  # only its widths lack runs to be calibrated on
                self.ships = True
                return resolve_forecaster(self.forecaster)
            return Refusal(f"cannot be fitted: {error.rule}")

    def scored(self) -> Scored:
        """What was answered."""
        as_is = "as given"
        if not isinstance(self.forecaster, Forecaster):
            runs = {q.curve.key.run: q.curve.facts for q in self.cells.questions}
            as_is = "; ".join(filter(None, ["as it ships", fitted_in_words([str(self.forecaster)], runs)]))
        how = self.setting.split.rule if self.fitted else as_is
        if self.fitted and self.ships:
            how += "; as it ships where the runs left were too few to fit on"
        counts: dict[str, int] = {}
        for question, reason in self.given.reasons.items():
            part = self.cells.part(question)
            counts[reason] = counts.get(reason, 0) + part.stop - part.start
        return Scored(
            self.name, self.given, how, self.sees_future, dict(sorted(counts.items())), self.seconds
        )


def _is_folder(forecaster: str | Path | Forecaster) -> bool:
    return not isinstance(forecaster, Forecaster) and Path(forecaster).is_dir()


def _fresh(forecaster: str | Path | Forecaster) -> Forecaster:
    """A forecaster to fit: a new one of this name, a copy of this instance, or what a folder holds."""
    if isinstance(forecaster, Forecaster):
        return deepcopy(forecaster)
    return load_forecaster(forecaster) if _is_folder(forecaster) else make_forecaster(str(forecaster))


class Chunk(NamedTuple):
    """Questions that are asked at once. source, name: the index and the name of the source they are of."""

    source: int
    name: str
    questions: list[int]


def _chunks(cells: Cells, fold: Fold) -> Iterator[Chunk]:
    """Questions of a fold, of one source at a time and at most CHUNK."""
    for source, name in enumerate(cells.sources):
        own = [
            i
            for i in np.flatnonzero(cells.source == source).tolist()
            if (name, cells.questions[i].curve.key.run) in fold.test
        ]
        for start in range(0, len(own), CHUNK):
            yield Chunk(source, name, own[start : start + CHUNK])
