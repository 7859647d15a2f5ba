"""The ledger: forecasts as they were made, and how they compare with what came, on the user's own runs.

A file of JSON lines, one a forecast of one curve at one horizon, only ever added to. A line holds when it was
made, by what version and forecaster, what was known (context end, checkpoints, a fingerprint of the values
seen) and the quantiles. Adding takes a lock, so that two writers do not mix their lines; a line that a killed
writer left half done is closed off by the next and skipped by readers.
"""

import hashlib
import json
import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu import __version__
from neuneu.curves.curve import Curve
from neuneu.curves.table import KEY
from neuneu.errors import InputError, TooLargeError
from neuneu.evaluation.metrics import SCORES, score_cells
from neuneu.files import MAX_LINE, open_file, parse_json, refusing_place, try_lock
from neuneu.files.reading import near_files
from neuneu.files.writing import kept_from
from neuneu.forecasts.cells import QUANTILES, CurveForecast
from neuneu.forecasts.forecast import TableForecasts

FIELDS = ("made", "version", "forecaster", *KEY, "clock_unit", "context_clock", "n_seen", "seen", "clock")
"""What a line says besides the quantiles."""

NEAR = 1e-6
"""A checkpoint settles a forecast where their clocks differ by at most this share."""

DIGITS = 9
"""Decimals of quantiles that tell two forecasts apart; what differs beyond them is rounding."""

LATE = (1.0, 1.5, 3.0, float("inf"))
"""Edges of horizon over context end, by which settled forecasts are grouped."""

BUCKETS = ("to 1.5x", "1.5x to 3x", "over 3x")
"""What the groups between those edges are called."""


def enter(found: TableForecasts, path: str | Path, *, now: datetime | None = None) -> int:
    """Add forecasts to a ledger; returns how many lines were added.

    The same answer to the same question is entered once: a forecast of a curve that has not grown since is
    new where other evidence (references, losses, weights) makes it another. Raises InputError where the file
    cannot be written or is no ledger.
    """
    path = Path(path)
    made = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    with kept_from(path.parent, path.name), refusing_place(path):
        lock = try_lock(path.with_name(f".{path.name}.lock"), wait=True)
        assert lock is not None
        try:
            lines = _lines(found, made)
            known = _entered(path, {line["seen"] for line in lines}) if path.exists() else set()
            lines = [line for line in lines if _identity(line) not in known]
            if lines:
                _append(path, lines)
        finally:
            lock.release()
    return len(lines)


def check_ledger(path: str | Path) -> None:
    """Raise InputError where there is no ledger, or it cannot be opened."""
    if not Path(path).exists():
        rule = f"no such ledger{near_files(path)}; `neuneu forecast --ledger {path}` begins one"
        raise InputError(rule, where=path)
    with open_file(path):
        pass


def read_ledger(path: str | Path) -> pl.DataFrame:
    """Every whole line of a ledger, in the order in which they were entered.

    Raises InputError where a line that is whole is no forecast.
    """
    check_ledger(path)
    rows = [{name: row.get(name) for name in (*FIELDS, *QUANTILES)} for row in _whole_lines(path)]
    schema = {
        **dict.fromkeys(FIELDS, pl.String), "n_shot": pl.Int64, "context_clock": pl.Float64,
        "n_seen": pl.Int64, "clock": pl.Float64, **dict.fromkeys(QUANTILES, pl.Float64),
    }  # fmt: skip
    try:
        return pl.DataFrame(rows, schema=schema)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise InputError(f"holds a value of another type: {error}", where=path) from error


