"""A history: a frame with a row a logged moment, columns for steps and tokens, and a column a measurement.

Weights & Biases, TensorBoard, trackio, MLflow and the wide tables of papers all come down to one; this turns
it into rows of curves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from neuneu.curves.readers.branches import rows_that_stay
from neuneu.curves.readers.finishing import FILE
from neuneu.curves.readers.labels import Label, number_column, parse_column, stderr_of
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given, ReadReport
from neuneu.curves.tasks import find_task, known_task, metric_names
from neuneu.errors import InputError, how_many

STEP_COLUMNS = (
    "trainer/global_step", "train/global_step", "global_step", "time/batch", "step", "_step", "Step",
)  # fmt: skip
TOKEN_COLUMNS = (
    "throughput/total_tokens", "throughput/total tokens", "train/num_input_tokens_seen",
    "num_input_tokens_seen", "tokens_seen", "train/tokens", "total_tokens", "optim/total_tokens",
    "time/token", "num_tokens", "consumed_tokens", "tokens",
)  # fmt: skip
"""Where the step and the tokens are looked for, the best first."""

RUN_COLUMNS = (
    "run", "run_name", "run_id", "run_type", "Name", "name", "experiment", "exp", "model", "model_name",
    "seed",
)  # fmt: skip
"""Columns that tell runs apart: where one has several values, the user says what they are."""

SHOWN = 20
"""Columns that an error lists."""

STEP = "step"
COUNTER = "_step"
"""Weights & Biases' own counter of logged rows: their order."""

COLUMNS = {
    "run_column": "the column that names the run of a row.",
    "step_column": "the column with the step.",
    "tokens_column": "the column with the tokens seen.",
}
"""Options of every reader of histories."""

_ROWS = {
    "run": pl.String(), "task": pl.String(), "metric": pl.String(), "variant": pl.String(),
    "n_shot": pl.Int64(), "step": pl.Float64(), "tokens": pl.Float64(), "value": pl.Float64(),
    "stderr": pl.Float64(), "source": pl.String(), FILE: pl.String(),
}  # fmt: skip
_BOUNDS = ("__MIN", "__MAX")
_NO_MEASUREMENT = "no task and known metric in its name"


