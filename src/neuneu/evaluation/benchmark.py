"""Forecasters × cells → results: every method answers the same questions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import perf_counter

import numpy as np

from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.metrics import Bools, Grouping, Index
from neuneu.evaluation.protocol import Protocol, Question, questions
from neuneu.evaluation.splits import Fold, Source, Split
from neuneu.evidence.evidence import Evidence, EvidenceBuilder, References
from neuneu.forecasters.base import LEVELS, Forecast, Forecaster, Refusal, load_forecaster, make_forecaster
from neuneu.forecasters.base import REGISTRY as KNOWN
from neuneu.losses.loss_store import LossStore

YARDSTICKS = ("last-value", "power-law")
"""What every method is compared with."""

FALLBACK = YARDSTICKS[0]
"""Whose forecast is scored where a method declines."""

CHUNK = 1024
"""Questions answered in one call: bounds memory."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Cells:
    """Every (run, task, context end, horizon) that is asked, ordered by source, curve, context end, step.

    questions: with `source` the index of each one's source in `sources`; owner: (n_cells,) question of each
    cell; curve: (n_cells,) curve of each cell; keys: (source, CurveKey) of each curve.
    """

    sources: tuple[str, ...]
    questions: tuple[Question, ...]
    source: Index
    left_out: int

    @cached_property
    def owner(self) -> Index:
        """Question of each cell, (n_cells,)."""
        return np.repeat(np.arange(len(self.questions)), [len(q.curve) - q.cut for q in self.questions])

    def part(self, question: int) -> slice:
        """Places of a question's cells."""
        return slice(int(self._bounds[question]), int(self._bounds[question + 1]))

    @cached_property
    def _bounds(self) -> Index:
        return np.concatenate([[0], np.cumsum([len(q.curve) - q.cut for q in self.questions])])

    @cached_property
    def values(self) -> Floats:
        """What came true, (n_cells,)."""
        return np.concatenate([q.curve.values[q.cut :] for q in self.questions])

    @cached_property
    def clock(self) -> Floats:
        """Clock of each horizon, (n_cells,)."""
        return np.concatenate([q.curve.clock[q.cut :] for q in self.questions])

    @cached_property
    def steps(self) -> Index:
        """Step of each horizon, (n_cells,)."""
        return np.concatenate([q.curve.steps[q.cut :] for q in self.questions])

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
class Answers:
    """One method's forecasts of all cells.

    quantiles: (n_cells, len(LEVELS)), NaN at levels that it does not give; refused: (n_cells,) where it
    declined and last-value's forecast stands in; reasons: how many cells it declined, by reason.
    """

    name: str
    quantiles: Floats
    refused: Bools
    fitted: str
    sees_future: bool
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """All that a comparison is made under, the same for every method.

    references: which finished runs of the same source a method may look at, none by default; metric: the one
    metric a curve is taken in (by rule where None); fit: whether registered methods are fitted afresh on what
    the split allows (else they are used as they ship).
    """

    protocol: Protocol
    split: Split
    losses: LossStore | None = None
    references: References | None = None
    metric: str | None = None
    fit: bool = True
    seed: int = 0


def make_cells(sources: Sequence[Source], setting: Setting) -> Cells:
    """The cells that this setting asks. Raises InputError where there is none."""
    tested = frozenset().union(*(fold.test for fold in setting.split.folds))
    asked: list[Question] = []
    code: list[int] = []
    left_out = 0
    for index, source in enumerate(sources):
        curves = [
            curve
            for curve in source.table.one_metric(setting.metric)
            if (source.name, curve.key.run) in tested
            and (setting.split.tasks is None or curve.key.task in setting.split.tasks)
        ]
        found = questions(curves, setting.protocol)
        left_out += len(curves) - len({q.curve.key for q in found})
        asked += found
        code += [index] * len(found)
    if not asked:
        rule = f"no curve has {setting.protocol.min_checkpoints} checkpoints and a context point"
        raise InputError(
            rule + (f" in metric {setting.metric}" if setting.metric else ""), field="curves", value=left_out
        )
    return Cells(tuple(s.name for s in sources), tuple(asked), np.array(code, dtype=np.intp), left_out)


