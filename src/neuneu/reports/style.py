"""How every figure looks: colours, type, readable numbers; and writing it, the same bytes every time."""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import numpy as np

from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError, MissingExtraError
from neuneu.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from numpy.typing import NDArray

Params = ParamSpec("Params")

CAPTION = 8
"""Points of the caption below a figure."""
TITLE = 11.5
"""Points of the title of a figure."""
MARGIN = 0.08
"""Inches that a title keeps off the edge of the canvas."""
MIN_WRAP = 12
"""Titles are not wrapped to fewer characters."""

INK, MUTED, GRID, SHADE = "#1b1f24", "#5b6570", "#e3e6ea", "#f0f2f4"
"""Text and truth, secondary text, grid lines, the shaded context."""

FIXED = {
    "last-value": "#7f8890", "power-law": "#d55e00", "neuneu-2": "#0072b2", "neuneu": "#009e73",
    "lightgbm": "#cc79a7", "reference-shift": "#e69f00", "log-linear": "#56b4e9", "mean-k": "#8c6d1f",
    "broken-power-law": "#882255", "gaussian-process": "#117733",
}  # fmt: skip
"""Forecasters with one colour in every figure (Okabe & Ito 2008, then Tol: apart for colour-blind eyes)."""

CYCLE = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#88ccee", "#8c6d1f")
"""Colours of the others, in order, those that a figure uses already left out."""

RUNS = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#d55e00", "#8c6d1f")
"""Colours of runs that lie over each other, the leading one first."""

MARKERS = "osD^vPX*<>"
FORMATS = (".png", ".svg")
DPI = 150
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

RC: dict[str, object] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.labelsize": 10,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "axes.titlecolor": INK, "text.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.linewidth": 0.8, "grid.color": GRID, "grid.linewidth": 0.8,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.frameon": False, "legend.fontsize": 9.5,
    "figure.facecolor": "white", "savefig.facecolor": "white", "lines.linewidth": 1.8,
    "svg.hashsalt": "neuneu", "svg.fonttype": "none", "text.parse_math": False,
}  # fmt: skip


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each forecaster: the known ones keep theirs, the others take the cycle in this order."""
    names = list(dict.fromkeys(names))
    taken = {FIXED[name] for name in names if name in FIXED}
    free = [colour for colour in CYCLE if colour not in taken] or list(CYCLE)
    others = [name for name in names if name not in FIXED]
    return {name: FIXED.get(name) or free[others.index(name) % len(free)] for name in names}


def markers(names: Iterable[str]) -> dict[str, str]:
    """A marker for each forecaster, so that colour is never the only difference."""
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(dict.fromkeys(names))}


def readable(number: float) -> str:
    """A count for people: 950, 1.2k, 300M, 10B, 1.5T; beyond that a power of ten."""
    if number >= 1e15:
        mantissa, exponent = f"{number:.1e}".split("e")
        mantissa, exponent = mantissa.removesuffix(".0"), str(int(exponent))
        power = f"10{exponent.translate(SUPERSCRIPT)}"
        return power if mantissa == "1" else f"{mantissa}×{power}"
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def spread(n: int, most: int) -> "NDArray[np.int64]":
    """Indices of at most `most` of n items, evenly spread, first and last included."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def shorten(name: str, limit: int = 40) -> str:
    """A name of at most this many characters, cut in the middle where it is longer."""
    half = (limit - 1) // 2
    return name if len(name) <= limit else f"{name[: limit - 1 - half]}…{name[-half:]}"


def tell_apart(names: Iterable[str], limit: int = 40) -> dict[str, str]:
    """Names → what a figure calls them: without folders, and of long ones the parts that not all share.

    A name that is still longer than `limit` characters is cut in the middle.
    """
    names = list(dict.fromkeys(names))
    tails = {name: name.rstrip("/").rsplit("/", 1)[-1] or name for name in names}
    if len(set(tails.values())) < len(names):
        tails = {name: name for name in names}
    long = [tail for tail in tails.values() if len(tail) > limit]
    parts = {tail: re.split(r"(?<=[-_/])", tail) for tail in long}
    shared = set.intersection(*map(set, parts.values())) if len(long) > 1 else set()
    told = {
        tail: re.sub(r"[-_/]?…+", "…", "".join("…" if p in shared else p for p in parts[tail]))
        for tail in long
    }
    return {name: shorten(told.get(tail, tail), limit) for name, tail in tails.items()}


def clock_label(unit: str) -> str:
    """The name of a clock axis."""
    return {"tokens": "training tokens", "flops": "training compute (FLOPs)", "step": "training step"}.get(
        unit, unit
    )


def clock_text(value: float, unit: str) -> str:
    """A clock in a sentence: 300B training tokens, 12k training steps."""
    return f"{readable(value)} {clock_label(unit)}{'s' if unit == 'step' else ''}"


def in_percent(metric: str) -> bool:
    """Whether values of this metric are shown in per cent."""
    return find_metric(metric).accuracy


def value_text(value: float, percent: bool) -> str:
    """A value for people: 43.1 % or 0.874."""
    return f"{100 * value:.1f} %" if percent else f"{value:.3g}"


