"""Curves that break a rule of rows, parted from those that do not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from neuneu.curves.columns import KEY
from neuneu.curves.curve import CurveKey
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError


class BrokenCurve(NamedTuple):
    """A curve that cannot be read as it stands, and why."""

    key: CurveKey
    error: InputError


def broken_in_words(broken: Sequence[BrokenCurve]) -> list[str]:
    """What is left out since it breaks a rule of rows and nobody asked for it, a line a curve."""
    return [f"left out: {error}" for _, error in broken]


def part_broken(frame: pl.DataFrame, where: str | Path) -> tuple[pl.DataFrame, list[BrokenCurve]]:
    """The rows of sound curves, and the curves that are not.

    frame: columns of the curve table with their types. Broken are curves with a value that is missing, not
    finite or outside the metric's range, a step that is missing or negative, and a step given twice.
    """
    metrics = {name: find_metric(name) for name in frame["metric"].drop_nulls().unique()}
    low, high = (
        pl.col("metric").replace_strict(ends, default=None, return_dtype=pl.Float64)
        for ends in ({n: m.low for n, m in metrics.items()}, {n: m.high for n, m in metrics.items()})
    )
    value, step = pl.col("value"), pl.col("step")
    rules = {
        "a value is missing": value.is_null(),
        "a value is not finite": ~value.is_finite(),
        "a value is outside the range of its metric; if these are percentages, divide by 100":
            value.is_finite() & ~value.is_between(low, high),
        "a step is missing": step.is_null(),
        "a step is negative": step < 0,
        "a step is given twice": pl.struct(*KEY, "step").is_duplicated() & step.is_not_null(),
    }  # fmt: skip
    checked = frame.with_columns(pl.lit(None, pl.String).alias("_rule"))
    for rule, bad in rules.items():
        told = pl.when(bad.fill_null(value=False)).then(pl.lit(rule)).otherwise(None)
        checked = checked.with_columns(pl.coalesce("_rule", told).alias("_rule"))
    curve_broken = pl.col("_rule").is_not_null().any().over(KEY)
    checked = checked.with_columns(curve_broken.alias("_broken"))
    firsts = checked.filter(pl.col("_rule").is_not_null()).unique(KEY, keep="first", maintain_order=True)
    broken = [
        BrokenCurve(CurveKey(*(row[name] for name in KEY)), _error(row, where))
        for row in firsts.iter_rows(named=True)
    ]
    return checked.filter(~pl.col("_broken")).drop("_rule", "_broken"), broken


def repeated_step(row: dict[str, Any], where: str | Path) -> InputError:
    """The error for a step that is given twice in a curve, with the way on."""
    rule = (
        f"given twice in run {row['run']!r}, task {row['task']!r}, metric {row['metric']!r}; "
        f"read it by `import table` with `keep` last (or first) to keep one of them"
    )
    return InputError(rule, where=where, field="step", value=row["step"])


def _error(row: dict[str, Any], where: str | Path) -> InputError:
    if row["_rule"] == "a step is given twice":
        return repeated_step(row, where)
    place = f" (run {row['run']!r}, task {row['task']!r}, step {row['step']})"
    return InputError(row["_rule"] + place, where=where, field="value", value=row["value"])
