"""Figures of what designs predict: errors, explanations, sweeps, compositions, correlations, gaps."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNIFICANT = 0.05


def task_name(row: Mapping[str, Any]) -> str:
    """mmlu (5-shot)."""
    return f"{row['task']} ({row['setting']})" if row["setting"] else str(row["task"])


@style.house_style
def errors_by_task(summary: pl.DataFrame) -> "Figure":
    """Mean absolute error of every method on every task: a row a task, a dot a method, best tasks first.

    summary: of `neuneu.designs.summaries.summary`. A tick marks the error that the labels' own noise would
    cause, where it is known.
    """
    methods = summary["method"].unique(maintain_order=True).to_list()
    colour, marker = style.colours(methods), style.markers(methods)
    rows = summary.to_dicts()
    names = list(dict.fromkeys(task_name(row) for row in rows))
    best = {name: min(row["mae"] for row in rows if task_name(row) == name) for name in names}
    names.sort(key=lambda name: best[name])
    figure = style.new_figure(9.0, 1.6 + 0.36 * len(names))
    axes = figure.subplots()
    for height, name in enumerate(names):
        found = [row for row in rows if task_name(row) == name]
        values = [row["mae"] for row in found]
        axes.plot([min(values), max(values)], [height, height], color=style.GRID, linewidth=2.5, zorder=1)
        for row in found:
            axes.plot(
                row["mae"], height, marker[row["method"]], color=colour[row["method"]], markersize=7, zorder=3
            )
        noise = found[0]["noise"]
        if noise is not None and np.isfinite(noise):
            axes.plot(noise, height, "|", color=style.INK, markersize=13, markeredgewidth=1.6, zorder=4)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(left=0)
    unit = (
        "Brier score for anli, logiqa2, mathqa, xnli" if "brier_score" in summary["metric"].to_list() else ""
    )
    axes.set_xlabel("mean absolute error (fraction" + (f"; {unit})" if unit else ")"))
    axes.set_title("Error on models never trained on   ( | = noise of the labels)")
    style.legend_above(figure, style.line_handles(methods))
    return figure
