"""Documents of any size, a block at a time: JSONL (also .gz, .zst), CSV and Parquet in."""

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError
from neuneu.files import MAX_LINE, check_file, open_text, parse_json, read_lines, sha256_of
from neuneu.files.parquet import read_footer, read_note
from neuneu.files.tables import TableLimits, parquet_batches, parquet_columns
from neuneu.progress import heard

TEXT_COLUMNS = ("text", "content")
BLOCK = 2_000
"""Documents a block."""
BLOCK_BYTES = 8_000_000
"""Bytes of JSON a block, but for its last document."""

MAX_CELL = 16_000_000
"""Longest cell of a CSV, in characters."""

_LIMITS = TableLimits(cell=MAX_LINE)

_SCHEMA = {"id": pl.String, "text": pl.String, "lang": pl.String, "url": pl.String}
_COLUMNS = ("id", "doc_id", "lang", "url", "resps", *TEXT_COLUMNS)


def read_blocks(path: str | Path, *, size: int = BLOCK, limit: int | None = None) -> Iterator[pl.DataFrame]:
    """Blocks of at most `size` documents: columns id, text, and lang and url where there is one.

    Text is `text`, `content`, or the first answer of an evaluation log (`resps[0][0]`); a missing id is
    the running number. Raises InputError naming the line of a record that is no document.
    """
    path, start = Path(path), 0
    for records in read_records(path, size=size, limit=limit, columns=_COLUMNS):
        yield _block([_document(record, start + i, path) for i, record in enumerate(records)], start, path)
        start += len(records)


def read_records(
    path: str | Path,
    *,
    size: int = BLOCK,
    limit: int | None = None,
    columns: Collection[str] | None = None,
) -> Iterator[list[Any]]:
    """Blocks of at most `size` records with all their fields, of Parquet only these columns."""
    path = Path(path)
    check_file(path, empty=True)
    if limit is not None and limit < 1:
        raise InputError("must be at least 1", field="limit", value=limit)
    readers = {".parquet": lambda: _parquet(path, size, columns), ".csv": lambda: _csv(path, size)}
    start = 0
    for block in readers.get(path.suffix, lambda: _lines(path, size))():
        records = block if limit is None else block[: limit - start]
        if not records:
            return
        yield records
        start += len(records)


def expected(path: str | Path, limit: int | None = None) -> int | None:
    """How many documents a file holds, counted without parsing them.

    None where nobody listens, and of a CSV, whose records only a parser can tell.
    """
    path = Path(path)
    if not heard() or path.suffix == ".csv":
        return None
    n_rows = read_footer(path)[0] if path.suffix == ".parquet" else sum(1 for _ in read_lines(path))
    return n_rows if limit is None else min(limit, n_rows)


SOURCE = "neuneu.source"
"""Where the metadata of a file that `tag` wrote say which documents it is of."""


def source_digest(path: str | Path) -> str:
    """What tells one version of documents from another: of what `tag` wrote that of its own source."""
    known = read_note(path, SOURCE) if Path(path).suffix == ".parquet" else None
    return known or sha256_of(path)


def document_id(record: Any, number: int) -> str:
    """The id of a record, or its running number."""
    name = record.get("id", record.get("doc_id")) if isinstance(record, dict) else None
    return str(number if name is None else name)


def _block(rows: list[tuple[str, str, str | None, str | None]], start: int, path: Path) -> pl.DataFrame:
    try:
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    except UnicodeEncodeError as error:
        number = next(i for i, row in enumerate(rows) if not _encodes("".join(filter(None, row))))
        raise InputError(
            "holds half a surrogate pair, which is no character",
            where=f"{path}, document {start + number + 1}",
        ) from error


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lines(path: Path, size: int) -> Iterator[list[Any]]:
    records: list[Any] = []
    held = 0
    for number, line in read_lines(path):
        records.append(parse_json(line, f"{path}, line {number}"))
        held += len(line)
        if len(records) == size or held >= BLOCK_BYTES:
            yield records
            records, held = [], 0
    yield records


def _csv(path: Path, size: int) -> Iterator[list[Any]]:
    """Records of a CSV with a header; empty cells are missing."""
    csv.field_size_limit(MAX_CELL)
    records: list[Any] = []
    held = 0
    try:
        with open_text(path) as file:
            for number, row in enumerate(csv.DictReader(file, strict=True), 1):
                if None in row or None in row.values():
                    raise InputError("has not as many fields as the header", where=f"{path}, record {number}")
                records.append({name: cell for name, cell in row.items() if cell})
                held += sum(map(len, row.values()))
                if len(records) == size or held >= BLOCK_BYTES:
                    yield records
                    records, held = [], 0
    except csv.Error as error:
        raise InputError(f"not a CSV table: {error}", where=path) from error
    yield records


def _parquet(path: Path, size: int, columns: Collection[str] | None) -> Iterator[list[Any]]:
    names = parquet_columns(path)
    wanted = [name for name in names if columns is None or name in columns] or names[:1]
    for batch in parquet_batches(path, wanted, size, _LIMITS):
        records: list[Any] = []
        held = 0
        for record in batch.iter_rows(named=True):
            records.append(record)
            held += len(str(record.get("text") or record.get("content") or ""))
            if held >= BLOCK_BYTES:
                yield records
                records, held = [], 0
        if records:
            yield records


def _document(record: Any, number: int, path: Path) -> tuple[str, str, str | None, str | None]:
    where = f"{path}, document {number + 1}"
    if not isinstance(record, dict):
        raise InputError("must be an object", where=where)
    text = next((record[name] for name in TEXT_COLUMNS if record.get(name) is not None), None)
    if text is None and isinstance(record.get("resps"), list) and record["resps"]:
        answer = record["resps"][0]
        text = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(text, str):
        raise InputError("must hold text, content or resps", where=where, field="text", value=text)
    language, url = (None if record.get(name) is None else str(record[name]) for name in ("lang", "url"))
    return document_id(record, number), text, language, url
