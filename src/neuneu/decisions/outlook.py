"""Forecasts of the runs of a table: those in flight from all that is known, finished ones from a part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.table import CurveTable
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.evidence import REFERENCES, EvidenceBuilder, References, planned_end
from neuneu.forecasters.base import REGISTRY, Forecast, Forecaster, Refusal, load_forecaster, make_forecaster
from neuneu.losses.loss_store import LossStore

MULTIPLES = (2.0, 5.0, 10.0)
"""Default horizons as multiples of the context end."""


@dataclass(frozen=True)
class Horizon:
    """A clock value, or a multiple of the context end where `relative`."""

    value: float
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> "Horizon":
        """Read `3e11` (a clock value) or `2x` (twice the context end). Raises InputError."""
        relative = text.strip().lower().endswith("x")
        try:
            value = float(text.strip()[:-1] if relative else text)
        except ValueError as error:
            rule = "must be a clock value such as 3e11, or a multiple of the context end such as 2x"
            raise InputError(rule, field="horizon", value=text) from error
        if not math.isfinite(value):
            raise InputError("must be finite", field="horizon", value=text)
        if value < 0:
            raise InputError("must not be negative", field="horizon", value=text)
        if relative and value == 1:
            raise InputError("is the context end itself; ask for a later one", field="horizon", value=text)
        if relative and value < 1:
            raise InputError("is in the past; a multiple must be above 1", field="horizon", value=text)
        return cls(value, relative)

    def at(self, curve: Curve, end: float) -> float:
        """The clock value for a context that ends at `end`. Raises InputError where it is not after it."""
        clock = self.value * end if self.relative else self.value
        if not math.isfinite(clock):
            raise InputError("is too far: the clock overflows", field="horizon", value=self.value)
        if clock <= end:
            what = "is the context end itself" if clock == end else "is in the past"
            rule = f"{what}: the context of {curve.key.run} ends at {end:g} {curve.clock_unit}"
            raise InputError(rule, field="horizon", value=self.value)
        return clock


@dataclass(frozen=True)
class Outlook:
    """One curve, where its context ends, and what is forecast of it.

    curve: all that is known of it; horizons: (n_horizons,) clock values after `end`.
    """

    curve: Curve
    end: float
    horizons: Floats
    answer: Forecast | Refusal


def select(
    table: CurveTable, run: str | None = None, task: str | None = None, metric: str | None = None
) -> CurveTable:
    """The curves of a run, a task, a metric (by rule where None). Raises InputError that lists near names."""
    for name, value, known in (
        ("run", run, table.runs), ("task", task, table.tasks), ("metric", metric, table.metrics),
    ):  # fmt: skip
        if value is not None and value not in known:
            near = get_close_matches(value, known, n=5, cutoff=0.4) or known[:5]
            raise InputError(f"is not in the table; near: {', '.join(near)}", field=name, value=value)
    wanted = {name: value for name, value in (("run", run), ("task", task)) if value is not None}
    chosen = table.filter(**wanted).one_metric(metric)
    if not len(chosen):
        raise InputError(
            "no such curve with an accuracy; name a --metric", field="metric", value=", ".join(table.metrics)
        )
    return chosen


def ready_forecaster(
    name: str, finished: CurveTable | None = None, losses: LossStore | None = None
) -> Forecaster:
    """A forecaster that can answer: as it ships, or fitted on the finished runs where it has to learn.

    Raises InputError where it has to learn and no finished runs are given.
    """
    try:
        forecaster = load_forecaster(name)
    except InputError:
        if name not in REGISTRY or (finished is None and not make_forecaster(name).learns):
            raise
        forecaster = make_forecaster(name)
    else:
        if not forecaster.learns or name not in REGISTRY or hasattr(forecaster, "load_shipped"):
            return forecaster
    if finished is None:
        rule = "learns from finished runs: give their table (--references FILE)"
        raise InputError(rule, field="forecaster", value=name)
    return forecaster.fit(finished, losses)


def look_ahead(
    table: CurveTable,
    chosen: CurveTable,
    forecaster: Forecaster,
    *,
    context: float | None = None,
    horizons: Sequence[Horizon] = (),
    references: References | None = None,
    finished: CurveTable | None = None,
    losses: LossStore | None = None,
) -> list[Outlook]:
    """Forecast each chosen curve.

    table: all that is known of the runs; context: share of the curve's clock that may be seen (finished
    runs), all of it where None (runs in flight); horizons: by default every later checkpoint where a context
    is given, else 2, 5 and 10 times the context end, those before the planned end and that itself where it
    is known; finished: runs that may be looked at whole, besides those that `references` allows.
    """
    if context is not None and not 0 < context < 1:
        raise InputError("must lie between 0 and 1, both excluded, or be all", field="context", value=context)
    outside = set(finished.runs) - set(table.runs) if finished is not None else set()
    known = table
    if finished is not None and outside:
        known = CurveTable.concat([table, finished.filter(run=sorted(outside))])

    def allowed(curve: Curve, other: Curve) -> bool:
        return other.key.run in outside or (references is not None and references(curve, other))

    builder = EvidenceBuilder(known, losses, allowed)
    asked = [(curve, *_ask(curve, context, horizons)) for curve in chosen]
    evidences = [builder.at(curve, end, sees_future=forecaster.sees_future) for curve, end, _ in asked]
    answers = forecaster.forecast_many(evidences, [clocks for _, _, clocks in asked])
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    if len(refusals) == len(answers):
        raise CannotForecastError(f"{forecaster.name}: {refusals[0].reason}")
    return [Outlook(curve, end, clocks, a) for (curve, end, clocks), a in zip(asked, answers, strict=True)]


def _ask(curve: Curve, context: float | None, horizons: Sequence[Horizon]) -> tuple[float, Floats]:
    """Context end and horizons of a curve."""
    end = float(curve.clock[-1])
    if context is not None:
        seen = curve.until(context * end)
        if not len(seen) or seen.clock[-1] <= 0:
            rule = f"leaves no checkpoint after clock 0 of {curve.key.run} on {curve.key.task}"
            raise InputError(rule, field="context", value=context)
        end = float(seen.clock[-1])
    if horizons:
        return end, np.array(sorted({horizon.at(curve, end) for horizon in horizons}))
    if context is not None:
        return end, curve.after(end).clock
    return end, default_horizons(curve, end)


def default_horizons(curve: Curve, end: float) -> Floats:
    """2, 5 and 10 times the context end; where the planned end is known, that and what lies before it."""
    if end <= 0:
        raise InputError(f"must be given: the context of {curve.key.run} ends at clock 0", field="horizon")
    planned = planned_end(curve)
    if planned > end:
        return np.array([*(m * end for m in MULTIPLES if m * end < planned), planned])
    return np.array(MULTIPLES) * end


def outlook_frame(outlooks: Sequence[Outlook], forecaster: str) -> pl.DataFrame:
    """A row a curve and horizon: quantiles, the value where it is known, the reason where it was declined."""
    frames = []
    for outlook in outlooks:
        curve, answer, n = outlook.curve, outlook.answer, len(outlook.horizons)
        where = np.searchsorted(curve.clock, outlook.horizons)
        hit = (where < len(curve)) & (curve.clock[np.minimum(where, len(curve) - 1)] == outlook.horizons)
        value = np.where(hit, curve.values[np.minimum(where, len(curve) - 1)], np.nan)
        seen = curve.until(outlook.end)
        head = pl.DataFrame({
            **{name: [item] * n for name, item in curve.key._asdict().items()},
            "forecaster": [forecaster] * n,
            "context_step": [int(seen.steps[-1])] * n,
            "context_clock": [outlook.end] * n,
            "clock_unit": [curve.clock_unit] * n,
            "clock": outlook.horizons,
        }, schema_overrides={"n_shot": pl.Int64, "variant": pl.String})  # fmt: skip
        if isinstance(answer, Forecast):
            head = head.hstack(answer.to_frame().drop("clock"))
        reason = answer.reason if isinstance(answer, Refusal) else None
        frames.append(
            head.with_columns(value=pl.Series(value).fill_nan(None), refused=pl.lit(reason, dtype=pl.String))
        )
    joined = pl.concat(frames, how="diagonal")
    return joined.select(*(c for c in joined.columns if c not in ("value", "refused")), "value", "refused")


def brief(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of `outlook_frame` that fit a terminal; without what is the same or missing in all rows."""
    wanted = ["task", "clock", "q10", "q50", "q90", "value", "refused"]
    varied = [name for name in ("run", "metric", "n_shot", "variant") if frame[name].n_unique() > 1]
    present = [name for name in wanted if name in frame.columns and frame[name].null_count() < len(frame)]
    clock = [f"{value:.4g}" for value in frame["clock"]]
    return frame.with_columns(clock=pl.Series(clock, dtype=pl.String)).select(*varied, *present)


def title(outlooks: Sequence[Outlook]) -> str:
    """What is forecast, in a line for people."""
    runs = {outlook.curve.key.run for outlook in outlooks}
    units = sorted({outlook.curve.clock_unit for outlook in outlooks})
    who = next(iter(runs)) if len(runs) == 1 else f"{len(runs)} runs"
    curves = "1 curve" if len(outlooks) == 1 else f"{len(outlooks)} curves"
    return f"{who}, {curves}, clock in {' and '.join(units)}"


def read_references(text: str) -> tuple[References | None, CurveTable | None]:
    """The name of a rule for runs of the same table (`REFERENCES`), or a curve table of finished runs."""
    if text in REFERENCES:
        return REFERENCES[text], None
    if not Path(text).suffix:
        rule = f"must be one of {', '.join(REFERENCES)}, or a curve table"
        raise InputError(rule, field="references", value=text)
    return None, CurveTable.read(text)


def read_context(text: str) -> float | None:
    """`all` → None, or a share of the curve."""
    if text == "all":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError("must be `all` or a share such as 0.2", field="context", value=text) from error
