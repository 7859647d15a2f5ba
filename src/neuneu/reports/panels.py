"""Forecasts of curves as charts show them: with training compute as the clock, a few of many picked."""

from collections.abc import Sequence
from dataclasses import replace

from neuneu.errors import InputError
from neuneu.forecasters.base import Forecast
from neuneu.forecasts.cells import CurveForecast
from neuneu.reports import style

GRID_RUNS, GRID_TASKS = 3, 4
"""Runs and tasks of the small grid that stands for many curves."""
FLOPS_PER_TOKEN = 6.0
"""Floating-point operations of training, for each parameter and token (Kaplan et al. 2020)."""


def in_flops(panel: CurveForecast) -> CurveForecast:
    """The panel with training compute as its clock: 6 × parameters × tokens (Kaplan et al. 2020).

    Raises InputError where the run's size is not known or its clock is not in tokens.
    """
    curve = panel.curve
    if curve.clock_unit == "flops":
        return panel
    params = curve.facts.params
    if curve.clock_unit != "tokens" or params is None:
        rule = "compute needs the run's params and tokens (or flops) in the curve table"
        raise InputError(rule, field="run", value=curve.key.run)
    scale = FLOPS_PER_TOKEN * params
    forecasts = {
        name: replace(f, horizons=f.horizons * scale) if isinstance(f, Forecast) else f
        for name, f in panel.forecasts.items()
    }
    scaled = replace(curve, clock=curve.clock * scale, clock_unit="flops")
    return CurveForecast(scaled, panel.end * scale, panel.horizons * scale, forecasts)


def grid_of(panels: Sequence[CurveForecast]) -> list[CurveForecast]:
    """A small grid: tasks evenly picked, for a few runs from the smallest to the largest."""
    runs = list(dict.fromkeys(panel.curve.key.run for panel in panels))
    picked = [runs[index] for index in style.spread(len(runs), GRID_RUNS)]
    held = [{p.curve.key[1:] for p in panels if p.curve.key.run == run} for run in picked]
    shared = set.intersection(*held) or held[0]
    ordered = sorted(shared, key=lambda setting: tuple(str(part) for part in setting))
    one_a_task = list({setting[0]: setting for setting in reversed(ordered)}.values())[::-1]
    settings = [one_a_task[index] for index in style.spread(len(one_a_task), GRID_TASKS)]
    return [p for run in picked for p in panels if p.curve.key.run == run and p.curve.key[1:] in settings]
