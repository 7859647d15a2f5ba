"""Reading and writing files: whole or not at all, and the same bytes every time."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and vanishes otherwise."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        temporary.chmod(mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Delete what killed writers left, files and folders, below a folder that nobody is writing to now."""
    for path in list(Path(folder).rglob(".*.*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != ".lock":
            path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_json(document: Any) -> str:
    """JSON with two-space indent; NaN and infinity become null, so that any reader can take it."""
    return json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: str | Path, document: Any) -> None:
    """Write `to_json(document)`, whole or not at all."""
    write_text(path, to_json(document))


def read_json(path: str | Path) -> Any:
    """Parse a JSON file strictly.

    Raises InputError on syntax errors, duplicate keys, numbers that overflow, nesting too deep and text that
    is not Unicode (half a surrogate pair).
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError("must be UTF-8 text", where=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path) from error
    return parse_json(text, path)


def parse_json(text: str, where: str | Path) -> Any:
    """Parse JSON text strictly; `where` names it in errors, which are those of `read_json`."""
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys, parse_float=_finite_float)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except InputError as error:
        raise InputError(error.rule, where=where, field=error.field, value=error.value) from error
    except RecursionError as error:
        raise InputError("nested too deep", where=where) from error
    except UnicodeEncodeError as error:
        raise InputError("holds half a surrogate pair, which is no character", where=where) from error
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg} (line {error.lineno})", where=where) from error
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=where) from error


def write_table(path: str | Path, frame: pl.DataFrame) -> None:
    """Write a table as .parquet, .csv or .json by the ending of the path."""
    path = Path(path)
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": lambda file: frame.write_parquet(file, compression="zstd", statistics=False),
        ".csv": frame.write_csv,
        ".json": frame.write_json,
    }
    if path.suffix not in writers:
        raise InputError("must end in .parquet, .csv or .json", field="output", value=str(path))
    with atomic_path(path) as temporary:
        writers[path.suffix](temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise InputError("must not be given twice", field="key", value=key)
        document[key] = value
    return document


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InputError("must be a finite number", field="number", value=text)
    return number
