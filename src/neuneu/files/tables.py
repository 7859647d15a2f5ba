"""Tables of other people's files, as they stand: Parquet, CSV and JSON, bounded before they are unpacked."""

import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from neuneu.errors import InputError, TooLargeError, some_of
from neuneu.files.apart import schema_of, unpack
from neuneu.files.documents import read_json
from neuneu.files.parquet import read_footer
from neuneu.files.reading import MAX_LINE, check_file, near_files, open_file, refuse_library_errors, size_text

_PACKED_STARTS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
"""How gzip, zstd and zlib files begin: Polars would unpack them without a limit."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Ending of a table of texts → what stands between its cells."""

_ENDINGS = ".parquet, .csv, .tsv or .json"
_TABLES = (".parquet", ".csv", ".tsv")
"""Endings of files of a folder that are likely to be meant as tables: evaluations come as .json, too."""


@dataclass(frozen=True)
class TableLimits:
    """What a table may hold; a page on the network asks less than a person at their own machine."""

    rows: int = 20_000_000
    """Ten times the largest table that is measured (benchmarks/large.py)."""

    unpacked: int = 4 * 2**30
    """Bytes of all columns that are read, as the footer tells them."""

    columns: int = 20_000
    """Several times those of a run's history with every metric of every task; each takes memory and time."""

    cell: int = 2**20
    """Bytes of one text."""

    text: int = 2 * 2**30
    """Bytes of one text column, each row counted: a dictionary stores a long text once for all rows."""


LIMITS = TableLimits()

_LIMITS: ContextVar[TableLimits] = ContextVar("limits", default=LIMITS)


@contextmanager
def tables_within(limits: TableLimits) -> Iterator[None]:
    """Tables that are read in the block, by whatever reader, hold at most this."""
    before = _LIMITS.set(limits)
    try:
        yield
    finally:
        _LIMITS.reset(before)


def read_frame(
    path: str | Path,
    columns: Collection[str] | None = None,
    limits: TableLimits | None = None,
    nested: Collection[str] = (),
) -> pl.DataFrame:
    """A .parquet, .csv, .tsv or .json (a list of objects) file as it stands; columns of texts stay text.

    columns: those that matter; of a Parquet file no others are unpacked; nested: those that may hold lists
    and objects. Raises
    InputError on anything else than such a file and on other nested columns, TooLargeError beyond `limits`
    (those of `tables_within` where None), each before the whole is unpacked.
    """
    path, limits = Path(path), limits or _LIMITS.get()
    readers: dict[str, Callable[[], pl.DataFrame]] = {
        ".parquet": lambda: read_parquet(path, columns, limits, nested),
        **{ending: lambda: read_csv(path, limits) for ending in SEPARATORS},
        ".json": lambda: _read_json(path, columns, limits, nested),
    }
    ending = path.suffix.lower()
    if ending not in readers or not path.exists():
        raise InputError(_no_table(path), where=path)
    check_file(path)
    return readers[ending]()


def _no_table(path: Path) -> str:
    """What a path is that names no table, and what to do about it."""
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.suffix in _TABLES)
        held = f"is a folder that holds {some_of(inside)}: name one; or" if inside else "is a folder:"
        return f"{held} {_import(path)}"
    if not path.exists():
        what = "file" if path.suffix else "file or folder"
        near = near_files(path)
        if "did you mean" in near:
            return f"no such {what}{near}"
        return f"no such {what}{near}; curve tables end in {_ENDINGS}; {_import('RESULTS')}"
    return f"tables end in {_ENDINGS}; {_import(path)}"


def _import(path: Path | str) -> str:
    """What makes a curve table of what is none."""
    return (
        f"`neuneu import auto {shlex.quote(str(path))} -o curves.parquet` makes a curve table of evaluation "
        "results"
    )


def read_parquet(
    path: str | Path,
    columns: Collection[str] | None = None,
    limits: TableLimits | None = None,
    nested: Collection[str] = (),
) -> pl.DataFrame:
    """A Parquet file's plain columns. Raises as `read_frame`; a nested column is refused by its name."""
    path, limits = check_file(path), limits or _LIMITS.get()
    with refuse_library_errors(path, "parquet"):
        rows, sizes = read_footer(path)
        _check_rows(rows, limits, path)
        schema = schema_of(path)
        _check_columns(len(schema), limits, path)
        names = [name for name in schema if columns is None or name in columns]
        for name in names:
            if (schema[name].is_nested() or schema[name] == pl.Binary) and name not in nested:
                raise InputError(f"must be text or numbers, not {schema[name]}", where=path, field=name)
        unpacked = sum(size for name, size in sizes.items() if columns is None or name in names)
        if unpacked > limits.unpacked:
            raise TooLargeError(
                f"unpacks to {size_text(unpacked)}, more than {size_text(limits.unpacked)}", where=path
            )
        parts = []
        for name in names:  # one by one: a column that is too large is refused before the next is unpacked
            part = unpack(path, [name], unpacked=sizes.get(name, 0), n_rows=rows)
            _check_text(part[name], limits, path)
            parts.append(part[name])
        return pl.DataFrame(parts) if parts else pl.DataFrame()


