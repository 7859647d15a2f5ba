"""The HTML report: one file that holds everything, works offline and has no way to load or send anything."""

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from neuneu import __version__
from neuneu.errors import MissingExtraError
from neuneu.evaluation.scores import Estimate
from neuneu.forecasters.base import Refusal
from neuneu.forecasts.cells import CurveForecast
from neuneu.reports import style
from neuneu.reports.answer import Answer, Line
from neuneu.reports.drawing import draw_panel, readings

if TYPE_CHECKING:
    from jinja2 import Template

MAX_CHARTS = 60
MAX_ENDS = 1000


@dataclass(frozen=True)
class ReportOrigin:
    """Where a report comes from: its title, the command that made it, what was read and the seed."""

    title: str = "Forecasts of training runs"
    command: str = "neuneu report"
    data: str = ""
    seed: int = 0


def render_report(answer: Answer, origin: ReportOrigin | None = None, max_charts: int = MAX_CHARTS) -> str:
    """The report of an answer as one HTML document.

    All names are escaped, whatever they hold. Where there are more than `max_charts` curves that many are
    drawn, evenly picked, and the page says so; the scores are always of all. No dates: the same
    answer, the same bytes. Raises MissingExtraError without jinja2.
    """
    origin = origin or ReportOrigin()
    drawn = [answer.panels[index] for index in style.spread(len(answer.panels), max_charts)]
    scored = answer.scored
    floor = scored.noise_floor * scored.unit if scored else float("nan")
    page: str = template("report.html.j2").render(
        title=origin.title,
        lead=_lead(answer),
        css=asset("report.css"),
        script=asset("report.js"),
        colours=colour_rules(answer.names),
        names=answer.names,
        unit="points" if scored and scored.percent else "metric units",
        tiles=_tiles(answer, floor),
        lines=[_line_texts(line) for line in answer.lines],
        n_cells=f"{len(scored.values):,}" if scored else "0",
        n_scored=len(scored.grouping.run) if scored else 0,
        floor=_number(floor) if math.isfinite(floor) else "",
        by_task=_by_task(answer),
        shown=_shown(len(drawn), len(answer.panels), answer.n_left_out),
        runs=list(dict.fromkeys(panel.curve.key.run for panel in drawn)),
        tasks=sorted({panel.curve.key.task for panel in drawn}),
        charts=[_chart(panel, answer.names) for panel in drawn],
        ends=[_end(panel, answer.names) for panel in answer.panels[:MAX_ENDS]],
        ends_hidden=max(0, len(answer.panels) - MAX_ENDS),
        made=_made(origin, answer),
    )
    return page


