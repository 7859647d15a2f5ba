"""Scores of the cells of an evaluation, cut the ways that figures show them, with 95 % intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats
from neuneu.curves.noise import noise_floor
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError
from neuneu.evaluation.metrics import (
    SCORES,
    Bools,
    Grouping,
    Index,
    average,
    curve_means,
    draw_runs,
    interval,
    score_cells,
)
from neuneu.evaluation.side_by_side import of_seeds
from neuneu.forecasters.base import LEVELS
from neuneu.forecasts.cells import CURVE, QUANTILES

ORDER = [*CURVE, "context_clock", "clock"]
"""What scored cells are sorted by."""

PLACE = [*CURVE, "context_step", "step", "context_clock", "clock", "value"]
"""What is the same of a cell for all forecasters."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval by bootstrap over runs; NaN edges where the runs are too few to say."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def scaled(self, factor: float) -> "Estimate":
        """The same in another unit."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, eq=False)
class ScoredCells:
    """Every forecaster's scores on the same cells.

    place: the cells, a row each, sorted by curve, context end and clock; quantiles: by forecaster,
    (n_cells, n_levels) with NaN where a level is not given.
    """

    place: pl.DataFrame
    quantiles: dict[str, Floats]
    seed: int = 0

    @classmethod
    def from_frame(cls, cells: pl.DataFrame) -> "ScoredCells":
        """Arrange cells; those whose truth is not known are left out.

        Raises InputError where none is known or the forecasters did not answer the same cells.
        """
        names = cells["forecaster"].unique(maintain_order=True).to_list()
        return cls.from_parts((name, cells.filter(forecaster=name)) for name in names)

    @classmethod
    def from_parts(cls, parts: Iterable[tuple[str, pl.DataFrame]]) -> "ScoredCells":
        """The same of each forecaster's name and cells; each part is let go before the next is taken."""
        place: pl.DataFrame | None = None
        arrays = {}
        for name, cells in parts:
            table = _arrange(cells)
            del cells  # or it would last until the next part is made
            if not len(table):
                continue
            own = table.select(PLACE)
            if place is None:
                place = own
            elif not own.select(ORDER).equals(place.select(ORDER)):
                raise InputError(
                    "did not answer the same cells as the others", field="forecaster", value=name
                )
            arrays[name] = table.select(list(QUANTILES)).cast(pl.Float64).to_numpy()
            del table, own
        if place is None:
            raise InputError("no cell has a truth to compare with", field="value")
        return cls(place.cast({name: pl.String for name in CURVE if place[name].dtype == pl.Enum}), arrays)

    @property
    def names(self) -> list[str]:
        """The forecasters, in the order of the file; seeds of one (NAME/seed0, …) are one."""
        return list(self.members)

    @cached_property
    def members(self) -> dict[str, list[str]]:
        """Forecaster → its names under several seeds, or its own."""
        groups = of_seeds(self.quantiles)
        of = {member: name for name, group in groups.items() for member in group}
        return {of.get(name, name): groups.get(of.get(name, name), [name]) for name in self.quantiles}

    def spread(self, name: str, score: str, keep: Bools | None = None) -> float:
        """Standard deviation over a forecaster's seeds of its mean score; NaN where there are no two."""
        column = SCORES.index(score)
        each = [
            self._average(self._scores_of(member)[:, [column]], keep, None).value
            for member in self.members[name]
        ]
        return float(np.std(each, ddof=1)) if len(each) > 1 else float("nan")

    @cached_property
    def values(self) -> Floats:
        """What came true, (n_cells,)."""
        return self.place["value"].to_numpy()

    @cached_property
    def percent(self) -> bool:
        """Whether every cell is an accuracy, so that errors are in points."""
        return all(find_metric(name).accuracy for name in self.place["metric"].unique())

    @property
    def unit(self) -> float:
        """What scores are multiplied with to be shown: 100 for accuracies (points), else 1."""
        return 100.0 if self.percent else 1.0

    @cached_property
    def grouping(self) -> Grouping:
        """Cells → curves → runs → sources."""
        curve = _codes(self.place, CURVE)
        first = np.unique(curve, return_index=True)[1]
        runs = _codes(self.place, ("source", "run"))[first]
        of_run = np.unique(runs, return_index=True)[1]
        sources = _codes(self.place, ("source",))[first][of_run]
        return Grouping(curve, runs, sources)

    @cached_property
    def sources(self) -> list[str]:
        """Names of the sources, in the order of the grouping's codes."""
        return [name or "" for name in self.place["source"].unique(maintain_order=True)]

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Scores of each cell by forecaster, (n_cells, len(SCORES)); the mean over its seeds."""
        return {
            name: np.mean([self._scores_of(member) for member in members], axis=0)
            for name, members in self.members.items()
        }

    def _scores_of(self, member: str) -> Floats:
        return score_cells(self.quantiles[member], self.values)

    @cached_property
    def _weights(self) -> Floats:
        return draw_runs(self.grouping.source, self.seed)

    def mean(self, name: str, score: str, keep: Bools | None = None, source: int | None = None) -> Estimate:
        """A forecaster's mean score over the kept cells: of one source, or unweighted over all of them."""
        column = self.scores[name][:, [SCORES.index(score)]]
        return self._average(column, keep, source)

    def codes(self, *columns: str) -> Index:
        """A code of each cell for its combination of these columns of `place`, by order of appearance."""
        return _codes(self.place, columns)

    def below(self, name: str, level: float, keep: Bools | None = None) -> Estimate:
        """How often the truth is at or below the quantile of this level."""
        column = LEVELS.index(level)
        quantiles = np.stack([self.quantiles[member][:, column] for member in self.members[name]])
        hit = np.where(np.isfinite(quantiles), self.values <= quantiles, np.nan).mean(axis=0)
        return self._average(hit[:, None], keep, None)

    def _average(self, column: Floats, keep: Bools | None, source: int | None) -> Estimate:
        averages = average(curve_means(column, self.grouping, keep), self.grouping, self._weights)
        if source is None:
            averages, source = averages.overall(), 0
        edges = interval(averages.draws[:, source, 0]) or (float("nan"), float("nan"))
        return Estimate(float(averages.point[source, 0]), *edges)

    @cached_property
    def noise_floor(self) -> float:
        """The error of a perfect forecast (`curves.noise`), averaged as the scores are; NaN if unknown."""
        question = _codes(self.place, (*CURVE, "context_clock"))
        clock = self.place["clock"].to_numpy()
        noise = np.array(
            [
                noise_floor(clock[question == code], self.values[question == code])
                for code in range(question.max() + 1)
            ]
        )
        return self._average(noise[question][:, None], np.isfinite(noise[question]), None).value

    @cached_property
    def fraction(self) -> Floats:
        """How much of the curve's known clock the context of each cell is, (n_cells,), in (0, 1)."""
        final = self.place.select(pl.col("clock").max().over(CURVE)).to_series().to_numpy()
        return np.asarray(self.place["context_clock"].to_numpy() / final)


def _codes(frame: pl.DataFrame, columns: Sequence[str]) -> Index:
    """A code for each distinct combination, counting from 0 in order of appearance."""
    found = frame.select(pl.struct(columns).alias("key"))
    distinct = found.unique(maintain_order=True).with_row_index("code")
    return (
        found.join(distinct, on="key", how="left", maintain_order="left")["code"].to_numpy().astype(np.intp)
    )


def _arrange(cells: pl.DataFrame) -> pl.DataFrame:
    """Cells whose truth is known, in order, their words as codes that sort as they do.

    Codes take a quarter of the memory and sort as numbers; what is in order already is not copied.
    """
    words = [name for name in CURVE if cells[name].dtype == pl.String]
    kinds = {name: pl.Enum(cells[name].drop_nulls().unique().sort()) for name in words}
    known = cells.lazy().filter(pl.col("value").is_not_null()).select(*PLACE, *QUANTILES)
    table = known.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items()).collect()
    by_order = table.select(pl.arg_sort_by(ORDER, maintain_order=True)).to_series()
    return table if by_order.is_sorted() else table[by_order]
