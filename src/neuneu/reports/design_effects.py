"""Figures of what moves predictions: one feature's effect, kinds of features, the tree of tasks, errors."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from neuneu.errors import InputError
from neuneu.reports import style
from neuneu.reports.design_figures import SHOWN, short, task_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HALVES = {"smaller": style.CYCLE[3], "larger": style.CYCLE[0], "all": style.INK}


def _panels(
    keys: Sequence[tuple[str, str]], draw: Callable[["Axes", tuple[str, str]], None], height: float = 3.0
) -> "Figure":
    """A panel a task, at most 15 of them."""
    shown = keys[:SHOWN]
    if not shown:
        raise InputError("there is nothing to draw", field="figure")
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure = style.new_figure(1.2 + 3.7 * columns, 0.9 + height * lines)
    axes = figure.subplots(lines, columns, squeeze=False)
    for place, key in zip(axes.flat, shown, strict=False):
        draw(place, key)
        place.set_title(task_name({"task": key[0], "setting": key[1]}))
    for place in list(axes.flat)[len(shown) :]:
        place.set_axis_off()
    return figure


def _keys(frame: pl.DataFrame) -> list[tuple[str, str]]:
    return frame.select("task", "setting").unique(maintain_order=True).rows()


@style.house_style
def effect_chart(
    values: pl.DataFrame, curves: pl.DataFrame, feature: str, band: tuple[float, float] | None
) -> "Figure":
    """SHAP values against a feature: a panel a task, a dot a model, smooth lines by size, 95 % intervals.

    values, curves: of `prediction.effects`. band: values to shade.
    """

    def draw(place: "Axes", key: tuple[str, str]) -> None:
        dots = values.filter(task=key[0], setting=key[1])
        if band is not None:
            place.axvspan(*band, color=style.SHADE, zorder=0, linewidth=0)
        place.axhline(0, color=style.MUTED, linewidth=1)
        for half in ("smaller", "larger"):
            part = dots.filter(half=half)
            place.scatter(part["value"], part["shap"], s=11, color=_HALVES[half], alpha=0.6, linewidths=0)
        for half, colour in _HALVES.items():
            line = curves.filter(task=key[0], setting=key[1], models=half).sort("value")
            if half == "all":
                place.fill_between(
                    line["value"], line["low"], line["high"], color=colour, alpha=0.14, linewidth=0
                )
            place.plot(line["value"], line["shap"], color=colour, linewidth=1.6)
        metric = curves.filter(task=key[0], setting=key[1])["metric"].first()
        place.set_xlabel(short(feature))
        units = {"brier_score": "Brier score", "spread": "units of the scores' spread"}
        place.set_ylabel(f"change ({units.get(str(metric), 'score')})")

    figure = _panels(_keys(curves), draw)
    style.legend_above(figure, _handles({f"{name} models": c for name, c in _HALVES.items()}))
    return figure


def _handles(colours: Mapping[str, str]) -> list[object]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]


@style.house_style
def kinds_chart(frame: pl.DataFrame) -> "Figure":
    """How far each kind of feature moves predictions: a row a task, a bar a kind, 95 % intervals.

    frame: of `prediction.explain.importance` over `by_kind`; bars are shares of the task's sum.
    """
    keys, kinds = _keys(frame), frame["feature"].unique(maintain_order=True).to_list()
    colour = dict(zip(kinds, style.CYCLE, strict=False))
    figure = style.new_figure(8.6, 1.5 + 0.42 * len(keys))
    axes = figure.subplots()
    height = 0.8 / len(kinds)
    for row, key in enumerate(keys):
        part = frame.filter(task=key[0], setting=key[1])
        total = float(part["importance"].sum()) or 1.0
        for one in part.to_dicts():
            at = row + (kinds.index(one["feature"]) - (len(kinds) - 1) / 2) * height
            size, low, high = (100 * one[name] / total for name in ("importance", "low", "high"))
            axes.barh(at, size, height=0.9 * height, color=colour[one["feature"]])
            axes.plot([low, high], [at, at], color=style.INK, linewidth=1)
    axes.set_yticks(range(len(keys)), [task_name({"task": k[0], "setting": k[1]}) for k in keys])
    axes.set_ylim(len(keys) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("% of what moves the predictions of the task")
    style.legend_above(figure, _handles(colour))
    return figure


@style.house_style
def tree_chart(links: Any, names: Sequence[str]) -> "Figure":
    """The tree of tasks: those that join early lean on the same features. links: SciPy's linkage matrix."""
    from scipy.cluster.hierarchy import dendrogram

    figure = style.new_figure(8.0, 1.4 + 0.32 * len(names))
    axes = figure.subplots()
    dendrogram(
        links, labels=list(names), orientation="right", ax=axes, color_threshold=0,
        above_threshold_color=style.CYCLE[0],
    )  # fmt: skip
    axes.grid(visible=False)
    axes.set_xlabel("distance (Ward) of the shares of SHAP values")
    axes.set_title("Tasks by what their predictions lean on")
    return figure


