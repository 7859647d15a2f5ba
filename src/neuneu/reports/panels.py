"""Panels: what a fan chart shows, one curve with its context and its forecasts; from curves or from cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey, Facts, Floats
from neuneu.curves.table import KEY, CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError
from neuneu.evaluation.benchmark import FALLBACK
from neuneu.evidence.evidence import EvidenceBuilder, planned_end
from neuneu.forecasters.base import Forecast, Forecaster, Refusal
from neuneu.reports.scores import QUANTILES

AHEAD = 24
BEYOND = 2.0


@dataclass(frozen=True, eq=False)
class Panel:
    """One curve, where its context ends, and forecasts of what follows.

    curve: all that is known, the truth after `end` included; end: clock of the context end;
    forecasts: by forecaster, or the reason why it declined.
    """

    curve: Curve
    end: float
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


def forecast_panels(
    table: CurveTable,
    forecasters: Sequence[Forecaster],
    context: float = 0.2,
    beyond: float | None = None,
) -> list[Panel]:
    """Forecast every curve of a table from the first part of its clock.

    context: share of the final clock that is seen, in (0, 1]; later checkpoints are forecast, and where
    `beyond` is given (or all is seen) points up to `beyond` × the final clock, or to the planned end.
    Curves with nothing before the context end, or nothing to ask, are left out.
    Raises InputError on a context outside (0, 1], or where no curve is left.
    """
    if not 0 < context <= 1:
        raise InputError("must be in (0, 1]", field="context", value=context)
    if beyond is not None and not 1 < beyond <= 1000:
        raise InputError("must be in (1, 1000], in final clocks", field="beyond", value=beyond)
    builder = EvidenceBuilder(table)
    asked = []
    for curve in table:
        seen = curve.until(context * float(curve.clock[-1]))
        if not len(seen) or seen.clock[-1] <= 0:
            continue
        end = float(seen.clock[-1])
        horizons = _horizons(curve, end, beyond)
        if len(horizons):
            asked.append((curve, end, horizons))
    if not asked:
        rule = f"no curve has a checkpoint within the first {context:.0%} of its clock and one after it"
        raise InputError(rule, field="context", value=context)
    answers = {}
    for forecaster in forecasters:
        evidences = [builder.at(curve, end, sees_future=forecaster.sees_future) for curve, end, _ in asked]
        answers[forecaster.name] = forecaster.forecast_many(evidences, [h for _, _, h in asked])
    return [
        Panel(curve, end, {name: given[index] for name, given in answers.items()})
        for index, (curve, end, _) in enumerate(asked)
    ]


def _horizons(curve: Curve, end: float, beyond: float | None) -> Floats:
    """Later checkpoints, then points up to `beyond` final clocks where that is asked or all has been seen.

    Before them a point close to the context end, so that a drawn fan starts there.
    """
    later = curve.clock[curve.clock > end]
    last = float(curve.clock[-1])
    if beyond is not None:
        final = beyond * last
    elif len(later):
        final = last
    else:
        final = planned_end(curve) if planned_end(curve) > last else BEYOND * last
    ahead = np.linspace(last, final, AHEAD + 1)[1:] if final > last else np.empty(0)
    horizons = np.concatenate([later, ahead])
    start = end + 0.02 * (horizons[:1] - end)
    return np.concatenate([start, horizons])


CELLS: dict[str, pl.DataType] = {
    "source": pl.String(), "run": pl.String(), "task": pl.String(), "metric": pl.String(),
    "n_shot": pl.Int64(), "variant": pl.String(), "forecaster": pl.String(), "context_step": pl.Int64(),
    "step": pl.Int64(), "context_clock": pl.Float64(), "clock": pl.Float64(), "value": pl.Float64(),
    **dict.fromkeys(QUANTILES, pl.Float64()), "refused": pl.Boolean(),
}  # fmt: skip


def panels_to_cells(panels: Iterable[Panel]) -> pl.DataFrame:
    """The panels' forecasts as cells, a row a forecaster and horizon; columns as in cells.parquet.

    value is null where the truth is not known; where a forecaster declined, refused is true and last-value's
    quantiles stand in, as in an evaluation.
    """
    columns: dict[str, list[object]] = {name: [] for name in CELLS}
    for panel in panels:
        for forecaster in panel.forecasts:
            for name, part in _cells_of(panel, forecaster).items():
                columns[name] += part
    return pl.DataFrame(columns, schema=CELLS)


def _cells_of(panel: Panel, forecaster: str) -> dict[str, list[Any]]:
    curve, truth = panel.curve, panel.truth
    answer = panel.forecasts[forecaster]
    given = answer if isinstance(answer, Forecast) else panel.answered.get(FALLBACK)
    clocks = next((f.horizons for f in panel.answered.values()), truth.clock).tolist()
    known = {c: (s, v) for c, s, v in zip(truth.clock, truth.steps.tolist(), truth.values, strict=True)}
    same = {
        "source": curve.facts.source,
        **curve.key._asdict(),
        "forecaster": forecaster,
        "context_step": int(panel.context.steps[-1]),
        "context_clock": panel.end,
        "refused": isinstance(answer, Refusal),
    }
    absent = [None] * len(clocks)
    return {
        **{name: [value] * len(clocks) for name, value in same.items()},
        "step": [known.get(clock, (None, None))[0] for clock in clocks],
        "clock": clocks,
        "value": [known.get(clock, (None, None))[1] for clock in clocks],
        **{
            name: given.values[:, given.levels.index(level)].tolist()
            if given and level in given.levels
            else absent
            for name, level in QUANTILES.items()
        },
    }


def panels_from_cells(cells: pl.DataFrame, curves: CurveTable | None = None) -> list[Panel]:
    """Panels from the cells of an evaluation, one a curve and context end.

    curves: the table that was evaluated; without it the values before the context end are not drawn.
    """
    known = {curve.key: curve for curve in curves} if curves is not None else {}
    panels = []
    for (*key, _, end), rows in cells.group_by([*KEY, "context_step", "context_clock"], maintain_order=True):
        name = CurveKey(*key)
        curve = known.get(name) or _curve_from_cells(name, rows)
        forecasts: dict[str, Forecast | Refusal] = {}
        for (forecaster,), answers in rows.group_by("forecaster", maintain_order=True):
            forecasts[str(forecaster)] = _forecast_from_cells(answers.sort("clock"))
        panels.append(Panel(curve, float(end), forecasts))
    return panels


def _forecast_from_cells(rows: pl.DataFrame) -> Forecast | Refusal:
    answered = rows.filter(~pl.col("refused"))
    levels = {name: level for name, level in QUANTILES.items() if answered[name].null_count() == 0}
    if not len(answered) or 0.5 not in levels.values():
        return Refusal("declined in the evaluation")
    values = np.sort(answered.select(list(levels)).to_numpy(), axis=1)
    return Forecast(answered["clock"].to_numpy(), values, tuple(levels.values()))


def _curve_from_cells(key: CurveKey, rows: pl.DataFrame) -> Curve:
    first = rows["forecaster"][0]
    rows = rows.filter(pl.col("forecaster") == first).drop_nulls("value").sort("clock")
    metric = find_metric(key.metric)
    same = (rows["clock"] == rows["step"].cast(pl.Float64)).all()
    return Curve(
        key=key,
        steps=rows["step"].to_numpy(),
        clock=rows["clock"].to_numpy(),
        clock_unit="step" if same else "clock",
        values=rows["value"].to_numpy(),
        stderr=np.full(len(rows), np.nan),
        low=metric.low,
        high=metric.high,
        facts=Facts(source=rows["source"][0]),
    )


def by_size(panels: Iterable[Panel]) -> list[Panel]:
    """Panels with the smaller runs first, then by name of run and task."""
    return sorted(panels, key=lambda panel: (panel.curve.facts.params or 0, panel.curve.key.run))


def in_flops(panel: Panel) -> Panel:
    """The panel with training compute as its clock: 6 × parameters × tokens (Kaplan et al. 2020).

    Raises InputError where the run's size is not known or its clock is not in tokens.
    """
    curve = panel.curve
    if curve.clock_unit == "flops":
        return panel
    params = curve.facts.params
    if curve.clock_unit != "tokens" or params is None:
        rule = "compute needs the run's params and tokens (or flops) in the curve table"
        raise InputError(rule, field="run", value=curve.key.run)
    scale = 6.0 * params
    forecasts = {
        name: replace(f, horizons=f.horizons * scale) if isinstance(f, Forecast) else f
        for name, f in panel.forecasts.items()
    }
    return Panel(replace(curve, clock=curve.clock * scale, clock_unit="flops"), panel.end * scale, forecasts)
