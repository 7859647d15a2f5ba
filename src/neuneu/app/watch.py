"""Watching a folder where results arrive: forecasts, alerts and a status file after every change."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from neuneu import __version__
from neuneu.curves.inspect import outliers
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given
from neuneu.curves.table import CurveTable, normalise
from neuneu.decisions.ledger import enter
from neuneu.decisions.stopping import should_stop
from neuneu.errors import CannotForecastError, InputError, NeuneuError
from neuneu.evidence.select import Selection
from neuneu.files import read_object, write_json
from neuneu.forecasters.base import DEFAULT_FORECASTER
from neuneu.forecasts.cells import CurveForecast
from neuneu.forecasts.forecast import TableForecasts, forecast

SCHEMA = 1
"""Version of the status file: fields are only ever added within one."""
FALLS, FALLING_POINTS = 0.02, 3
"""A curve falls where each of its last FALLING_POINTS is lower and together they lose this much accuracy."""
BAND = (0.05, 0.95)
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Settings:
    """What is watched and how.

    folder: where results arrive; status: the JSON file; format: as `import` names it; target: the mean over
    tasks that each run should reach; ledger: file that forecasts are entered in; selection, references: as in
    `forecast`; facts: of the runs, as `import` takes them.
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


@dataclass(frozen=True)
class Alert:
    """Something that somebody should look at. kind: target, outside, outlier or falls."""

    kind: str
    run: str
    task: str | None
    reason: str


def watch(
    settings: Settings, *, once: bool = False, told: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Update the status whenever the folder changes, until interrupted; with `once`, once. Returns the last.

    told: called with each new status. Files that cannot be read, such as half-written ones, are named in the
    status and tried again at the next change. Memory does not grow: each update starts from the files.
    """
    seen: Mapping[str, tuple[int, int]] | None = None
    status: dict[str, Any] = {}
    while True:
        now = snapshot(settings.folder, settings.status)
        if now != seen:
            status = update(settings)
            seen = now
            if told is not None:
                told(status)
        if once:
            return status
        time.sleep(POLL_SECONDS)


def snapshot(folder: Path, *without: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder → its size and time of change, hidden ones and `without` left out."""
    left = {path.resolve() for path in without}
    return {
        str(path): (info.st_size, info.st_mtime_ns)
        for path, info in _files(folder)
        if path.resolve() not in left
    }


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if name.startswith("."):
                continue
            try:
                yield path, path.stat()
            except OSError:
                continue  # gone since it was listed


def update(settings: Settings) -> dict[str, Any]:
    """Read the folder, forecast every run in flight, and write the status; returns it.

    Where nothing can be read or forecast, what the last status said of the runs stays, beside the problem.
    """
    before = _last_status(settings.status)
    problems: list[str] = []
    table: CurveTable | None = None
    found: TableForecasts | None = None
    try:
        result = read_format(settings.format, [settings.folder], given=settings.facts)
        table = result.table
        problems = result.report.warnings()
        found = forecast(
            table, [settings.forecaster], selection=settings.selection, references=settings.references
        )
    except (InputError, CannotForecastError) as error:
        problems.append(str(error))
    alerts = _alerts(settings, table, found, before) if table is not None and found is not None else []
    status = {
        "schema": SCHEMA,
        "neuneu": __version__,
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "forecaster": settings.forecaster,
        "runs": before.get("runs", {}) if found is None else _runs(found.curves),
        "alerts": before.get("alerts", []) if found is None else [vars(alert) for alert in alerts],
        "problems": problems,
    }
    write_json(settings.status, status)
    if settings.ledger is not None and found is not None:
        enter(found, settings.ledger)
    return status


def _runs(curves: Sequence[CurveForecast]) -> dict[str, Any]:
    runs: dict[str, Any] = {}
    for each in curves:
        key = each.curve.key
        own = runs.setdefault(key.run, {"clock": 0.0, "clock_unit": each.curve.clock_unit, "curves": []})
        own["clock"] = max(own["clock"], each.end)
        entry: dict[str, Any] = {
            **key._asdict(),
            "step": int(each.context.steps[-1]),
            "value": float(each.context.values[-1]),
            "forecasts": [],
        }
        for answer in each.answered.values():
            frame = answer.to_frame().select("clock", "q05", "q10", "q50", "q90", "q95")
            entry["forecasts"] = frame.to_dicts()
        own["curves"].append(entry)
    return runs


def _alerts(
    settings: Settings, table: CurveTable, found: TableForecasts, before: dict[str, Any]
) -> list[Alert]:
    alerts = [alert for each in found.curves for alert in _of_curve(each, before)]
    for row in outliers(normalise(table.frame, "table")).iter_rows(named=True):
        alerts.append(Alert("outlier", row["run"], row["task"], f"step {row['step']}: {row['detail']}"))
    if settings.target is not None:
        for run in found.runs:
            try:
                verdict = should_stop(
                    table, run, target=settings.target, selection=settings.selection,
                    forecaster=settings.forecaster, references=settings.references,
                )  # fmt: skip
            except NeuneuError:
                continue  # of another unit or without a common task: said under problems by the forecast
            if verdict.stop:
                alerts.append(Alert("target", run, None, verdict.reason))
    return alerts


def _of_curve(each: CurveForecast, before: dict[str, Any]) -> list[Alert]:
    """A value outside the 90 % band that the last status gave for its clock; a curve that falls."""
    key, curve = each.curve.key, each.context
    alerts = []
    known = before.get("runs", {}).get(key.run, {}).get("curves", [])
    last = next((c for c in known if all(c.get(n) == v for n, v in key._asdict().items())), None)
    if last is not None and last["forecasts"] and last["step"] < curve.steps[-1]:
        nearest = min(last["forecasts"], key=lambda f: abs(f["clock"] - curve.clock[-1]))
        if abs(nearest["clock"] - curve.clock[-1]) <= 1e-6 * curve.clock[-1]:
            value = float(curve.values[-1])
            if not nearest["q05"] <= value <= nearest["q95"]:
                band = f"{nearest['q05']:.4g} to {nearest['q95']:.4g}"
                reason = f"{value:.4g} at step {curve.steps[-1]} lies outside its 90 % band of {band}"
                alerts.append(Alert("outside", key.run, key.task, reason))
    tail = curve.values[-FALLING_POINTS - 1 :]
    steps = tail[1:] - tail[:-1]
    if len(steps) == FALLING_POINTS and (steps < 0).all() and tail[0] - tail[-1] >= FALLS:
        reason = f"has fallen from {tail[0]:.4g} to {tail[-1]:.4g} over its last {FALLING_POINTS} checkpoints"
        alerts.append(Alert("falls", key.run, key.task, reason))
    return alerts


def _last_status(path: Path) -> dict[str, Any]:
    """The status that is there; nothing where there is none, or one of another schema."""
    if not path.exists():
        return {}
    try:
        status = read_object(path)
    except InputError:
        return {}
    return status if status.get("schema") == SCHEMA else {}


def alert_lines(status: dict[str, Any]) -> list[str]:
    """Alerts for people, a line each."""
    frame = pl.DataFrame(status["alerts"])
    return [
        f"{row['kind']}: {row['run']}{', ' + row['task'] if row['task'] else ''}: {row['reason']}"
        for row in frame.iter_rows(named=True)
    ]
