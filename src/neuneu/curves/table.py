"""CurveTable: the one table of measurements; schema, validation, selection, Parquet in and out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from neuneu.curves.broken import BrokenCurve, part_broken, repeated_step
from neuneu.curves.columns import COLUMNS, FILLED, KEY, REQUIRED, SCHEMA, check_columns, normalise
from neuneu.curves.curve import Curve, CurveKey, Facts
from neuneu.curves.frames import read_frame, to_polars
from neuneu.curves.schedules import PATTERN as SCHEDULE
from neuneu.curves.schedules import RULE as SCHEDULE_RULE
from neuneu.curves.tasks import ACCURACIES, find_metric, find_task
from neuneu.errors import InputError, check_known, how_many
from neuneu.files import FORMULA, write_table
from neuneu.files.tables import parquet_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KEY", "REQUIRED", "SCHEMA", "CurveTable", "columns_of", "fill_facts", "normalise", "read_curves"]

MAX_PERCENT_HINT = 100.0
MAX_COUNTED = 1e6
MIN_MULTIPLES = 8
CHOSEN = ("run", "task", "metric", "variant")
"""Columns whose values are names that somebody may mistype when choosing rows."""
NAMES = ("run", "task", "metric", "variant", "source", "family", "recipe", "seed")
NAME_RULES: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "must not be empty": lambda name: name == "",
    "must not be longer than 500 characters": lambda name: name.str.len_chars() > 500,
    "must not hold control characters": lambda name: name.str.contains(r"\p{Cc}"),
    "must not begin with =, +, - or @, which spreadsheets run": lambda name: name.str.contains(FORMULA),
    "must not climb out of a folder with ..": lambda name: name.str.contains(r"(^|[/\\])\.\.([/\\]|$)"),
}
ROW_RULES: list[tuple[str, str, pl.Expr]] = [
    *((name, "must not be missing", pl.col(name).is_null()) for name in REQUIRED),
    ("value", "must be finite", ~pl.col("value").is_finite()),
    *(
        (name, "must not be negative", pl.col(name) < 0)
        for name in ("step", "tokens", "flops", "stderr", "n_items", "params", "planned_tokens", "n_shot")
    ),
    *((name, "must be finite", pl.col(name).is_infinite()) for name in ("flops", "stderr")),
    ("chance", "must be in [0, 1]", ~pl.col("chance").fill_nan(None).is_between(0, 1)),
    ("schedule", SCHEDULE_RULE, ~pl.col("schedule").str.contains(SCHEDULE)),
]
"""(column, rule, rows that break it), in the order in which they are checked."""


FACTS = tuple(one.name for one in fields(Facts))
"""Columns that are facts about the run."""

CLOCKS = ("tokens", "flops")
"""Columns that may be a curve's clock, the preferred one first; else it is steps."""