@style.house_style
def truth_chart(cells: pl.DataFrame) -> "Figure":
    """True against predicted scores of the first method: a panel a task, a dot a model, its 80 % interval.

    cells: of `prediction.nested.evaluate`; dots are means over seeds, open where the design is extrapolated.
    """
    method = cells["method"][0]
    mean = (
        cells.filter(method=method)
        .group_by("task", "setting", "id", maintain_order=True)
        .agg(pl.mean("true", "q10", "q50", "q90"), pl.any("extrapolates"))
    )

    def draw(place: "Axes", key: tuple[str, str]) -> None:
        part = mean.filter(task=key[0], setting=key[1])
        truth, guess = part["true"].to_numpy(), part["q50"].to_numpy()
        place.vlines(part["true"], part["q10"], part["q90"], color=style.GRID, linewidth=1.2, zorder=1)
        for far in (False, True):
            some = part["extrapolates"].to_numpy() == far
            face = "white" if far else style.CYCLE[0]
            place.scatter(
                truth[some], guess[some], s=16, facecolors=face, edgecolors=style.CYCLE[0], zorder=2
            )
        ends = [float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))]
        place.plot(ends, ends, color=style.MUTED, linewidth=1, linestyle=":")
        place.set_xlabel("true")
        place.set_ylabel("predicted")

    figure = _panels(_keys(mean), draw)
    title = f"{method}: a dot a model (line: 80 % interval; open: extrapolated)"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


@style.house_style
def against_chart(errors: pl.DataFrame, frame: pl.DataFrame, feature: str) -> "Figure":
    """Signed errors against a feature: a panel a task, the least-squares line or the labels' means, and R².

    errors: task, setting, value or label, error; frame: of `prediction.summaries.errors_against`.
    """

    def draw(place: "Axes", key: tuple[str, str]) -> None:
        part = errors.filter(task=key[0], setting=key[1])
        found = frame.filter(task=key[0], setting=key[1]).row(0, named=True)
        place.axhline(0, color=style.MUTED, linewidth=1)
        error = part["error"].to_numpy()
        if found["slope"] is None:
            labels = sorted(part["label"].unique())
            at = np.array([labels.index(label) for label in part["label"]])
            means = [error[at == i].mean() for i in range(len(labels))]
            place.plot(range(len(labels)), means, "_", color=style.INK, markersize=22)
            place.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
        else:
            at = part["value"].to_numpy()
            ends = np.array([at.min(), at.max()])
            line = error.mean() + found["slope"] * (ends - at.mean())
            place.plot(ends, line, color=style.INK, linewidth=1.2)
        place.scatter(at, error, s=13, color=style.CYCLE[0], alpha=0.6, linewidths=0)
        place.set_xlabel(f"{short(feature)}   (R² {found['r2']:.2f})")
        place.set_ylabel("predicted − true")

    return _panels(_keys(frame), draw)


@style.house_style
def realism_chart(frame: pl.DataFrame) -> "Figure":
    """Features of real data against those of what models write: a row a feature, in units of their spread.

    frame: of `taggers.realism.compare`. A dot is the mean over models less the real value; its line ± one
    standard deviation of the models.
    """
    rows = frame.drop_nulls("z").to_dicts()[: 3 * SHOWN]
    if not rows:
        raise InputError("no feature varies over models, so there is nothing to draw", field="figure")
    figure = style.new_figure(7.6, 1.4 + 0.26 * len(rows))
    axes = figure.subplots()
    axes.axvline(0, color=style.MUTED, linewidth=1)
    for height, row in enumerate(rows):
        axes.plot([row["z"] - 1, row["z"] + 1], [height, height], color=style.GRID, linewidth=2.5)
        axes.plot(row["z"], height, "o", color=style.CYCLE[0], markersize=5)
    axes.set_yticks(range(len(rows)), [short(row["feature"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("generated less real, in standard deviations over the models")
    return figure


@style.house_style
def distribution_chart(values: Mapping[str, Any], feature: str) -> "Figure":
    """How a document feature is spread in each corpus: cumulative shares, a line a corpus.

    values: corpus → its documents' values.
    """
    figure = style.new_figure(7.0, 4.0)
    axes = figure.subplots()
    colour = style.colours(values)
    for name, found in values.items():
        ordered = np.sort(np.asarray(found, np.float64))
        shares = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step(ordered, shares, where="post", color=colour[name], label=name)
    axes.set_xlabel(short(feature))
    axes.set_ylabel("% of the documents at or below")
    style.legend_above(figure, style.line_handles(values, marked=False))
    return figure


@style.house_style
def confusion_chart(frame: pl.DataFrame) -> "Figure":
    """Labels down, predictions across, per cent of the label's documents. frame: of `agreement.confusion`."""
    names = frame["label"].to_list()
    counts = frame.select(names).to_numpy().astype(float)
    total = counts.sum(1, keepdims=True)
    shares = 100 * counts / np.where(total > 0, total, 1.0)
    figure = style.new_figure(3.0 + 0.7 * len(names), 1.8 + 0.5 * len(names))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for i, j in np.ndindex(*shares.shape):
        if counts[i, j]:
            colour = "white" if shares[i, j] > 60 else style.INK
            axes.text(j, i, f"{shares[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    axes.set_title("% of the documents of a label")
    return figure
