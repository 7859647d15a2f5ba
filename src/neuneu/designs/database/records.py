"""Strings → typed, checked rows of the design tables; every refusal names file, row, field, value and
rule."""

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs.database.aliases import PLACEHOLDERS
from neuneu.designs.database.schema import MAX_ID, PROVENANCE, SOURCES, TABLES, Column, Table, metric_range
from neuneu.errors import InputError, check_known
from neuneu.files import FORMULA, MAX_LINE, check_file, open_text, sha256_of
from neuneu.files.tables import read_csv

_DATE = r"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$"
_DATE_RULE = "must be an ISO date, such as 2023-02-27"


@dataclass(frozen=True)
class NewRows:
    """Rows to put into a store: table name → frame, and where they come from.

    Frames hold the key columns, any of the value columns, `source` and `line`. aliases: table of aliases →
    its rows, where an export brings some.
    """

    tables: dict[str, pl.DataFrame]
    sources: pl.DataFrame
    aliases: dict[str, pl.DataFrame] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.tables.values()))


def merge_batches(batches: Sequence[NewRows]) -> NewRows:
    """Several batches as one; rows of the same key in two of them must agree, or are refused."""
    tables: dict[str, pl.DataFrame] = {}
    for name in TABLES:
        frames = [batch.tables[name] for batch in batches if name in batch.tables]
        if frames:
            tables[name] = check_rows(TABLES[name], pl.concat(frames, how="diagonal"))
    sources = pl.concat([batch.sources for batch in batches]).unique(
        "source", keep="first", maintain_order=True
    )
    return NewRows(tables, sources)


def rename_models(batch: NewRows, names: Mapping[str, str]) -> NewRows:
    """The batch with models called by other ids: {as the files call them: id}.

    Rows that then say the same are one; InputError where they differ, or where no row is called so.
    """
    known = {name for frame in batch.tables.values() for name in frame["id"]}
    for name in names:
        check_known(name, sorted(known), "name", "no model of these files")
    tables = {}
    for table, frame in batch.tables.items():
        renamed = frame.with_columns(pl.col("id").replace(dict(names)))
        tables[table] = check_rows(TABLES[table], renamed)
    return replace(batch, tables=tables)


@contextmanager
def errors_in(path: Path) -> Iterator[None]:
    """Errors that name no place name this file."""
    try:
        yield
    except InputError as error:
        if error.where is not None:
            raise
        raise InputError(error.rule, where=path, field=error.field, value=error.value) from error