def value_range(values: Iterable[float], chance: float | None, percent: bool) -> tuple[float, float]:
    """A range for a value axis: what is drawn and some air, chance level if it is not far below.

    An accuracy axis spans at least four points, so that noise does not look like a trend, and stays in
    [0, 1].
    """
    finite = np.asarray([value for value in values if np.isfinite(value)] or [0.0, 1.0])
    low, high = float(finite.min()), float(finite.max())
    if chance is not None and low - max(high - low, 0.05) <= chance <= high + max(high - low, 0.05):
        low, high = min(low, chance), max(high, chance)
    least = 0.04 if percent else 1e-3 * max(abs(low), abs(high), 1e-6)
    missing = max(0.0, least - (high - low)) / 2
    air = 0.06 * max(high - low, least)
    low, high = low - missing - air, high + missing + air
    return (max(low, 0.0), min(high, 1.0)) if percent else (low, high)


def house_style(draw: Callable[Params, "Figure"]) -> Callable[Params, "Figure"]:
    """Let a function draw its figure in the house style. It raises MissingExtraError without matplotlib."""

    @wraps(draw)
    def styled(*arguments: Params.args, **options: Params.kwargs) -> "Figure":
        with _settings():
            return draw(*arguments, **options)

    return styled


def caption(figure: "Figure", text: str) -> None:
    """Say below a figure how it came about: context, references, how methods were fitted, setting."""
    with _settings():
        known = figure.get_supxlabel()
        text = "\n".join(part for part in (known, text) if part)
        if text:
            figure.supxlabel(text, x=0.01, ha="left", fontsize=CAPTION, color=MUTED)


def fit_texts(figure: "Figure") -> None:
    """Wrap titles and captions that are wider than the place they have, as the renderer measures them."""
    figure.draw_without_rendering()
    edge = figure.bbox.width - MARGIN * figure.dpi
    whole = [figure._suptitle, figure._supxlabel, *(legend.get_title() for legend in figure.legends)]  # type: ignore[attr-defined]
    wide = [(text, edge) for text in whole if text is not None]
    for axes in figure.axes:
        right = [
            other.get_window_extent().x0
            for other in figure.axes
            if other.get_window_extent().x0 > axes.get_window_extent().x1
            and other.get_window_extent().y1 > axes.get_window_extent().y0
            and other.get_window_extent().y0 < axes.get_window_extent().y1
        ]
        wide += [(text, min([edge, *right])) for text in (axes._left_title, axes.title)]  # type: ignore[attr-defined]
    for text, end in wide:
        _wrap(text, end)


def _wrap(text: "Text", end: float) -> None:
    """Wrap a text until the renderer has it end before this; letters differ in width."""
    lines, box = text.get_text().split("\n"), text.get_window_extent()
    if not text.get_text() or box.x1 <= end:
        return
    share = max(end - box.x0, 1.0) / max(box.width, 1.0)
    most = max(MIN_WRAP, int(share * max(map(len, lines))) - 1)
    for room in range(most, MIN_WRAP - 1, -1):
        text.set_text("\n".join(part for line in lines for part in textwrap.wrap(line, room) or [""]))
        if text.get_window_extent().x1 <= end:
            return


@contextmanager
def _settings() -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    with mpl.rc_context(RC):
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches on the Agg canvas: no pyplot, no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def check_format(path: Path) -> Path:
    """The path, if its ending is one that figures are written in. Raises InputError otherwise."""
    if path.suffix not in FORMATS:
        raise InputError(f"must end in {' or '.join(FORMATS)}", field="output", value=str(path))
    return path


def save(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG or SVG by the ending of the path: whole or not at all, without any date."""
    target = check_format(Path(path))
    metadata: dict[str, str | None] = {"Software": None} if target.suffix == ".png" else {"Date": None}
    with atomic_path(target) as temporary, _settings():
        fit_texts(figure)
        figure.savefig(temporary, format=target.suffix[1:], dpi=DPI, metadata=metadata)


def clock_axis(axes: "Axes", unit: str, log: bool, label: bool = True) -> None:
    """Make the x axis a clock: readable ticks, linear or logarithmic."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if log:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: readable(value)))
    if label:
        axes.set_xlabel(clock_label(unit))


def percent_axis(axis: object) -> None:
    """Show shares as per cent on this axis (an XAxis or YAxis)."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))  # type: ignore[attr-defined]


def legend_above(figure: "Figure", handles: list[object], columns: int = 9, title: str | None = None) -> None:
    """One legend for the whole figure, above it, in as many columns as there is room for, under its title."""
    if handles:
        widest = max(len(handle.get_label()) for handle in handles)  # type: ignore[attr-defined]
        room = int(figure.get_figwidth() / (0.62 + 0.078 * widest))
        columns = max(1, min(columns, room, len(handles)))
        figure.legend(
            handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.4, title=title,
            title_fontproperties={"weight": "bold", "size": TITLE}, alignment="left",
        )  # fmt: skip


def line_handles(names: Iterable[str], *, marked: bool = True) -> list[object]:
    """Legend entries of forecasters drawn as lines, with their markers unless `marked` is false."""
    from matplotlib.lines import Line2D

    colour, marker = colours(names), markers(names)
    return [
        Line2D([], [], color=colour[n], marker=marker[n] if marked else "", markersize=6, label=n)
        for n in colour
    ]
