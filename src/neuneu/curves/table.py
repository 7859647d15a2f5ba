"""CurveTable: the one table of measurements; schema, validation, selection, Parquet in and out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey, Facts
from neuneu.curves.tasks import ACCURACIES, find_metric, find_task
from neuneu.errors import InputError
from neuneu.files import atomic_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA: dict[str, pl.DataType] = {
    "run": pl.String(), "task": pl.String(), "metric": pl.String(), "n_shot": pl.Int64(),
    "variant": pl.String(), "step": pl.Int64(), "value": pl.Float64(), "tokens": pl.Int64(),
    "flops": pl.Float64(), "stderr": pl.Float64(), "n_items": pl.Int64(), "chance": pl.Float64(),
    "source": pl.String(), "family": pl.String(), "params": pl.Int64(), "recipe": pl.String(),
    "seed": pl.String(), "planned_tokens": pl.Int64(),
}  # fmt: skip
"""Every column of the table, in order, with its type."""

REQUIRED = ("run", "task", "metric", "step", "value")
KEY = ("run", "task", "metric", "n_shot", "variant")
RENAMED = {"data_recipe": "recipe", "chance_level": "chance"}
MAX_PERCENT_HINT = 100.0


class CurveTable:
    """Measurements of training runs: a row a value of one task and metric at one step of one run.

    `frame` is a Polars DataFrame with the columns of SCHEMA, sorted by key and step. Rows are checked on
    the way in: see `from_frame`.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        """Wrap a frame that is already valid; use `from_frame` or `read` for anything else."""
        self.frame = frame

    @classmethod
    def from_frame(cls, data: Any, where: str | Path = "table") -> Self:
        """Check and adopt a Polars, pandas or Arrow table.

        `where` names the table in errors. Unknown columns are dropped; data_recipe and chance_level are
        read as recipe and chance. Facts that the task registry knows (chance, n_items) fill gaps.
        Raises InputError on a missing column, a wrong type, a value that is not finite, an accuracy
        outside [0, 1], a negative step or clock, and a step that is given twice in a curve.
        """
        return cls(_validate(_as_polars(data, where), where))

    @classmethod
    def read(cls, *paths: str | Path) -> Self:
        """Read and join Parquet, CSV or JSON files of the curve table; the same row twice is kept once."""
        if not paths:
            raise InputError("at least one file is needed", field="curves")
        tables = [cls.from_frame(_read_file(Path(path)), path) for path in paths]
        if len(tables) == 1:
            return tables[0]
        joined = pl.concat([table.frame for table in tables]).unique(maintain_order=True)
        return cls.from_frame(joined, " + ".join(str(path) for path in paths))

    def write(self, path: str | Path) -> None:
        """Write as Parquet, whole or not at all; columns without any value are left out."""
        present = [name for name in SCHEMA if name in REQUIRED or self.frame[name].null_count() < len(self)]
        with atomic_path(path) as temporary:
            self.frame.select(present).write_parquet(temporary, compression="zstd", statistics=False)

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"CurveTable({len(self)} rows, {len(self.runs)} runs, {len(self.tasks)} tasks)"

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted."""
        return sorted(self.frame["run"].unique())

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        return sorted(self.frame["task"].unique())

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, sorted."""
        return sorted(self.frame["metric"].unique())

    def filter(self, *predicates: pl.Expr, **equal: Any) -> "CurveTable":
        """Rows that satisfy Polars expressions and `column=value` or `column=[values]` conditions."""
        conditions = [
            pl.col(name).is_in(list(value))
            if isinstance(value, list | tuple | set)
            else pl.col(name) == value
            for name, value in equal.items()
        ]
        return CurveTable(self.frame.filter(*predicates, *conditions))

    def one_metric(self, metric: str | None = None) -> "CurveTable":
        """One metric a curve: `metric` if given, else the first accuracy of ACCURACIES that is there.

        A curve here is (run, task, n_shot, variant); one without any accuracy is left out.
        """
        if metric is not None:
            return self.filter(metric=metric)
        rank = pl.col("metric").replace_strict(
            {name: index for index, name in enumerate(ACCURACIES)}, default=None, return_dtype=pl.Int64
        )
        curve = [name for name in KEY if name != "metric"]
        ranked = self.frame.with_columns(rank.alias("_rank")).filter(pl.col("_rank").is_not_null())
        best = ranked.filter(pl.col("_rank") == pl.col("_rank").min().over(curve))
        return CurveTable(best.drop("_rank"))

    @cached_property
    def curves(self) -> list[Curve]:
        """Every curve as arrays, in the order of the table (sorted by key)."""
        return list(_split_curves(self.frame))

    def __iter__(self) -> Iterator[Curve]:
        return iter(self.curves)

    @classmethod
    def concat(cls, tables: Iterable["CurveTable"]) -> "CurveTable":
        """Join tables; the same row twice is kept once. Raises InputError where two tables disagree."""
        joined = pl.concat([table.frame for table in tables]).unique(maintain_order=True)
        return cls.from_frame(joined, "joined tables")


