"""What has changed since an earlier report, or since forecasts that were entered in a ledger."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey
from neuneu.curves.table import KEY
from neuneu.decisions.ledger import ledger_record, read_ledger
from neuneu.errors import InputError
from neuneu.files import open_file
from neuneu.forecasters.base import Forecast
from neuneu.forecasts.cells import QUANTILES
from neuneu.progress import counted
from neuneu.reports import style
from neuneu.reports.answer import Answer
from neuneu.reports.chart_data import SCHEMA, read_chart_data
from neuneu.reports.report_tables import Cell, ReportTable, plural

MOST_MOVES = 20
"""Curves that the table of changes shows, those whose forecast moved most."""

_DATA = re.compile(r'<script type="application/json" id="data"[^>]*>(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Former:
    """Earlier forecasts. name: of the file; forecasts, seen: by curve, forecast and clock seen up to then;
    best: run → P(best), where the file says it; ledger: the file itself, where it is one."""

    name: str
    forecasts: Mapping[CurveKey, Forecast]
    seen: Mapping[CurveKey, float]
    best: Mapping[str, float] = field(default_factory=dict)
    ledger: Path | None = None


@dataclass(frozen=True)
class Changes:
    """What has changed, for people: in a sentence, by run, and the curves whose forecast moved most.

    record: what became of all that a ledger holds, None of an earlier report.
    """

    since: str
    in_words: str
    by_run: Mapping[str, Cell]
    table: ReportTable
    record: ReportTable | None = None


@dataclass(frozen=True)
class Move:
    """A curve's forecast then and now, both at the same clock; whether now lies outside the 80 % of then."""

    key: CurveKey
    percent: bool
    at: float
    then: float
    low: float
    high: float
    now: float
    n_new: int
    n_inside: int

    @property
    def change(self) -> float:
        """Now − then."""
        return self.now - self.then

    @property
    def outside(self) -> bool:
        """Whether what is forecast now was thought unlikely then."""
        return not self.low <= self.now <= self.high


def read_former(path: Path, forecaster: str) -> Former:
    """An earlier report (.html) by this forecaster, or a ledger, of which its latest forecasts count.

    Raises InputError where it is neither, or holds another forecaster's forecasts alone.
    """
    if path.suffix not in (".html", ".htm"):
        return _from_ledger(path, forecaster)
    with open_file(path) as stream:
        found = _DATA.search(stream.read().decode("utf-8", errors="replace"))
    rule = "is no report that `neuneu report` has written, or one of another version; write it anew"
    if found is None:
        raise InputError(rule, where=path, field="since")
    try:
        document = json.loads(found[1])
        if document["schema"] != SCHEMA:
            raise InputError(rule, where=path, field="schema", value=document["schema"])
        chosen = str(document["forecasters"][0])
        forecasts = read_chart_data(document)
        seen = dict(_seen(document))
        best = {str(row["run"]): float(row["p_best"]) for row in document["overview"]}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(rule, where=path, field="since") from error
    if Path(chosen).name != Path(forecaster).name:  # a folder may be named from elsewhere
        rule = (
            f"is a report of another forecaster's forecasts, not {forecaster}'s; name {chosen} first in "
            "`forecaster`, or another report"
        )
        raise InputError(rule, where=path, field="since", value=chosen)
    return Former(path.name, forecasts, seen, best)


def changes_of(answer: Answer, former: Former) -> Changes:
    """Forecasts of then and now, curve by curve and run by run."""
    curves = [(panel.curve, panel.answered.get(answer.chosen)) for panel in answer.panels]
    curves += [(curve, None) for curve in answer.ended]
    moves = [
        _move(curve, now, former.forecasts[curve.key], former.seen[curve.key])
        for curve, now in counted(curves, "curves")
        if curve.key in former.forecasts
    ]
    return Changes(
        former.name,
        _in_words(answer, former, moves, len(curves)),
        _by_run(answer, moves),
        _moves_table([move for move in moves if move.n_new or move.change]),
        None if former.ledger is None else _record_table(former.ledger, [curve for curve, _ in curves]),
    )


def _seen(document: Mapping[str, Any]) -> list[tuple[CurveKey, float]]:
    keys = [
        CurveKey(
            document["runs"][row["r"]]["name"], document["tasks"][row["t"]],
            document["metrics"][row["m"]]["name"], row.get("n"), row.get("v"),
        )
        for row in document["curves"]
    ]  # fmt: skip
    ends = [float(document["clocks"][row["x"]][row["s"] - 1]) for row in document["curves"]]
    return list(zip(keys, ends, strict=True))


def _from_ledger(path: Path, forecaster: str) -> Former:
    lines = read_ledger(path).filter(pl.col("forecaster") == forecaster)
    if not len(lines):
        rule = f"holds no forecast by {forecaster}; `forecast` and `watch` enter some when given a ledger"
        raise InputError(rule, where=path, field="since")
    lines = lines.filter(pl.col("context_clock") == pl.col("context_clock").max().over(KEY))
    lines = lines.filter(pl.col("made") == pl.col("made").max().over(KEY))
    lines = lines.sort("clock", maintain_order=True)
    forecasts, seen = {}, {}
    of_curve = lines.partition_by(KEY, maintain_order=True, as_dict=True)
    for part, rows in counted(of_curve.items(), "curves of the ledger", len(of_curve)):
        key, own = CurveKey(*part), rows.unique("clock", keep="last", maintain_order=True)
        given = [name for name in QUANTILES if own[name].null_count() == 0]
        levels = tuple(QUANTILES[name] for name in given)
        forecasts[key] = Forecast(own["clock"].to_numpy(), own.select(given).to_numpy(), levels)
        seen[key] = float(own["context_clock"][0])
    return Former(path.name, forecasts, seen, ledger=path)


