"""How decisions would have turned out: what probabilities were worth, what dropping runs saved and cost."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neuneu.decisions.outcomes import MEAN, PLAIN, RANK
from neuneu.errors import InputError
from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = {RANK: "-", PLAIN: "--"}
FEWEST_PAIRS = 20
"""A tenth with fewer pairs is not drawn."""

TOO_FEW = f"too few pairs: a point takes {FEWEST_PAIRS}"
"""What stands where no tenth is drawn, so that an empty figure is not taken for a broken one."""


@style.house_style
def decisions_chart(document: dict[str, Any]) -> "Figure":
    """Left: how often the favourite of a pair won against the probability said. Right: regret against compute
    saved where runs are dropped by P(best), single tasks.

    document: of `decisions_document`. Raises InputError where it holds no pair.
    """
    if not document.get("reliability"):
        raise InputError("holds no pair of runs", field="reliability")
    names = list(dict.fromkeys(row["forecaster"] for row in document["reliability"]))
    figure = style.new_figure(9.6, 4.6)
    left, right = figure.subplots(1, 2)
    _reliability(left, document, names)
    _dropping(right, document, names)
    style.legend_above(figure, style.line_handles(names))
    return figure


def _reliability(axes: "Axes", document: dict[str, Any], names: list[str]) -> None:
    colour, marker, drawn = style.colours(names), style.markers(names), False
    axes.plot([0.5, 1], [0.5, 1], color=style.MUTED, linestyle=":", linewidth=1.2)
    for name in names:
        tenths: dict[str, list[dict[str, Any]]] = {}
        for row in document["reliability"]:
            if row["forecaster"] == name and row["rule"] == RANK:
                tenths.setdefault(row["tenth"], []).append(row)
        points = [_pooled(rows) for _, rows in sorted(tenths.items())]
        known = [(p, right) for p, right, pairs in points if pairs >= FEWEST_PAIRS]
        at, won = [p for p, _ in known], [right for _, right in known]
        axes.plot(at, won, marker=marker[name], color=colour[name], markersize=5)
        drawn = drawn or bool(known)
    if not drawn:
        axes.text(0.95, 0.05, TOO_FEW, transform=axes.transAxes, ha="right", color=style.MUTED)
    axes.set_xlabel("probability said for the favourite (dotted: as said)")
    axes.set_ylabel("how often it won")
    axes.set_title("Pairs of runs, as rank has them")
    style.percent_axis(axes.xaxis)
    style.percent_axis(axes.yaxis)


def _pooled(rows: list[dict[str, Any]]) -> tuple[float, float, int]:
    """Probability said, how often it was right, and pairs, of a tenth over all contexts."""
    pairs = np.array([row["pairs"] for row in rows])
    p, right = (float(np.average([row[name] for row in rows], weights=pairs)) for name in ("p", "right"))
    return p, right, int(pairs.sum())


def _dropping(axes: "Axes", document: dict[str, Any], names: list[str]) -> None:
    colour, marker = style.colours(names), style.markers(names)
    for name in names:
        for rule, line in LINES.items():
            rows = [
                row
                for row in document["dropping"]
                if row["forecaster"] == name and row["rule"] == rule and row["over"] != MEAN
            ]
            saved = np.array([row["compute_saved"] for row in rows])
            regret = 100 * np.array([row["regret"] for row in rows])
            axes.plot(saved, regret, marker=marker[name], linestyle=line, color=colour[name], markersize=4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("compute saved (dashed: plain quantiles)")
    axes.set_ylabel("regret (points): best of all less best left")
    axes.set_title(f"Runs dropped by P(best){_thresholds(document)}")
    style.percent_axis(axes.xaxis)


def _thresholds(document: dict[str, Any]) -> str:
    """Below which probabilities runs are dropped, a point each."""
    found = sorted({row["threshold"] for row in document["dropping"]})
    return f" below {found[0]:g} to {found[-1]:g}" if found else ""
