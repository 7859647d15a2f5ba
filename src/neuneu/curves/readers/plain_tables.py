"""Tables: curve tables as they are, to be settled (`keep`) or renamed, and wide tables of papers.

A wide table has a row a checkpoint and a column a task; the metric is said by the user.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.columns import REQUIRED, normalise
from neuneu.curves.frames import read_frame
from neuneu.curves.readers.bulk import each_file
from neuneu.curves.readers.finishing import FILE
from neuneu.curves.readers.history import COLUMNS, STEP_COLUMNS, History, is_task_column, no_such_column
from neuneu.curves.readers.labels import parse_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.readers.run_names import name_files
from neuneu.errors import InputError
from neuneu.files import read_json

NO_METRIC = "its columns are tasks: `values_are` acc (or `metric` acc) says which metric they hold"


def _recognise(look: Look) -> Fit:
    rows = look.document
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    if set(REQUIRED) <= {*look.columns, *first}:
        return Fit.MARK
    tasks = any(is_task_column(name) for name in look.columns)
    named = any(parse_column(name) for name in look.columns)
    return Fit.SHAPE if tasks and not named and any(name in STEP_COLUMNS for name in look.columns) else Fit.NO


@reader(
    "table",
    "curve tables (CSV, Parquet, JSON), and wide tables of papers: a row a checkpoint, a column a task",
    names=["*.csv", "*.tsv", "*.parquet", "*.json"],
    recognise=_recognise,
    options=COLUMNS | {"values_are": "the metric of the values; primary_metric if not said."},
)
def read_table(
    files: Sequence[Path], given: Given, report: ReadReport, *, values_are: str | None = None, **asked: Any
) -> pl.DataFrame:
    """Read tables; a run is named by its column, else by the file. Columns of unknown tasks are skipped."""
    frames = dict(each_file(_tables(files, report), lambda path, _: read_frame(path), given, report, "table"))
    long = {path for path, frame in frames.items() if set(REQUIRED) <= set(frame.columns)}
    metric = values_are or (next(iter(given.metrics)) if len(given.metrics) == 1 else None)
    if metric is None and len(files) == 1 and not long:
        raise InputError(NO_METRIC, where=files[0])
    parts, names = [], name_files(files)
    for path, frame in frames.items():
        if path in long:
            named = _asked_columns(frame, path, asked)
            part = normalise(named, path, lenient=True).with_columns(pl.lit(str(path)).alias(FILE))
            parts.append(_whole_rows(part, path, report))
            report.read[str(path)] += len(parts[-1])
            continue
        if metric is None:
            report.skip(path, NO_METRIC)
            continue
        part = History(frame, path, names[path], "table", asked, metric, given, logged=False).rows(report)
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)


def _tables(files: Sequence[Path], report: ReadReport) -> list[Path]:
    """The files without the .json ones of a folder that hold no rows: most such files are no tables."""
    if len(files) == 1:
        return list(files)
    tables = []
    for path in files:
        if path.suffix != ".json" or isinstance(read_json(path), list):
            tables.append(path)
        else:
            report.skip(path, "no list of rows")
    return tables


def _asked_columns(frame: pl.DataFrame, path: Path, asked: Mapping[str, str]) -> pl.DataFrame:
    """The frame with the columns that the user names in place of run, step and tokens."""
    for option, column in asked.items():
        if column not in frame.columns:
            raise no_such_column(path, option, column, frame)
        frame = frame.with_columns(pl.col(column).alias(option.removesuffix("_column")))
    return frame


def _whole_rows(rows: pl.DataFrame, path: Path, report: ReadReport) -> pl.DataFrame:
    """Rows with all that is required; others are skipped and counted."""
    whole = pl.all_horizontal(pl.col(name).is_not_null() for name in REQUIRED) & pl.col("value").is_finite()
    kept = rows.filter(whole.fill_null(value=False))
    if len(kept) < len(rows):
        report.skip(path, "rows without a run, task, metric, step or finite value", len(rows) - len(kept))
    return kept
