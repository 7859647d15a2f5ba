"""Foreign data into Polars frames, not yet checked: files of three kinds, pandas, Polars and Arrow tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError
from neuneu.files import read_json

_LFS_START = b"version https://git-lfs"


def check_file(path: str | Path) -> Path:
    """The path, if it is a file with something in it.

    Raises InputError where there is no file, it is empty, or it is a Git LFS pointer in place of the data.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError("no such file" if not path.is_dir() else "is a folder, not a file", where=path)
        with path.open("rb") as stream:
            start = stream.read(len(_LFS_START))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", where=path) from error
    if not start:
        raise InputError("the file is empty", where=path)
    if start == _LFS_START:
        raise InputError("is a Git LFS pointer, not the data: fetch it with `git lfs pull`", where=path)
    return path


def read_frame(path: str | Path) -> pl.DataFrame:
    """A .parquet, .csv or .json (a list of objects) file as it stands; every CSV column is text."""
    path = Path(path)
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".parquet": lambda file: pl.read_parquet(file, glob=False, hive_partitioning=False),
        ".csv": _read_csv,
        ".json": _read_json,
    }
    if path.suffix not in readers:
        raise InputError("curve tables end in .parquet, .csv or .json", where=path)
    check_file(path)
    try:
        return readers[path.suffix](path)
    except InputError:
        raise
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"cannot be read as {path.suffix[1:]}: {reason}", where=path) from error


def to_polars(data: Any, where: str | Path) -> pl.DataFrame:
    """A Polars, pandas or Arrow table as a Polars frame; pandas' several kinds of missing become null."""
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "columns"):
        return _from_pandas(data, where)
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        frame = pl.from_arrow(data)
        if isinstance(frame, pl.DataFrame):
            return frame
    raise InputError("must be a Polars, pandas or Arrow table", where=where, value=type(data).__name__)


def _from_pandas(data: Any, where: str | Path) -> pl.DataFrame:
    names = [str(name) for name in data.columns]
    if len(set(names)) < len(names):
        raise InputError("a column is given twice", where=where, field=max(names, key=names.count))
    series = []
    for position, name in enumerate(names):
        column = data.iloc[:, position]
        values = column.to_numpy()
        if values.dtype.kind in "iufb":
            series.append(pl.Series(name, values))
        else:
            missing = column.isna().to_numpy()
            items = [None if absent else item for item, absent in zip(values.tolist(), missing, strict=True)]
            series.append(pl.Series(name, items, strict=False))
    return pl.DataFrame(series)


def _read_csv(path: Path) -> pl.DataFrame:
    frame = pl.read_csv(path, infer_schema=False, glob=False)
    for name in frame.columns:
        if "_duplicated_" in name:
            raise InputError("a column is given twice", where=path, field=name.split("_duplicated_")[0])
    return frame


def _read_json(path: Path) -> pl.DataFrame:
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("must be a list of objects, one a row", where=path)
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)
