"""An answer: what was asked of a curve table, what forecasters said, how they did where that is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey
from neuneu.curves.table import CurveTable
from neuneu.decisions.outlook import ready_forecaster
from neuneu.errors import InputError, NeuneuError
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import DEFAULT_FORECASTER, REGISTRY, Forecast
from neuneu.reports.panels import Panel, by_size, forecast_panels, panels_to_cells
from neuneu.reports.scores import Estimate, ScoredCells

BASELINES = ("last-value", "power-law")
"""What every report shows beside the chosen forecaster."""


@dataclass(frozen=True, slots=True)
class Line:
    """One forecaster's scores on the cells whose truth is known; errors in points for accuracies."""

    forecaster: str
    mae: Estimate
    pinball: float
    coverage80: Estimate
    width80: float
    skill_vs_last_value: float
    n_refused: int


@dataclass(frozen=True, eq=False)
class Answer:
    """Forecasts of a table's curves.

    panels: one a curve, the smaller runs first; names: the forecasters, the chosen one first;
    context: share of the clock that was seen; n_left_out: curves with nothing to see or to ask.
    """

    panels: Sequence[Panel]
    names: Sequence[str]
    context: float
    n_left_out: int

    @property
    def chosen(self) -> str:
        """The forecaster that the report is about."""
        return self.names[0]

    @property
    def runs(self) -> list[str]:
        """Names of the runs, in the order of the panels."""
        return list(dict.fromkeys(panel.curve.key.run for panel in self.panels))

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, sorted."""
        return sorted({panel.curve.key.task for panel in self.panels})

    @cached_property
    def cells(self) -> pl.DataFrame:
        """Every forecast, a row a forecaster and horizon, with the columns of cells.parquet."""
        return panels_to_cells(self.panels)

    @cached_property
    def scored(self) -> ScoredCells | None:
        """Scores, or None where nothing is known after the context."""
        known = self.cells.filter(pl.col("value").is_not_null())
        return ScoredCells.from_frame(known) if len(known) else None

    @cached_property
    def lines(self) -> list[Line]:
        """A line a forecaster, the chosen one first; none where nothing is known after the context."""
        scored = self.scored
        if scored is None:
            return []
        last = scored.mean("last-value", "mae").value
        refused = self.cells.filter(pl.col("value").is_not_null() & pl.col("refused"))
        lines = []
        for name in self.names:
            mae = scored.mean(name, "mae")
            lines.append(
                Line(
                    forecaster=name,
                    mae=mae.scaled(scored.unit),
                    pinball=scored.mean(name, "pinball").value * scored.unit,
                    coverage80=scored.mean(name, "coverage80"),
                    width80=scored.mean(name, "width80").value * scored.unit,
                    skill_vs_last_value=1 - mae.value / last if last > 0 else float("nan"),
                    n_refused=len(refused.filter(forecaster=name)),
                )
            )
        return lines


def ask(
    table: CurveTable,
    forecasters: Sequence[str] = (),
    *,
    context: float = 0.2,
    beyond: float | None = None,
    metric: str | None = None,
    runs: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> Answer:
    """Forecast a table's curves with these forecasters and the baselines.

    forecasters: names or folders, the first is the chosen one; the default where empty. One metric a curve
    is forecast: `metric`, or the preferred accuracy. runs, tasks: only these.
    Raises InputError on names that are not there and where no curve is left to ask.
    """
    chosen = select(table, metric=metric, runs=runs, tasks=tasks)
    loaded = [ready_forecaster(name) for name in [*(forecasters or [DEFAULT_FORECASTER]), *BASELINES]]
    unique = list({forecaster.name: forecaster for forecaster in loaded}.values())
    panels = by_size(forecast_panels(chosen, unique, context, beyond))
    names = [forecaster.name for forecaster in unique]
    return Answer(panels, names, context, len(chosen.curves) - len(panels))


def select(
    table: CurveTable,
    *,
    metric: str | None = None,
    runs: Sequence[str] = (),
    tasks: Sequence[str] = (),
    n_shot: int | None = None,
    variant: str | None = None,
) -> CurveTable:
    """The curves of these runs and tasks in one metric. Raises InputError on a name that is not there."""
    for field, wanted, known in (("run", runs, table.runs), ("task", tasks, table.tasks)):
        for name in wanted:
            if name not in known:
                raise InputError("is not in the curves", field=field, value=name)
    conditions: dict[str, object] = {"n_shot": n_shot, "variant": variant}
    conditions |= {"run": list(runs) or None, "task": list(tasks) or None}
    chosen = table.filter(**{name: value for name, value in conditions.items() if value is not None})
    chosen = chosen.one_metric(metric)
    if not len(chosen):
        rule = f"no curve of {metric or 'an accuracy'} is left; the table has {', '.join(table.metrics)}"
        raise InputError(rule, field="metric", value=metric)
    return chosen


@lru_cache(maxsize=1)
def ready_forecasters() -> dict[str, str]:
    """Forecasters that answer from a curve alone as they ship → what each is; found by asking each once."""
    clock = np.geomspace(1e8, 1e10, 12)
    values = 0.6 - 0.3 * (clock / 1e8) ** -0.3
    steps = np.arange(1, 13, dtype=np.int64)
    key = CurveKey("run", "task", "acc")
    curve = Curve(key, steps, clock, "tokens", values, np.full(12, np.nan), chance=0.25)
    found = {}
    for name in REGISTRY:
        try:
            forecaster = ready_forecaster(name)
            answer = forecaster.forecast_many([Evidence(context=curve)], [np.array([2e10])])[0]
        except (NeuneuError, ImportError):
            continue
        if isinstance(answer, Forecast):
            found[name] = (type(forecaster).__doc__ or name).strip().splitlines()[0]
    return found
