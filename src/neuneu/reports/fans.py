"""Fan charts: forecasts over the clock, with the context shaded and the truth overlaid."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuneu.curves.seeds import JoinedSeeds
from neuneu.forecasters.base import Forecast
from neuneu.forecasts.cells import CurveForecast
from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_COLUMNS = 4
DOT = {"linestyle": "none", "marker": "o", "color": style.INK}
MAX_PANELS = 48
NAME, ROW_NAME, PANEL_NAME = 34, 24, 30
"""Characters that the name of a run may have in a title of its own, beside a row, and above one panel."""
BANDS = ((0.05, 0.95, 0.16), (0.1, 0.9, 0.22), (0.25, 0.75, 0.34))
"""Lower level, upper level and opacity of the bands of a fan, the widest first: 90, 80 and 50 %."""
CUT: dict[str, Any] = {"linestyle": "none", "markersize": 4, "clip_on": False, "zorder": 6}
MAX_CUT = 4
"""Marks where a band goes on beyond the axis, and how many of them a band has at each edge."""
SEEDS_ALPHA = 0.4
"""Opacity of the band from the lowest to the highest seed."""


@style.house_style
def fan_chart(
    panels: Sequence[CurveForecast],
    *,
    log: bool = False,
    title: str | None = None,
    seeds: JoinedSeeds | None = None,
) -> "Figure":
    """Fans of a run × task grid: rows are runs, columns are tasks; wrapped where there is one run or task.

    With one forecaster its 50, 80 and 90 % bands; with several, medians with 50 % bands. The context is
    shaded; dots are measured values, filled in the context and hollow after it; a dotted line is chance. Of a
    run that is the mean of seeds, a grey band goes from the lowest to the highest.
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.forecasts))
    grid = _grid(panels)
    rows, columns = len(grid), max(map(len, grid))
    figure = style.new_figure(1.1 + 2.6 * max(columns, 2), 0.8 + 2.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    ranges, cut = _task_ranges(panels), False
    for row, line in zip(axes, grid, strict=True):
        for place, panel in zip(row, [*line, *[None] * (columns - len(line))], strict=True):
            if panel is None:
                place.set_axis_off()
                continue
            _draw_panel(place, panel, names, log=log)
            _draw_seeds(place, panel, seeds)
            place.set_ylim(*ranges[panel.curve.key.task, panel.curve.key.metric])
            cut |= _mark_cut(place, panel, names, BANDS if len(names) == 1 else BANDS[-1:])
    _label_grid(axes, grid, panels)
    handles = legend_handles(names, panels, fan=len(names) == 1, seeds=seeds, cut=cut)
    style.legend_above(figure, handles, title=title)
    return figure


@style.house_style
def compute_chart(
    panels: Sequence[CurveForecast], *, log: bool = False, seeds: JoinedSeeds | None = None
) -> "Figure":
    """Accuracy against training compute of one or a few curves, every forecaster with its 80 % band.

    The panels' clock must be in FLOPs (`panels.in_flops`).
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.forecasts))
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = style.new_figure(2.0 + 4.0 * columns, 1.0 + 3.4 * rows)
    cut, short = False, style.tell_apart((panel.curve.key.run for panel in panels), NAME)
    for place, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=False):
        _draw_panel(place, panel, names, log=log, bands=((0.1, 0.9, 0.16),))
        _draw_seeds(place, panel, seeds)
        place.set_ylim(*_panel_range([panel]))
        cut |= _mark_cut(place, panel, names, ((0.1, 0.9, 0.16),))
        place.set_title(f"{_task_title(panel, panels)} – {short[panel.curve.key.run]}")
        style.clock_axis(place, panel.curve.clock_unit, log)
        place.set_ylabel(metric_label(panel))
    for place in figure.axes[len(panels) :]:
        place.set_axis_off()
    style.legend_above(
        figure, legend_handles(names, panels, fan=False, band="80 %", seeds=seeds, cut=cut), columns=4
    )
    return figure


def metric_label(panel: CurveForecast) -> str:
    """What the value axis shows."""
    metric = panel.curve.key.metric
    return "accuracy" if style.in_percent(metric) else metric.replace("_", " ")


def legend_handles(
    names: Sequence[str],
    panels: Sequence[CurveForecast],
    *,
    fan: bool,
    band: str = "50 %",
    seeds: JoinedSeeds | None = None,
    cut: bool = False,
) -> list[Any]:
    """Legend entries: measured values, forecasters with their bands, context, chance, seeds."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colour = style.colours(names)
    dot: dict[str, Any] = {**DOT, "markersize": 5}
    handles: list[Any] = [Line2D([], [], **dot, label="seen")] if any(len(p.context) for p in panels) else []
    if any(len(panel.truth) for panel in panels):
        handles.append(Line2D([], [], **{**dot, "markerfacecolor": "white"}, label="came true"))
    handles += [Line2D([], [], color=colour[name], label=name) for name in names]
    if fan:
        handles += [
            Patch(facecolor=colour[name], alpha=alpha, label=text)
            for name, (alpha, text) in (
                (names[0], pair) for pair in ((0.62, "50 %"), (0.38, "80 %"), (0.18, "90 %"))
            )
        ]
    else:
        handles.append(Patch(facecolor=style.MUTED, alpha=0.25, label=f"{band} band"))
    handles.append(Patch(facecolor=style.SHADE, edgecolor=style.GRID, label="context"))
    if any(panel.curve.chance is not None for panel in panels):
        handles.append(Line2D([], [], color=style.MUTED, linestyle=":", linewidth=1.2, label="chance"))
    if seeds is not None:
        handles.append(Patch(facecolor=style.MUTED, alpha=SEEDS_ALPHA, label="lowest to highest seed"))
    if cut:
        mark: dict[str, Any] = {**CUT, "markersize": 5, "color": style.MUTED}
        handles.append(Line2D([], [], **mark, marker="^", label="band goes on"))
    return handles


def _mark_cut(
    axes: "Axes", panel: CurveForecast, names: Sequence[str], bands: Sequence[tuple[float, float, float]]
) -> bool:
    """Put a mark at the edge where a band goes on beyond the axis; returns whether one does."""
    low, high = axes.get_ylim()
    colour, found = style.colours(names), False
    for name in names:
        forecast = panel.answered.get(name)
        levels = [level for band in bands for level in band[:2]]
        if forecast is None or not all(level in forecast.levels for level in levels):
            continue
        sides = (
            ("v", low, forecast.quantile(min(levels)) < low),
            ("^", high, forecast.quantile(max(levels)) > high),
        )
        for marker, edge, beyond in sides:
            at = forecast.horizons[beyond]
            if len(at):
                kept = at[style.spread(len(at), MAX_CUT)]
                axes.plot(kept, np.full(len(kept), edge), marker=marker, color=colour[name], **CUT)
                found = True
    return found


def _draw_seeds(axes: "Axes", panel: CurveForecast, seeds: JoinedSeeds | None) -> None:
    """The band of a run that is the mean of seeds."""
    step, low, high = seeds.edges(panel.curve.key) if seeds is not None else (np.empty(0),) * 3
    if len(step):
        clock = panel.curve.clock  # of the same checkpoints, in the panel's unit
        axes.fill_between(clock, low, high, color=style.MUTED, alpha=SEEDS_ALPHA, linewidth=0, zorder=1.5)


def _grid(panels: Sequence[CurveForecast]) -> list[list[CurveForecast]]:
    """Rows by run and columns by task where that fills a grid, else wrapped in order."""
    runs: dict[str, list[CurveForecast]] = {}
    for panel in panels:
        runs.setdefault(panel.curve.key.run, []).append(panel)
    lines = list(runs.values())
    settings = [[panel.curve.key[1:] for panel in line] for line in lines]
    if len(lines) > 1 and 1 < len(lines[0]) <= MAX_COLUMNS and all(s == settings[0] for s in settings):
        return lines
    columns = min(MAX_COLUMNS, len(panels))
    return [list(panels[start : start + columns]) for start in range(0, len(panels), columns)]


def _draw_panel(
    axes: "Axes",
    panel: CurveForecast,
    names: Sequence[str],
    *,
    log: bool,
    bands: Sequence[tuple[float, float, float]] | None = None,
) -> None:
    colour = style.colours(names)
    bands = bands or (BANDS if len(names) == 1 else BANDS[-1:])
    context, truth = panel.context, panel.truth
    start = _first_clock(panel, log)
    axes.axvspan(start, panel.end, color=style.SHADE, zorder=0, linewidth=0)
    axes.axvline(panel.end, color=style.MUTED, linewidth=0.9, zorder=1)
    if panel.curve.chance is not None:
        axes.axhline(panel.curve.chance, color=style.MUTED, linestyle=":", linewidth=1.2, zorder=1)
    for name in names:
        if name in panel.answered:
            _draw_bands(axes, panel.answered[name], bands, colour[name], alone=len(names) == 1)
    size, width = (3.6, 0.8) if len(panel.curve) <= 80 else (1.9, 0.5)
    dots: dict[str, Any] = {**DOT, "markersize": size, "markeredgewidth": width}
    axes.plot(context.clock, context.values, **dots, zorder=5)
    axes.plot(truth.clock, truth.values, **dots, markerfacecolor="white", zorder=3)
    axes.set_xlim(start, _last_clock(panel) * (1.08 if log else 1.02))
    style.clock_axis(axes, panel.curve.clock_unit, log, label=False)
    if style.in_percent(panel.curve.key.metric):
        style.percent_axis(axes.yaxis)
    axes.grid(visible=False, axis="x")


def _draw_bands(
    axes: "Axes",
    forecast: Forecast,
    bands: Sequence[tuple[float, float, float]],
    colour: str,
    *,
    alone: bool,
) -> None:
    """A forecast's median and bands; where there are others, lighter and with drawn edges."""
    at = forecast.horizons
    for low, high, alpha in bands:
        if low in forecast.levels and high in forecast.levels:
            edges = forecast.quantile(low), forecast.quantile(high)
            axes.fill_between(at, *edges, color=colour, alpha=alpha if alone else 0.16, linewidth=0, zorder=2)
            if not alone:
                axes.plot(at, np.stack(edges, axis=1), color=colour, linewidth=0.6, alpha=0.7, zorder=2)
    axes.plot(at, forecast.median, color=colour, zorder=4)


def _first_clock(panel: CurveForecast, log: bool) -> float:
    if not log:
        return 0.0
    positive = panel.curve.clock[panel.curve.clock > 0]
    return float(min(positive.min(initial=panel.end), panel.end)) / 1.15


def _last_clock(panel: CurveForecast) -> float:
    ends = [float(forecast.horizons.max()) for forecast in panel.answered.values()]
    return max([panel.end, float(panel.curve.clock.max(initial=0.0)), *ends])


def _panel_range(panels: Sequence[CurveForecast]) -> tuple[float, float]:
    """A range that holds the measured values and the 80 % bands; a wilder tail may be cut off."""
    values = [panel.curve.values for panel in panels]
    for panel in panels:
        edges = (0.25, 0.75) if len(panel.answered) > 1 else (0.1, 0.9)
        for forecast in panel.answered.values():
            values += [forecast.quantile(level) for level in edges if level in forecast.levels]
    curve = panels[0].curve
    return style.value_range(np.concatenate(values), curve.chance, style.in_percent(curve.key.metric))


def _task_ranges(panels: Sequence[CurveForecast]) -> Mapping[tuple[str, str], tuple[float, float]]:
    """One value range for each task and metric, so that its runs can be compared."""
    groups: dict[tuple[str, str], list[CurveForecast]] = {}
    for panel in panels:
        groups.setdefault((panel.curve.key.task, panel.curve.key.metric), []).append(panel)
    return {key: _panel_range(group) for key, group in groups.items()}


def _label_grid(axes: Any, grid: list[list[CurveForecast]], panels: Sequence[CurveForecast]) -> None:
    """Name tasks above, runs at the left and the clock below; each panel where rows are not runs."""
    runs = list(dict.fromkeys(panel.curve.key.run for panel in panels))
    rows_are_runs = all(len({panel.curve.key.run for panel in line}) == 1 for line in grid)
    tasks_above = rows_are_runs and len({tuple(p.curve.key[1:] for p in line) for line in grid}) == 1
    named_left = rows_are_runs and len(runs) > 1
    short = style.tell_apart(runs, ROW_NAME if named_left else PANEL_NAME)
    for index, line in enumerate(grid):
        if named_left:
            axes[index, 0].set_ylabel(short[line[0].curve.key.run], fontweight="bold", fontsize=9)
        else:
            axes[index, 0].set_ylabel(metric_label(line[0]))
        for column, panel in enumerate(line):
            task = _task_title(panel, panels)
            title = task if rows_are_runs else f"{task}\n{short[panel.curve.key.run]}"
            axes[index, column].set_title(title if index == 0 or not tasks_above else "")
            below = index + 1 < len(grid) and column < len(grid[index + 1])
            if not below:
                axes[index, column].set_xlabel(style.clock_label(panel.curve.clock_unit))


def _task_title(panel: CurveForecast, panels: Sequence[CurveForecast]) -> str:
    """The task; with metric, shots and variant where the figure shows several."""
    key = panel.curve.key
    metrics, shots, variants = (len({p.curve.key[i] for p in panels}) > 1 for i in (2, 3, 4))
    parts = [style.shorten(key.task, 28)]
    if metrics or not style.in_percent(key.metric):
        parts.append(key.metric)
    if shots and key.n_shot is not None:
        parts.append(f"{key.n_shot}-shot")
    if variants and key.variant is not None:
        parts.append(key.variant)
    return " ".join(parts)