def parquet_columns(path: str | Path) -> tuple[str, ...]:
    """Names of a Parquet file's columns. Raises InputError where it is none."""
    path = check_file(path)
    read_footer(path)
    with refuse_library_errors(path, "parquet"):
        return tuple(schema_of(path))


def parquet_batches(
    path: str | Path, columns: Sequence[str], rows: int, limits: TableLimits | None = None
) -> Iterator[pl.DataFrame]:
    """Frames of up to `rows` rows of these columns, in order. Raises as `parquet_columns`.

    The columns may hold more than memory; a row group and a cell may not.
    """
    path, limits = check_file(path), limits or _LIMITS.get()
    n_rows, sizes = read_footer(path)
    with refuse_library_errors(path, "parquet"):
        unpacked = min(sum(sizes.get(name, 0) for name in columns), limits.unpacked)
        start = 0
        while start < n_rows:
            part = unpack(path, columns, unpacked=unpacked, n_rows=rows, start=start, rows=rows)
            if not len(part):
                raise InputError("holds fewer rows than its footer tells", where=path)
            for column in part:
                _check_text(column, limits, path)
            yield part
            start += len(part)


def read_csv(path: str | Path, limits: TableLimits | None = None) -> pl.DataFrame:
    """A CSV file (.tsv: tabs between cells), every column as text.

    Raises as `read_frame`, and where a column is given twice.
    """
    path, limits = Path(path), limits or _LIMITS.get()
    with open_file(path) as stream:
        if stream.peek(4).startswith(_PACKED_STARTS):  # type: ignore[attr-defined]
            raise InputError("is compressed; unpack it first", where=path)
        separator = SEPARATORS.get(path.suffix.lower(), ",")
        first = next((line for line in iter(lambda: stream.readline(MAX_LINE), b"") if line.strip()), b"")
        _check_columns(first.count(separator.encode()) + 1, limits, path)
        stream.seek(0, 2)
        if stream.tell() > limits.unpacked:
            raise TooLargeError(f"is larger than {size_text(limits.unpacked)}", where=path)
    with refuse_library_errors(path, "csv"):
        frame = pl.read_csv(path, infer_schema=False, glob=False, separator=separator)
        for name in frame.columns:
            if "_duplicated_" in name:
                raise InputError("a column is given twice", where=path, field=name.split("_duplicated_")[0])
        _check_rows(len(frame), limits, path)
        for column in frame:
            _check_text(column, limits, path)
        return frame


def _read_json(
    path: Path, columns: Collection[str] | None, limits: TableLimits, nested: Collection[str]
) -> pl.DataFrame:
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"must be a list of objects, one a row; {_import(path)}", where=path)
    _check_rows(len(rows), limits, path)
    _check_columns(len(set(chain.from_iterable(rows))), limits, path)
    for number, row in enumerate(rows, 1):
        for name, value in row.items():
            if isinstance(value, dict | list) and name not in nested and (columns is None or name in columns):
                raise InputError(
                    "must be text or a number", where=f"{path}, row {number}", field=name, value=value
                )
    with refuse_library_errors(path, "json"):
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)


def _check_rows(rows: int, limits: TableLimits, path: Path) -> None:
    if rows > limits.rows:
        raise TooLargeError(f"has {rows:,} rows, more than {limits.rows:,}", where=path)


def _check_columns(columns: int, limits: TableLimits, path: Path) -> None:
    if columns > limits.columns:
        raise TooLargeError(f"has {columns:,} columns, more than {limits.columns:,}", where=path)


def _check_text(column: pl.Series, limits: TableLimits, path: Path) -> None:
    """TooLargeError where a text column has a cell, or all its cells together, beyond the limits."""
    if column.dtype not in (pl.String, pl.Binary, pl.Categorical):
        return
    text = column.cast(pl.String) if column.dtype == pl.Categorical else column
    lengths = text.str.len_bytes() if text.dtype == pl.String else text.bin.size()
    longest = lengths.max()
    if isinstance(longest, int) and longest > limits.cell:
        raise TooLargeError(
            f"holds a text longer than {size_text(limits.cell)}", where=path, field=column.name
        )
    if int(lengths.cast(pl.Int64).sum()) > limits.text:
        raise TooLargeError(
            f"holds more than {size_text(limits.text)} of text", where=path, field=column.name
        )
