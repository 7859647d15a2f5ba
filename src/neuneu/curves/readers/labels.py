"""Names of columns in run logs: arc_easy_test_rc_5shot_bpb is a task, a variant, shots and a metric."""

import math
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from neuneu.curves.tasks import find_task, metric_names
from neuneu.errors import InputError


class Label(NamedTuple):
    """What a column measures; variant joins the format (rc, mc, var) and the split (val, test)."""

    task: str
    metric: str
    variant: str | None
    n_shot: int | None


def parse_label(label: str) -> Label | None:
    """The parts of <task>[_split][_format][_Nshot][_split]_<metric>; None where no known metric ends it."""
    found = _pattern().fullmatch(label)
    if found is None:
        return None
    variant = "_".join(filter(None, [found["format"], found["split"] or found["late_split"]]))
    shots = int(found["shots"]) if found["shots"] else None
    return Label(find_task(found["task"]).name, found["metric"], variant or None, shots)


def number_column(frame: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """A column of text as numbers; empty cells and NaN, which stand for not logged, become null.

    Raises InputError on text that is no number and on infinity.
    """
    column = frame[name]
    numbers = column.cast(pl.Float64, strict=False)
    blank = column.is_null() | (column.cast(pl.String).str.strip_chars() == "")
    for row in (numbers.is_null() & ~blank).arg_true().to_list()[:1]:
        raise InputError(f"must be a number (row {row + 1})", where=path, field=name, value=column[row])
    for row in numbers.is_infinite().fill_null(value=False).arg_true().to_list()[:1]:
        raise InputError(f"must be finite (row {row + 1})", where=path, field=name, value=math.inf)
    return numbers.fill_nan(None)


@cache
def _pattern() -> re.Pattern[str]:
    metrics = "|".join(map(re.escape, sorted(metric_names(), key=len, reverse=True)))
    return re.compile(
        r"(?P<task>.+?)(?:_(?P<split>val|test))?(?:_(?P<format>rc|mc|var))?(?:_(?P<shots>\d+)shot)?"
        rf"(?:_(?P<late_split>val|test))?_(?P<metric>{metrics})"
    )
