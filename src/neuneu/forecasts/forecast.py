"""The one act: a table, what may be seen of its runs, forecasters and horizons → forecasts of each curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.curve import Curve, CurveKey
from neuneu.curves.table import CurveTable
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.cut import Question, check_share, seen
from neuneu.evidence.evidence import EvidenceBuilder, check_losses
from neuneu.evidence.finished import FinishedRuns, read_references
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import (
    DEFAULT_FORECASTER,
    Forecast,
    Forecaster,
    Refusal,
    load_forecaster,
    make_forecaster,
)
from neuneu.forecasts.cells import CurveForecast, to_cells
from neuneu.forecasts.horizons import Plan, in_flight, later_checkpoints
from neuneu.losses.loss_store import LossStore
from neuneu.progress import counted

LeftOut = dict[CurveKey, str]
"""Curves that were chosen but not asked → why."""


@dataclass(frozen=True, eq=False)
class TableForecasts:
    """Forecasts of a table's curves.

    curves: one a curve; names: the forecasters, the chosen one first; share: of the clock that was seen, 1
    where all that is known was; references: which finished runs could be looked at, for people;
    left_out: chosen curves that were not asked, with the reason.
    """

    curves: Sequence[CurveForecast]
    names: Sequence[str]
    share: float = 1.0
    references: str = "none"
    left_out: LeftOut = field(default_factory=dict)

    @property
    def chosen(self) -> str:
        """The forecaster that this is about."""
        return self.names[0]

    @property
    def runs(self) -> list[str]:
        """Names of the runs, in the order of the curves."""
        return list(dict.fromkeys(each.curve.key.run for each in self.curves))

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        return sorted({each.curve.key.task for each in self.curves})

    @cached_property
    def cells(self) -> pl.DataFrame:
        """Every forecast, a row a forecaster and horizon, with the columns of `cells.CELLS`."""
        return to_cells(self.curves)

    def refusals(self, name: str | None = None) -> list[str]:
        """Why a forecaster (the chosen one where None) declined, curve by curve."""
        name = name or self.chosen
        answers = (each.forecasts[name] for each in self.curves)
        return [answer.reason for answer in answers if isinstance(answer, Refusal)]


def ask(
    forecaster: Forecaster, questions: Sequence[Question], builder: EvidenceBuilder
) -> list[Forecast | Refusal]:
    """One forecaster's answers to questions about the curves of one table."""
    evidences = [
        builder.ask(question, sees_future=forecaster.sees_future) for question in counted(questions, "curves")
    ]
    return forecaster.forecast_many(evidences, [question.horizons for question in questions])


def forecast(
    table: CurveTable,
    forecasters: Sequence[str | Path | Forecaster] = (DEFAULT_FORECASTER,),
    *,
    selection: Selection | None = None,
    context: float | None = None,
    plan: Plan | None = None,
    references: Any = None,
    losses: Any = None,
    options: Mapping[str, Any] | None = None,
) -> TableForecasts:
    """Forecast each chosen curve of a table.

    table: all that is known of the runs, their other tasks and metrics included; forecasters: names, folders
    or instances, the first is the chosen one; context: share of the curve's final clock that may be seen, all
    of it where None (runs in flight); plan: where each curve is asked, by default every later checkpoint
    where a context is given, else `in_flight`; references: as `read_references` takes them; losses: a store
    of checkpoints' token losses, or its path; options: of those forecasters that take them
    (`Forecaster.with_options`).
    Raises InputError on names that are not there and where no curve is left to ask, CannotForecastError where
    the chosen forecaster declines every curve.
    """
    given, store = read_evidence(references, losses, table.runs)
    builder = EvidenceBuilder(table, store, given)
    chosen = (selection or Selection()).of(table)
    loaded = by_label(forecasters or (DEFAULT_FORECASTER,), given.table, store)
    loaded = {
        name + in_words(taken): forecaster.with_options(**taken)
        for (name, forecaster), taken in zip(
            loaded.items(), share_options(list(loaded.values()), options or {}), strict=True
        )
    }
    names = list(loaded)
    share = check_share(context)
    questions, left_out = make_questions(
        chosen, share, plan or (later_checkpoints if share < 1 else in_flight)
    )
    answers = {name: ask(loaded[name], questions, builder) for name in counted(names, "forecasters")}
    if all(isinstance(answer, Refusal) for answer in answers[names[0]]):
        first = answers[names[0]][0]
        raise CannotForecastError(f"{names[0]}: {first.reason if isinstance(first, Refusal) else ''}")
    found = [
        CurveForecast(q.curve, q.end, q.horizons, {name: given[i] for name, given in answers.items()})
        for i, q in enumerate(questions)
    ]
    return TableForecasts(found, names, share, given.in_words, left_out)


