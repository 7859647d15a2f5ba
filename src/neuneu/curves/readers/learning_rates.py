"""A schedule read off a table of learning rates: those that are planned, or that a whole run has logged."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from neuneu.curves.schedules import PATTERN, RULE
from neuneu.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = "learning_rate"
CLOCKS = ("tokens", "step")
HELD = 0.01
"""A rate is held while it is within this share of its peak."""
SHORTEST = 0.1
"""A rate that is held for less than this share of the plan falls all along."""
DECIMALS = 4
"""Of the share of the plan where a fall starts."""
FEWEST = 3
"""Rows that tell a schedule at least: those of a rise, a peak and an end."""


def read_schedule(told: str | Path | None) -> str | None:
    """A schedule as curve tables hold it, from its name or from a table of learning rates; None stays None.

    told: one of those that `RULE` names, or a file with the columns step or tokens, and learning_rate, from
    the first step to the planned end. Raises InputError on all else, and on rates that fall more than once.
    """
    if told is None:
        return None
    if re.fullmatch(PATTERN, str(told)):
        return str(told)
    if not Path(told).is_file():
        rule = f"{RULE}; or a table of step and {RATE} from the first step to the planned end"
        raise InputError(rule, field="schedule", value=str(told))
    from neuneu.files.tables import read_frame

    frame = read_frame(told, [*CLOCKS, RATE])
    clock = next((name for name in CLOCKS if name in frame.columns), None)
    if clock is None or RATE not in frame.columns:
        missing = RATE if clock else " or ".join(CLOCKS)
        raise InputError("the column is missing", where=told, field=missing)
    rows = frame.select(pl.col(name).cast(pl.Float64, strict=False) for name in (clock, RATE)).sort(clock)
    at, rate = (rows[name].to_numpy() for name in (clock, RATE))
    if not (np.isfinite(at).all() and (at >= 0).all() and (np.diff(at) > 0).all()):
        raise InputError("must be numbers of 0 or more, each once", where=told, field=clock)
    if not (np.isfinite(rate).all() and (rate >= 0).all() and rate.max(initial=0.0) > 0):
        raise InputError("must be numbers of 0 or more, some above it", where=told, field=RATE)
    if len(at) < FEWEST:
        raise InputError(f"must have {FEWEST} rows or more, to the planned end", where=told, field=RATE)
    return _schedule_of(at / at[-1], rate / rate.max(), told)


def _schedule_of(share: "NDArray[np.float64]", rate: "NDArray[np.float64]", where: str | Path) -> str:
    """The schedule of rates over their peak at shares of the plan, (n,) each."""
    held = np.flatnonzero(rate >= 1.0 - HELD)
    first, last = held[0], held[-1]
    falling = rate[last:]
    dips = rate[first : last + 1].min() < 1.0 - HELD
    if dips or (np.diff(falling) > HELD).any():
        raise InputError("must fall once at most: cycles and restarts are not known", where=where, field=RATE)
    start = round(float(share[last]), DECIMALS)
    if start == 1.0:  # it never falls, or in the last steps alone
        return "constant"
    if share[last] - share[first] >= SHORTEST:
        return f"wsd:{start:.{DECIMALS}f}".rstrip("0")
    along = (share[last:] - share[last]) / (share[-1] - share[last])
    fall = 1.0 - rate[-1]
    shapes = {"linear": along, "cosine": (1.0 - np.cos(np.pi * along)) / 2.0}
    return min(shapes, key=lambda name: float(np.sum((falling - (1.0 - fall * shapes[name])) ** 2)))