class CurveTable:
    """Measurements of training runs: a row a value of one task and metric at one step of one run.

    `frame` is a Polars DataFrame with the columns of SCHEMA, sorted by key and step. Rows are checked on
    the way in: see `from_frame`.
    """

    def __init__(self, frame: pl.DataFrame, broken: Sequence[BrokenCurve] = ()) -> None:
        """Wrap a frame that is already valid; use `from_frame` or `read` for anything else."""
        self.frame = frame
        self.broken = tuple(broken)
        self._one_metric: dict[str | None, CurveTable] = {}

    @classmethod
    def from_frame(cls, data: Any, where: str | Path = "table") -> Self:
        """Check and adopt a Polars, pandas or Arrow table.

        `where` names the table in errors. Unknown columns are dropped; data_recipe and chance_level are
        read as recipe and chance. Facts that the task registry knows (chance, n_items) fill gaps.
        Raises InputError on a missing column, a wrong type, a value that is not finite, an accuracy
        outside [0, 1], a negative step or clock, and a step that is given twice in a curve.
        """
        frame = data.frame if isinstance(data, CurveTable) else to_polars(data, where)
        return cls(_validate(frame, where))

    @classmethod
    def read(cls, *paths: str | Path) -> Self:
        """Read and join Parquet, CSV or JSON files of the curve table; the same row twice is kept once."""
        if not paths:
            raise InputError("at least one file is needed", field="curves")
        tables = [cls.from_frame(_read(path), path) for path in paths]
        return tables[0] if len(tables) == 1 else cls(_join(tables, " + ".join(map(str, paths))))

    @classmethod
    def read_sound(cls, *paths: str | Path) -> Self:
        """Read files as `read` does, without the curves that break a rule of rows: those are `broken`.

        So that a curve that nobody asked for does not block the others. Raises InputError where no curve is
        sound, and on whatever is no matter of single curves.
        """
        if not paths:
            raise InputError("at least one file is needed", field="curves")
        tables, broken = [], []
        for path in paths:
            sound, others = part_broken(normalise(_read(path), path, lenient=True), path)
            if others and not len(sound):
                raise others[0].error
            tables.append(cls.from_frame(sound, path))
            broken += others
        frame = tables[0].frame if len(tables) == 1 else _join(tables, " + ".join(map(str, paths)))
        return cls(frame, broken)

    @classmethod
    def sound(cls, given: Any, where: str | Path = "table") -> "CurveTable":
        """A curve table as it is, a path read by `read_sound`, any other table checked by `from_frame`."""
        if isinstance(given, CurveTable):
            return given
        return cls.read_sound(given) if isinstance(given, str | Path) else cls.from_frame(given, where)

    def write(self, path: str | Path) -> None:
        """Write as .parquet, .csv or .json, whole or not at all; columns without any value are left out."""
        present = [name for name in SCHEMA if name in REQUIRED or self.frame[name].null_count() < len(self)]
        write_table(path, self.frame.select(present))

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"CurveTable({self.in_words()})"

    def in_words(self) -> str:
        """How much there is: `22 values of 1 run on 2 tasks`."""
        runs, tasks = how_many(len(self.runs), "run"), how_many(len(self.tasks), "task")
        return f"{how_many(len(self), 'value')} of {runs} on {tasks}"

    def _repr_html_(self) -> str:
        """For notebooks: what is in it, then its first rows."""
        from html import escape

        return f"<p>{escape(repr(self))}</p>{self.frame._repr_html_()}"

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

    def clock_units(self) -> dict[str, set[str]]:
        """Run → the units of its curves' clocks, as `Curve.clock_unit` has them, without making any curve."""
        told = self.frame.sort([*KEY, "step"], nulls_last=False).group_by(KEY, maintain_order=True)
        grows = {
            unit: pl.col(unit).is_not_null().all()
            & pl.col(unit).is_finite().all()
            & (pl.col(unit).cast(pl.Float64).diff().drop_nulls() > 0).all()
            for unit in CLOCKS
        }
        unit = pl.lit("step")
        for name in reversed(CLOCKS):
            unit = pl.when(pl.col(name)).then(pl.lit(name)).otherwise(unit)
        found: dict[str, set[str]] = {}
        for run, its in told.agg(**grows).select("run", unit.alias("unit")).unique().iter_rows():
            found.setdefault(run, set()).add(its)
        return found

    def filter(self, *predicates: pl.Expr, **equal: Any) -> "CurveTable":
        """Rows that satisfy Polars expressions and `column=value` or `column=[values]` conditions.

        Raises InputError, with near names, on a run, task, metric or variant that the table has not, and on a
        column that is none of SCHEMA.
        """
        for name, value in equal.items():
            check_known(name, SCHEMA, "column", "is not a column of curve tables")
            known = set(self.frame[name].unique()) if name in CHOSEN else set()
            for one in (value if isinstance(value, list | tuple | set) else [value]) if known else ():
                check_known(one, sorted(known, key=str), name)
        conditions = [
            pl.col(name).is_in(list(value), nulls_equal=True)
            if isinstance(value, list | tuple | set)
            else pl.col(name).eq_missing(pl.lit(value))
            for name, value in equal.items()
        ]
        return CurveTable(self.frame.filter(*predicates, *conditions))

    def one_metric(self, metric: str | None = None) -> "CurveTable":
        """One metric a curve: `metric` if given, else the first accuracy of ACCURACIES that is there.

        A curve here is (run, task, n_shot, variant); one without any accuracy is left out. The answer is
        kept: every forecaster that is fitted on a table asks for it. Raises InputError, with near names, on a
        metric that the table has not.
        """
        if metric is not None:
            check_known(metric, self.metrics, "metric")
        if metric not in self._one_metric:
            self._one_metric[metric] = self.filter(metric=metric) if metric else self._best_accuracy()
        return self._one_metric[metric]

    def _best_accuracy(self) -> "CurveTable":
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
        tables = list(tables)
        return cls(_join(tables, "joined tables"), [curve for table in tables for curve in table.broken])


