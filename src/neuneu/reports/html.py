"""The HTML report: one file that holds everything, works offline and has no way to load or send anything."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from neuneu import __version__
from neuneu.errors import MissingExtraError
from neuneu.reports import report_tables, style
from neuneu.reports.answer import Answer
from neuneu.reports.chart_data import chart_data, panel_of
from neuneu.reports.former import Former, changes_of

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class ReportOrigin:
    """Where a report comes from: its title, the command that made it, what was read and the seed."""

    title: str = "Forecasts of training runs"
    command: str = "neuneu report"
    data: str = ""
    seed: int = 0


def render_report(answer: Answer, origin: ReportOrigin | None = None, former: Former | None = None) -> str:
    """The report of an answer as one HTML document.

    All names are escaped, whatever they hold. former: an earlier report or ledger, to tell what has changed.
    No dates: the same answer, the same bytes. Raises MissingExtraError without jinja2.
    """
    origin = origin or ReportOrigin()
    scored, overview = answer.scored, answer.overview
    floor = scored.noise_floor * scored.unit if scored else float("nan")
    unit = "points" if scored is None or scored.percent else "metric units"
    changes = changes_of(answer, former) if former is not None else None
    page: str = template("report.html.j2").render(
        title=origin.title,
        lead=report_tables.lead(answer),
        css=asset("report.css"),
        script=asset("charts.js") + "\n" + asset("report.js"),
        colours=colour_rules(answer.names),
        names=answer.names,
        unit=unit,
        heading=report_tables.heading(answer),
        headline=report_tables.headline(answer),
        fitted=report_tables.fitted_note(answer),
        runs=report_tables.runs_table(answer, changes.by_run if changes else None) if overview.rows else None,
        settings=report_tables.settings_in_words(overview),
        lacking=list(overview.lacking.items()),
        changes=changes,
        trust=report_tables.trust_table(overview.trust) if overview.trust is not None else None,
        tiles=report_tables.tiles(answer, floor),
        scores=report_tables.scores_table(answer, unit, floor) if scored else None,
        n_cells=f"{len(scored.values):,}" if scored else "0",
        n_scored=report_tables.plural(len(scored.grouping.run) if scored else 0, "curve"),
        by_task=report_tables.tasks_table(answer),
        left_out=report_tables.left_out(answer),
        data=embedded(report_data(answer)),
        made=_made(origin, answer),
    )
    return page


def report_data(answer: Answer) -> dict[str, Any]:
    """The numbers that the charts are drawn from (see `chart_data`): runs as they lead, tasks by name."""
    place = {run: i for i, run in enumerate(answer.every_run)}
    panels = [*answer.panels, *map(panel_of, answer.ended)]
    panels.sort(key=lambda panel: (place[panel.curve.key.run], *map(str, panel.curve.key[1:])))
    facts = answer.overview.facts
    known = {run: {"params": f.params} for run, f in facts.items() if f.params is not None}
    rows = [
        {"run": row.run, "at": row.at, "q50": row.q50, "p_best": row.p_best} for row in answer.overview.rows
    ]
    return {
        "context": answer.context,
        "overview": rows,
        **chart_data(panels, answer.names, known, answer.seeds),
    }


def embedded(document: dict[str, Any]) -> str:
    """JSON that may stand inside a script element, marked as safe: no name in it can end the element."""
    from markupsafe import Markup

    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


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
    """Style rules: forecaster i has the class f<i>, overlaid run i the class r<i>; lighter on a dark page."""
    from markupsafe import Markup

    found = [(f"f{i}", colour) for i, colour in enumerate(style.colours(names).values())]
    found += [(f"r{i}", colour) for i, colour in enumerate(style.RUNS)]
    light = "".join(f".{name}{{--c:{colour}}}" for name, colour in found)
    dark = "".join(f".{name}{{--c:{_lighter(colour)}}}" for name, colour in found)
    return Markup(f"{light}\n@media screen and (prefers-color-scheme:dark){{{dark}}}")


def _lighter(colour: str, share: float = 0.35) -> str:
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


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