def read_curves(*paths: str | Path) -> CurveTable:
    """Read curve tables from Parquet, CSV or JSON files."""
    return CurveTable.read(*paths)


def _as_polars(data: Any, where: str | Path) -> pl.DataFrame:
    if isinstance(data, CurveTable):
        return data.frame
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    module = type(data).__module__.split(".")[0]
    if module == "pandas":
        columns = {str(name): data[name].to_numpy() for name in data.columns}
        return pl.DataFrame(columns, strict=False, nan_to_null=False)
    if hasattr(data, "__arrow_c_stream__") or module == "pyarrow":
        return pl.DataFrame(data)
    raise InputError("must be a Polars, pandas or Arrow table", where=where, value=type(data).__name__)


def _read_file(path: Path) -> pl.DataFrame:
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".parquet": pl.read_parquet,
        ".csv": pl.read_csv,
        ".json": pl.read_json,
    }
    if path.suffix not in readers:
        raise InputError("curve tables end in .parquet, .csv or .json", where=path)
    if not path.is_file():
        raise InputError("no such file", where=path)
    if path.stat().st_size == 0:
        raise InputError("the file is empty", where=path)
    try:
        frame = readers[path.suffix](path)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot be read as {path.suffix[1:]}: {reason}", where=path) from error
    return frame


def _validate(frame: pl.DataFrame, where: str | Path) -> pl.DataFrame:
    frame = frame.rename(
        {old: new for old, new in RENAMED.items() if old in frame.columns and new not in frame.columns}
    )
    for name in REQUIRED:
        if name not in frame.columns:
            raise InputError(
                f"the column is missing; columns here: {', '.join(frame.columns)}", where=where, field=name
            )
    if len(frame) == 0:
        raise InputError("the table has no rows", where=where)
    frame = frame.select(
        _cast(frame, name, kind, where) if name in frame.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in SCHEMA.items()
    )
    _check_rows(frame, where)
    return _fill_facts(frame).sort([*KEY, "step"], nulls_last=False)


def _cast(frame: pl.DataFrame, name: str, kind: pl.DataType, where: str | Path) -> pl.Series:
    column = frame[name]
    if kind == pl.Int64() and column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.drop_nulls()
        bad = whole.filter(whole != whole.round(0))
        if len(bad):
            raise InputError("must be a whole number", where=where, field=name, value=bad[0])
    if name == "variant":
        column = column.cast(pl.String).replace("", None)
    try:
        return column.cast(kind)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"must be {kind}, not {column.dtype}", where=where, field=name, value=_first_bad(column, kind)
        ) from error


def _first_bad(column: pl.Series, kind: pl.DataType) -> object:
    bad = column.filter(column.is_not_null() & column.cast(kind, strict=False).is_null())
    return bad[0] if len(bad) else None


def _check_rows(frame: pl.DataFrame, where: str | Path) -> None:
    for name in REQUIRED:
        _refuse(frame, pl.col(name).is_null(), name, "must not be missing", where)
    for name in ("run", "task", "metric"):
        _refuse(frame, pl.col(name) == "", name, "must not be empty", where)
    _refuse(frame, ~pl.col("value").is_finite(), "value", "must be finite", where)
    for name in ("step", "tokens", "flops", "stderr", "n_items", "params", "planned_tokens"):
        _refuse(frame, pl.col(name) < 0, name, "must not be negative", where)
    for name in ("flops", "stderr", "chance"):
        _refuse(frame, pl.col(name).is_infinite(), name, "must be finite", where)
    for name in frame["metric"].unique().sort():
        metric = find_metric(name)
        outside = (pl.col("metric") == name) & (
            (pl.col("value") < metric.low) | (pl.col("value") > metric.high)
        )
        rule = f"{name} must be in [{metric.low:g}, {metric.high:g}]"
        values = frame.filter(pl.col("metric") == name)["value"]
        largest, smallest = float(values.max() or 0), float(values.min() or 0)  # type: ignore[arg-type]
        if metric.high == 1 < largest <= MAX_PERCENT_HINT and smallest >= 0:
            rule += "; if these are percentages, divide by 100"
        _refuse(frame, outside, "value", rule, where)
    duplicated = frame.select([*KEY, "step"]).is_duplicated()
    if duplicated.any():
        first = frame.filter(duplicated).row(0, named=True)
        rule = f"given twice in run {first['run']!r}, task {first['task']!r}, metric {first['metric']!r}"
        raise InputError(rule, where=where, field="step", value=first["step"])