def _join(tables: Sequence[CurveTable], where: str) -> pl.DataFrame:
    if not tables:
        raise InputError("at least one table is needed", where=where)
    frame = pl.concat([table.frame for table in tables]).sort([*KEY, "step"], nulls_last=False)
    repeated = _same_as_before(frame, [*KEY, "step"])
    if repeated.any():
        told = [name for name in SCHEMA if name not in FILLED]
        same = repeated & _same_as_before(frame, told)
        frame = frame.filter(~same)
    return _sort_unique(frame, where)


def read_curves(*paths: str | Path) -> CurveTable:
    """Read curve tables from Parquet, CSV or JSON files."""
    return CurveTable.read(*paths)


def _read(path: str | Path) -> pl.DataFrame:
    if Path(path).suffix.lower() == ".parquet":
        check_columns(parquet_columns(path), path)
    return read_frame(path, COLUMNS)


def _validate(frame: pl.DataFrame, where: str | Path) -> pl.DataFrame:
    frame = normalise(frame, where)
    if len(frame) == 0:
        raise InputError("the table has no rows", where=where)
    _check_rows(frame, where)
    return _sort_unique(fill_facts(frame), where)


def _check_rows(frame: pl.DataFrame, where: str | Path) -> None:
    """Raise InputError for the first broken rule: of rows, of names, of the range of a metric."""
    broken = frame.select(bad.any().alias(str(i)) for i, (_, _, bad) in enumerate(ROW_RULES)).row(0)
    for is_broken, (name, rule, bad) in zip(broken, ROW_RULES, strict=True):
        if is_broken:
            _refuse(frame, bad, name, rule, where)
    for name in NAMES:
        names = frame.select(pl.col(name).unique())
        broken = names.select(bad(pl.col(name)).any().alias(rule) for rule, bad in NAME_RULES.items()).row(0)
        for is_broken, (rule, bad_name) in zip(broken, NAME_RULES.items(), strict=True):
            if is_broken:
                _refuse(frame, bad_name(pl.col(name)), name, rule, where)
    bounds = frame.group_by("metric").agg(
        pl.col("value").min().alias("smallest"), pl.col("value").max().alias("largest")
    )
    for name, smallest, largest in bounds.sort("metric").iter_rows():
        metric = find_metric(name)
        if metric.low <= smallest and largest <= metric.high:
            continue
        rule = f"{name} must be in [{metric.low:g}, {metric.high:g}]"
        if metric.high == 1 < largest <= MAX_PERCENT_HINT and smallest >= 0:
            rule += "; if these are percentages, divide by 100"
        outside = ~pl.col("value").is_between(metric.low, metric.high)
        _refuse(frame, (pl.col("metric") == name) & outside, "value", rule, where)


def _refuse(frame: pl.DataFrame, bad: pl.Expr, field: str, rule: str, where: str | Path) -> None:
    row = frame.filter(bad).row(0, named=True)
    place = f" (run {row['run']!r}, task {row['task']!r}, step {row['step']})" if field != "run" else ""
    raise InputError(rule + place, where=where, field=field, value=row[field])