def run_benchmark(
    names: Sequence[str], sources: Sequence[Source], setting: Setting, progress: Progress | None = None
) -> tuple[Cells, list[Answers]]:
    """Every method on the same cells, the yardsticks (last-value, power-law) first whether named or not.

    names: registered forecasters or folders. Fold by fold, each method is fitted on what the fold allows and
    answers the fold's questions.
    """
    if len(set(names)) != len(names):
        raise InputError("must not name one twice", field="forecasters", value=",".join(names))
    for name in names:
        make_forecaster(name) if name in KNOWN else load_forecaster(name)
    cells = make_cells(sources, setting)
    sheets = [_Sheet(n, cells, setting) for n in [*YARDSTICKS, *(n for n in names if n not in YARDSTICKS)]]
    builders = [EvidenceBuilder(s.table, setting.losses, setting.references) for s in sources]
    for number, fold in enumerate(setting.split.folds, start=1):
        train = fold.train() if setting.fit else None
        for sheet in sheets:
            if progress is not None:
                progress(f"fold {number} of {len(setting.split.folds)}: {sheet.name}")
            sheet.fill(fold, train, builders, sheets[0].quantiles)
    return cells, [sheet.answers() for sheet in sheets]


class _Sheet:
    """One method's answers while they are being filled in."""

    def __init__(self, name: str, cells: Cells, setting: Setting) -> None:
        self.name, self.cells, self.setting = name, cells, setting
        self.fitted = setting.fit and name in KNOWN
        self.quantiles = np.full((len(cells.values), len(LEVELS)), np.nan)
        self.refused = np.zeros(len(cells.values), dtype=bool)
        self.reasons: dict[str, int] = {}
        self.seconds = {"fit": 0.0, "forecast": 0.0}
        self.sees_future = setting.protocol.sees_future
        self.ships = False

    def fill(
        self, fold: Fold, train: CurveTable | None, builders: Sequence[EvidenceBuilder], fallback: Floats
    ) -> None:
        """Fit on `train` and answer the fold's questions; refused ones take the fallback's quantiles."""
        began = perf_counter()
        forecaster = self._fit(train)
        self.seconds["fit"] += perf_counter() - began
        began = perf_counter()
        for chunk in _chunks(self.cells, fold):
            asked = [(self.cells.questions[i], builders[self.cells.source[i]]) for i in chunk]
            if isinstance(forecaster, Refusal):
                answers: list[Forecast | Refusal] = [forecaster] * len(chunk)
            else:
                answers = _answer(forecaster, asked, self.setting.protocol)
            for i, answer in zip(chunk, answers, strict=True):
                self._note(self.cells.part(i), answer, fallback)
        self.seconds["forecast"] += perf_counter() - began

    def _fit(self, train: CurveTable | None) -> Forecaster | Refusal:
        """The method fitted on what the fold allows; a refusal where that is too little for it."""
        forecaster = make_forecaster(self.name) if self.fitted else load_forecaster(self.name)
        self.sees_future |= forecaster.sees_future
        if not self.fitted:
            return forecaster
        if train is None:
            self.ships |= not forecaster.learns
            return Refusal("no other run to learn from") if forecaster.learns else forecaster
        setting = self.setting
        try:
            return forecaster.fit(train, setting.losses, references=setting.references, seed=setting.seed)
        except InputError as error:
            if error.field not in ("forecaster", "curves"):
                raise
            if not forecaster.learns:  # only its widths lack runs to be calibrated on
                self.ships = True
                return load_forecaster(self.name)
            return Refusal(f"cannot be fitted: {error.rule}")

    def _note(self, part: slice, answer: Forecast | Refusal, fallback: Floats) -> None:
        if isinstance(answer, Forecast):
            self.quantiles[part] = on_levels(answer)
            return
        if self.name == FALLBACK:
            raise InputError(answer.reason, field="forecaster", value=self.name)
        self.quantiles[part], self.refused[part] = fallback[part], True
        self.reasons[answer.reason] = self.reasons.get(answer.reason, 0) + part.stop - part.start

    def answers(self) -> Answers:
        """What was filled in."""
        how = self.setting.split.rule if self.fitted else "as it ships"
        if self.fitted and self.ships:
            how += "; as it ships where the runs left were too few to fit on"
        reasons = dict(sorted(self.reasons.items()))
        return Answers(self.name, self.quantiles, self.refused, how, self.sees_future, reasons, self.seconds)