@dataclass(frozen=True)
class History:
    """A frame, where it is from, and what the user says of its columns.

    run: the name of the rows' run where no column tells it. asked: run_column, step_column, tokens_column, as
    far as said. metric: the metric of columns that are named by a task alone; None leaves such columns out.
    given: what else the user says: metrics that are left out are not looked at. logged: whether the order of
    the rows is that in which they were logged, so that steps that go back are a restart.
    """

    frame: pl.DataFrame
    path: Path
    run: str
    source: str
    asked: Mapping[str, str]
    metric: str | None = None
    given: Given = NOTHING_GIVEN
    logged: bool = True

    def rows(self, report: ReadReport) -> pl.DataFrame:
        """A row a value, in the order logged.

        Raises InputError without a step column, and on text for numbers.
        """
        runs = self._runs()
        steps, step_column = self._steps(runs, report)
        tokens, tokens_column = self._tokens(runs, steps, report)
        clocks = {*STEP_COLUMNS, *TOKEN_COLUMNS, step_column, tokens_column, self.asked.get("run_column")}
        stays = self._stays(runs, steps, step_column, report)
        parts = [pl.DataFrame(schema=_ROWS)]
        for name in self.frame.columns:
            column = self.label(name)
            if column is None:
                if name not in clocks and not name.startswith("_") and not _is_stderr(name):
                    report.skip(name, _NO_MEASUREMENT)
                continue
            if name in clocks:
                continue
            run, label = column
            if self.given.metrics and label.metric not in self.given.metrics:
                report.skip(f"metric {label.metric}", "not asked for", self.frame[name].count())
                continue
            part = pl.DataFrame(
                {
                    "run": runs if run is None else pl.repeat(run, len(self.frame), eager=True),
                    "step": steps,
                    "tokens": tokens,
                    "value": number_column(self.frame, name, self.path, report),
                    "stderr": self._stderr(name),
                }
            )
            part = part.filter(stays).drop_nulls("value")
            if part["step"].null_count():
                report.skip(name, f"values in rows without {step_column}", part["step"].null_count())
                part = part.drop_nulls("step")
            names = {**label._asdict(), "source": self.source, FILE: str(self.path)}
            part = part.with_columns(pl.lit(value, _ROWS[key]).alias(key) for key, value in names.items())
            parts.append(part.select(list(_ROWS)))
        return pl.concat(parts)

    def label(self, name: str) -> tuple[str | None, Label] | None:
        """The run and label of a column; one that is named by a task alone has the metric that is said."""
        if name.endswith(_BOUNDS):
            return None
        found = parse_column(name)
        if found is None and self.metric is not None and is_task_column(name):
            return None, Label(find_task(name).name, self.metric, None, None)
        return found

    def _runs(self) -> pl.Series:
        column = self._asked_column("run_column")
        if column is None:
            self._refuse_several_runs()
            return pl.Series("run", [self.run] * len(self.frame), dtype=pl.String)
        return self.frame[column].cast(pl.String).alias("run")

    def _refuse_several_runs(self) -> None:
        """Raise InputError where a column that nobody named tells several runs, which would be one curve."""
        for name in RUN_COLUMNS if self.given.run is None else ():
            if name in self.frame.columns and self.frame[name].drop_nulls().n_unique() > 1:
                values = self.frame[name].drop_nulls().unique(maintain_order=True).head(3).to_list()
                some = ", ".join(map(str, values))
                way = f"`run_column` {name} parts them, `run` NAME says that they are one"
                rule = f"tells several runs ({some}): {way}"
                raise InputError(rule, where=self.path, field=name)

    def _steps(self, runs: pl.Series, report: ReadReport) -> tuple[pl.Series, str]:
        """The step of each row: its own, else the last one that its run logged before."""
        present = [name for name in STEP_COLUMNS if name in self.frame.columns]
        column = self._asked_column("step_column") or next(iter(present), None)
        if column is None:
            rule = (
                f"no step column; looked for {', '.join(STEP_COLUMNS)}; `step_column` NAME says which it is"
            )
            raise InputError(rule, where=self.path)
        steps = number_column(self.frame, column, self.path)
        carried = self._carry(steps, runs)
        late = int((self._filled & steps.is_null() & carried.is_not_null()).sum())
        if late:
            report.notes.append(
                f"{self.path}: {how_many(late, 'row')} without {column} take the last one logged before"
            )
        return carried, column

    def _tokens(self, runs: pl.Series, steps: pl.Series, report: ReadReport) -> tuple[pl.Series, str | None]:
        """The tokens of each row: its own, else those of a row of the same step, else the last logged before.

        The last logged before stand for one step with values, not for those that follow.
        """
        column = self._asked_column("tokens_column") or next(
            (name for name in TOKEN_COLUMNS if name in self.frame.columns), None
        )
        if column is None:
            return pl.Series("tokens", [None] * len(self.frame), dtype=pl.Float64), None
        own = number_column(self.frame, column, self.path).round(0)
        carried = self._carry(own, runs)
        frame = pl.DataFrame(
            {"run": runs, "step": steps, "own": own, "carried": carried, "filled": self._filled}
        )
        same = pl.when(pl.col("step").is_not_null()).then(
            pl.col("own").drop_nulls().first().over("run", "step")
        )
        next_step = pl.col("step").filter(pl.col("filled")).min().over("run", "carried")
        last = pl.when(pl.col("step") == next_step).then(pl.col("carried"))
        tokens = frame.select(pl.coalesce("own", same, last).alias("tokens")).to_series()
        without, filled = int((self._filled & tokens.is_null()).sum()), int(self._filled.sum())
        if without:
            of = how_many(filled, "row")
            report.notes.append(f"{self.path}: {column} tells no tokens of {without:,} of {of} with values")
        return tokens, column

    @cached_property
    def _filled(self) -> pl.Series:
        """Whether a row has a value of any task."""
        names = [name for name in self.frame.columns if self.label(name) is not None]
        if not names:
            return pl.Series([False] * len(self.frame), dtype=pl.Boolean)
        return self.frame.select(pl.any_horizontal(pl.col(names).is_not_null())).to_series()

    def _stays(self, runs: pl.Series, steps: pl.Series, column: str, report: ReadReport) -> pl.Series:
        """Which rows stay where a run was restarted.

        column: that of the steps. A counter that is the step itself cannot tell that it goes back.
        """
        if not self.logged:
            return pl.Series([True] * len(self.frame), dtype=pl.Boolean)
        order = pl.int_range(len(self.frame), eager=True).cast(pl.Float64)
        if COUNTER in self.frame.columns and column != COUNTER:
            order = number_column(self.frame, COUNTER, self.path)
        log = pl.DataFrame({"run": runs, "step": steps, "order": order, "filled": self._filled})
        return rows_that_stay(log, self.given.keep, report, self.path)

    def _carry(self, column: pl.Series, runs: pl.Series) -> pl.Series:
        """Each run's values carried forward in the order logged."""
        order = pl.int_range(pl.len())
        frame = pl.DataFrame({"run": runs, "value": column})
        if COUNTER in self.frame.columns:
            frame = frame.with_columns(number_column(self.frame, COUNTER, self.path).alias("order"))
            order = pl.col("order")
        return frame.select(pl.col("value").forward_fill().over("run", order_by=order)).to_series()

    def _asked_column(self, option: str) -> str | None:
        asked = self.asked.get(option)
        if asked is not None and asked not in self.frame.columns:
            raise no_such_column(self.path, option, asked, self.frame)
        return asked

    def _stderr(self, name: str) -> pl.Series:
        error = stderr_of(name)
        if error not in self.frame.columns:
            return pl.Series("stderr", [None] * len(self.frame), dtype=pl.Float64)
        return self.frame[error].cast(pl.Float64, strict=False).fill_nan(None).alias("stderr")


