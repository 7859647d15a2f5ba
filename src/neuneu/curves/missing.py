"""The usual words for a value that is not there."""

import polars as pl

WORDS = ("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "–", "?", "missing")
"""Cells that say that there is no value, in lower case."""


def blank_missing(column: pl.Series) -> pl.Series:
    """A column of text with null where a cell says that there is no value; other columns as they are."""
    if column.dtype != pl.String:
        return column
    plain = column.str.strip_chars().str.to_lowercase()
    return pl.select(pl.when(~plain.is_in(WORDS)).then(column).alias(column.name)).to_series()
