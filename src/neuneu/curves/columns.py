"""The columns of the curve table: their types, and any frame brought to them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from neuneu.curves.missing import blank_missing
from neuneu.curves.tasks import find_task
from neuneu.errors import InputError

SCHEMA: dict[str, pl.DataType] = {
    "run": pl.String(), "task": pl.String(), "metric": pl.String(), "n_shot": pl.Int64(),
    "variant": pl.String(), "step": pl.Int64(), "value": pl.Float64(), "tokens": pl.Int64(),
    "flops": pl.Float64(), "stderr": pl.Float64(), "n_items": pl.Int64(), "chance": pl.Float64(),
    "source": pl.String(), "family": pl.String(), "params": pl.Int64(), "recipe": pl.String(),
    "seed": pl.String(), "planned_tokens": pl.Int64(), "schedule": pl.String(), "members": pl.String(),
    "conditions": pl.String(),
}  # fmt: skip
"""Every column of the table, in order, with its type. members: of a group of tasks (`groups.members_text`);
conditions: how it was evaluated, as far as that is no part of the key (`conditions.conditions_text`)."""

REQUIRED = ("run", "task", "metric", "step", "value")
KEY = ("run", "task", "metric", "n_shot", "variant")
FILLED = ("chance", "n_items", "members", "conditions")
"""Columns that may differ between two copies of one row: what only one of two files knows."""

RENAMED = {"data_recipe": "recipe", "chance_level": "chance"}
COLUMNS = frozenset((*SCHEMA, *RENAMED))
"""All that is read of a file; others are not even unpacked."""

MAX_WHOLE = 2.0**63 - 1024
"""Whole numbers up to here survive their way through a float column."""

_FLOAT = pl.Float64()
KINDS: dict[pl.DataType, str] = {pl.Int64(): "a whole number", pl.Float64(): "a number", pl.String(): "text"}
"""Types in words that a user knows."""


def check_columns(columns: Sequence[str], where: str | Path) -> None:
    """Raise InputError where a required column is missing."""
    for name in REQUIRED:
        if name not in columns:
            rule = f"the column is missing; columns here: {', '.join(columns)}"
            raise InputError(rule, where=where, field=name)


def normalise(frame: pl.DataFrame, where: str | Path, *, lenient: bool = False) -> pl.DataFrame:
    """The columns of SCHEMA, in order, with their types and canonical task names; rows are not checked.

    The usual words for a missing value are missing in optional columns. lenient: what is no number is
    missing everywhere, for callers that find such rows broken.
    Raises InputError where a required column is missing or a value is not of its column's type.
    """
    frame = frame.rename(
        {old: new for old, new in RENAMED.items() if old in frame.columns and new not in frame.columns}
    )
    check_columns(frame.columns, where)
    frame = frame.select(
        _cast(frame[name], kind, where, lenient=lenient)
        if name in frame.columns
        else pl.lit(None, dtype=kind).alias(name)
        for name, kind in SCHEMA.items()
    )
    aliases = {name: find_task(name).name for name in frame["task"].drop_nulls().unique()}
    renamed = {old: new for old, new in aliases.items() if old != new}
    return frame.with_columns(pl.col("task").replace(renamed)) if renamed else frame


def _cast(column: pl.Series, kind: pl.DataType, where: str | Path, *, lenient: bool) -> pl.Series:
    """A column as its type. Raises InputError with the row of the first value that is none such."""
    name = column.name
    if name not in REQUIRED or lenient:
        column = blank_missing(column) if kind.is_numeric() else column
    if column.dtype == pl.Boolean and kind != pl.String():
        raise InputError(f"must be {KINDS[kind]}, not true or false", where=where, field=name)
    if name == "variant":
        column = column.cast(pl.String).replace("", None)
    try:
        found = column.cast(kind if kind != pl.Int64() else _FLOAT, strict=False)
        if kind == pl.Int64():
            found = _whole(column, found, where, lenient=lenient)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"must be {KINDS[kind]}, not {column.dtype}", where=where, field=name) from error
    bad = (column.is_not_null() & found.is_null()).arg_true()
    if len(bad) and not (lenient or (kind == pl.Int64() and column.dtype.is_float())):
        row = bad[0]
        rule = f"must be {KINDS[kind]} (row {row + 1})"
        raise InputError(rule, where=where, field=name, value=column[row])
    return found.alias(name)


def _whole(column: pl.Series, numbers: pl.Series, where: str | Path, *, lenient: bool) -> pl.Series:
    """Whole numbers: as they are where they are written so, since a float would round large ones."""
    numbers = numbers.fill_nan(None)
    bad = ((numbers != numbers.round(0)) | (numbers.abs() > MAX_WHOLE)).fill_null(value=False)
    if bad.any() and not lenient:
        row = bad.arg_true()[0]
        rule = f"must be a whole number (row {row + 1})"
        raise InputError(rule, where=where, field=column.name, value=column[row])
    exact = column.cast(pl.Int64, strict=False)
    rounded = numbers.round(0).cast(pl.Int64, strict=False)
    found = pl.DataFrame({"exact": exact, "rounded": rounded, "bad": bad})
    return found.select(pl.when(~pl.col("bad")).then(pl.coalesce("exact", "rounded")).alias(column.name))[
        :, 0
    ]
