"""Figures of what designs predict: errors, explanations, sweeps, compositions, correlations, gaps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from neuneu.errors import InputError
from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNIFICANT = 0.05


def task_name(row: Mapping[str, Any]) -> str:
    """mmlu (5-shot)."""
    return f"{row['task']} ({row['setting']})" if row["setting"] else str(row["task"])


@style.house_style
def errors_by_task(summary: pl.DataFrame, reference: str) -> "Figure":
    """Mean absolute error of every method on every task: a row a task, a dot a method, best tasks first.

    summary: of `prediction.score_summaries.summary`. Filled: significantly different from the reference
    (p_fdr); where nothing was tested, all are filled. A tick marks the error that the labels' own noise
    would cause, where it is known.
    """
    methods = summary["method"].unique(maintain_order=True).to_list()
    colour, marker = style.colours(methods), style.markers(methods)
    rows = summary.to_dicts()
    names = list(dict.fromkeys(task_name(row) for row in rows))
    best = {name: min(row["mae"] for row in rows if task_name(row) == name) for name in names}
    names.sort(key=lambda name: best[name])
    tested = summary["p_fdr"].is_not_null().any()
    figure = style.new_figure(9.0, (2.0 if tested else 1.6) + 0.36 * len(names))
    axes = figure.subplots()
    for height, name in enumerate(names):
        found = [row for row in rows if task_name(row) == name]
        values = [row["mae"] for row in found]
        axes.plot([min(values), max(values)], [height, height], color=style.GRID, linewidth=2.5, zorder=1)
        for row in found:
            method, p = row["method"], row["p_fdr"]
            filled = not tested or (p is not None and p < SIGNIFICANT)
            axes.plot(
                row["mae"], height, marker[method], color=colour[method], markersize=7, zorder=3,
                markeredgewidth=1.4, markerfacecolor=colour[method] if filled else "white",
            )  # fmt: skip
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
    known = "   ( | = noise of the labels)" if summary["noise"].is_finite().any() else ""
    axes.set_title(f"Error on models never trained on{known}")
    style.legend_above(figure, style.line_handles(methods))
    if tested:
        figure.legend(handles=_fillings(reference), loc="outside lower left", ncols=2, columnspacing=1.4)
    return figure


def _fillings(reference: str) -> list[object]:
    """Legend entries of filled and open markers."""
    from matplotlib.lines import Line2D

    texts = {
        style.MUTED: f"filled: differs from {reference} (corrected p < {SIGNIFICANT})",
        "white": "open: does not, or was not tested",
    }
    return [
        Line2D([], [], color=style.MUTED, marker="o", linestyle="", markerfacecolor=face, label=text)
        for face, text in texts.items()
    ]


SHOWN = 15
"""Features, models, pairs or tasks drawn where there are more."""


def short(feature: str) -> str:
    """A feature's name for people: pretraining_summary_percentage_code → % code."""
    name = feature.removeprefix("pretraining_summary_").replace("percentage_", "% ")
    return name.removesuffix("_mean").replace("_", " ")


@style.house_style
def shap_chart(values: pl.DataFrame, importance: pl.DataFrame) -> "Figure":
    """SHAP values of the most important features: a panel a task, a dot a model.

    values, importance: of `prediction.explain`. Dots are coloured from low to high values of the feature;
    grey where it is missing or a category. At most 15 tasks.
    """
    every = importance.select("task", "setting", "metric").unique(maintain_order=True).rows()
    keys = every[:SHOWN]
    columns = min(3, len(keys))
    lines = -(-len(keys) // columns)
    shown = min(SHOWN, importance["feature"].n_unique())
    figure = style.new_figure(2.6 + 4.6 * columns, 0.9 + lines * (1.0 + 0.27 * shown))
    axes = figure.subplots(lines, columns, squeeze=False)
    for place, (task, setting, metric) in zip(axes.flat, keys, strict=False):
        best = importance.filter(task=task, setting=setting).head(shown)
        dots = values.filter(task=task, setting=setting)
        dots = dots.group_by("feature", "id", maintain_order=True).agg(
            pl.mean("shap"), pl.first("value", "label")
        )
        for height, feature in enumerate(best["feature"]):
            _bees(place, dots.filter(feature=feature), height)
        place.axvline(0, color=style.MUTED, linewidth=1)
        place.locator_params(axis="x", nbins=5)
        _rows(place, [short(name) for name in best["feature"]])
        place.set_title(task_name({"task": task, "setting": setting}))
        place.set_xlabel(f"change of the predicted {'Brier score' if metric == 'brier_score' else 'score'}")
    for place in list(axes.flat)[len(keys) :]:
        place.set_axis_off()
    figure.text(
        0.995,
        1 - 0.08 / figure.get_figheight(),
        "blue: low value · red: high value · grey: category or missing" + _of(keys, every),
        ha="right",
        va="top",
        fontsize=9,
    )
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.28 / figure.get_figheight()))  # type: ignore[union-attr, call-arg]
    return figure