def object_at(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under a key, empty if there is none; InputError where something else is."""
    found = document.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError("must be an object", field=name, value=found)
    return found


def source_row(path: Path, kind: str, *, revision: object = None, date: object = None) -> pl.DataFrame:
    """One row of the table sources; the name carries the start of the file's SHA-256, so that versions
    differ."""
    digest = sha256_of(path)
    texts = (None if value is None else str(value) for value in (revision, date))
    values = (f"{path.name}@{digest[:12]}", kind, digest, *texts)
    return pl.DataFrame(
        {name: [value] for name, value in zip(SOURCES, values, strict=True)}, schema=_SOURCE_SCHEMA
    )


_SOURCE_SCHEMA = dict.fromkeys(SOURCES, pl.String())


def read_text_csv(path: str | Path) -> pl.DataFrame:
    """A CSV as text: header, then records of the same length; empty cells are null.

    Raises InputError on a missing or huge file, ragged records, repeated column names and bytes that are
    not UTF-8.
    """
    path = Path(path)
    with open_text(check_file(path)) as file:
        header = file.readline(MAX_LINE).rstrip("\r\n").split(",")
    _check_records(path)
    names = [name.strip().strip('"') for name in header]
    if sum(name.count('"') for name in header) % 2:
        raise InputError("column names must not hold line breaks", where=path)
    for name in names:
        if not name or names.count(name) > 1:
            raise InputError("column names must be given, and once", where=path, field="column", value=name)
    frame = read_csv(path)
    if len(frame.columns) != len(names):
        raise InputError(f"has {len(frame.columns)} columns, not the header's {len(names)}", where=path)
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _check_records(path: Path) -> None:
    """InputError at the first record that has not as many fields as the header, or a quote without end."""
    number = 0
    try:
        with open_text(path) as file:
            records = csv.reader(file, strict=True)
            width = len(next(records, []))
            for number, record in enumerate(records, 1):
                if record and len(record) != width:
                    raise InputError(
                        f"has {len(record)} fields, not {width}", where=f"{path}, record {number}"
                    )
    except csv.Error as error:
        raise InputError(f"not a CSV table: {error}", where=f"{path}, record {number + 1}") from error


def read_names(path: Path, columns: Sequence[str], key: int) -> pl.DataFrame:
    """A CSV of names, as exports have beside their tables; the first `key` columns are given, and once."""
    text = read_text_csv(path)
    if text.columns != list(columns):
        raise InputError(f"columns must be {', '.join(columns)}", where=path)
    text = text.with_columns(pl.int_range(1, len(text) + 1, dtype=pl.Int64).alias("line"))
    for name in columns[: key if "sha256" in columns else len(columns)]:
        check_names(text, name, path)
    twice = pl.struct(columns[:key]).is_duplicated()
    _refuse(text, twice, columns[0], "must not be given twice", path)
    return text.drop("line")


def read_provenance(text: pl.DataFrame, sources: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The columns source and line of an own export's table, as stored."""
    for column in PROVENANCE:
        if column.name not in text.columns:
            raise InputError("column needed", where=path, field="column", value=column.name)
    frame = pl.DataFrame([cast_column(text[column.name], column, path) for column in PROVENANCE])
    unknown = pl.col("source").is_null() | ~pl.col("source").is_in(sources["source"].to_list())
    bad = pl.col("line").is_null() | (pl.col("line") < 1)
    for name, wrong, rule in (("source", unknown, "not in sources.csv"), ("line", bad, "must be at least 1")):
        record = frame.select(wrong.arg_true()).to_series()
        if len(record):
            where, value = f"{path}, record {record[0] + 1}", frame[name][record[0]]
            raise InputError(rule, where=where, field=name, value=value)
    return frame


def typed_rows(table: Table, text: pl.DataFrame, path: Path, source: str) -> pl.DataFrame:
    """Text columns → the types of the table, with `source` and `line`; −1 where it stands for missing → null.

    `text` holds the key columns and any of the others; unknown columns are refused.
    """
    check_columns(table, text.columns, path)
    columns = [cast_column(text[name], table.column(name), path) for name in text.columns]
    frame = pl.DataFrame(columns).with_columns(
        pl.lit(source).alias("source"), pl.int_range(1, len(text) + 1, dtype=pl.Int64).alias("line")
    )
    return check_rows(table, frame, path)


def frame_rows(table: Table, frame: pl.DataFrame, source: str) -> NewRows:
    """Rows made in Python → a batch: the key columns and any of the others, of any type that fits.

    source: a name that says where they come from. −1 is missing where it stands for that, as in files.
    """
    check_columns(table, frame.columns, Path(source))
    try:
        typed = frame.cast({name: table.column(name).dtype for name in frame.columns})
    except pl.exceptions.PolarsError as error:
        raise InputError(str(error).splitlines()[0], where=source) from error
    codes = [c.name for c in table.columns if c.missing_code and c.name in typed.columns]
    typed = typed.with_columns(pl.when(pl.col(name) != -1).then(pl.col(name)) for name in codes)
    digest = hashlib.sha256(typed.write_csv().encode()).hexdigest()
    name = f"{source}@{digest[:12]}"
    known = pl.DataFrame([(name, "frame", digest, None, None)], schema=_SOURCE_SCHEMA, orient="row")
    line = pl.int_range(1, len(typed) + 1, dtype=pl.Int64).alias("line")
    rows = typed.with_columns(pl.lit(name).alias("source"), line)
    return NewRows({table.name: check_rows(table, rows, Path(source))}, known)


def check_columns(table: Table, names: Sequence[str], path: Path) -> None:
    """InputError where a column is no column of the table, or one of its key is missing."""
    unknown = [name for name in names if name not in {c.name for c in table.columns}]
    missing = [name for name in table.key if name not in names]
    if unknown or missing:
        problem = f"unknown column of {table.name}" if unknown else f"column needed by {table.name}"
        raise InputError(problem, where=path, field="column", value=(unknown or missing)[0])


def check_rows(table: Table, frame: pl.DataFrame, path: Path | None = None) -> pl.DataFrame:
    """The frame itself if keys are present and unique, ids are plausible and values inside their ranges."""
    for name in table.key:
        check_names(frame, name, path)
    for column in table.values:
        if column.name in frame.columns and column.type in ("DOUBLE", "INTEGER", "BIGINT"):
            inside = pl.col(column.name).is_between(column.low, column.high) & pl.col(column.name).is_finite()
            _refuse(frame, ~inside, column.name, _range_rule(column.low, column.high), path)
        elif column.name in frame.columns and column.type == "VARCHAR":
            _refuse(frame, pl.col(column.name).str.len_chars() > 100_000, column.name, "too long", path)
            if column.name == "released":
                _refuse(frame, ~pl.col(column.name).str.contains(_DATE), column.name, _DATE_RULE, path)
    if table.name == "evaluation_results" and "metric_value" in frame.columns:
        for metric in frame["metric"].unique().to_list():
            low, high = metric_range(metric)
            outside = (pl.col("metric") == metric) & ~pl.col("metric_value").is_between(low, high)
            _refuse(frame, outside, "metric_value", f"{metric} must be {_range_rule(low, high)[8:]}", path)
    twice = pl.struct(table.key).is_duplicated()
    distinct = frame.unique(
        [c for c in frame.columns if c not in ("source", "line")], keep="first", maintain_order=True
    )
    _refuse(distinct, twice, table.key[0], f"the same ({', '.join(table.key)}) must not be given twice", path)
    return distinct


def cast_column(series: pl.Series, column: Column, path: Path) -> pl.Series:
    """Text → the type of the column; missing codes and NaN → null. Others are refused by their record."""
    text = series.str.strip_chars()
    text = text.set(text == "", None)
    if column.type == "VARCHAR":
        return text
    if column.type == "BOOLEAN":
        lower = text.str.to_lowercase()
        values = lower.replace_strict({"true": True, "false": False, "1": True, "0": False}, default=None)
        rule = "must be true or false"
        values = values.cast(pl.Boolean)
    else:
        text = text.set(
            (text.str.to_lowercase() == "nan").fill_null(False), None
        )  # harnesses write NaN for "none"
        values = text.cast(pl.Float64, strict=False)
        rule = "must be a finite number"
        values = values.set(~values.is_finite().fill_null(True), None)
    bad = (text.is_not_null() & values.is_null()).arg_true()
    if len(bad):
        row = int(bad[0])
        raise InputError(rule, where=f"{path}, record {row + 1}", field=column.name, value=text[row])
    if column.missing_code:
        values = values.set((values == -1).fill_null(False), None)
    if column.type in ("INTEGER", "BIGINT"):
        fraction = (values != values.round()).fill_null(False) | (values.abs() > 2**53).fill_null(False)
        if fraction.any():
            row = int(fraction.arg_true()[0])
            raise InputError(
                "must be a whole number",
                where=f"{path}, record {row + 1}",
                field=column.name,
                value=text[row],
            )
        return values.cast(pl.Int64)
    return values


def check_names(frame: pl.DataFrame, name: str, path: Path | None = None) -> None:
    """InputError where a name is missing, too long or holds control characters, or a setting is none."""
    text = pl.col(name)
    _refuse(frame, text.is_null() | (text.str.len_chars() == 0), name, "must not be empty", path)
    _refuse(frame, text.str.len_chars() > MAX_ID, name, f"longer than {MAX_ID} characters", path)
    _refuse(frame, text.str.contains(r"\p{Cc}"), name, "must not hold control characters", path)
    rule = "must not begin with =, +, - or @, which spreadsheets run"
    _refuse(frame, text.str.contains(FORMULA), name, rule, path)
    if name == "setting":
        _refuse(frame, ~text.str.contains(r"^[0-9]{1,4}-shot$"), name, 'must read like "5-shot"', path)


def drop_placeholders(frame: pl.DataFrame) -> pl.DataFrame:
    """Without the rows whose id names no model (model_name, none, …)."""
    return frame.filter(~pl.col("id").str.to_lowercase().is_in(list(PLACEHOLDERS)))


def _refuse(frame: pl.DataFrame, bad: pl.Expr, field: str, rule: str, path: Path | None) -> None:
    rows = frame.filter(bad.fill_null(False))
    if rows.is_empty():
        return
    line = rows["line"][0] if "line" in rows.columns else None
    where = path if path is not None else (rows["source"][0] if "source" in rows.columns else None)
    raise InputError(
        rule, where=where if line is None else f"{where}, record {line}", field=field, value=rows[field][0]
    )


def _range_rule(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "must be finite"
    if math.isinf(high):
        return f"must be finite and at least {low:g}"
    return f"must be from {low:g} to {high:g}"


def empty_rows(table: Table) -> pl.DataFrame:
    """No rows, all columns."""
    return pl.DataFrame(schema=table.polars_schema)