def _refuse(frame: pl.DataFrame, bad: pl.Expr, field: str, rule: str, where: str | Path) -> None:
    rows = frame.filter(bad)
    if len(rows):
        row = rows.row(0, named=True)
        place = f"run {row['run']!r}, task {row['task']!r}, step {row['step']}" if field != "run" else ""
        rule = f"{rule} ({place})" if place else rule
        raise InputError(rule, where=where, field=field, value=row[field])


def _fill_facts(frame: pl.DataFrame) -> pl.DataFrame:
    tasks = {name: find_task(name) for name in frame["task"].unique()}
    accurate = [name for name in frame["metric"].unique() if find_metric(name).accuracy]
    known = pl.DataFrame(
        {
            "task": list(tasks),
            "_name": [task.name for task in tasks.values()],
            "_chance": [task.chance for task in tasks.values()],
            "_items": [task.n_items for task in tasks.values()],
        },
        schema={"task": pl.String, "_name": pl.String, "_chance": pl.Float64, "_items": pl.Int64},
    )
    chance = pl.when(pl.col("metric").is_in(accurate)).then(pl.col("_chance"))
    filled = frame.join(known, on="task", how="left", maintain_order="left").with_columns(
        pl.col("_name").alias("task"),
        pl.col("chance").fill_nan(None).fill_null(chance),
        pl.col("n_items").fill_null(pl.col("_items")),
        pl.col("stderr").fill_nan(None),
        pl.col("flops").fill_nan(None),
    )
    return filled.select(list(SCHEMA))


def _split_curves(frame: pl.DataFrame) -> Iterator[Curve]:
    if len(frame) == 0:
        return
    frame = frame.sort([*KEY, "step"], nulls_last=False)
    codes = frame.select(pl.struct(KEY).rle_id())[:, 0].to_numpy()
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(frame)]])
    arrays = {name: frame[name].to_numpy() for name in ("step", "value", "stderr")}
    clocks = {
        name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in ("tokens", "flops")
    }
    heads = frame[bounds[:-1].tolist()].to_dicts()
    for head, start, stop in zip(heads, bounds[:-1], bounds[1:], strict=True):
        yield _make_curve(head, slice(int(start), int(stop)), arrays, clocks)


def _make_curve(
    head: dict[str, Any], part: slice, arrays: dict[str, "NDArray[Any]"], clocks: dict[str, "NDArray[Any]"]
) -> Curve:
    steps = arrays["step"][part]
    clock, unit = _choose_clock(steps, {name: clock[part] for name, clock in clocks.items()})
    metric = find_metric(head["metric"])
    return Curve(
        key=CurveKey(*(head[name] for name in KEY)),
        steps=steps,
        clock=clock,
        clock_unit=unit,
        values=arrays["value"][part],
        stderr=arrays["stderr"][part],
        low=metric.low,
        high=metric.high,
        chance=head["chance"],
        n_items=head["n_items"],
        facts=Facts(
            *(head[name] for name in ("source", "family", "params", "recipe", "seed", "planned_tokens"))
        ),
    )


def _choose_clock(steps: "NDArray[Any]", clocks: dict[str, "NDArray[Any]"]) -> tuple["NDArray[Any]", str]:
    """Tokens if every row has them and they increase with the steps, else FLOPs, else steps."""
    for unit in ("tokens", "flops"):
        clock = clocks[unit]
        if np.isfinite(clock).all() and (np.diff(clock) > 0).all():
            return clock, unit
    return steps.astype(np.float64), "step"


def columns_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """A frame with the columns of SCHEMA from row dictionaries; columns not given are null."""
    return pl.DataFrame(
        rows, schema={name: kind for name, kind in SCHEMA.items() if any(name in row for row in rows)}
    )
