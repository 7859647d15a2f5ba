"""Watching a folder where results arrive: forecasts, alerts and a status file after every change."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuneu import __version__
from neuneu.app.status import SCHEMA, AlertStatus, CurveStatus, RunStatus, Status, StatusHorizon, read_status
from neuneu.curves.following import YOUNG, FollowedCurves, News
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given
from neuneu.curves.table import CurveTable
from neuneu.decisions.alerts import PATIENCE, Alert, Watched, alerts_of
from neuneu.decisions.ledger import enter
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.finished import read_references
from neuneu.evidence.select import Selection
from neuneu.files import write_text
from neuneu.forecasters.base import DEFAULT_FORECASTER, Forecast
from neuneu.forecasts.cells import QUANTILES, CurveForecast, on_levels
from neuneu.forecasts.forecast import TableForecasts, forecast, ready_forecaster

SHOWN = ("q05", "q10", "q50", "q90", "q95")
"""Quantiles that the status gives."""


@dataclass(frozen=True)
class WatchSettings:
    """What is watched and how.

    folder: where results arrive, or a curve table that grows; status: the JSON file; format: as `import`
    names it; target: the mean over tasks that each run should reach; patience: checkpoints in a row for
    which something holds before it is an alert; ledger: file that forecasts are entered in; selection,
    references: as in `forecast`; facts: of the runs, as `import` takes them; without: files that are not
    looked at.
    """

    folder: Path
    status: Path
    format: str = "auto"
    target: float | None = None
    ledger: Path | None = None
    forecaster: str = DEFAULT_FORECASTER
    selection: Selection = field(default_factory=Selection)
    references: Any = None
    facts: Given = NOTHING_GIVEN
    patience: int = PATIENCE
    without: Sequence[Path] = ()


WAITING_SECONDS = 2 * YOUNG
"""With `once`: time for files that are still written to come to an end; one may be a log that never does."""

Deliver = Callable[[Sequence[AlertStatus]], bool]
"""Hands on alerts that are new; whether they were taken, else they are handed on again at the next change."""


class Watcher:
    """Follows a folder and keeps its status file.

    Only runs whose curves have changed are forecast again. What is kept in memory is of runs that are there;
    what is kept between two processes is the status file alone, written whole or not at all.
    Raises InputError where there is no such folder, format, forecaster or references.
    """

    def __init__(self, settings: WatchSettings, deliver: Deliver | None = None) -> None:
        if settings.patience < 1:
            raise InputError("must be at least 1", field="patience", value=settings.patience)
        self.settings, self.deliver = settings, deliver
        without = [settings.status, *settings.without, *([settings.ledger] if settings.ledger else [])]
        self.followed = FollowedCurves(
            settings.folder, format=settings.format, given=settings.facts, without=without
        )
        self.table: CurveTable | None = None
        self._references = read_references(settings.references)
        forecaster = ready_forecaster(settings.forecaster, self._references.table)
        self._watched = Watched(
            settings.target, settings.patience, settings.selection, forecaster, self._references
        )
        before = read_status(settings.status)
        self._last = before if before is not None and before.same_watch(self._status({}, [], [])) else None
        self._runs: dict[str, RunStatus] = {}
        self._alerts: dict[str, list[Alert]] = {}
        self._problems: dict[str, list[str]] = {}

    def update(self) -> Status | None:
        """Read what has changed, forecast it and write the status; None where nothing has changed."""
        news = self.followed.read()
        return None if news is None else self._take(news)

    def _take(self, news: News) -> Status:
        before = self._last
        problems = list(news.problems)
        if news.table is not None:
            self.table = news.table
            found = None
            try:
                found = self._forecast(news.table, news.changed)
            except InputError as error:  # the selection names what is not there
                problems.append(str(error))
            if found is not None and self.settings.ledger is not None:
                enter(_named(found, self.settings.forecaster), self.settings.ledger)
            problems += [line for lines in self._problems.values() for line in lines]
        elif before is not None and not self._runs:
            return self._write(before.runs, before.alerts, problems)
        told = {_subject(alert) for alert in before.alerts if alert.told} if before else set()
        alerts = [
            AlertStatus(**vars(alert), told=alert.subject in told)
            for run in self._runs
            for alert in self._alerts.get(run, [])
        ]
        status = self._write(self._runs, alerts, problems)
        new = [alert for alert in alerts if not alert.told]
        if new and self.deliver is not None and self.deliver(new):
            for alert in new:
                alert.told = True
            status = self._write(self._runs, alerts, problems)
        return status

    def _forecast(self, table: CurveTable, changed: frozenset[str]) -> TableForecasts | None:
        """Forecast the runs that have changed, or all where one run may look at another; None where none."""
        selection = self.settings.selection
        wanted = selection.of(table).runs
        for run in set(self._runs) | set(self._problems):
            if run not in wanted:
                self._forget(run)
        due = [run for run in wanted if run in changed or self._references.rule is not None]
        for run in due:
            self._forget(run)
        if not due:
            return None
        chosen = Selection(due, *_setting(selection))
        try:
            found = forecast(table, [self._watched.forecaster], selection=chosen, references=self._references)
        except (InputError, CannotForecastError) as error:
            self._problems[due[0]] = [str(error)]
            return None
        self._runs = dict(sorted({**self._runs, **_runs(found.curves)}.items()))
        for key, why in found.left_out.items():
            self._problems.setdefault(key.run, []).append(f"{key.run}, {key.task}: {why}")
        for run in found.runs:
            self._alerts[run] = alerts_of(table, run, self._watched)
        return found

    def _forget(self, run: str) -> None:
        self._runs.pop(run, None)
        self._alerts.pop(run, None)
        self._problems.pop(run, None)

    def _write(self, runs: dict[str, RunStatus], alerts: list[AlertStatus], problems: list[str]) -> Status:
        self._last = self._status(runs, alerts, problems)
        write_text(self.settings.status, self._last.model_dump_json(indent=1) + "\n")
        return self._last

    def _status(self, runs: dict[str, RunStatus], alerts: list[AlertStatus], problems: list[str]) -> Status:
        return Status(
            schema=SCHEMA, neuneu=__version__, updated=datetime.now(UTC).isoformat(timespec="seconds"),
            forecaster=self.settings.forecaster, runs=runs, alerts=alerts, problems=problems,
            folder=str(Path(self.settings.folder).resolve()), target=self.settings.target,
        )  # fmt: skip


def watch(
    settings: WatchSettings,
    *,
    once: bool = False,
    told: Callable[[Status, CurveTable | None], None] | None = None,
    deliver: Deliver | None = None,
) -> Status:
    """Keep the status up to date until interrupted; with `once`, one update. Returns the last.

    told: called with each new status and the curves it is of; deliver: with alerts that are new.
    """
    watcher = Watcher(settings, deliver)
    last: Status | None = None
    began = time.monotonic()
    for status in _updates(watcher):
        if status is not None:
            last = status
            if told is not None:
                told(status, watcher.table)
        late = time.monotonic() - began > WAITING_SECONDS
        if once and last is not None and (late or not watcher.followed.waiting):
            break
    assert last is not None
    return last


def _updates(watcher: Watcher) -> Iterator[Status | None]:
    while True:
        yield watcher.update()
        time.sleep(watcher.followed.pause)


def _setting(selection: Selection) -> tuple[Sequence[str], str | None, int | None, str | None]:
    return selection.tasks, selection.metric, selection.n_shot, selection.variant


def _named(found: TableForecasts, name: str) -> TableForecasts:
    """The forecasts under the name that the user gave the forecaster."""
    if found.names[0] == name:
        return found
    curves = [
        CurveForecast(one.curve, one.end, one.horizons, {name: one.forecasts[found.names[0]]})
        for one in found.curves
    ]
    return TableForecasts(curves, [name], found.share, found.references, found.left_out)


def _runs(curves: Sequence[CurveForecast]) -> dict[str, RunStatus]:
    runs: dict[str, RunStatus] = {}
    for each in curves:
        key, context = each.curve.key, each.context
        own = runs.setdefault(key.run, RunStatus(clock=0.0, clock_unit=each.curve.clock_unit, curves=[]))
        own.clock = max(own.clock, each.end)
        forecasts = [horizon for answer in each.answered.values() for horizon in _horizons(answer)]
        entry = CurveStatus(
            **key._asdict(), step=int(context.steps[-1]), value=float(context.values[-1]), forecasts=forecasts
        )
        own.curves.append(entry)
    return runs


def _horizons(answer: Forecast) -> list[StatusHorizon]:
    places = [list(QUANTILES).index(name) for name in SHOWN]
    rows = [
        dict(zip(SHOWN, (None if math.isnan(v) else v for v in row), strict=True))
        for row in on_levels(answer)[:, places].tolist()
    ]
    return [
        StatusHorizon(clock=clock, **row) for clock, row in zip(answer.horizons.tolist(), rows, strict=True)
    ]


def _subject(alert: AlertStatus) -> tuple[str, ...]:
    return Alert(alert.kind, alert.run, alert.task, alert.step, alert.reason).subject


def alert_lines(status: Status) -> list[str]:
    """Alerts for people, a line each."""
    return [
        f"{one.kind}: {one.run}{', ' + one.task if one.task else ''}: {one.reason}" for one in status.alerts
    ]
