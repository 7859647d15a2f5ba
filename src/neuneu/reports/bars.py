"""Comparisons: the leaderboard with its noise floor, ranking accuracy, error by run and by task."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neuneu.errors import InputError
from neuneu.evaluation.scores import Estimate, ScoredCells
from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 60
COLUMNS = 3
RANKINGS = {"ranking_within_size": "same size, different recipes", "ranking_across_sizes": "different sizes"}


@style.house_style
def leaderboard_chart(document: Mapping[str, Any]) -> "Figure":
    """Mean absolute error of every forecaster with 95 % intervals: over all sources, then in each.

    document: leaderboard.json. A dashed line is the noise between neighbouring checkpoints, below which no
    forecast can be expected to come. Rows that see the future are hatched and labelled.
    """
    floors = {name: floor.get("checkpoint") for name, floor in document.get("noise_floor", {}).items()}
    sections: dict[str, list[Any]] = dict(document["sources"])
    if len(sections) != 1:
        sections = {"all sources": document["overall"], **sections}
        known = [floor for floor in floors.values() if floor is not None]
        floors["all sources"] = float(np.mean(known)) if known else None
    order = _by_error(next(iter(sections.values())))
    columns = min(COLUMNS, len(sections))
    lines = -(-len(sections) // columns)
    figure = style.new_figure(2.4 + 3.4 * columns, 0.9 + lines * (0.7 + 0.34 * len(order)))
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    scale, unit = _unit(document)
    for place, (name, rows) in zip(axes.flat, sections.items(), strict=False):
        _draw_bars(place, rows, order, scale)
        _draw_floor(place, floors.get(name), scale)
        place.set_title(f"{name}  ({_count(rows, 'n_runs', 'run')}, {_count(rows, 'n_curves', 'curve')})")
    seeds = ", ± standard deviation over seeds" if any("spread" in r for r in document["overall"]) else ""
    _finish_grid(axes, len(sections), f"mean absolute error ({unit}), 95 % interval over runs{seeds}")
    return figure


@style.house_style
def ranking_chart(document: Mapping[str, Any]) -> "Figure":
    """How often the better of two runs is named, with 95 % intervals; the dotted line is a coin.

    document: leaderboard.json. Pairs have the same task, setting and budget. Raises InputError without pairs.
    """
    kinds = [kind for kind in RANKINGS if any(_finite(row.get(kind)) for row in document["overall"])]
    if not kinds:
        rule = "no two runs of one task share size or budget, so there is nothing to rank"
        raise InputError(rule, where="leaderboard", field="ranking")
    rows = [row for row in document["overall"] if any(_finite(row.get(kind)) for kind in kinds)]
    rows.sort(key=lambda row: -(row[kinds[0]] if _finite(row.get(kinds[0])) else 0.0))
    colour = style.colours(row["forecaster"] for row in rows)
    figure = style.new_figure(2.4 + 4.2 * len(kinds), 1.3 + 0.36 * len(rows))
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for place, kind in zip(axes, kinds, strict=True):
        for height, row in enumerate(rows):
            estimate = _estimate(row, kind, 1.0)
            if _finite(estimate.value):
                _dot(place, estimate, height, colour[row["forecaster"]], "o")
                text = f"{100 * estimate.value:.1f} %"
                place.annotate(
                    text, (1.02, height), xycoords=("axes fraction", "data"), va="center", fontsize=9
                )
        place.axvline(0.5, color=style.MUTED, linestyle=":", linewidth=1.2)
        place.set_xlim(min(0.45, *place.get_xlim()), 1.0)
        style.percent_axis(place.xaxis)
        pairs = max(int(row.get(f"n_pairs_{kind}") or 0) for row in rows)
        place.set_title(f"{RANKINGS[kind]}  ({pairs:,} pairs)")
        place.set_xlabel("pairs of runs put in the right order (dotted: a coin)")
        place.tick_params(axis="y", length=0)
    _name_rows(axes[0], [_label(row) for row in rows])
    return figure


@style.house_style
def grouped_chart(cells: ScoredCells, by: str) -> "Figure":
    """Mean absolute error by run or by task: a row each, a dot a forecaster.

    by: "run" or "task"; rows in the order of the best forecaster's error. Shows the `MAX_ROWS` rows with the
    largest error where there are more, and says so.
    """
    codes = cells.codes("source", "run") if by == "run" else cells.codes("task")
    first = np.unique(codes, return_index=True)[1]
    labels = cells.place[by].to_list()
    means = {
        name: [cells.mean(name, "mae", codes == code).scaled(cells.unit) for code in range(len(first))]
        for name in cells.names
    }
    best = min(cells.names, key=lambda name: cells.mean(name, "mae").value)
    order = sorted(range(len(first)), key=lambda code: means[best][code].value)[-MAX_ROWS:]
    figure = style.new_figure(9.5, 1.5 + 0.26 * len(order))
    axes = figure.subplots()
    colour, marker = style.colours(cells.names), style.markers(cells.names)
    for height, code in enumerate(order):
        values = [means[name][code].value for name in cells.names]
        axes.plot([min(values), max(values)], [height, height], color=style.GRID, linewidth=2.5, zorder=1)
        for name in cells.names:
            spread = cells.unit * cells.spread(name, "mae", codes == code)
            if _finite(spread):
                reach = [means[name][code].value - spread, means[name][code].value + spread]
                axes.plot(reach, [height, height], color=colour[name], linewidth=1.4, zorder=2)
            axes.plot(
                means[name][code].value, height, marker[name], color=colour[name], markersize=6, zorder=3
            )
    short = style.tell_apart(labels[first[code]] for code in order)
    _name_rows(axes, [short[labels[first[code]]] for code in order])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    seeds = ", ± standard deviation over seeds" if any(len(m) > 1 for m in cells.members.values()) else ""
    axes.set_xlabel(f"mean absolute error ({'points' if cells.percent else 'metric units'}){seeds}")
    hidden = len(first) - len(order)
    axes.set_title(f"Error by {by}" + (f" (the {hidden} with smaller error are left out)" if hidden else ""))
    style.legend_above(figure, style.line_handles(cells.names))
    return figure


def _draw_bars(axes: "Axes", rows: Sequence[Mapping[str, Any]], order: Sequence[str], scale: float) -> None:
    found = {row["forecaster"]: row for row in rows}
    colour = style.colours(order)
    estimates = {name: _estimate(found[name], "mae", scale) for name in order if name in found}
    reach = max(
        max(e.value, e.high if _finite(e.high) else 0.0) for e in estimates.values() if _finite(e.value)
    )
    for height, name in enumerate(order):
        if name not in estimates or not _finite(estimates[name].value):
            continue
        estimate = estimates[name]
        future = bool(found[name].get("sees_future"))
        face, edge, hatch = ("white", style.MUTED, "////") if future else (colour[name], colour[name], None)
        axes.barh(height, estimate.value, height=0.62, color=face, edgecolor=edge, hatch=hatch, linewidth=0.8)
        _whisker(axes, estimate, height)
        end = max(estimate.value, estimate.high if _finite(estimate.high) else 0.0)
        axes.text(end + 0.02 * reach, height, f"{estimate.value:.2f}", va="center", fontsize=9)
    axes.set_xlim(0, reach * 1.16)
    _name_rows(axes, [_label(found[name]) if name in found else name for name in order])
    axes.grid(visible=False, axis="y")


def _draw_floor(axes: "Axes", floor: float | None, scale: float) -> None:
    if floor is None or not _finite(floor):
        return
    axes.axvline(floor * scale, color=style.INK, linestyle="--", linewidth=1.1, zorder=4)
    axes.annotate(
        f"noise floor {floor * scale:.2f}", (floor * scale, 1.0), xycoords=("data", "axes fraction"),
        xytext=(3, -2), textcoords="offset points", fontsize=8, color=style.INK, va="top",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}, zorder=5,
    )  # fmt: skip


def _whisker(axes: "Axes", estimate: Estimate, height: float) -> None:
    if _finite(estimate.low) and _finite(estimate.high):
        axes.plot([estimate.low, estimate.high], [height, height], color=style.INK, linewidth=1.3, zorder=3)


def _dot(axes: "Axes", estimate: Estimate, height: float, colour: str, marker: str) -> None:
    if _finite(estimate.low) and _finite(estimate.high):
        axes.plot([estimate.low, estimate.high], [height, height], color=colour, linewidth=1.6, zorder=2)
    axes.plot(estimate.value, height, marker, color=colour, markersize=7, zorder=3)


def _name_rows(axes: "Axes", labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.9)
    axes.tick_params(axis="y", length=0)


def _finish_grid(axes: Any, used: int, label: str) -> None:
    columns = axes.shape[1]
    for index, place in enumerate(axes.flat):
        if index >= used:
            place.set_axis_off()
        elif index + columns >= used:
            place.set_xlabel(label.replace(", ", ",\n"))


def _by_error(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    known = [row for row in rows if _finite(row.get("mae"))]
    return [
        row["forecaster"] for row in sorted(known, key=lambda row: (bool(row.get("sees_future")), row["mae"]))
    ]


def _label(row: Mapping[str, Any]) -> str:
    seeds = f" ({row['n_seeds']} seeds)" if "n_seeds" in row else ""
    return style.shorten(row["forecaster"]) + seeds + (" (sees the future)" if row.get("sees_future") else "")


def _count(rows: Sequence[Mapping[str, Any]], field: str, noun: str) -> str:
    number = max((int(row.get(field) or 0) for row in rows), default=0)
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _unit(document: Mapping[str, Any]) -> tuple[float, str]:
    """Accuracies are shown in points; the protocol names a metric only where one was asked for."""
    metric = str(document.get("protocol", {}).get("metric", ""))
    return (100.0, "points of accuracy") if " " in metric or style.in_percent(metric) else (1.0, metric)


def _estimate(row: Mapping[str, Any], field: str, scale: float) -> Estimate:
    value = row.get(field)
    bounds = (row.get("intervals") or {}).get(field) or (float("nan"), float("nan"))
    spread = (row.get("spread") or {}).get(field)
    if spread is not None and value is not None:
        bounds = (value - spread, value + spread)
    return Estimate(float("nan") if value is None else float(value), *map(float, bounds)).scaled(scale)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
