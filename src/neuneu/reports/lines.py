"""How error and coverage change: with the horizon, with the length of context, over the steps of a run."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evaluation.metrics import Bools
from neuneu.evaluation.protocol import ROLLING_ORIGINS
from neuneu.evaluation.scores import Estimate, ScoredCells
from neuneu.forecasters.base import LEVELS
from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 8
MAX_RUNS = 12
RUN_NAME = 32
"""Characters that the name of a run has room for above its panel."""


@style.house_style
def horizon_chart(cells: ScoredCells) -> "Figure":
    """Error by horizon, in multiples of the context: at 5 the run is five times as long as what was seen."""
    ratio = (cells.place["clock"] / cells.place["context_clock"]).to_numpy()
    edges = np.geomspace(ratio.min(), ratio.max() * (1 + 1e-9), BINS + 1)
    bins = [(ratio >= low) & (ratio < high) for low, high in pairwise(edges)]
    figure = style.new_figure(8.6, 4.6)
    axes = figure.subplots()
    _error_lines(axes, cells, [np.exp(np.log(ratio[b]).mean()) if b.any() else np.nan for b in bins], bins)
    axes.set_xscale("log")
    _plain_log_ticks(axes)
    axes.set_xlabel("horizon, in multiples of the context’s end")
    axes.set_title("Error by horizon")
    style.legend_above(figure, style.line_handles(cells.names))
    return figure


@style.house_style
def context_chart(cells: ScoredCells) -> "Figure":
    """Error against the length of context. Raises InputError where all contexts are equally long."""
    bins, centres, low = [], [], 0.0
    for origin in (*ROLLING_ORIGINS, 1.0):
        inside = (cells.fraction > low) & (cells.fraction <= origin + 1e-9)
        if inside.any():
            bins.append(inside)
            centres.append(float(cells.fraction[inside].mean()))
        low = origin + 1e-9
    if len(bins) < 2:
        rule = "all contexts are about equally long; evaluate with `protocol` rolling"
        raise InputError(rule, where="cells", field="context_clock")
    figure = style.new_figure(8.6, 4.6)
    axes = figure.subplots()
    _error_lines(axes, cells, centres, bins)
    style.percent_axis(axes.xaxis)
    axes.set_xlim(0, min(1.0, max(centres) * 1.1))
    axes.set_xlabel("context, share of the run’s clock")
    axes.set_title("Error against length of context")
    style.legend_above(figure, style.line_handles(cells.names))
    return figure


@style.house_style
def coverage_chart(cells: ScoredCells) -> "Figure":
    """Left: how often the truth is below each quantile, against its nominal level. Right: coverage by source.

    On the diagonal forecasts are calibrated; right of the band from 75 to 85 % the 80 % intervals are too
    wide, left of it too narrow.
    """
    sources = cells.sources
    figure = style.new_figure(10.5, max(4.6, 1.6 + 0.16 * len(sources) * len(cells.names)))
    left, right = figure.subplots(1, 2)
    colour, marker = style.colours(cells.names), style.markers(cells.names)
    left.plot([0, 1], [0, 1], color=style.MUTED, linestyle="--", linewidth=1.2)
    for name in cells.names:
        observed = [cells.below(name, level).value for level in LEVELS]
        left.plot(LEVELS, observed, marker=marker[name], color=colour[name], markersize=5)
    left.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    left.set(
        xlabel="nominal level of the quantile\n(dashed: calibrated)",
        ylabel="truth at or below it",
        title="Calibration",
    )
    _draw_coverage_by_source(right, cells, colour, marker)
    for axis in (left.xaxis, left.yaxis, right.xaxis):
        style.percent_axis(axis)
    style.legend_above(figure, style.line_handles(cells.names))
    return figure


@style.house_style
def steps_chart(cells: ScoredCells, clock_unit: str = "clock") -> "Figure":
    """Error over the clock, a panel a run, averaged over its tasks; a vertical line ends the context.

    Shows the first `MAX_RUNS` runs and says so.
    """
    runs = cells.codes("source", "run")
    first = np.unique(runs, return_index=True)[1]
    shown = range(min(len(first), MAX_RUNS))
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure = style.new_figure(1.0 + 3.4 * columns, 1.0 + 2.5 * lines)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    colour = style.colours(cells.names)
    clock = cells.place["clock"].to_numpy()
    short = style.tell_apart((cells.place["run"][int(first[code])] for code in shown), RUN_NAME)
    for place, code in zip(axes.flat, shown, strict=False):
        chosen = runs == code
        at = np.unique(clock[chosen])
        for name in cells.names:
            error = cells.unit * _mean_at(clock[chosen], cells.scores[name][chosen, 0], at)
            place.plot(at, error, color=colour[name], linewidth=1.4)
        for end in np.unique(cells.place["context_clock"].to_numpy()[chosen]):
            place.axvline(end, color=style.MUTED, linewidth=0.9)
        place.set_title(short[cells.place["run"][int(first[code])]])
        place.set_xlim(left=0)
        style.clock_axis(place, clock_unit, log=False, label=code + columns >= len(shown))
    for place in axes.flat[len(shown) :]:
        place.set_axis_off()
    axes[0, 0].set_ylim(0, None)
    for place in axes[:, 0]:
        place.set_ylabel(f"absolute error ({_unit(cells)})")
    told = "mean over tasks; upright lines: where a context ends"
    if len(first) > len(shown):
        told += f"; the first {len(shown)} of {len(first)} runs are drawn"
    style.caption(figure, told)
    style.legend_above(figure, style.line_handles(cells.names, marked=False))
    return figure


def _error_lines(axes: "Axes", cells: ScoredCells, places: Sequence[float], bins: Sequence[Bools]) -> None:
    """A line a forecaster through its mean error in each bin, its interval as a bar, and the noise floor."""
    colour, marker = style.colours(cells.names), style.markers(cells.names)
    kept = [(place, inside) for place, inside in zip(places, bins, strict=True) if inside.any()]
    for name in cells.names:
        means = [cells.mean(name, "mae", inside).scaled(cells.unit) for _, inside in kept]
        at = [place for place, _ in kept]
        _interval_band(axes, at, means, colour[name])
        axes.plot(
            at, [m.value for m in means], marker=marker[name], color=colour[name], markersize=5, zorder=3
        )
    floor = cells.noise_floor * cells.unit
    if np.isfinite(floor):
        axes.axhline(floor, color=style.INK, linestyle="--", linewidth=1.1)
        axes.annotate(
            f"noise between checkpoints {floor:.2f}", (1.0, floor), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"mean absolute error ({_unit(cells)})")


def _interval_band(axes: "Axes", at: Sequence[float], means: Sequence[Estimate], colour: str) -> None:
    low, high = [m.low for m in means], [m.high for m in means]
    axes.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0, zorder=1)


def _draw_coverage_by_source(
    axes: "Axes", cells: ScoredCells, colour: dict[str, str], marker: dict[str, str]
) -> None:
    axes.axvspan(0.75, 0.85, color=style.SHADE, zorder=0)
    axes.axvline(0.8, color=style.MUTED, linestyle="--", linewidth=1.2)
    names, lowest = cells.names, 0.6
    for row, _ in enumerate(cells.sources):
        for index, name in enumerate(names):
            height = row + 0.7 * ((index + 0.5) / len(names) - 0.5)
            found = cells.mean(name, "coverage80", source=row)
            if np.isfinite(found.low):
                axes.plot([found.low, found.high], [height, height], color=colour[name], linewidth=1.4)
            axes.plot(found.value, height, marker[name], color=colour[name], markersize=5.5)
            lowest = np.nanmin([lowest, found.value - 0.05, found.low - 0.02])
    axes.set_yticks(range(len(cells.sources)), [name or "runs" for name in cells.sources])
    axes.set_ylim(len(cells.sources) - 0.5, -0.5)
    axes.set_xlim(max(0.0, lowest), 1.0)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("truth inside the 80 % interval\n(shaded: 75 to 85 %)")
    axes.set_title("Coverage of the 80 % interval")


def _mean_at(clock: Floats, error: Floats, at: Floats) -> Floats:
    place = np.searchsorted(at, clock)
    known = np.isfinite(error)
    sums = np.bincount(place[known], weights=error[known], minlength=len(at))
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / np.bincount(place[known], minlength=len(at)))


def _plain_log_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _unit(cells: ScoredCells) -> str:
    return "points" if cells.percent else "metric units"
