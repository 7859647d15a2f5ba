"""Restarts in a log: steps that go back, and which rows of the branches stay."""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from neuneu.curves.readers.parsing import Keep
from neuneu.curves.readers.report import ReadReport
from neuneu.errors import InputError

MIN_OTHER = 3
"""So many rows without values tell whether training went back: where their steps never do, evaluations were
only logged out of order, and where they do, the run was restarted though its evaluations may not show it."""

MIN_REVERSED = 3
"""Rows from which on falling steps are taken for an order: two may as well be a restart."""


class Restart(NamedTuple):
    """Where a branch begins: the row (counted from 0) and step, and the row and step before it."""

    row: int
    step: float
    before: int
    from_step: float


def rows_that_stay(log: pl.DataFrame, keep: Keep | None, report: ReadReport, where: str | Path) -> pl.Series:
    """Which rows of a log to read, one bool a row.

    log: columns run, step, order (of logging) and filled (whether the row has a value), a row a moment.
    Where a run's steps go back behind steps that have values, it was restarted from an earlier checkpoint:
    "last" leaves out what was logged before the restart of the steps from there on, "first" everything after.
    Raises InputError where `keep` is None and a run was restarted.
    """
    stays = [True] * len(log)
    known = log.with_row_index("row").sort("order", "row").drop_nulls("step")
    for (run,), rows in known.group_by("run", maintain_order=True):
        restarts = find_restarts(rows)
        if not restarts or _newest_first(rows["step"]):
            continue
        first = restarts[0]
        words = f"after row {first.before + 1} ({first.from_step:g} → {first.step:g})"
        more = f" and {len(restarts) - 1} times more" if len(restarts) > 1 else ""
        if keep is None:
            raise InputError(
                f"its steps go back {words}{more}: a restarted or merged run? `keep` last leaves out what "
                "was logged of the steps from there on before the restart, `keep` first what was logged "
                "after it; `run_column` parts runs that stand in one file",
                where=where, field="run", value=run,
            )  # fmt: skip
        dropped = _abandoned(rows, restarts, keep)
        for row in dropped:
            stays[row] = False
        filled = rows.filter(pl.col("row").is_in(dropped) & pl.col("filled"))
        why = f"steps go back {words}{more}: `keep` {keep} leaves out the other branch"
        report.skip(f"rows of {run}", why, len(filled))
    return pl.Series("stays", stays, dtype=pl.Boolean)


def _newest_first(steps: pl.Series) -> bool:
    """Whether a whole run stands newest first, which is an order and no restart."""
    return len(steps) >= MIN_REVERSED and steps.is_sorted(descending=True)


def find_restarts(rows: pl.DataFrame) -> list[Restart]:
    """The restarts in one run's rows (row, step, filled), in the order logged.

    A step that goes back counts where a step at or after it already has a value. Rows in the order of falling
    steps are a sorted table.
    """
    others = rows.filter(~pl.col("filled"))["step"]
    told = len(others) >= MIN_OTHER
    if told and bool((others.diff().drop_nulls() >= 0).all()):
        return []
    used = rows if told else rows.filter("filled")
    if bool((used["step"].diff().drop_nulls() <= 0).all()):
        return []
    restarts: list[Restart] = []
    valued: list[float] = []
    last: tuple[int, float] | None = None
    for row, step, filled in used.select("row", "step", "filled").iter_rows():
        if last is not None and step < last[1] and any(value >= step for value in valued):
            restarts.append(Restart(row, step, *last))
            valued = [value for value in valued if value < step]
        if filled:
            valued.append(step)
        last = (row, step)
    return restarts


def _abandoned(rows: pl.DataFrame, restarts: list[Restart], keep: Keep) -> list[int]:
    """Rows of the branches that do not stay."""
    order = {row: place for place, row in enumerate(rows["row"])}
    starts = [(order[restart.row], restart.step) for restart in restarts]
    found = []
    for place, (row, step) in enumerate(rows.select("row", "step").iter_rows()):
        if keep == "first":
            gone = place >= starts[0][0]
        else:
            gone = any(place < start and step >= begin for start, begin in starts)
        found += [row] * gone
    return found
