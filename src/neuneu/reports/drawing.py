"""Inline SVG of a panel for the HTML report: drawn by hand, so that it follows the page's colours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.forecasters.base import Forecast
from neuneu.forecasts.cells import CurveForecast
from neuneu.reports import style

WIDTH, HEIGHT = 360.0, 216.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 10.0, 8.0, 34.0
BANDS = ((0.05, 0.95, "wide"), (0.1, 0.9, "middle"), (0.25, 0.75, "narrow"))
MAX_DOTS, MAX_POINTS = 240, 60


@dataclass(frozen=True)
class Reading:
    """What a chart says at one horizon, for the line under it: x in SVG units and the sentence."""

    x: float
    text: str


@dataclass(frozen=True)
class Frame:
    """Where clock and value lie in a chart: linear in both."""

    end: float
    low: float
    high: float

    def x(self, clock: Floats) -> Floats:
        """Clock → SVG units."""
        return np.asarray(LEFT + (WIDTH - LEFT - RIGHT) * np.asarray(clock) / self.end)

    def y(self, values: Floats) -> Floats:
        """Values → SVG units, cut off a little outside the chart."""
        share = np.clip((np.asarray(values) - self.low) / (self.high - self.low), -0.02, 1.02)
        return np.asarray(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share)


def draw_panel(panel: CurveForecast, names: Sequence[str]) -> str:
    """The SVG element of a panel: the first forecaster as a fan, the others as lines, truth as dots.

    Every name in it is escaped. Colours are CSS classes: `f0`, `f1`, … in the order of `names`.
    """
    curve = panel.curve
    percent = style.in_percent(curve.key.metric)
    frame = _frame(panel, names, percent)
    parts = [*_background(panel, frame, percent)]
    answered = {i: _thin(panel.answered[name]) for i, name in enumerate(names) if name in panel.answered}
    parts += _bands(answered[0], frame) if 0 in answered else []
    parts += [_median(forecast, frame, index) for index, forecast in reversed(answered.items())]
    parts += _dots(panel.truth, frame, "true") + _dots(panel.context, frame, "seen")
    parts.append(
        f'<line class="cursor" x1="0" x2="0" y1="{TOP:g}" y2="{HEIGHT - BOTTOM:g}" visibility="hidden"/>'
    )
    label = escape(describe(panel, names[0]), quote=True)
    head = f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">'
    return head + "".join(parts) + "</svg>"


def readings(panel: CurveForecast, names: Sequence[str]) -> list[Reading]:
    """What the chart says at each horizon (at most `MAX_POINTS` of them, the last included), in order."""
    name = next((name for name in names if name in panel.answered), None)
    if name is None:
        return []
    percent = style.in_percent(panel.curve.key.metric)
    frame = _frame(panel, names, percent)
    forecast = _thin(panel.answered[name])
    truth = dict(zip(panel.truth.clock.tolist(), panel.truth.values.tolist(), strict=True))
    interval = forecast.interval(0.8) if {0.1, 0.9} <= set(forecast.levels) else None
    found = []
    for index, clock in enumerate(forecast.horizons.tolist()):
        text = f"at {style.readable(clock)}: {style.value_text(float(forecast.median[index]), percent)}"
        if interval is not None:
            low, high = (style.value_text(float(edge), percent) for edge in interval[index])
            text += f" (80 %: {low} to {high})"
        if clock in truth:
            text += f", came true {style.value_text(truth[clock], percent)}"
        found.append(Reading(round(float(frame.x(np.array(clock))), 1), text))
    return found


def describe(panel: CurveForecast, name: str) -> str:
    """A panel in a sentence, for those who do not see it."""
    key = panel.curve.key
    unit = style.clock_label(panel.curve.clock_unit)
    seen = f"{len(panel.context)} checkpoints seen up to {style.readable(panel.end)} {unit}"
    start = f"{key.task} of {key.run}: {seen}"
    if name not in panel.answered:
        return f"{start}; {name} declined"
    last = readings(panel, [name])[-1].text
    return f"{start}; {name} {last}"


def _frame(panel: CurveForecast, names: Sequence[str], percent: bool) -> Frame:
    values = [panel.curve.values]
    for index, name in enumerate(names):
        if name in panel.answered:
            levels = (0.05, 0.1, 0.9, 0.95) if index == 0 else (0.5,)
            forecast = panel.answered[name]
            values += [forecast.quantile(level) for level in levels if level in forecast.levels]
    ends = [float(forecast.horizons.max()) for forecast in panel.answered.values()]
    end = max([panel.end, float(panel.curve.clock.max(initial=0.0)), *ends])
    return Frame(end * 1.01, *style.value_range(np.concatenate(values), panel.curve.chance, percent))


def _background(panel: CurveForecast, frame: Frame, percent: bool) -> Iterable[str]:
    bottom, end = HEIGHT - BOTTOM, float(frame.x(np.array(panel.end)))
    size = f'width="{end - LEFT:.1f}" height="{bottom - TOP:g}"'
    yield f'<rect class="context" x="{LEFT:g}" y="{TOP:g}" {size}/>'
    for value in _ticks(frame.low, frame.high, 4):
        y = float(frame.y(np.array(value)))
        yield f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        text = f"{100 * value:.4g} %" if percent else f"{value:.4g}"
        yield f'<text x="{LEFT - 5:g}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>'
    for clock in _ticks(0.0, frame.end, 5):
        x = float(frame.x(np.array(clock)))
        yield f'<text x="{x:.1f}" y="{bottom + 14:g}" text-anchor="middle">{style.readable(clock)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    unit = escape(style.clock_label(panel.curve.clock_unit))
    yield f'<text class="unit" x="{middle:g}" y="{bottom + 29:g}" text-anchor="middle">{unit}</text>'
    yield f'<line class="axis" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{bottom:g}" y2="{bottom:g}"/>'
    yield f'<line class="end" x1="{end:.1f}" x2="{end:.1f}" y1="{TOP:g}" y2="{bottom:g}"/>'
    chance = panel.curve.chance
    if chance is not None and frame.low <= chance <= frame.high:
        y = float(frame.y(np.array(chance)))
        yield f'<line class="chance" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _bands(forecast: Forecast, frame: Frame) -> list[str]:
    x = frame.x(forecast.horizons)
    parts = []
    for low, high, name in BANDS:
        if low in forecast.levels and high in forecast.levels:
            upper, lower = frame.y(forecast.quantile(high)), frame.y(forecast.quantile(low))
            outline = np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
            parts.append(f'<path class="band {name} f0" d="{_path(outline)}Z"/>')
    return parts


def _median(forecast: Forecast, frame: Frame, index: int) -> str:
    points = np.stack([frame.x(forecast.horizons), frame.y(forecast.median)], axis=1)
    return f'<path class="median f{index}" d="{_path(points)}"/>'


def _dots(curve: Curve, frame: Frame, name: str) -> list[str]:
    """Measured values as round-capped strokes of no length: one path, however many."""
    if not len(curve):
        return []
    chosen = style.spread(len(curve), MAX_DOTS)
    points = zip(frame.x(curve.clock[chosen]), frame.y(curve.values[chosen]), strict=True)
    path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
    size = "" if len(curve) <= 60 else " small"
    hollow = f'<path class="hole{size}" d="{path}"/>' if name == "true" else ""
    return [f'<path class="{name}{size}" d="{path}"/>{hollow}']


def _thin(forecast: Forecast) -> Forecast:
    chosen = style.spread(len(forecast.horizons), MAX_POINTS)
    return Forecast(forecast.horizons[chosen], forecast.values[chosen], forecast.levels)


def _path(points: Floats) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers inside a range, about this many."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    steps = [power * size for size in (1, 2, 2.5, 5, 10, 20)]
    step = next(upper if rough > lower * 1.2 else lower for lower, upper in pairwise(steps) if rough <= upper)
    first = np.ceil(low / step - 1e-9)
    return [
        abs(round(float(i * step), 12)) if i == 0 else round(float(i * step), 12)
        for i in np.arange(first, np.floor(high / step + 1e-9) + 1)
    ]