def _of(shown: Sequence[object], every: Sequence[object]) -> str:
    return "" if len(shown) == len(every) else f"; {len(shown)} of {len(every)} tasks"


def _bees(axes: "Axes", dots: pl.DataFrame, height: int) -> None:
    shap = dots["shap"].to_numpy()
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(shap))
    value = dots["value"].cast(pl.Float64).to_numpy()
    grey = dots["label"].is_not_null().to_numpy() | np.isnan(value)
    axes.scatter(shap[grey], height + jitter[grey], s=9, color="#9aa3ab", linewidths=0, alpha=0.8)
    if (~grey).any():
        ranks = np.argsort(np.argsort(value[~grey], kind="stable"), kind="stable")
        shade = ranks / max(len(ranks) - 1, 1)
        axes.scatter(
            shap[~grey], height + jitter[~grey], s=10, c=shade, cmap="coolwarm", linewidths=0, alpha=0.95
        )


def _rows(axes: "Axes", labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)


@style.house_style
def selection_chart(frame: pl.DataFrame) -> "Figure":
    """How often forward selection chooses a feature: a row a feature, a column a task, darker more often.

    frame: of `neuneu.designs.prediction.selection.choices`. The 30 features that are chosen most.
    """
    if frame.is_empty():
        raise InputError("no feature is selected, so there is nothing to draw", field="figure")
    sums = frame.group_by("feature", maintain_order=True).agg(pl.sum("chosen"))
    names = sums.sort("chosen", "feature", descending=[True, False])["feature"].to_list()[: 2 * SHOWN]
    tasks = list(dict.fromkeys(task_name(row) for row in frame.to_dicts()))
    grid = np.zeros((len(names), len(tasks)))
    for row in frame.filter(pl.col("feature").is_in(names)).to_dicts():
        grid[names.index(row["feature"]), tasks.index(task_name(row))] = 100 * row["chosen"]
    figure = style.new_figure(max(4.2 + 0.42 * len(tasks), 6.4), 2.2 + 0.26 * len(names))
    axes = figure.subplots()
    image = axes.imshow(grid, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for i, j in np.ndindex(*grid.shape):
        if grid[i, j]:
            colour = "white" if grid[i, j] > 60 else style.INK
            axes.text(j, i, f"{grid[i, j]:.0f}", ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.set_xticks(range(len(tasks)), tasks, rotation=60, ha="right")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.6, label="% of training parts")
    axes.set_title("How often forward selection adds a feature")
    return figure


@style.house_style
def sweep_chart(frame: pl.DataFrame) -> "Figure":
    """Predicted scores against the value of one feature: median, 80 % interval, the model's own score.

    frame: of `prediction.sweep.sweep`. Shaded: values far from all known data. At most 15 tasks.
    """
    every = frame.select("task", "setting", "metric").unique(maintain_order=True).rows()
    keys = every[:SHOWN]
    columns = min(3, len(keys))
    lines = -(-len(keys) // columns)
    figure = style.new_figure(1.2 + 3.9 * columns, 0.8 + 3.1 * lines)
    axes = figure.subplots(lines, columns, squeeze=False)
    feature, model = frame["feature"][0], frame["id"][0]
    for place, (task, setting, metric) in zip(axes.flat, keys, strict=False):
        part = frame.filter(task=task, setting=setting).sort("value")
        x = part["value"].to_numpy()
        place.fill_between(x, part["q10"], part["q90"], color="#0072b2", alpha=0.16, linewidth=0)
        far = part["extrapolates"].to_numpy()
        dots = {"color": "#0072b2", "linestyle": "none", "marker": "o", "markersize": 3.5}
        place.plot(x, part["q50"], color="#0072b2")
        place.plot(x[~far], part["q50"].to_numpy()[~far], **dots)
        place.plot(x[far], part["q50"].to_numpy()[far], **dots, markerfacecolor="white")
        _shade(place, x, far)
        truth = part["truth"][0]
        if truth is not None:
            place.axhline(truth, color=style.INK, linestyle="--", linewidth=1.2)
            place.annotate(
                "measured, as it is",
                (0.99, truth),
                xycoords=("axes fraction", "data"),
                fontsize=8,
                va="bottom",
                ha="right",
            )
        place.set_title(task_name({"task": task, "setting": setting}))
        place.set_xlabel(short(feature))
        place.set_ylabel("Brier score (low is good)" if metric == "brier_score" else "score (fraction)")
        place.margins(x=0.02)
    for place in list(axes.flat)[len(keys) :]:
        place.set_axis_off()
    grey = "; grey, hollow: beyond all known data" if frame["extrapolates"].any() else ""
    gap = "\n" if columns == 1 else "   "
    title = f"{model} with other values of {short(feature)}{gap}(band: 80 % interval{grey}{_of(keys, every)})"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _shade(axes: "Axes", x: Any, far: Any) -> None:
    edges = np.concatenate([[x[0]], (x[1:] + x[:-1]) / 2, [x[-1]]]) if len(x) > 1 else np.array([x[0], x[0]])
    for left, right, grey in zip(edges[:-1], edges[1:], far, strict=True):
        if grey:
            axes.axvspan(left, right, color=style.SHADE, zorder=0, linewidth=0)


@style.house_style
def composition_chart(found: pl.DataFrame) -> "Figure":
    """True against predicted shares of the data: a panel a domain, a dot a model, the diagonal is right."""
    domains = found["domain"].unique(maintain_order=True).to_list()
    figure = style.new_figure(1.0 + 2.7 * len(domains), 3.6)
    axes = figure.subplots(1, len(domains), squeeze=False)[0]
    for place, domain in zip(axes, domains, strict=True):
        part = found.filter(domain=domain)
        truth, guess = part["true"].to_numpy(), part["predicted"].to_numpy()
        reach = 1.06 * max(float(truth.max()), float(guess.max()), 1.0)
        place.plot([0, reach], [0, reach], color=style.MUTED, linewidth=1, linestyle=":")
        place.scatter(part["true"], part["predicted"], s=16, color="#0072b2", alpha=0.6, linewidths=0)
        error = np.abs(guess - truth).mean()
        plain = np.abs(part["mean"].to_numpy() - truth).mean()
        place.set_title(f"{domain}: off by {error:.1f}\n(the mean share by {plain:.1f})")
        place.set_xlim(-0.03 * reach, reach)
        place.set_ylim(-0.03 * reach, reach)
        place.set_xlabel("true, % of the data")
    axes[0].set_ylabel("read from what it writes, %")
    return figure


@style.house_style
def correlation_chart(frame: pl.DataFrame) -> "Figure":
    """Correlations as a map, −1 (orange) to 1 (purple); pairs that are not significant are left pale.

    frame: of `neuneu.designs.prediction.analyses.correlations`.
    """
    rows, columns = frame["a"].unique(maintain_order=True).to_list(), frame["b"].unique(maintain_order=True)
    square = bool(set(rows) & set(columns))
    names = sorted({*rows, *columns}) if square else sorted(rows)
    across = names if square else sorted(columns)
    grid, faint = np.full((len(names), len(across)), np.nan), np.zeros((len(names), len(across)), bool)
    for a, b, value, p in frame.select("a", "b", "correlation", "p_fdr").iter_rows():
        for i, j in [(a, b), (b, a)] if square else [(a, b)]:
            grid[names.index(i), across.index(j)] = value
            faint[names.index(i), across.index(j)] = p >= SIGNIFICANT
    size = max(len(names), 8)
    figure = style.new_figure(3.4 + 0.34 * len(across), 2.2 + 0.26 * size)
    axes = figure.subplots()
    image = axes.imshow(np.where(faint, grid * 0.15, grid), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    few = len(across) <= SHOWN
    for i, j in np.ndindex(*grid.shape) if few else ():
        if np.isfinite(grid[i, j]):
            axes.text(
                j, i, f"{grid[i, j]:.2f}".replace("0.", "."), ha="center", va="center", fontsize=7.5,
                color="white" if abs(grid[i, j]) > 0.55 and not faint[i, j] else style.INK,
            )  # fmt: skip
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    axes.set_xticks(range(len(across)), [short(name) for name in across], rotation=60, ha="right")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.6, label=frame["measure"][0])
    axes.set_title("Correlations over models   (pale: not significant)")
    return figure


@style.house_style
def components_chart(loadings: pl.DataFrame, places: pl.DataFrame, owners: Mapping[str, str]) -> "Figure":
    """Loadings of the components, and the models on the first two, the largest organisations in colour.

    loadings, places: of `neuneu.designs.prediction.analyses.components`. Of features, the 30 that load most.
    """
    kind = "task" if "task" in loadings.columns else "feature"
    sizes = loadings.group_by(kind, maintain_order=True).agg((pl.col("loading") ** 2).sum().alias("size"))
    every = sizes[kind].to_list()
    names = every
    if kind == "feature":
        names = sizes.sort("size", descending=True, maintain_order=True)[kind].to_list()[: 2 * SHOWN]
        loadings = pl.DataFrame({kind: names}).join(loadings, on=kind, maintain_order="left")
    count = int(loadings["component"].n_unique())
    tall = max(3.4, 0.3 * len(names))
    figure = style.new_figure(10.5, 1.6 + tall)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    height = 0.8 / count
    for c in range(count):
        part = loadings.filter(component=c + 1)
        at = np.arange(len(names)) + (c - (count - 1) / 2) * height
        share = part["share"][0]
        left.barh(
            at, part["loading"], height=height * 0.9, color=style.CYCLE[c % len(style.CYCLE)],
            label=f"component {c + 1}: {100 * share:.0f} % of the variance",
        )  # fmt: skip
    left.axvline(0, color=style.MUTED, linewidth=1)
    _rows(left, names if kind == "task" else [short(name) for name in names])
    left.set_xlabel(f"correlation of {kind} and component")
    of = "" if len(names) == len(every) else f" ({len(names)} of {len(every)})"
    left.set_title(f"{kind.capitalize()}s{of}")
    left.legend(loc="upper center", bbox_to_anchor=(0.4, -0.5 / tall), ncols=1)
    if count > 1:
        _places(right, places, owners)
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.5 / tall), ncols=2)
    else:
        right.set_axis_off()
    return figure