def on_levels(forecast: Forecast) -> Floats:
    """A forecast's quantiles at LEVELS, (n_horizons, len(LEVELS)); NaN outside the levels that it gives."""
    if forecast.levels == LEVELS:
        return forecast.values
    given = np.asarray(forecast.levels)
    return np.array([np.interp(LEVELS, given, row, left=np.nan, right=np.nan) for row in forecast.values])


def _chunks(cells: Cells, fold: Fold) -> Iterator[list[int]]:
    mine = [
        i
        for i, (source, question) in enumerate(zip(cells.source, cells.questions, strict=True))
        if (cells.sources[source], question.curve.key.run) in fold.test
    ]
    for start in range(0, len(mine), CHUNK):
        yield mine[start : start + CHUNK]


def _answer(
    forecaster: Forecaster, asked: Sequence[tuple[Question, EvidenceBuilder]], protocol: Protocol
) -> list[Forecast | Refusal]:
    if protocol.kind == "sequential":
        return _one_by_one(forecaster, asked, protocol)
    evidences = [b.at(q.curve, q.end, sees_future=forecaster.sees_future) for q, b in asked]
    return forecaster.forecast_many(evidences, [q.future.clock for q, _ in asked])


def _one_by_one(
    forecaster: Forecaster, asked: Sequence[tuple[Question, EvidenceBuilder]], protocol: Protocol
) -> list[Forecast | Refusal]:
    """Forecast each question's next checkpoint, append the answer, repeat; all questions side by side.

    Fed with medians, everything but the context (losses, other tasks) stays as it was at the context end;
    fed with the truth, the context end itself moves.
    """
    said: list[list[Forecast]] = [[] for _ in asked]
    declined: dict[int, Refusal] = {}
    longest = max(len(question.future) for question, _ in asked)
    for done in range(longest):
        open_ones = [i for i, (q, _) in enumerate(asked) if done < len(q.future) and i not in declined]
        if not open_ones:
            break
        evidences = [_next_evidence(forecaster, *asked[i], said[i], protocol) for i in open_ones]
        horizons = [asked[i][0].future.clock[done : done + 1] for i in open_ones]
        for i, answer in zip(open_ones, forecaster.forecast_many(evidences, horizons), strict=True):
            if isinstance(answer, Refusal):
                declined[i] = answer
            else:
                said[i].append(answer)
    return [declined[i] if i in declined else _joined(said[i]) for i in range(len(asked))]


def _next_evidence(
    forecaster: Forecaster,
    question: Question,
    builder: EvidenceBuilder,
    said: Sequence[Forecast],
    protocol: Protocol,
) -> Evidence:
    curve, cut = question.curve, question.cut + len(said)
    if protocol.feed == "truth":
        return builder.at(curve, float(curve.clock[cut - 1]), sees_future=forecaster.sees_future)
    known = builder.at(curve, question.end, sees_future=forecaster.sees_future)
    if not said:
        return known
    return replace(
        known,
        context=_extended(known.context, curve, [float(f.median[0]) for f in said]),
        run_curves=(*known.other_tasks, *known.other_metrics),
    )


def _extended(context: Curve, curve: Curve, medians: Sequence[float]) -> Curve:
    stop = len(context) + len(medians)
    return replace(
        context,
        steps=curve.steps[:stop],
        clock=curve.clock[:stop],
        values=np.concatenate([context.values, medians]),
        stderr=np.concatenate([context.stderr, np.full(len(medians), np.nan)]),
    )


def _joined(forecasts: Sequence[Forecast]) -> Forecast:
    return Forecast(
        np.concatenate([f.horizons for f in forecasts]),
        np.concatenate([f.values for f in forecasts]),
        forecasts[0].levels,
    )
