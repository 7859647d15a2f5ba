"""The end of every reading: rows → what the user adds, odd values out, repeats settled → a curve table."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from neuneu.curves.accuracies import without_accuracy
from neuneu.curves.conditions import condition_changes, setting_changes
from neuneu.curves.groups import benchmarks_of, members_in
from neuneu.curves.readers.parsing import Given, Keep
from neuneu.curves.readers.report import ReadReport
from neuneu.curves.table import FACTS, KEY, SCHEMA, CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError, naming

FILE = "file"
"""A column of rows that names the file each comes from; readers add it, the table does not keep it."""

MIN_FITTING = 3
MAX_ODD = 0.1
"""Values outside their metric's range are odd ones, left out one by one, where they are one or at most this
share of the task's values and at least MIN_FITTING fit; else the whole task is in other units."""

ODD_SHOWN = 5
"""Odd values that are named one by one; more of one task are counted."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A curve table and the report of how it was read."""

    table: CurveTable
    report: ReadReport


@contextmanager
def numbers_that_fit() -> Iterator[None]:
    """A number of text that no column holds, or that Python will not even read, is bad input."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"holds what no column of a curve table can hold: {reason}") from error


def finish(rows: pl.DataFrame, given: Given, report: ReadReport, where: str | Path) -> ReadResult:
    """Add what the user says, leave out odd values, settle repeated steps, check all as a curve table.

    rows: columns of SCHEMA, any subset with the required ones, and maybe FILE, in the order read.
    Raises InputError where nothing is left, and whatever CurveTable.from_frame refuses.
    """
    with naming(where), numbers_that_fit():
        return _finish(rows, given, report, where)


def _finish(rows: pl.DataFrame, given: Given, report: ReadReport, where: str | Path) -> ReadResult:
    rows = _asked_metrics(rows, given, report)
    if len(rows) == 0:
        raise InputError(f"nothing to read ({_reasons(report)})", where=where)
    if given.run is not None and rows["run"].n_unique() > 1:
        names = ", ".join(rows["run"].unique().sort()[:3])
        rule = f"names one run, but there are several here: {names}; `step_pattern` and `run` join them"
        raise InputError(rule, field="run", value=given.run, where=where)
    missing = [
        pl.lit(None, dtype=kind).alias(name)
        for name, kind in {**SCHEMA, FILE: pl.String()}.items() if name not in rows.columns
    ]  # fmt: skip
    rows = rows.with_columns(missing)
    facts = ("run", *FACTS)
    said = {name: getattr(given, name) for name in facts if getattr(given, name) is not None}
    rows = rows.with_columns(pl.lit(value).cast(SCHEMA[name]).alias(name) for name, value in said.items())
    rows = rows.with_columns(pl.col("tokens").fill_null(given.tokens_of(pl.col("step"))))
    rows = _within_range(rows, report, where)
    rows = _settle_repeats(rows, given.keep, report, where)
    table = CurveTable.from_frame(rows.drop(FILE), where)
    report.summary = _summary(table, rows, report)
    _note_clock(table, report)
    _note_changes(table, report)
    once = benchmarks_of(table.tasks, members_in(table.frame))
    if once.left_out:
        report.notes.append(f"a mean over tasks is one over {once.in_words()}")
    for task, metrics in without_accuracy(table.frame).items():
        report.count_note(
            "no metric that is known as an accuracy, so that report, rank, forecast and evaluate leave it "
            "out; `metric` NAME takes one", f"{task} ({', '.join(metrics)})",
        )  # fmt: skip
    return ReadResult(table, report)


def _asked_metrics(rows: pl.DataFrame, given: Given, report: ReadReport) -> pl.DataFrame:
    if not len(rows) or not given.metrics:
        return rows
    asked = pl.col("metric").is_in(list(given.metrics))
    for name, count in rows.filter(~asked)["metric"].value_counts(sort=True).iter_rows():
        report.skip(f"metric {name}", "not asked for", count)
    return rows.filter(asked)


def _reasons(report: ReadReport) -> str:
    """Why nothing was read: the runs of which nothing was, else the first things skipped."""
    unread = report.lines()[: len(report.unread_runs())]
    return "; ".join(unread or [f"{what}: {why}" for what, why in list(report.skipped)[:3]]) or "no values"


def _within_range(rows: pl.DataFrame, report: ReadReport, where: str | Path) -> pl.DataFrame:
    """Rows whose value its metric can have. A task that is in other units is left out whole, by name."""
    metrics = {name: find_metric(name) for name in rows["metric"].drop_nulls().unique()}
    low, high = (
        pl.col("metric").replace_strict(ends, default=None, return_dtype=pl.Float64)
        for ends in ({n: m.low for n, m in metrics.items()}, {n: m.high for n, m in metrics.items()})
    )
    outside = ~pl.col("value").cast(pl.Float64).is_between(low, high)
    rows = rows.with_columns(outside.fill_null(value=False).alias("_out"))
    if not rows["_out"].any():
        return rows.drop("_out")
    n, out = pl.len(), pl.col("_out").sum()
    odd = (out <= pl.max_horizontal(1, n * MAX_ODD)) & (n - out >= MIN_FITTING)
    rows = rows.with_columns((pl.col("_out").any() & ~odd).over("task", "metric").alias("_units"))
    kept = rows.filter(~pl.col("_out") & ~pl.col("_units")).drop("_out", "_units")
    if not len(kept):
        CurveTable.from_frame(rows.drop("_out", "_units", FILE), where)
        raise InputError("nothing to read (no value in its metric's range)", where=where)
    for (task, metric), some in rows.filter("_units").group_by(["task", "metric"], maintain_order=True):
        why = _range_rule(str(metric), max(some["value"]), min(some["value"]))
        files = _some(some.filter("_out")[FILE].drop_nulls().unique(maintain_order=True).to_list())
        report.skip(
            f"{task} {metric}", f"{why}: {some['_out'].sum()} of {len(some)} values are not{files}", len(some)
        )
    alone = rows.filter(pl.col("_out") & ~pl.col("_units"))
    for row in alone.head(ODD_SHOWN).iter_rows(named=True):
        what = f"{row['task']} {row['metric']} = {row['value']:g} at step {row['step']} of run {row['run']}"
        report.skip(row[FILE] or what, f"{what}: {_range_rule(row['metric'], row['value'], row['value'])}")
    if len(alone) > ODD_SHOWN:
        report.skip("other values", "outside their metric's range", len(alone) - ODD_SHOWN)
    return kept


def _range_rule(metric: str, largest: float, smallest: float) -> str:
    known = find_metric(metric)
    rule = f"{metric} must be in [{known.low:g}, {known.high:g}]"
    percent = known.high == 1 < largest <= 100 and smallest >= 0
    return rule + "; if these are percentages, divide by 100" if percent else rule


def _settle_repeats(
    rows: pl.DataFrame, keep: Keep | None, report: ReadReport, where: str | Path
) -> pl.DataFrame:
    """One value a step: the same value twice is one; two values are refused unless `keep` picks one."""
    key = [*KEY, "step"]
    unique = rows.unique([*key, "value"], keep="first", maintain_order=True)
    if len(unique) < len(rows):
        report.skip("values", "the same value of the same step again", len(rows) - len(unique))
    clash = unique.filter(unique.select(key).is_duplicated())
    if len(clash) == 0:
        return unique
    if keep is None:
        raise InputError(_clash_rule(clash), where=where, field="step", value=clash["step"][0])
    kept = unique.unique(key, keep=keep, maintain_order=True)
    other = "later" if keep == "first" else "earlier"
    report.skip("values", f"a step given twice: the {other} value left out", len(unique) - len(kept))
    return kept


def _clash_rule(clash: pl.DataFrame) -> str:
    """Two values that claim one place: both, where they are from, and the options that part them."""
    first = clash.row(0, named=True)
    same = [pl.col(name).eq_missing(pl.lit(first[name], SCHEMA[name])) for name in (*KEY, "step")]
    both = clash.filter(*same).head(2)
    files = both[FILE].to_list()
    shown = " and ".join(
        f"{value:g}" + (f" in {file}" if file else "")
        for value, file in zip(both["value"], files, strict=True)
    )
    rule = (
        f"two different values in run {first['run']!r}, task {first['task']!r}, metric {first['metric']!r}: "
        f"{shown}: a restarted or merged run? "
    )
    if None not in files and len(set(files)) > 1:
        rule += f"If the files are of two runs, `run_pattern` '{_parting(*files)}' parts them; if of one, "
    elif None not in files:
        rule += "If a column tells runs apart, `run_column` names it; if it is one run, "
    return rule + "`keep` first or `keep` last picks one"


def _parting(one: str, other: str) -> str:
    """A pattern that matches where two paths differ: a folder, else the file's name."""
    pairs = zip(Path(one).parts, Path(other).parts, strict=False)
    first, second = next(((a, b) for a, b in pairs if a != b), (one, other))
    if Path(one).name == first or Path(other).name == second:
        return f"({re.escape(Path(first).stem)}|{re.escape(Path(second).stem)})[^/]*$"
    return f"(?:^|/)({re.escape(first)}|{re.escape(second)})/"