def template(name: str) -> "Template":
    """A template of this package with every value escaped. Raises MissingExtraError without jinja2."""
    try:
        from jinja2 import BaseLoader, Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "report") from error
    environment = Environment(
        loader=BaseLoader(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(files("neuneu.reports").joinpath("templates", name).read_text("utf-8"))


def asset(name: str) -> str:
    """A style sheet or script of this package, marked as safe to include: it holds no data."""
    from markupsafe import Markup

    return Markup(files("neuneu.reports").joinpath("templates", name).read_text("utf-8").strip())


def colour_rules(names: Sequence[str]) -> str:
    """Style rules that give forecaster i the class f<i>, lighter where the page is dark."""
    from markupsafe import Markup

    found = list(style.colours(names).values())
    light = "".join(f".f{i}{{--c:{colour}}}" for i, colour in enumerate(found))
    dark = "".join(f".f{i}{{--c:{_lighter(colour)}}}" for i, colour in enumerate(found))
    return Markup(f"{light}\n@media (prefers-color-scheme:dark){{{dark}}}")


def _lighter(colour: str, share: float = 0.35) -> str:
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


def _lead(answer: Answer) -> str:
    n, runs, tasks = len(answer.panels), len(answer.runs), len(answer.tasks)
    seen = (
        "all that is known of each run"
        if answer.context == 1
        else f"the first {answer.context:.0%} of each run’s clock".replace("%", " %")
    )
    others = " and ".join(answer.names[1:])
    return (
        f"{_plural(n, 'curve')} of {_plural(runs, 'run')} on {_plural(tasks, 'task')}, forecast from {seen} "
        f"by {answer.chosen}" + (f", beside {others}." if others else ".")
    )


def _tiles(answer: Answer, floor: float) -> list[dict[str, str]]:
    scored = answer.scored
    if scored is None:
        return []
    chosen, *others = answer.lines
    unit = "points" if scored.percent else ""
    tiles = [
        {
            "name": f"error of {chosen.forecaster}",
            "value": _number(chosen.mae.value),
            "note": unit or "mean absolute",
        }
    ]
    for line in others:
        share = 1 - chosen.mae.value / line.mae.value if line.mae.value > 0 else 0.0
        better = f"{chosen.forecaster} errs {abs(share):.0%} {'less' if share >= 0 else 'more'}".replace(
            "%", " %"
        )
        tiles.append(
            {"name": f"error of {line.forecaster}", "value": _number(line.mae.value), "note": better}
        )
    if math.isfinite(floor):
        tiles.append(
            {
                "name": "noise between checkpoints",
                "value": _number(floor),
                "note": "the floor for any forecast",
            }
        )
    coverage = f"{100 * chosen.coverage80.value:.0f} %"
    tiles.append({"name": "in the 80 % interval", "value": coverage, "note": "80 % is right"})
    return tiles


def _line_texts(line: Line) -> dict[str, str]:
    return {
        "name": line.forecaster,
        "mae": _number(line.mae.value),
        "interval": _interval(line.mae),
        "pinball": _number(line.pinball),
        "coverage": f"{100 * line.coverage80.value:.1f} %" if math.isfinite(line.coverage80.value) else "–",
        "width": _number(line.width80),
        "skill": _skill(line),
        "refused": f"{line.n_refused:,}",
    }


def _by_task(answer: Answer) -> list[dict[str, Any]]:
    scored = answer.scored
    if scored is None:
        return []
    tasks = scored.place["task"].to_numpy()
    rows = []
    for task in sorted(set(tasks.tolist())):
        values = [scored.mean(name, "mae", tasks == task).value * scored.unit for name in answer.names]
        best = min(values)
        cells = [{"text": _number(value), "best": value == best} for value in values]
        rows.append({"task": task, "cells": cells})
    return rows if len(rows) > 1 else []


def _shown(drawn: int, n: int, left_out: int) -> str:
    text = f"{_plural(n, 'curve')}." if drawn == n else f"{drawn} of {n:,} curves are drawn, evenly picked."
    if left_out:
        why = "nothing before the context’s end or nothing after it"
        text += f" {_plural(left_out, 'curve')} had {why} and {'was' if left_out == 1 else 'were'} left out."
    return text


def _chart(panel: CurveForecast, names: Sequence[str]) -> dict[str, Any]:
    from markupsafe import Markup

    key = panel.curve.key
    found = readings(panel, names[:1])
    answer = panel.forecasts.get(names[0])
    last = f"declined: {answer.reason}" if isinstance(answer, Refusal) else found[-1].text
    setting = [key.metric, f"{key.n_shot}-shot" if key.n_shot is not None else "", key.variant or ""]
    return {
        "run": key.run,
        "task": key.task,
        "setting": ", ".join(part for part in setting if part),
        "svg": Markup(draw_panel(panel, names)),
        "readings": json.dumps([[reading.x, reading.text] for reading in found], ensure_ascii=False),
        "last": last,
    }


def _end(panel: CurveForecast, names: Sequence[str]) -> dict[str, str]:
    key, curve = panel.curve.key, panel.curve
    percent = style.in_percent(key.metric)
    row = {
        "run": key.run,
        "task": key.task,
        "seen_to": style.readable(panel.end),
        "seen": style.value_text(float(panel.context.values[-1]), percent),
        "at": "–", "median": "declined", "interval": "–", "truth": "–",
    }  # fmt: skip
    forecast = panel.answered.get(names[0])
    if forecast is None:
        return row
    last = float(forecast.horizons[-1])
    known = curve.values[curve.clock == last]
    row |= {"at": style.readable(last), "median": style.value_text(float(forecast.median[-1]), percent)}
    if {0.1, 0.9} <= set(forecast.levels):
        row["interval"] = " to ".join(style.value_text(float(e), percent) for e in forecast.interval(0.8)[-1])
    if len(known):
        row["truth"] = style.value_text(float(known[0]), percent)
    return row


def _made(origin: ReportOrigin, answer: Answer) -> list[tuple[str, str]]:
    facts = [("command", origin.command)]
    if origin.data:
        facts.append(("data", origin.data))
    facts.append(("forecasters", ", ".join(answer.names)))
    facts.append(("seed", f"{origin.seed} (bootstrap)"))
    facts.append(("neuneu", __version__))
    facts.append(("python", platform.python_version()))
    return [*facts, *((name, _version(name)) for name in ("numpy", "polars", "scipy"))]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _skill(line: Line) -> str:
    share = line.skill_vs_last_value
    if not math.isfinite(share) or line.forecaster == "last-value":
        return "–"
    return f"{100 * share:+.0f} %"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.low:.2f} to {estimate.high:.2f}" if math.isfinite(estimate.low) else "–"


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