def _whole_lines(path: str | Path, seen: Container[str] | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a ledger one by one, without half ones; only those of these fingerprints, if given."""
    with open_file(path) as stream:
        lines = iter(lambda: stream.readline(MAX_LINE + 1), b"")
        for number, raw in enumerate(lines, start=1):
            if len(raw) > MAX_LINE:
                raise TooLargeError("is longer than a line may be", where=f"{path}:{number}")
            if not raw.endswith(b"\n"):
                break  # being written, or left half done by a killed writer
            if not raw.strip():
                continue
            named = _SEEN.search(raw) if seen is not None else None
            if named is not None and named[1].decode() not in seen:  # type: ignore[operator]
                continue  # a tenth of the time that parsing takes
            try:
                text = raw.decode()
                json.loads(text)
            except (ValueError, RecursionError):
                continue  # half a line, closed off by the next writer
            row = parse_json(text, f"{path}:{number}")
            if not isinstance(row, dict) or not set(FIELDS) <= set(row):
                raise InputError("is no line of a ledger", where=path, field="line", value=number)
            yield row


_SEEN = re.compile(rb'"seen": "([0-9a-f]+)"')


def _entered(path: Path, seen: Container[str]) -> set[tuple[Any, ...]]:
    """What is entered already of curves with these fingerprints; memory is not that of the whole ledger."""
    return {_identity(line) for line in _whole_lines(path, seen)}


def settle(ledger: pl.DataFrame, curves: Iterable[Curve]) -> pl.DataFrame:
    """The forecasts whose horizon has come: with `value` and the scores of each (see `metrics.score_cells`).

    curves: all that has been measured since. A forecast is settled by a checkpoint at its clock.
    """
    known = {curve.key: curve for curve in curves}
    values = [_value(known, row) for row in ledger.select(*KEY, "clock", "clock_unit").iter_rows()]
    came = ledger.with_columns(value=pl.Series(values, dtype=pl.Float64)).drop_nulls("value")
    quantiles = came.select(pl.col(list(QUANTILES)).fill_null(float("nan"))).to_numpy()
    scores = score_cells(quantiles, came["value"].to_numpy())
    return came.with_columns(
        *(pl.Series(name, scores[:, i]) for i, name in enumerate(SCORES)),
        bias=pl.col("q50") - pl.col("value"),
    )


def track_record(settled: pl.DataFrame, by: Iterable[str] = ("forecaster", "task")) -> pl.DataFrame:
    """How settled forecasts did: coverage and width of the 80 % interval, error and bias, and how many.

    by: any columns of the ledger, or `horizon` (clock over context end, in buckets).
    """
    ratio = pl.col("clock") / pl.col("context_clock")
    buckets = (
        pl.when(ratio <= LATE[1]).then(pl.lit(BUCKETS[0])).when(ratio <= LATE[2]).then(pl.lit(BUCKETS[1]))
    )
    return (
        settled.with_columns(horizon=buckets.otherwise(pl.lit(BUCKETS[2])))
        .group_by(list(by), maintain_order=True)
        .agg(
            pl.len().alias("forecasts"),
            pl.col("run").n_unique().alias("runs"),
            pl.col("mae").mean(),
            pl.col("bias").mean(),
            pl.col("coverage80").mean(),
            pl.col("width80").mean(),
        )
    )


@dataclass(frozen=True)
class LedgerRecord:
    """What became of a ledger's forecasts, for a page or a terminal.

    entered, settled: how many forecasts there are, and how many have come to their horizon; table: of the
    settled ones, `track_record` by the columns asked for, most forecasts first, empty where none is settled;
    overall: the same over all of them, a row or none.

    A report gets it by `ledger_record(path, table)` and shows `title`, `overall` and `brief`.
    """

    entered: int
    settled: int
    table: pl.DataFrame
    overall: pl.DataFrame

    @property
    def title(self) -> str:
        """How many forecasts have come to their horizon."""
        return f"{self.settled} of {self.entered} forecasts settled"

    @property
    def brief(self) -> pl.DataFrame:
        """The table for people: error, bias and width in points, coverage in per cent of 80."""
        values = [(pl.col(name) * 100).round(2) for name in ("mae", "bias", "width80")]
        return self.table.with_columns(*values, (pl.col("coverage80") * 100).round(0))


def ledger_record(
    path: str | Path, curves: Iterable[Curve], by: Iterable[str] = ("task", "horizon")
) -> LedgerRecord:
    """What became of the forecasts in a ledger, by what has been measured since.

    curves: all that has been measured; by: see `track_record`. Raises InputError where the file is no ledger.
    """
    entered = read_ledger(path)
    settled = settle(entered, curves)
    columns = list(by)
    table = track_record(settled, columns).sort(
        ["forecasts", *(_in_order(name) for name in columns)], descending=[True, *[False] * len(columns)]
    )
    every = track_record(settled.with_columns(every=pl.lit(1)), ["every"]).drop("every")
    return LedgerRecord(len(entered), len(settled), table, every)


def _in_order(name: str) -> pl.Expr:
    """A column to sort by: horizons from the nearest, all else as it is."""
    return pl.col(name).cast(pl.Enum(BUCKETS)) if name == "horizon" else pl.col(name)


def _value(known: dict[Any, Curve], row: tuple[Any, ...]) -> float | None:
    *key, clock, unit = row
    curve = known.get(tuple(key))
    if curve is None or curve.clock_unit != unit or not len(curve):
        return None
    nearest = int(np.argmin(np.abs(curve.clock - clock)))
    close = abs(curve.clock[nearest] - clock) <= NEAR * max(clock, 1.0)
    return float(curve.values[nearest]) if close else None


def _lines(found: TableForecasts, made: str) -> list[dict[str, Any]]:
    lines = []
    for each in found.curves:
        context = each.context
        head = {
            "made": made, "version": __version__, **each.curve.key._asdict(),
            "clock_unit": each.curve.clock_unit, "context_clock": each.end, "n_seen": len(context),
            "seen": _fingerprint(context),
        }  # fmt: skip
        lines += [{**head, **line} for line in _answers(each)]
    return lines


def _answers(each: CurveForecast) -> list[dict[str, Any]]:
    return [
        {"forecaster": name, "clock": float(clock)}
        | {
            column: float(forecast.values[i, forecast.levels.index(level)])
            for column, level in QUANTILES.items()
            if level in forecast.levels
        }
        for name, forecast in each.answered.items()
        for i, clock in enumerate(forecast.horizons)
    ]


def _fingerprint(context: Curve) -> str:
    data = context.clock.tobytes() + context.values.tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


def _identity(line: dict[str, Any]) -> tuple[Any, ...]:
    asked = (line[name] for name in ("forecaster", "version", *KEY, "seen", "context_clock", "clock"))
    said = (line.get(name) for name in QUANTILES)
    return *asked, *(round(value, DIGITS) if isinstance(value, float) else str(value) for value in said)


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    """Add lines in one write, or none; a half line that a killed writer left is closed off first."""
    text = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)
    new = not path.exists()
    with path.open("ab+", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        half = False
        if end:
            stream.seek(end - 1)
            half = stream.read(1) != b"\n"
        left = memoryview((("\n" if half else "") + text).encode())
        try:
            while left:
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
        except BaseException:
            stream.truncate(end)
            if new:
                path.unlink()
            raise
