"""Reading many files in bounded memory: values in columns as they come, and a word on how far one is."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.table import SCHEMA
from neuneu.progress import counted, heard

PATIENCE = 2.0
"""Seconds between two words on how far a reading is, and before the first."""

BATCH = 50_000
"""Rows that are kept as Python objects before they go into columns."""

VALUES = ("task", "metric", "variant", "n_shot", "value", "stderr", "n_items", "members", "conditions")
"""What a row of values holds; the rest is known of its file."""

NUMBER = "number"
"""A column with the number of the file that a row is from."""

T = TypeVar("T")


class Progress(Iterable[T]):
    """Items one by one; tells now and then how many are done, where nobody listens to what is counted."""

    def __init__(self, items: Sequence[T], tell: Callable[[str], None] | None) -> None:
        self.items, self.tell = items, tell

    def __iter__(self) -> Iterator[T]:
        last = time.monotonic()
        collects = gc.isenabled()
        gc.disable()  # parsed documents hold no circles, and looking for them takes a fifth of the time
        try:
            for done, item in enumerate(counted(self.items, "files")):
                if self.tell is not None and not heard() and time.monotonic() - last > PATIENCE:
                    last = time.monotonic()
                    self.tell(f"read {done:,} of {len(self.items):,} files")
                yield item
        finally:
            if collects:
                gc.enable()


def each_file(
    files: Sequence[Path],
    read: Callable[[Path, ReadReport], T],
    given: Given,
    report: ReadReport,
    act: str,
) -> Iterator[tuple[Path, T]]:
    """Each file and what `read` makes of it, which must depend on nothing but the file itself.

    Where the reading has a memory (`given.memory`), a file that has not changed is not read again, and one
    that `read` refuses is skipped, by name. act: what is made of the files, by which the memory knows it.
    """
    for path in Progress(files, given.tell):
        if given.memory is None:
            yield path, read(path, report)
            continue
        made = given.memory.recall(act, path, read, report)
        if made is not None:
            yield path, made


@dataclass(frozen=True, slots=True)
class Packed:
    """Values of one file in columns, which take a tenth of the memory of rows; curves: what they are of."""

    frame: pl.DataFrame
    curves: frozenset[tuple[object, ...]]

    def __len__(self) -> int:
        return len(self.frame)


Values = Sequence[Mapping[str, Any]] | Packed


def pack(values: Values) -> Packed:
    """Values of one file in columns, to be kept."""
    if isinstance(values, Packed):
        return values
    frame = _columns([(0, *map(row.get, VALUES)) for row in values]).drop(NUMBER)
    return Packed(frame, _curves(values))


class FileRows:
    """Values of many files, in columns; each knows the number of its file."""

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._rows: list[tuple[Any, ...]] = []
        self._packed: list[tuple[int, Packed]] = []
        self._measured: dict[frozenset[tuple[object, ...]], frozenset[tuple[object, ...]]] = {}

    def add(self, number: int, values: Values) -> frozenset[tuple[object, ...]]:
        """Keep the values of a file; the curves (task, metric, variant, shots) that it has values of."""
        if isinstance(values, Packed):
            self._packed.append((number, values))
            return self._measured.setdefault(values.curves, values.curves)
        self._rows += [(number, *map(row.get, VALUES)) for row in values]
        if len(self._rows) > BATCH:
            self._flush()
        curves = _curves(values)
        return self._measured.setdefault(curves, curves)

    def placed(self, checkpoints: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """The rows of files that have a checkpoint, with what is known of it.

        checkpoints: number (of the file), date, run, step and other columns; rows are ordered by date, file.
        """
        self._flush()
        if not checkpoints or not self._frames:
            return pl.DataFrame()
        kinds = {NUMBER: pl.Int64(), "date": pl.Float64(), **SCHEMA, "file": pl.String()}
        names = list(dict.fromkeys(name for one in checkpoints for name in one))
        known = pl.DataFrame(
            [[one.get(name) for name in names] for one in checkpoints],
            schema={name: kinds[name] for name in names}, orient="row",
        )  # fmt: skip
        rows = pl.concat(self._frames).with_row_index("_row")
        return rows.join(known, on=NUMBER).sort("date", "file", "_row").drop(NUMBER, "date", "_row")

    def _flush(self) -> None:
        if self._rows:
            self._frames.append(_columns(self._rows))
            self._rows = []
        if self._packed:
            numbers = np.repeat([number for number, _ in self._packed], [len(own) for _, own in self._packed])
            values = pl.concat([own.frame for _, own in self._packed])
            self._frames.append(values.select(pl.Series(NUMBER, numbers, dtype=pl.Int64), pl.all()))
            self._packed = []


def _columns(rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Numbers of files and values, as columns."""
    schema = {NUMBER: pl.Int64(), **{name: SCHEMA[name] for name in VALUES}}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _curves(values: Sequence[Mapping[str, Any]]) -> frozenset[tuple[object, ...]]:
    return frozenset((r["task"], r["metric"], r.get("variant"), r.get("n_shot")) for r in values)
