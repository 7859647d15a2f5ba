"""Reading many files in bounded memory: values in columns as they come, and a word on how far one is."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import polars as pl

from neuneu.curves.table import SCHEMA

PATIENCE = 2.0
"""Seconds between two words on how far a reading is, and before the first."""

BATCH = 50_000
"""Rows that are kept as Python objects before they go into columns."""

VALUES = ("task", "metric", "variant", "n_shot", "value", "stderr", "n_items", "members", "conditions")
"""What a row of values holds; the rest is known of its file."""

T = TypeVar("T")


class Progress(Iterable[T]):
    """Items one by one; tells now and then how many are done."""

    def __init__(self, items: Sequence[T], tell: Callable[[str], None] | None) -> None:
        self.items, self.tell = items, tell

    def __iter__(self) -> Iterator[T]:
        last = time.monotonic()
        collects = gc.isenabled()
        gc.disable()  # parsed documents hold no circles, and looking for them takes a fifth of the time
        try:
            for done, item in enumerate(self.items):
                if self.tell is not None and time.monotonic() - last > PATIENCE:
                    last = time.monotonic()
                    self.tell(f"read {done:,} of {len(self.items):,} files")
                yield item
        finally:
            if collects:
                gc.enable()


class FileRows:
    """Values of many files, in columns; each knows the number of its file."""

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._rows: list[tuple[Any, ...]] = []
        self._measured: dict[frozenset[tuple[object, ...]], frozenset[tuple[object, ...]]] = {}

    def add(self, number: int, values: Sequence[Mapping[str, Any]]) -> frozenset[tuple[object, ...]]:
        """Keep the values of a file; the curves (task, metric, variant, shots) that it has values of."""
        self._rows += [(number, *map(row.get, VALUES)) for row in values]
        if len(self._rows) > BATCH:
            self._flush()
        curves = frozenset((r["task"], r["metric"], r.get("variant"), r.get("n_shot")) for r in values)
        return self._measured.setdefault(curves, curves)

    def placed(self, checkpoints: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """The rows of files that have a checkpoint, with what is known of it.

        checkpoints: number (of the file), date, run, step and other columns; rows are ordered by date, file.
        """
        self._flush()
        if not checkpoints or not self._frames:
            return pl.DataFrame()
        kinds = {"number": pl.Int64(), "date": pl.Float64(), **SCHEMA, "file": pl.String()}
        names = list(dict.fromkeys(name for one in checkpoints for name in one))
        known = pl.DataFrame(
            [[one.get(name) for name in names] for one in checkpoints],
            schema={name: kinds[name] for name in names}, orient="row",
        )  # fmt: skip
        rows = pl.concat(self._frames).with_row_index("_row")
        return rows.join(known, on="number").sort("date", "file", "_row").drop("number", "date", "_row")

    def _flush(self) -> None:
        if self._rows:
            schema = {"number": pl.Int64(), **{name: SCHEMA[name] for name in VALUES}}
            self._frames.append(pl.DataFrame(self._rows, schema=schema, orient="row"))
            self._rows = []
