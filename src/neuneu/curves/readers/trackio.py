"""trackio's projects: PROJECT.db (SQLite), a row a moment, its values JSON; and its exports."""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.history import COLUMNS, History
from neuneu.curves.readers.json_lines import flat, text_frame
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.errors import InputError
from neuneu.files import parse_json, read_bytes, refuse_library_errors

MAGIC = b"SQLite format 3\0"
EXPORTED = {"run_name", "step", "timestamp"}
"""Columns of an export besides the values."""

RUN, STEP = "trackio run", "step"
LOG = "-wal"
"""Ends the name of the file beside a database with what was written last; a copy takes it along."""

MAX_BYTES = 2**30
"""Largest database: a million moments of fifty values."""

SHORT = 8
"""Letters of a run's id that part runs of one name."""


def _recognise(look: Look) -> Fit:
    if look.path.suffix == ".parquet":
        return Fit.MARK if set(look.columns) >= EXPORTED else Fit.NO
    return Fit.MARK if look.start.startswith(MAGIC) and _read_database(look.path) is not None else Fit.NO


@reader(
    "trackio",
    "trackio's projects (PROJECT.db) and their Parquet exports",
    names=["*.db", "*.parquet"],
    recognise=_recognise,
    options={name: text for name, text in COLUMNS.items() if name == "tokens_column"},
)
def read_trackio(files: Sequence[Path], given: Given, report: ReadReport, **asked: Any) -> pl.DataFrame:
    """Read projects; a run has its own name, and the start of its id where another has the name too."""
    parts = []
    for path in files:
        frame = _read_export(path) if path.suffix == ".parquet" else _read_database(path)
        if frame is None:
            report.skip(path, "no project of trackio")
            continue
        columns = {"run_column": RUN, "step_column": STEP, **asked}
        part = History(frame, path, path.stem, "trackio", columns, given=given).rows(report)
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)


def _read_export(path: Path) -> pl.DataFrame | None:
    frame = read_frame(path)
    if not set(frame.columns) >= EXPORTED:
        return None
    ids = frame["run_id"] if "run_id" in frame.columns else frame["run_name"]
    runs = _names(frame["run_name"].to_list(), ids.to_list())
    return frame.drop("timestamp", "run_name", "run_id", strict=False).with_columns(pl.Series(RUN, runs))


def _read_database(path: Path) -> pl.DataFrame | None:
    """The moments of a project, None of another database; a copy is opened, so nothing is written."""
    with tempfile.TemporaryDirectory() as place, refuse_library_errors(path, "an SQLite database"):
        for end in ("", LOG):
            beside = path.with_name(path.name + end)
            if not end or (beside.is_file() and beside.stat().st_size):
                Path(place, f"copy{end}").write_bytes(read_bytes(beside, MAX_BYTES))
        connection = sqlite3.connect(Path(place, "copy"))
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            rows = list(_rows(connection))
        finally:
            connection.close()
    if not rows:
        return None
    names = _names([row[0] for row in rows], [row[1] for row in rows])
    moments = []
    for name, (_, _, step, values) in zip(names, rows, strict=True):
        text = values.decode("utf-8", errors="replace") if isinstance(values, bytes) else str(values)
        document = parse_json(text, path)
        if not isinstance(document, dict):
            raise InputError("must be an object", where=path, field="metrics", value=text[:100])
        moments.append({**flat(document), RUN: name, STEP: step})
    return text_frame(moments)


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[str, str, int, Any]]:
    """(run, its id, step, values) in the order logged; none where there is no table of metrics."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(metrics)")}
    if not {"run_name", "step", "metrics"} <= columns:
        return
    run_id = "run_id" if "run_id" in columns else "run_name"
    yield from connection.execute(f"SELECT run_name, {run_id}, step, metrics FROM metrics ORDER BY rowid")


def _names(runs: Sequence[Any], ids: Sequence[Any]) -> list[str]:
    """Names of runs; where one name has several ids, with the start of the id."""
    known: dict[str, set[str]] = {}
    for run, identity in zip(runs, ids, strict=True):
        known.setdefault(str(run), set()).add(str(identity))
    return [
        str(run) if len(known[str(run)]) == 1 else f"{run}-{str(identity)[:SHORT]}"
        for run, identity in zip(runs, ids, strict=True)
    ]
