"""The demo: packaged runs, forecast from their first half and from their first fifth."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.files import together, write_table, write_text
from neuneu.reports import style
from neuneu.reports.answer import Answer, ask
from neuneu.reports.captions import of_forecasts
from neuneu.reports.fans import fan_chart
from neuneu.reports.html import ReportOrigin, render_report
from neuneu.reports.panels import grid_of

TASKS = ("text_code", "word_order_prose", "continuation_manuals", "blimp_adjunct_island")
"""What the figure shows: tasks that rise smoothly, one that is noisy, one that comes and goes."""

CONTEXTS = (0.5, 0.2)
"""Shares of the clock that are seen: the report shows the first, the table both."""


@dataclass(frozen=True)
class Demo:
    """What the demo found and wrote."""

    answers: dict[float, Answer]
    files: list[Path]

    def table(self) -> pl.DataFrame:
        """A row a context and forecaster, errors in points."""
        rows = [
            {
                "context": f"{context:.0%}".replace("%", " %"),
                "forecaster": line.forecaster,
                "error": round(line.mae.value, 2),
                "95 % low": _known(line.mae.low),
                "95 % high": _known(line.mae.high),
                "in 80 % interval": round(line.coverage80.value, 3),
                "declined": line.n_refused,
            }
            for context, answer in self.answers.items()
            for line in answer.lines
        ]
        return pl.DataFrame(rows)


def run_demo(output: Path, forecaster: str | None = None, references: str = "none") -> Demo:
    """Forecast the packaged runs and write curves, forecasts, a figure and the report to a folder.

    references: finished runs to look at, as `ask` takes them; the packaged runs are among those of a rule.
    Raises InputError where the folder is a file. The same version writes the same bytes.
    """
    if output.exists() and not output.is_dir():
        raise InputError("must be a folder", field="output", value=str(output))
    table = home_curves()
    names = [forecaster] if forecaster else []
    answers = {context: ask(table, names, context=context, references=references) for context in CONTEXTS}
    answer = answers[CONTEXTS[0]]
    command = "neuneu demo" + (f" --forecaster {Path(forecaster).name}" if forecaster else "")
    command += f" --references {Path(references).name}" if references != "none" else ""
    origin = ReportOrigin(
        title="Small language models trained at home: the second half of training, forecast from the first",
        command=command,
        data="the curves that ship with neuneu (curves.parquet beside this file)",
    )
    page = render_report(answer, origin)
    files = [output / name for name in ("curves.parquet", "forecasts.parquet", "fan.png", "report.html")]
    alone = [
        replace(panel, forecasts={answer.chosen: panel.forecasts[answer.chosen]}) for panel in answer.panels
    ]
    shown = [panel for task in TASKS for panel in alone if panel.curve.key.task == task]
    grid = grid_of(shown or alone)
    figure = fan_chart(grid)
    style.caption(figure, of_forecasts(replace(answer.forecasts, names=[answer.chosen]), grid))
    with together(output):
        table.write(files[0])
        write_table(files[1], pl.concat([found.cells for found in answers.values()]))
        style.save(figure, files[2])
        write_text(files[3], page)
    return Demo(answers, files)


def home_curves() -> CurveTable:
    """The curves of those packaged runs that nothing that ships was trained on."""
    from neuneu.suite.home import APART, read_home_curves

    return read_home_curves().filter(recipe=list(APART))


def _known(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