def make_questions(chosen: CurveTable, share: float, plan: Plan) -> tuple[list[Question], LeftOut]:
    """A question a curve, and the curves that cannot be asked. Raises InputError where none is left."""
    questions: list[Question] = []
    left_out: LeftOut = {}
    errors: list[InputError] = []
    for curve in chosen:
        try:
            questions.append(_question(curve, share, plan))
        except InputError as error:
            left_out[curve.key] = error.rule
            errors.append(error)
    if not questions:
        raise errors[0]
    return questions, left_out


def _question(curve: Curve, share: float, plan: Plan) -> Question:
    size = seen(curve, share)
    if not size and share < 1:
        rule = f"leaves no checkpoint after clock 0 of {curve.key.run} on {curve.key.task}"
        raise InputError(rule, field="context", value=share)
    size = size or len(curve)
    horizons = plan(curve, float(curve.clock[size - 1]))
    if not len(horizons):
        rule = f"leaves nothing to ask of {curve.key.run} on {curve.key.task}: no checkpoint comes after it"
        if share == 1:
            rule = f"{curve.key.run} has reached its planned end; look back with a share such as 0.2"
        raise InputError(rule, field="context", value=share)
    return Question(curve, size, horizons, share)


def share_options(forecasters: Sequence[Forecaster], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which of the options each forecaster takes; None is not set.

    Raises InputError where one is set that no forecaster takes.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if not any(name in forecaster.options for forecaster in forecasters):
            raise InputError("none of these forecasters takes it", field=name, value=value)
    return [{n: v for n, v in given.items() if n in forecaster.options} for forecaster in forecasters]


def in_words(options: Mapping[str, Any]) -> str:
    """What tables add to a forecaster's name: the options that change its answers, all but the device."""
    words = [f"{name} {value}" for name, value in options.items() if name != "device"]
    return f" ({', '.join(words)})" if words else ""


def label_of(given: str | Path | Forecaster) -> str:
    """What tables and pages call a forecaster: its registered name, its folder, or an instance's name."""
    return given.name if isinstance(given, Forecaster) else str(given)


def by_label(
    given: Sequence[str | Path | Forecaster],
    finished: CurveTable | None = None,
    losses: LossStore | None = None,
) -> dict[str, Forecaster]:
    """Forecasters that can answer, by label; the same one named twice is taken once.

    Raises InputError where two instances have one name.
    """
    if isinstance(given, str | Path | Forecaster):
        given = [given]
    chosen: dict[str, str | Path | Forecaster] = {}
    for each in given:
        known = chosen.setdefault(label_of(each), each)
        if known is not each and (isinstance(known, Forecaster) or isinstance(each, Forecaster)):
            rule = "two forecasters have this name; give one another `name`"
            raise InputError(rule, field="forecaster", value=label_of(each))
    return {label: ready_forecaster(each, finished, losses) for label, each in chosen.items()}


def ready_forecaster(
    given: str | Path | Forecaster, finished: CurveTable | None = None, losses: LossStore | None = None
) -> Forecaster:
    """A forecaster that can answer: as it ships, or fitted on the finished runs where it has to learn.

    given: a name, a folder, or a forecaster, which is taken as it is.
    Raises InputError where it has to learn and no finished runs are given.
    """
    if isinstance(given, Forecaster):
        return given
    try:
        return load_forecaster(given)
    except InputError:
        if Path(given).is_dir():
            raise
        forecaster = make_forecaster(str(given))
        if not forecaster.learns:
            raise
    if finished is None:
        rule = "learns from finished runs: give their table as `references`"
        raise InputError(rule, field="forecaster", value=str(given))
    return forecaster.fit(finished, losses)


def by_size(found: Sequence[CurveForecast]) -> list[CurveForecast]:
    """Forecasts with the smaller runs first, then by name of run and task."""
    return sorted(found, key=lambda each: (each.curve.facts.params or 0, each.curve.key.run))


def read_evidence(
    references: Any, losses: Any, runs: Sequence[str]
) -> "tuple[FinishedRuns, LossStore | None]":
    """What `references` and `losses` name: a rule or table, and a store, or the path of one."""
    given = read_references(references)
    if not isinstance(losses, str | Path):
        check_losses(losses)
        return given, losses
    from neuneu.losses.open import open_losses

    return given, open_losses(losses, [*runs, *(given.table.runs if given.table is not None else [])])
