"""Documents of text files, one by one: JSON lines (plain, zstd, gzip), Parquet, plain text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from neuneu.errors import InputError, check_known
from neuneu.files import MAX_LINE, check_file, read_json_lines, read_lines, read_text
from neuneu.files.parquet import read_footer
from neuneu.files.tables import TableLimits, parquet_batches, parquet_columns
from neuneu.progress import counting

JSON_LINES = (".jsonl", ".jsonl.zst", ".jsonl.gz", ".ndjson", ".ndjson.zst", ".ndjson.gz")
TEXT = (".txt", ".txt.zst", ".txt.gz", ".md", ".rst")
SPLITS = ("file", "line", "paragraph")
LONGEST_WINDOW = 2**31
"""Bytes of history that a corpus in zstd may ask for: archives of the web are written with `--long=31`."""
KB = 1000
"""Bytes by which the reading of texts is counted."""
At = Callable[[int], None]
"""Told how many bytes of a file have been read."""
_ROWS = 4096
_LIMITS = TableLimits(cell=MAX_LINE)
"""A document of a column may be as long as one of a line."""


def find_files(sources: Iterable[str | Path]) -> list[Path]:
    """The text files of these files and folders: in the order given, a folder's sorted by name.

    Raises InputError on what does not exist, has no known ending, or is given twice.
    """
    files: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(file for file in source.rglob("*") if file.is_file() and _kind(file))
            if not inside:
                raise InputError(f"no file here ends in {', '.join(_ENDINGS)}", where=source)
            files += inside
        elif not _kind(source):
            check_file(source, empty=True)
            raise InputError(f"must end in one of {', '.join(_ENDINGS)}", where=source)
        else:
            files.append(check_file(source, empty=True))
    if not files:
        raise InputError("at least one file must be given", field="sources")
    if len(set(files)) != len(files):
        raise InputError("must not be given twice", field="sources")
    return files


def read_documents(files: Sequence[Path], field: str = "text", split: str = "file") -> Iterator[str]:
    """Texts of all documents in order, in constant memory.

    field: of JSON lines, column of Parquet; split: what a document of a plain text file is, "file", "line"
    or "paragraph" (lines up to a blank one). Raises InputError naming file and line of a bad record; empty
    texts are documents too, blank lines are not.
    """
    check_known(split, SPLITS, "split", "unknown")
    sizes = [file.stat().st_size for file in files]
    with counting("kB of text", sum(sizes) // KB) as tell:
        before = 0
        for file, size in zip(files, sizes, strict=True):

            def at(read: int, start: int = before, name: str = file.name) -> None:
                tell((start + read) // KB, name)

            at(0)
            yield from _READERS[_kind(file)](file, field, split, at)
            before += size


def _read_json_lines(file: Path, field: str, _split: str, at: At) -> Iterator[str]:
    for where, record in read_json_lines(file, window=LONGEST_WINDOW, at=at):
        if not isinstance(record, dict):
            raise InputError("must be a JSON object", where=where)
        yield _text(record.get(field), where, field, list(record))


def _read_parquet(file: Path, field: str, _split: str, at: At) -> Iterator[str]:
    names, rows, size = parquet_columns(file), read_footer(file)[0], file.stat().st_size
    if field not in names:
        raise InputError(f"must be a column; there are {', '.join(names)}", where=file, field=field)
    row = 0
    for part in parquet_batches(file, [field], _ROWS, _LIMITS):
        for offset, value in enumerate(part[field].to_list()):
            yield _text(value, f"{file}: row {row + offset}", field, list(names))
        row += len(part)
        at(size * row // max(rows, 1))


def _read_text(file: Path, _field: str, split: str, at: At) -> Iterator[str]:
    if split == "file":
        yield read_text(file, unpack=True, window=LONGEST_WINDOW)
    elif split == "line":
        yield from (line.rstrip("\r\n") for _, line in read_lines(file, window=LONGEST_WINDOW, at=at))
    else:
        paragraph: list[str] = []
        for _, line in read_lines(file, blank=True, window=LONGEST_WINDOW, at=at):
            if not line.isspace():
                paragraph.append(line)
            elif paragraph:
                yield "".join(paragraph)
                paragraph = []
        if paragraph:
            yield "".join(paragraph)


def _text(value: Any, where: str, field: str, names: list[str]) -> str:
    if field not in names:
        raise InputError(f"is missing; there are {', '.join(names[:10])}", where=where, field=field)
    if not isinstance(value, str):
        raise InputError("must be text", where=where, field=field, value=value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError("holds half a surrogate pair, which is no text", where=where, field=field) from error
    return value


def _kind(file: Path) -> str:
    """Which reader takes this file: jsonl, parquet, text, or an empty string."""
    name = file.name.lower()
    if name.endswith(JSON_LINES):
        return "jsonl"
    if name.endswith(".parquet"):
        return "parquet"
    return "text" if name.endswith(TEXT) else ""


_READERS: dict[str, Callable[[Path, str, str, At], Iterator[str]]] = {
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
    "text": _read_text,
}
_ENDINGS = (*JSON_LINES, ".parquet", *TEXT)
