"""Wide tables of papers: CSV with a row a checkpoint, a column a task; the metric is said by the user."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.history import COLUMNS, STEP_COLUMNS, History, is_task_column
from neuneu.curves.readers.labels import parse_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.errors import InputError

NO_METRIC = "its columns are tasks: --values-are acc (or --metric acc) says which metric they hold"


def _recognise(look: Look) -> Fit:
    tasks = any(is_task_column(name) for name in look.columns)
    named = any(parse_column(name) for name in look.columns)
    return Fit.SHAPE if tasks and not named and any(name in STEP_COLUMNS for name in look.columns) else Fit.NO


@reader(
    "table",
    "wide tables of papers (CSV): a row a checkpoint, a column a task",
    names=["*.csv"],
    recognise=_recognise,
    options=COLUMNS | {"values_are": "the metric of the values; primary_metric if not said."},
)
def read_table(
    files: Sequence[Path], given: Given, report: ReadReport, *, values_are: str | None = None, **asked: Any
) -> pl.DataFrame:
    """Read tables; a run is named by its column, else by the file. Columns of unknown tasks are skipped."""
    metric = values_are or (next(iter(given.metrics)) if len(given.metrics) == 1 else None)
    if metric is None and len(files) == 1:
        raise InputError(NO_METRIC, where=files[0])
    parts = []
    for path in files:
        if metric is None:
            report.skip(path, NO_METRIC)
            continue
        part = History(read_frame(path), path, path.stem, "table", asked, metric, given, logged=False).rows(
            report
        )
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)