def no_such_column(path: Path, option: str, asked: str, frame: pl.DataFrame) -> InputError:
    """The error of a column that an option names and that the frame has not."""
    rule = f"`{option}` names no such column; here: {', '.join(frame.columns[:SHOWN])}"
    return InputError(rule, where=path, field="column", value=asked)


def is_task_column(name: str) -> bool:
    """Whether a column is named by a known task and nothing else."""
    return known_task(name) and name not in metric_names()


def _is_stderr(name: str) -> bool:
    return name.partition(",")[0].endswith("_stderr")


class Moments:
    """What is logged value by value, gathered to a frame with a row a moment: only tasks and clocks."""

    def __init__(self, asked: Mapping[str, str]) -> None:
        self._clocks = {*STEP_COLUMNS, *TOKEN_COLUMNS, *asked.values()} - {STEP}
        self._wanted: dict[str, bool] = {}
        self._rows: list[dict[str, float]] = []
        self._places: dict[int, int] = {}

    def wanted(self, tag: str) -> bool:
        """Whether a tag is a task's value, its standard error, or a clock."""
        if tag not in self._wanted:
            self._wanted[tag] = tag in self._clocks or parse_column(tag) is not None or _is_stderr(tag)
        return self._wanted[tag]

    def add(self, step: int, tag: str, value: float) -> None:
        """A value, in the order logged; a tag that comes again at a step begins a new row."""
        if not self.wanted(tag):
            return
        row = self._places.get(step)
        if row is None or tag in self._rows[row]:
            row = self._places[step] = len(self._rows)
            self._rows.append({STEP: step})
        self._rows[row][tag] = value

    def frame(self) -> pl.DataFrame:
        """A row a moment, with the column `step`."""
        names = dict.fromkeys([STEP, *(name for row in self._rows for name in row)])
        return pl.DataFrame({name: [row.get(name) for row in self._rows] for name in names}, strict=False)


def name_folders(folders: Sequence[Path]) -> dict[Path, str]:
    """A name for each folder: its own, with those above it as far as it takes to tell them apart."""
    distinct = list(dict.fromkeys(folders))
    names = {}
    for folder in distinct:
        depth = 1
        while sum(other.parts[-depth:] == folder.parts[-depth:] for other in distinct) > 1:
            depth += 1
        names[folder] = "/".join(folder.parts[-depth:])
    return names
