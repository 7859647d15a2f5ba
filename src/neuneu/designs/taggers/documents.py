"""Documents of any size, a block at a time: JSONL (also .gz, .zst) and Parquet in, Parquet out."""

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl

from neuneu.errors import InputError, MissingExtraError

TEXT_COLUMNS = ("text", "content")
BLOCK = 2_000
"""Documents a block."""


def read_blocks(path: str | Path, *, size: int = BLOCK, limit: int | None = None) -> Iterator[pl.DataFrame]:
    """Blocks of at most `size` documents: columns id, text, and lang where there is one.

    Text is `text`, `content`, or the first answer of an evaluation log (`resps[0][0]`); a missing id is
    the running number. Raises InputError naming the line of a record that is no document.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", where=path)
    start = 0
    source = _parquet(path, size) if path.suffix == ".parquet" else _lines(path, size)
    for records in source:
        if limit is not None:
            records = records[: limit - start]  # noqa: PLW2901
        if not records:
            return
        rows = [_document(record, start + i, path) for i, record in enumerate(records)]
        yield pl.DataFrame(rows, schema={"id": pl.String, "text": pl.String, "lang": pl.String}, orient="row")
        start += len(records)


def _lines(path: Path, size: int) -> Iterator[list[Any]]:
    records: list[Any] = []
    number = 0
    with _open(path) as file:
        try:
            for line in file:
                number += 1
                if line.strip():
                    records.append(json.loads(line))
                if len(records) == size:
                    yield records
                    records = []
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError("not JSON", where=f"{path}, line {number}") from error
        except (UnicodeDecodeError, OSError, EOFError) as error:
            raise InputError("cannot be read as UTF-8 text", where=f"{path}, line {number + 1}") from error
    yield records


def _parquet(path: Path, size: int) -> Iterator[list[Any]]:
    try:
        lazy = pl.scan_parquet(path)
        names = lazy.collect_schema().names()
        wanted = [name for name in ("id", "lang", "resps", *TEXT_COLUMNS) if name in names]
        total = lazy.select(pl.len()).collect().item()
        for start in range(0, total, size):
            yield lazy.select(wanted).slice(start, size).collect().to_dicts()
    except pl.exceptions.PolarsError as error:
        raise InputError("not a Parquet file", where=path) from error


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield file
    elif path.suffix == ".zst":
        try:
            import zstandard
        except ImportError as error:
            raise MissingExtraError("zstandard", "lm") from error
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            yield io.TextIOWrapper(stream, encoding="utf-8")
    else:
        with path.open(encoding="utf-8") as file:
            yield file


def _document(record: Any, number: int, path: Path) -> tuple[str, str, str | None]:
    where = f"{path}, document {number + 1}"
    if not isinstance(record, dict):
        raise InputError("must be an object", where=where)
    text = next((record[name] for name in TEXT_COLUMNS if record.get(name) is not None), None)
    if text is None and record.get("resps"):
        answer = record["resps"][0]
        text = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(text, str):
        raise InputError("must hold text, content or resps", where=where, field="text", value=text)
    name = record.get("id", record.get("doc_id"))
    language = record.get("lang")
    return str(number if name is None else name), text, None if language is None else str(language)
