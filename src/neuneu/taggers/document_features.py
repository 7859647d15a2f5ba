"""Documents of any size, a block at a time: JSONL (also .gz, .zst) and Parquet in."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import parse_json

TEXT_COLUMNS = ("text", "content")
BLOCK = 2_000
"""Documents a block."""
BLOCK_BYTES = 8_000_000
"""Bytes of JSON a block, but for its last document."""
MAX_LINE = 64_000_000
"""Longest line, in bytes, that is taken for a document."""

_SCHEMA = {"id": pl.String, "text": pl.String, "lang": pl.String}


def read_blocks(path: str | Path, *, size: int = BLOCK, limit: int | None = None) -> Iterator[pl.DataFrame]:
    """Blocks of at most `size` documents: columns id, text, and lang where there is one.

    Text is `text`, `content`, or the first answer of an evaluation log (`resps[0][0]`); a missing id is
    the running number. Raises InputError naming the line of a record that is no document.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", where=path)
    if limit is not None and limit < 1:
        raise InputError("must be at least 1", field="limit", value=limit)
    start = 0
    for records in _parquet(path, size) if path.suffix == ".parquet" else _lines(path, size):
        if limit is not None:
            records = records[: limit - start]  # noqa: PLW2901
        if not records:
            return
        yield _block([_document(record, start + i, path) for i, record in enumerate(records)], start, path)
        start += len(records)


def _block(rows: list[tuple[str, str, str | None]], start: int, path: Path) -> pl.DataFrame:
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
    number = held = 0
    with _open(path) as file:
        while True:
            number += 1
            where = f"{path}, line {number}"
            try:
                line = file.readline(MAX_LINE + 1)
            except (OSError, EOFError) as error:
                raise InputError(f"cannot be read: {error}", where=where) from error
            if not line:
                break
            if len(line) > MAX_LINE:
                raise InputError(f"longer than {MAX_LINE} bytes", where=where)
            if line.strip():
                records.append(parse_json(_text(line, where), where))
                held += len(line)
            if len(records) == size or held >= BLOCK_BYTES:
                yield records
                records, held = [], 0
    yield records


def _text(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError("must be UTF-8 text", where=where) from error


def _parquet(path: Path, size: int) -> Iterator[list[Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = [name for name in ("id", "doc_id", "lang", "resps", *TEXT_COLUMNS) if name in names]
            for batch in file.iter_batches(batch_size=size, columns=wanted):
                records: list[Any] = []
                held = 0
                for record in batch.to_pylist():
                    records.append(record)
                    held += len(str(record.get("text") or record.get("content") or ""))
                    if held >= BLOCK_BYTES:
                        yield records
                        records, held = [], 0
                if records:
                    yield records
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError("not a Parquet file of documents", where=path) from error


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as file:
            yield file  # type: ignore[misc]
    elif path.suffix == ".zst":
        try:
            import zstandard
        except ImportError as error:
            raise MissingExtraError("zstandard", "lm") from error
        import io

        with path.open("rb") as raw:
            stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            try:
                yield io.BufferedReader(stream)
            except zstandard.ZstdError as error:
                raise InputError("not a Zstandard file", where=path) from error
    else:
        with path.open("rb") as file:
            yield file


def _document(record: Any, number: int, path: Path) -> tuple[str, str, str | None]:
    where = f"{path}, document {number + 1}"
    if not isinstance(record, dict):
        raise InputError("must be an object", where=where)
    text = next((record[name] for name in TEXT_COLUMNS if record.get(name) is not None), None)
    if text is None and isinstance(record.get("resps"), list) and record["resps"]:
        answer = record["resps"][0]
        text = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(text, str):
        raise InputError("must hold text, content or resps", where=where, field="text", value=text)
    name = record.get("id", record.get("doc_id"))
    language = record.get("lang")
    return str(number if name is None else name), text, None if language is None else str(language)
