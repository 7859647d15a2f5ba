"""Tables of Python libraries as Polars frames, not yet checked: pandas, Polars, Arrow."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import check_file
from neuneu.files.tables import read_frame

__all__ = ["check_file", "from_polars", "read_frame", "to_polars"]


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


def from_polars(frame: pl.DataFrame, library: str = "polars") -> Any:
    """A Polars frame as a table of `library`: polars, pandas or arrow.

    Raises InputError on another name, MissingExtraError where that library is not installed.
    """
    if library == "polars":
        return frame
    if library not in ("pandas", "arrow"):
        raise InputError("must be polars, pandas or arrow", field="library", value=library)
    try:
        return frame.to_pandas() if library == "pandas" else frame.to_arrow()
    except ImportError as error:
        raise MissingExtraError("pandas" if library == "pandas" else "pyarrow", "frames") from error


def _from_pandas(data: Any, where: str | Path) -> pl.DataFrame:
    names = [str(name) for name in data.columns]
    if len(set(names)) < len(names):
        raise InputError("a column is given twice", where=where, field=Counter(names).most_common(1)[0][0])
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