def _move(curve: Curve, now: Forecast | None, then: Forecast, seen: float) -> Move:
    end = float(now.horizons[-1]) if now is not None else float(curve.clock[-1])
    at = min(end, float(then.horizons[-1]))
    low, high = (_at(then, level, at) for level in (0.1, 0.9))
    known = curve.until(at)
    came = known.after(max(seen, float(then.horizons[0])))
    edges = [[_at(then, level, clock) for level in (0.1, 0.9)] for clock in came.clock.tolist()]
    inside = sum(lo <= value <= hi for (lo, hi), value in zip(edges, came.values.tolist(), strict=True))
    value = _at(now, 0.5, at) if now is not None and at > curve.clock[-1] else _measured(curve, at)
    percent = style.in_percent(curve.key.metric)
    return Move(curve.key, percent, at, _at(then, 0.5, at), low, high, value, len(came), inside)


def _at(forecast: Forecast, level: float, clock: float) -> float:
    return float(np.interp(clock, forecast.horizons, forecast.quantile(level)))


def _measured(curve: Curve, clock: float) -> float:
    return float(np.interp(clock, curve.clock, curve.values))


def _in_words(answer: Answer, former: Former, moves: Sequence[Move], n_curves: int) -> str:
    new, inside = sum(move.n_new for move in moves), sum(move.n_inside for move in moves)
    were = "was" if len(moves) == 1 else "were"
    text = f"{plural(len(moves), 'curve')} of {n_curves:,} {were} forecast then."
    if new:
        share = f"{100 * inside / new:.0f} %"
        text += (
            f" {plural(new, 'checkpoint')} came since; {inside:,} of them ({share}) lie in the 80 % interval "
            "that was forecast for them."
        )
    else:
        text += " No checkpoint came since."
    rows = answer.overview.rows
    if former.best and len(rows) > 1:
        led, p = max(former.best.items(), key=lambda item: item[1])
        now = rows[0]
        if led == now.run:
            text += f" {led} led and still leads: P(best) {p:.2f} then, {now.p_best:.2f} now."
        else:
            text += f" {led} led with P(best) {p:.2f}; now {now.run} leads with {now.p_best:.2f}."
    return text


def _by_run(answer: Answer, moves: Sequence[Move]) -> dict[str, Cell]:
    """Run → how far the mean over its benchmarks has moved; of runs that had all of them then."""
    overview = answer.overview
    known = {move.key: move for move in moves}
    found = {}
    for row in overview.rows:
        own = [known.get(CurveKey(row.run, *setting)) for setting in overview.settings]
        there = [move for move in own if move is not None]
        if len(there) < len(own):
            found[row.run] = Cell("new" if not there else "new tasks")
            continue
        change = sum(overview.weights[move.key.task] * move.change for move in there)
        found[row.run] = Cell(_signed(change, overview.percent), change)
    return found


def _moves_table(moves: Sequence[Move]) -> ReportTable:
    ordered = sorted(moves, key=lambda move: (-abs(move.change), move.key.run, *map(str, move.key[1:])))
    rows = []
    for move in ordered[:MOST_MOVES]:
        key = move.key
        then, low, high, now = (
            style.value_text(value, move.percent) for value in (move.then, move.low, move.high, move.now)
        )
        rows.append(
            [
                Cell(key.task), Cell(key.run),
                Cell(_signed(move.change, move.percent), move.change, style="main"),
                Cell(f"{then} ({low} to {high})", move.then),
                Cell(now + (" outside" if move.outside else ""), move.now),
                Cell(style.readable(move.at), move.at), Cell(str(move.n_new), move.n_new),
                Cell(key.metric), Cell(_setting(key)),
            ]
        )  # fmt: skip
    columns = [("task", True), ("run", True), ("change", False), ("then (80 %)", False), ("now", False),
               ("at", False), ("new checkpoints", False), ("metric", True), ("setting", True)]  # fmt: skip
    notes = []
    if len(ordered) > MOST_MOVES:
        notes = [f"The {MOST_MOVES} of {len(ordered):,} curves whose forecast moved most."]
    return ReportTable("moves", "Forecasts that moved most", columns, rows, notes=notes)


def _record_table(path: Path, curves: Sequence[Curve]) -> ReportTable | None:
    """How the ledger's forecasts of these curves did, by forecaster and horizon; None where none has come."""
    record = ledger_record(path, curves, ("forecaster", "horizon"))
    if not record.settled:
        return None
    numbers = ("forecasts", "runs", "error", "bias", "in the 80 % interval", "width of it")
    columns = [("forecaster", True), ("horizon", True), *((name, False) for name in numbers)]
    rows = []
    for row in record.table.iter_rows(named=True):
        cells = [Cell(row["forecaster"]), Cell(row["horizon"])]
        cells += [Cell(f"{row[name]:,}", row[name]) for name in ("forecasts", "runs")]
        cells += [Cell(f"{100 * row[name]:.2f}", row[name]) for name in ("mae", "bias")]
        cells.append(Cell(f"{100 * row['coverage80']:.0f} %", row["coverage80"]))
        rows.append([*cells, Cell(f"{100 * row['width80']:.2f}", row["width80"])])
    notes = ["Error, bias and width in points of accuracy, of forecasts that have come to their horizon."]
    return ReportTable("record", record.title, columns, rows, notes=notes)


def _setting(key: CurveKey) -> str:
    parts = ["" if key.n_shot is None else f"{key.n_shot}-shot", key.variant or ""]
    return ", ".join(part for part in parts if part) or "–"


def _signed(change: float, percent: bool) -> str:
    if not percent:
        return f"{change:+.3g}"
    points = round(100 * change, 1)
    return f"{points:+.1f} points" if points else "0.0 points"