def _summary(table: CurveTable, rows: pl.DataFrame, report: ReadReport) -> pl.DataFrame:
    """A row a run: files, checkpoints, first and last step, clock, tasks."""
    clocks = table.clock_units()
    files = dict(rows.group_by("run").agg(pl.col(FILE).drop_nulls().n_unique()).iter_rows())
    files |= {run: len(seen.files) for run, seen in report.runs.items()}
    clock = {run: " and ".join(sorted(units)).replace("step", "steps") for run, units in clocks.items()}
    return (
        table.frame.group_by("run")
        .agg(
            pl.col("step").n_unique().alias("checkpoints"),
            pl.col("step").min().alias("first_step"),
            pl.col("step").max().alias("last_step"),
            pl.col("task").n_unique().alias("tasks"),
        )
        .sort("run")
        .with_columns(
            pl.col("run").replace_strict(files, default=0, return_dtype=pl.Int64).alias("files"),
            pl.col("run").replace_strict(clock, default="steps", return_dtype=pl.String).alias("clock"),
        )
    )


def _note_clock(table: CurveTable, report: ReadReport) -> None:
    """Say where the clock is steps, and where tokens do not grow with them."""
    frame = table.frame
    if frame["tokens"].null_count() and frame["flops"].null_count():
        report.notes.append("the clock is steps where tokens are not known; `tokens_per_step` gives them")
    points = (
        frame.filter(pl.col("tokens").is_not_null()).group_by("run", "step")
        .agg(pl.col("tokens").max()).sort("run", "step")
        .with_columns(pl.col("tokens").shift(1).over("run").alias("before"))
    )  # fmt: skip
    for run, step, tokens, before in points.filter(pl.col("tokens") <= pl.col("before")).iter_rows():
        report.count_note(
            "tokens do not grow with the steps there (a counter that was reset, or rounded): such curves "
            "have steps for a clock", f"{run} at step {step} ({before:,} before, {tokens:,} there)",
        )  # fmt: skip


def _note_changes(table: CurveTable, report: ReadReport) -> None:
    """Notes on conditions and settings that change inside a run's curves; of one kind together."""
    several = len(table.runs) > 1
    for run, task, _, _, detail in condition_changes(table.frame).iter_rows():
        report.count_note(detail, f"{task} of {run}" if several else task)
    for run, task, _, detail in setting_changes(table.frame).iter_rows():
        report.count_note(f"{detail}: two curves", f"{task} of {run}" if several else task)


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" (in {names[0]}" + (f" and {len(names) - 1} more files)" if len(names) > 1 else ")")
