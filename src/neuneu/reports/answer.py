"""An answer: forecasts of curves beside the baselines, and how close they came where that is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.broken import BrokenCurve
from neuneu.curves.curve import Curve
from neuneu.curves.seeds import JoinedSeeds, Seeds, show_seeds
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.scores import Estimate, ScoredCells
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, Forecaster
from neuneu.forecasts.cells import CELLS, FALLBACK, CurveForecast, cells_by_forecaster
from neuneu.forecasts.forecast import TableForecasts, by_size, forecast, label_of
from neuneu.forecasts.horizons import drawn, end_in_flight
from neuneu.reports.overview import Overview, make_overview

BASELINES = (FALLBACK, "power-law")
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
    """Forecasts with their scores.

    ended: curves that have reached their planned end, where runs in flight are asked; overview: the runs
    compared; seeds: which runs are the mean of several, where those were taken as one; broken: curves of the
    table that could not be read as they stand and that nobody asked for.
    """

    forecasts: TableForecasts
    ended: Sequence[Curve] = ()
    overview: Overview = field(default_factory=Overview)
    seeds: JoinedSeeds | None = None
    broken: Sequence[BrokenCurve] = ()

    @cached_property
    def panels(self) -> list[CurveForecast]:
        """One a curve, the smaller runs first."""
        return by_size(self.forecasts.curves)

    @property
    def names(self) -> Sequence[str]:
        """The forecasters, the chosen one first."""
        return self.forecasts.names

    @property
    def context(self) -> float:
        """Share of the clock that was seen."""
        return self.forecasts.share

    @property
    def n_left_out(self) -> int:
        """Curves with nothing to see or to ask."""
        return len(self.forecasts.left_out) - len(self.ended)

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
        return self.forecasts.tasks

    @property
    def every_run(self) -> list[str]:
        """Names of all runs, those that have ended too: as they lead, then the larger ones first."""
        facts = self.overview.facts
        named = {panel.curve.key.run for panel in self.panels} | {curve.key.run for curve in self.ended}
        led = [row.run for row in self.overview.rows if row.run in named]
        rest = sorted(named - set(led), key=lambda run: (-(facts[run].params or 0), run))
        return led + rest

    @property
    def every_task(self) -> list[str]:
        """Names of all tasks, sorted, those of runs that have ended too."""
        return sorted({*self.tasks, *(curve.key.task for curve in self.ended)})

    @property
    def cells(self) -> pl.DataFrame:
        """Every forecast, a row a forecaster and horizon, with the columns of cells.parquet."""
        return self.forecasts.cells if self.panels else pl.DataFrame(schema=CELLS)

    @property
    def n_curves(self) -> int:
        """Curves that were asked, or have ended."""
        return len(self.panels) + len(self.ended)

    @property
    def scored(self) -> ScoredCells | None:
        """Scores, or None where nothing is known after the context."""
        return self._known[0]

    @cached_property
    def _known(self) -> tuple[ScoredCells | None, dict[str, int]]:
        """Scores of the cells whose truth is known, and how many of them each forecaster refused."""
        refused: dict[str, int] = {}

        def counted() -> Iterator[tuple[str, pl.DataFrame]]:
            for cells in cells_by_forecaster(self.forecasts.curves):
                name = cells["forecaster"][0]
                refused[name] = len(cells.filter(pl.col("value").is_not_null() & pl.col("refused")))
                yield name, cells
                del cells  # or it would last until the next is made

        try:
            scored = ScoredCells.from_parts(counted())
        except InputError:  # nothing is known after the context
            return None, refused
        arrays = {name: scored.quantiles[name] for name in self.names}
        return replace(scored, quantiles=arrays), refused

    @cached_property
    def lines(self) -> list[Line]:
        """A line a forecaster, the chosen one first; none where nothing is known after the context."""
        scored = self.scored
        if scored is None:
            return []
        last = scored.mean("last-value", "mae").value
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
                    n_refused=self._known[1].get(name, 0),
                )
            )
        return lines


def ask(
    table: CurveTable,
    forecasters: Sequence[str | Path | Forecaster] = (),
    *,
    selection: Selection | None = None,
    context: float | None = None,
    beyond: float | None = None,
    references: Any = None,
    losses: Any = None,
    seeds: str = Seeds.each,
) -> Answer:
    """`forecast` with the default forecaster where none is named, the baselines, and horizons to draw.

    context: share of each run's clock that may be seen, to look back; without it the runs are in flight, and
    asked up to `end_in_flight` (up to `beyond` times their clock where that is given). Where all of them
    have ended there are no forecasts, and what was measured is compared. seeds: `band` takes runs that differ
    in their seed alone as one.
    """
    given = [forecasters] if isinstance(forecasters, str | Path | Forecaster) else list(forecasters)
    given = given or [DEFAULT_FORECASTER]
    chosen = [*given, *(name for name in BASELINES if name not in map(label_of, given))]
    selection = selection or Selection()
    known: dict[str, Any] = {"context": context, "references": references, "losses": losses}
    overview = make_overview(table, chosen[0], selection=selection, seeds=seeds, **known)
    table, runs, joined = show_seeds(table, seeds, selection.runs)
    selection = replace(selection, runs=runs)
    ended: list[Curve] = []
    if context in (None, 1) and beyond is None:
        curves = selection.of(table).curves
        ended = [curve for curve in curves if end_in_flight(curve) <= curve.clock[-1]]
        if len(ended) == len(curves):
            left_out = dict.fromkeys((curve.key for curve in ended), "has reached its planned end")
            nothing = TableForecasts([], list(dict.fromkeys(map(label_of, chosen))), left_out=left_out)
            return Answer(nothing, ended, overview, joined, table.broken)
    found = forecast(table, chosen, selection=selection, plan=drawn(beyond), **known)
    return Answer(found, ended, overview, joined, table.broken)