def _places(axes: "Axes", places: pl.DataFrame, owners: Mapping[str, str]) -> None:
    whose = [owners[name] for name in places["id"]]
    sizes = {name: whose.count(name) for name in dict.fromkeys(whose)}
    large = sorted(sizes, key=lambda name: (-sizes[name], name))[:6]
    for name in [*large, None]:
        rows = [i for i, owner in enumerate(whose) if (owner == name if name else owner not in large)]
        colour = style.CYCLE[large.index(name)] if name else "#9aa3ab"
        marker = style.MARKERS[large.index(name)] if name else "."
        part = places[rows]
        label = {None: "others", "(none)": "no organisation"}.get(name) or style.shorten(str(name), 22)
        axes.scatter(
            part["component 1"], part["component 2"], s=26, color=colour, marker=marker, alpha=0.85,
            linewidths=0, label=label,
        )  # fmt: skip
    axes.set_xlabel("component 1")
    axes.set_ylabel("component 2")
    axes.set_title("Models")


@style.house_style
def model_errors(frame: pl.DataFrame) -> "Figure":
    """The models (or models on tasks) that predictions miss most, worst first, of the first method.

    frame: of `prediction.score_summaries.error_table`. Bars: how much better than predicted, on average over
    tasks; ticks: mean size of the error.
    """
    method = frame["method"][0]
    part = frame.filter(method=method).head(2 * SHOWN)
    names = [
        style.shorten(row["id"], 44) + (f", {task_name(row)}" if "task" in row else "")
        for row in part.to_dicts()
    ]
    figure = style.new_figure(9.0, 1.3 + 0.25 * len(names))
    axes = figure.subplots()
    values = 100 * part["better"].to_numpy()
    side = np.where(values < 0, -1, 1)
    axes.barh(
        range(len(names)), values, height=0.7, color=np.where(values > 0, "#0072b2", "#d55e00").tolist()
    )
    axes.plot(100 * part["miss"].to_numpy() * side, range(len(names)), "|", color=style.INK, markersize=9)
    axes.axvline(0, color=style.MUTED, linewidth=1)
    _rows(axes, names)
    axes.set_xlabel("points better than predicted (left: worse); | mean size of the error")
    axes.set_title(f"Where {method} is furthest off\n(order: by error over each task's mean error)")
    return figure


@style.house_style
def coverage_chart(ids: Sequence[str], tasks: Sequence[str], missing: pl.DataFrame) -> "Figure":
    """Which models have which scores: those that lack any, a row each; filled = has it."""
    lacking = {name: set() for name in missing["id"].unique(maintain_order=True)}  # type: dict[str, set[str]]
    for row in missing.to_dicts():
        lacking[row["id"]].add(task_name(row))
    names = list(lacking)
    if not names:
        raise InputError("no score is missing, so there is nothing to draw", field="figure")
    grid = np.array([[task not in lacking[name] for task in tasks] for name in names], float)
    figure = style.new_figure(4.2 + 0.36 * len(tasks), 2.2 + 0.24 * len(names))
    axes = figure.subplots()
    axes.pcolormesh(grid, cmap="Blues", vmin=0, vmax=1.6, edgecolors="white", linewidth=1.5)
    axes.set_yticks(np.arange(len(names)) + 0.5, [style.shorten(name, 44) for name in names])
    axes.invert_yaxis()
    axes.set_xticks(np.arange(len(tasks)) + 0.5, tasks, rotation=60, ha="right")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_title(f"{len(missing)} scores missing (white); {len(ids) - len(names)} models lack none")
    return figure