def _sort_unique(frame: pl.DataFrame, where: str | Path) -> pl.DataFrame:
    """Sort by key and step; a step given twice in a curve is refused."""
    key = [*KEY, "step"]
    frame = frame.sort(key, nulls_last=False)
    repeated = _same_as_before(frame, key)
    if repeated.any():
        first = frame.row(repeated.arg_max() or 0, named=True)
        raise repeated_step(first, where)
    return frame


def _same_as_before(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """Whether each row has the values of the row above it in these columns."""
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in columns)
    return frame.select(same & (pl.int_range(pl.len()) > 0)).to_series()


def fill_facts(frame: pl.DataFrame) -> pl.DataFrame:
    """Fill chance and n_items from the registry, n_items from the values where they say fewer.

    A validation split is told by the variant, or by values that are all multiples of 1 / its items.
    The standard error of an accuracy p over n items is sqrt(p (1 - p) / (n - 1)), which gives n back; where
    that is no whole number, the standard error is of another kind (a mean over tasks, a bootstrap).
    """
    tasks = [find_task(name) for name in frame["task"].unique()]
    accurate = [name for name in frame["metric"].unique() if find_metric(name).accuracy]
    known = pl.DataFrame(
        [(task.name, task.chance, task.n_items, task.n_validation) for task in tasks],
        schema={"task": pl.String, "_chance": pl.Float64, "_items": pl.Int64, "_validation": pl.Int64},
        orient="row",
    )
    accuracy = pl.col("metric").is_in(accurate)
    registered = pl.when(_of_validation(accuracy)).then("_validation").otherwise("_items")
    counted = pl.col("value") * (1 - pl.col("value")) / pl.col("stderr") ** 2 + 1
    whole = ((counted - counted.round(0)).abs() < 1e-6 * counted) & counted.is_between(2, MAX_COUNTED)
    counted = pl.when(accuracy & whole).then(counted.round(0).cast(pl.Int64, strict=False))
    joined = frame.join(known, on="task", how="left", maintain_order="left")
    filled = joined.with_columns(
        pl.col("chance").fill_nan(None).fill_null(pl.when(accuracy).then(pl.col("_chance"))),
        pl.col("n_items").fill_null(pl.min_horizontal(registered, counted)),
        pl.col("stderr").fill_nan(None),
        pl.col("flops").fill_nan(None),
    )
    return filled.select(list(SCHEMA))


def _of_validation(accuracy: pl.Expr) -> pl.Expr:
    """Whether a row is of a task's validation split: by its variant, or by all values of its curve.

    Values are told apart from rounded ones by there being many; 1e-6 is beyond what float32 loses.
    """
    share = pl.col("value") * pl.col("_validation")
    fits = accuracy & ((share - share.round(0)).abs() < 1e-6 * pl.col("_validation"))
    multiples = (fits.all() & (fits.len() >= MIN_MULTIPLES)).over(KEY)
    named = pl.col("variant").str.contains("(^|_)val").fill_null(value=False)
    return pl.col("_validation").is_not_null() & (named | multiples)


def _split_curves(frame: pl.DataFrame) -> Iterator[Curve]:
    if len(frame) == 0:
        return
    frame = frame.sort([*KEY, "step"], nulls_last=False)
    codes = frame.select(pl.struct(KEY).rle_id())[:, 0].to_numpy()
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(frame)]])
    arrays = {name: frame[name].to_numpy() for name in ("step", "value", "stderr")}
    clocks = {name: frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in CLOCKS}
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
        facts=Facts(**{name: head[name] for name in FACTS}),
    )


def _choose_clock(steps: "NDArray[Any]", clocks: dict[str, "NDArray[Any]"]) -> tuple["NDArray[Any]", str]:
    """Tokens if every row has them and they increase with the steps, else FLOPs, else steps."""
    for unit in CLOCKS:
        clock = clocks[unit]
        if np.isfinite(clock).all() and (np.diff(clock) > 0).all():
            return clock, unit
    return steps.astype(np.float64), "step"


def columns_of(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """A frame with the columns of SCHEMA from row dictionaries; columns not given are null."""
    return pl.DataFrame(
        rows, schema={name: kind for name, kind in SCHEMA.items() if any(name in row for row in rows)}
    )
