"""Cells: the one table of forecasts, a row a forecaster and horizon; made, checked, read, and taken apart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.curves.curve import Curve, CurveKey, Facts, Floats
from neuneu.curves.table import KEY, SCHEMA, CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError
from neuneu.evidence.cut import truth_at
from neuneu.files import refuse_library_errors
from neuneu.files.tables import read_parquet
from neuneu.forecasters.base import LEVELS, Forecast, Refusal
from neuneu.progress import counted

FALLBACK = "last-value"
"""Whose quantiles stand in where another method declines, if it was asked as well."""

QUANTILES = {f"q{round(100 * level):02d}": level for level in LEVELS}
"""Columns of the quantiles → their levels."""

CURVE = ("source", *KEY)
CELLS: dict[str, pl.DataType] = {
    "source": pl.String(), "run": pl.String(), "task": pl.String(), "metric": pl.String(),
    "n_shot": pl.Int64(), "variant": pl.String(), "forecaster": pl.String(), "context_step": pl.Int64(),
    "step": pl.Int64(), "context_clock": pl.Float64(), "clock": pl.Float64(), "value": pl.Float64(),
    **dict.fromkeys(QUANTILES, pl.Float64()), "refused": pl.Boolean(), "reason": pl.String(),
    "clock_unit": pl.String(),
}  # fmt: skip
"""Every column, in order, with its type.

