"""What the report's charts are drawn from: every curve and its forecasts, as compact numbers.

The document holds, each once: `runs`, `tasks`, `metrics`, `reasons` (why a forecaster declined) and `clocks`
(arrays that many curves share). A curve refers to them by place:

    r, t, m   run, task, metric             n, v   shots, variant, where they are known
    u, c      unit of the clock, chance     k      decimals kept of its values (DIGITS where absent)
    x, y, s   place of its clock, its values, and how many of them were seen
    h, q, o   place of its horizons, quantiles of the chosen forecaster (a row a level), medians of the others
    d         place of the reason why the chosen forecaster declined
    e         lowest and highest values over the seeds that the run is the mean of

Values, quantiles, medians and edges are whole numbers, value × 10^k, each but the first as the step from
the one before: short, and exact to k decimals.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.curves.seeds import JoinedSeeds
from neuneu.forecasters.base import LEVELS, Forecast, Refusal
from neuneu.forecasts.cells import CurveForecast, on_levels
from neuneu.progress import counted
from neuneu.reports import style

SCHEMA = 1
"""Version of the document: fields are only ever added within one."""

DIGITS = 5
"""Decimals of an accuracy that are kept: a thousandth of a point. Other values keep as many digits."""

DETAILS = ((240, 48), (120, 30), (60, 24))
"""Measured values and horizons that are kept of a curve, at most: the first pair that MOST_NUMBERS allows."""

MOST_NUMBERS = 2_300_000
"""Numbers in all: some nine megabytes."""


class Places(dict[Any, int]):
    """Things in the order in which they were first asked for → their places."""

    def of(self, thing: Any) -> int:
        """The place of a thing, a new one if it is new."""
        return self.setdefault(thing, len(self))


def chart_data(
    panels: Sequence[CurveForecast],
    names: Sequence[str],
    runs: Mapping[str, Mapping[str, Any]],
    seeds: JoinedSeeds | None = None,
) -> dict[str, Any]:
    """The document of these curves, in their order.

    panels: curves with what was forecast, if anything; names: the forecasters, the chosen one first; runs:
    name → what else is said of the run; seeds: which runs are the mean of several.
    """
    dots, horizons = _detail(panels, len(names))
    run, task, metric, reason, clock = (Places() for _ in range(5))
    curves = []
    for panel in counted(panels, "charts"):
        key = panel.curve.key
        row: dict[str, Any] = {"r": run.of(key.run), "t": task.of(key.task), "m": metric.of(key.metric)}
        row |= {"n": key.n_shot} if key.n_shot is not None else {}
        row |= {"v": key.variant} if key.variant else {}
        row |= {"u": panel.curve.clock_unit}
        row |= {"c": panel.curve.chance} if panel.curve.chance is not None else {}
        edges = seeds.edges(key)[1:] if seeds is not None and seeds.count(key.run) > 1 else ()
        row |= _numbers(panel, names, (dots, horizons), clock, edges)
        refused = panel.forecasts.get(names[0])
        row |= {"d": reason.of(refused.reason)} if isinstance(refused, Refusal) else {}
        curves.append(row)
    return {
        "schema": SCHEMA,
        "forecasters": list(names),
        "levels": list(LEVELS),
        "runs": [{"name": name, **runs.get(name, {})} for name in run],
        "tasks": list(task),
        "metrics": [{"name": name, "percent": style.in_percent(name)} for name in metric],
        "reasons": list(reason),
        "clocks": [list(values) for values in clock],
        "curves": curves,
    }


def read_chart_data(document: Mapping[str, Any]) -> dict[CurveKey, Forecast]:
    """The chosen forecaster's forecasts of a document, by curve; horizons below the first are not there."""
    found = {}
    for row in document["curves"]:
        if "q" not in row:
            continue
        key = CurveKey(
            document["runs"][row["r"]]["name"], document["tasks"][row["t"]],
            document["metrics"][row["m"]]["name"], row.get("n"), row.get("v"),
        )  # fmt: skip
        given = [i for i, steps in enumerate(row["q"]) if steps]
        values = np.cumsum([row["q"][i] for i in given], axis=1).T / 10.0 ** row.get("k", DIGITS)
        horizons = np.array(document["clocks"][row["h"]], dtype=np.float64)
        levels = tuple(float(document["levels"][i]) for i in given)
        found[key] = Forecast(horizons, np.sort(values, axis=1), levels)
    return found


def panel_of(curve: Curve) -> CurveForecast:
    """A curve that has ended, as a panel: all of it seen, nothing forecast."""
    return CurveForecast(curve, float(curve.clock[-1]), np.empty(0), {})


def _detail(panels: Sequence[CurveForecast], n_names: int) -> tuple[int, int]:
    rows = len(LEVELS) + n_names - 1
    for dots, horizons in DETAILS:
        numbers = sum(
            min(len(panel.curve), dots) + rows * min(len(panel.horizons), horizons) for panel in panels
        )
        if numbers <= MOST_NUMBERS:
            break
    return dots, horizons


def _numbers(
    panel: CurveForecast,
    names: Sequence[str],
    detail: tuple[int, int],
    clocks: Places,
    edges: Sequence[Floats],
) -> dict[str, Any]:
    curve, (dots, horizons) = panel.curve, detail
    asked = style.spread(len(panel.horizons), horizons) if len(panel.horizons) else np.empty(0, np.int64)
    kept = np.isin(curve.clock, panel.horizons[asked])  # what came true can be read where it was forecast
    kept[style.spread(len(curve), dots)] = True
    kept[len(panel.context) - 1] = True
    chosen = panel.answered.get(names[0])
    quantiles = None if chosen is None else on_levels(chosen)[asked]
    medians = [panel.answered.get(name) for name in names[1:]]
    decimals = _decimals(curve, quantiles)
    row: dict[str, Any] = {"k": decimals} if decimals != DIGITS else {}
    row |= {
        "x": clocks.of(_whole(curve.clock[kept])),
        "y": _steps(curve.values[kept], decimals),
        "s": int(kept[: len(panel.context)].sum()),
    }
    row |= {"e": [_steps(edge[kept], decimals) for edge in edges]} if edges else {}
    if not len(asked):
        return row
    row["h"] = clocks.of(_whole(panel.horizons[asked]))
    if quantiles is not None:
        row["q"] = [_steps(column, decimals) if np.isfinite(column).all() else [] for column in quantiles.T]
    row["o"] = [[] if f is None else _steps(f.median[asked], decimals) for f in medians]
    return row


def _decimals(curve: Curve, quantiles: Floats | None) -> int:
    """Decimals that keep DIGITS digits of the largest value; those of an accuracy are DIGITS."""
    if style.in_percent(curve.key.metric):
        return DIGITS
    largest = float(np.abs(curve.values).max())
    if quantiles is not None:
        largest = max(largest, float(np.nanmax(np.abs(quantiles))))
    return DIGITS - math.floor(math.log10(largest)) if largest > 0 else DIGITS


def _steps(values: Floats, decimals: int) -> list[int]:
    whole: NDArray[np.int64] = np.rint(values * 10.0**decimals).astype(np.int64)
    return [int(step) for step in np.diff(whole, prepend=0)]


def _whole(clock: Floats) -> tuple[float, ...]:
    """Clock values as JSON writes them shortest: whole numbers without a point."""
    return tuple(int(value) if value == int(value) else value for value in clock.tolist())