step, value: of the checkpoint at this clock, null where there is none; refused: whether the forecaster
declined (its quantiles are then FALLBACK's, or null where that was not asked), reason: why.
"""
NEEDED = (*CURVE, "forecaster", "context_step", "step", "context_clock", "clock", "value", *QUANTILES)
OPTIONAL = {*QUANTILES, "n_shot", "variant", "source"}


@dataclass(frozen=True, eq=False)
class CurveForecast:
    """One curve, where its context ends, and forecasts of what follows.

    curve: all that is known, the truth after `end` included; end: clock of the context end; horizons:
    (n_horizons,) clock values that were asked; forecasts: by forecaster, or the reason why it declined.
    """

    curve: Curve
    end: float
    horizons: Floats
    forecasts: Mapping[str, Forecast | Refusal]

    @property
    def answered(self) -> dict[str, Forecast]:
        """The forecasts without the refusals."""
        return {name: f for name, f in self.forecasts.items() if isinstance(f, Forecast)}

    @property
    def context(self) -> Curve:
        """What the forecasters saw of this curve."""
        return self.curve.until(self.end)

    @property
    def truth(self) -> Curve:
        """What came after, where it is known."""
        return self.curve.after(self.end)


@dataclass
class Answers:
    """One forecaster's answers to a list of questions, flat.

    quantiles: (n_cells, len(LEVELS)), NaN at levels that it does not give; refused: (n_cells,) where it
    declined; reasons: by question, where it declined.
    """

    quantiles: Floats
    refused: NDArray[np.bool_]
    reasons: dict[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, n_cells: int) -> "Answers":
        """No answer yet."""
        return cls(np.full((n_cells, len(LEVELS)), np.nan), np.zeros(n_cells, dtype=bool))

    def note(self, number: int, part: slice, answer: Forecast | Refusal, fallback: Floats | None) -> None:
        """Keep the answer to question `number`, whose cells are `part`; fallback: (n_cells, n_levels)."""
        if isinstance(answer, Forecast):
            self.quantiles[part] = on_levels(answer)
            return
        self.refused[part], self.reasons[number] = True, answer.reason
        if fallback is not None:
            self.quantiles[part] = fallback[part]


def on_levels(forecast: Forecast) -> Floats:
    """A forecast's quantiles at LEVELS, (n_horizons, len(LEVELS)); NaN outside the levels that it gives."""
    if forecast.levels == LEVELS:
        return forecast.values
    levels = np.asarray(forecast.levels)
    return np.array([np.interp(LEVELS, levels, row, left=np.nan, right=np.nan) for row in forecast.values])


def cells_frame(
    curves: Sequence[Curve],
    ends: Sequence[float],
    horizons: Sequence[Floats],
    answers: Mapping[str, Answers],
    sources: Sequence[str | None] | None = None,
) -> pl.DataFrame:
    """Cells of questions, a row a forecaster and horizon: forecasters in turn, questions in order.

    curves, ends, horizons: of each question; sources: of each question, by default what the curve says.
    """
    owner = np.repeat(np.arange(len(curves)), [len(own) for own in horizons])
    named = sources if sources is not None else [curve.facts.source for curve in curves]
    heads = pl.DataFrame(
        {
            "source": named,
            **{name: [curve.key[i] for curve in curves] for i, name in enumerate(KEY)},
            "context_step": [_context_step(c, end) for c, end in zip(curves, ends, strict=True)],
            "context_clock": list(ends),
            "clock_unit": [curve.clock_unit for curve in curves],
        },
        schema={name: kind for name, kind in CELLS.items() if name in (*CURVE, *_OF_QUESTION)},
    )
    truths = [truth_at(curve, own) for curve, own in zip(curves, horizons, strict=True)]
    steps, values = (np.concatenate([np.empty(0), *(truth[i] for truth in truths)]) for i in (0, 1))
    asked = heads[owner.tolist()].with_columns(
        step=pl.Series(steps).fill_nan(None).cast(pl.Int64),
        clock=pl.Series(np.concatenate([np.empty(0), *horizons])),
        value=pl.Series(values).fill_nan(None),
    )
    frames = [_frame_of(asked, name, own, owner) for name, own in answers.items()]
    return pl.concat(frames).select(list(CELLS)).rechunk()


_OF_QUESTION = ("context_step", "context_clock", "clock_unit")


def _frame_of(asked: pl.DataFrame, name: str, answers: Answers, owner: NDArray[np.intp]) -> pl.DataFrame:
    reasons = [answers.reasons.get(question) for question in range(owner.max(initial=-1) + 1)]
    why = pl.Series("reason", reasons, dtype=pl.String)[owner.tolist()] if reasons else None
    quantiles = [
        pl.Series(column, answers.quantiles[:, i]).fill_nan(None) for i, column in enumerate(QUANTILES)
    ]
    return asked.with_columns(
        pl.lit(name).alias("forecaster"),
        *quantiles,
        pl.Series("refused", answers.refused, dtype=pl.Boolean),
        pl.Series("reason", [], dtype=pl.String) if why is None else why,
    )


def _context_step(curve: Curve, end: float) -> int:
    return int(curve.steps[np.searchsorted(curve.clock, end, side="right") - 1])


def to_cells(found: Iterable[CurveForecast]) -> pl.DataFrame:
    """The cells of forecasts of curves that were all asked of the same forecasters, in the same order."""
    found = list(found)
    answers = dict(_answers(found))
    return _cells_of(found, {name: answers[name] for name in _names(found)})


def cells_by_forecaster(found: Iterable[CurveForecast]) -> Iterator[pl.DataFrame]:
    """The same, a forecaster at a time: of millions of cells, a part of the memory."""
    found = list(found)
    for name, answers in _answers(found):
        yield _cells_of(found, {name: answers})


def _names(found: Sequence[CurveForecast]) -> list[str]:
    return list(dict.fromkeys(name for each in found for name in each.forecasts))


def _answers(found: Sequence[CurveForecast]) -> Iterator[tuple[str, Answers]]:
    """Each forecaster's answers, those that stand in for refusals first."""
    bounds = np.concatenate([[0], np.cumsum([len(each.horizons) for each in found])]).astype(np.intp)
    fallback: Floats | None = None
    for name in counted(sorted(_names(found), key=lambda name: name != FALLBACK), "forecasters scored"):
        own = Answers.empty(int(bounds[-1]))
        for number, each in enumerate(found):
            part = slice(int(bounds[number]), int(bounds[number + 1]))
            own.note(number, part, each.forecasts[name], fallback)
        if name == FALLBACK:
            fallback = own.quantiles
        yield name, own


def _cells_of(found: Sequence[CurveForecast], answers: Mapping[str, Answers]) -> pl.DataFrame:
    return cells_frame(
        [each.curve for each in found],
        [each.end for each in found],
        [each.horizons for each in found],
        answers,
    )


def read_cells(path: str | Path) -> pl.DataFrame:
    """Read cells.parquet, or the one in a folder that an evaluation wrote.

    Raises InputError where it cannot be read or lacks a column.
    """
    path = Path(path)
    file = path / "cells.parquet" if path.is_dir() else path
    frame = read_parquet(file)
    with refuse_library_errors(file, "cells of forecasts"):
        return check_cells(frame, file)


def check_cells(frame: pl.DataFrame, where: str | Path = "cells") -> pl.DataFrame:
    """The frame with every column of cells, absent optional ones as nulls. Raises InputError if one lacks."""
    for name in NEEDED:
        if name not in frame.columns and name not in OPTIONAL:
            rule = "this column is missing; cells come from `neuneu evaluate`"
            raise InputError(rule, where=where, field=name)
    if not len(frame):
        raise InputError("has no rows", where=where)
    absent = [
        pl.lit(None, SCHEMA.get(name, pl.Float64())).alias(name)
        for name in NEEDED
        if name not in frame.columns
    ]
    if "refused" not in frame.columns:
        absent.append(pl.lit(value=False).alias("refused"))
    absent += [pl.lit(None, pl.String()).alias(n) for n in ("reason", "clock_unit") if n not in frame.columns]
    return frame.with_columns(absent).with_columns(pl.col(list(QUANTILES)).fill_nan(None))


def from_cells(cells: pl.DataFrame, curves: CurveTable | None = None) -> list[CurveForecast]:
    """Forecasts from the cells of an evaluation, one a curve and context end.

    curves: the table that was evaluated; without it the values before the context end are not known.
    """
    known = {curve.key: curve for curve in curves} if curves is not None else {}
    found = []
    for (*key, _, end), rows in cells.group_by([*KEY, "context_step", "context_clock"], maintain_order=True):
        name = CurveKey(*key)
        curve = known.get(name) or _curve_from_cells(name, rows)
        forecasts: dict[str, Forecast | Refusal] = {}
        for (forecaster,), answers in rows.group_by("forecaster", maintain_order=True):
            forecasts[str(forecaster)] = _forecast_from_cells(answers.sort("clock"))
        first = rows.filter(forecaster=rows["forecaster"][0]).sort("clock")
        found.append(CurveForecast(curve, float(end), first["clock"].to_numpy(), forecasts))
    return found


def _forecast_from_cells(rows: pl.DataFrame) -> Forecast | Refusal:
    answered = rows.filter(~pl.col("refused"))
    levels = {name: level for name, level in QUANTILES.items() if answered[name].null_count() == 0}
    if not len(answered) or 0.5 not in levels.values():
        why = rows["reason"].drop_nulls()
        return Refusal(why[0] if len(why) else "declined in the evaluation")
    values = np.sort(answered.select(list(levels)).to_numpy(), axis=1)
    return Forecast(answered["clock"].to_numpy(), values, tuple(levels.values()))


def _curve_from_cells(key: CurveKey, rows: pl.DataFrame) -> Curve:
    first = rows["forecaster"][0]
    rows = rows.filter(pl.col("forecaster") == first).drop_nulls("value").sort("clock")
    metric = find_metric(key.metric)
    same = (rows["clock"] == rows["step"].cast(pl.Float64)).all()
    unit = rows["clock_unit"].drop_nulls()
    return Curve(
        key=key,
        steps=rows["step"].to_numpy(),
        clock=rows["clock"].to_numpy(),
        clock_unit=unit[0] if len(unit) else "step" if same else "clock",
        values=rows["value"].to_numpy(),
        stderr=np.full(len(rows), np.nan),
        low=metric.low,
        high=metric.high,
        facts=Facts(source=rows["source"][0]),
    )
