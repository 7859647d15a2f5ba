"""`neuneu watch` and `neuneu settle`: runs in flight, and how earlier forecasts of them did."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from neuneu.cli.options import (
    AsJson,
    LearningRate,
    MetricName,
    Output,
    ReferenceRuns,
    Runs,
    Shots,
    Tasks,
    Variant,
    changed_place,
    file_place,
    known_forecasters,
    make_app,
    show,
)
from neuneu.cli.tables import note
from neuneu.errors import how_many
from neuneu.forecasters.base import DEFAULT_FORECASTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuneu.app.status import AlertStatus, Status
    from neuneu.app.watch import WatchSettings
    from neuneu.curves.table import CurveTable

app = make_app()

ALERTED = 3
"""Exit code of `watch --once` where there are alerts."""
WEBHOOK_SECONDS = 10
"""A webhook that has not answered by then has not taken the alerts."""
COMMAND_SECONDS = 60
"""A program that has not ended by then is ended, and has not taken the alerts."""


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="Folder where results arrive.")],
    status: Annotated[
        Path, typer.Option("--status", help="The status file (JSON).", callback=file_place)
    ] = Path("status.json"),
    page: Annotated[
        Path | None, typer.Option("--page", help="Also keep an HTML report here.", callback=file_place)
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="As `neuneu import` names it.")] = "auto",
    target: Annotated[float | None, typer.Option(help="Alert where a run is unlikely to reach it.")] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Checkpoints in a row for which something holds before it is an alert (3).", min=1),
    ] = None,
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    params: Annotated[int | None, typer.Option(help="The models' parameters.", min=1)] = None,
    tokens_per_step: Annotated[int | None, typer.Option(help="Fills the clock.", min=1)] = None,
    planned_tokens: Annotated[int | None, typer.Option(help="Where the runs will end.", min=1)] = None,
    schedule: LearningRate = None,
    keep: Annotated[
        Literal["first", "last"] | None,
        typer.Option(help="Which of two different values of a step stays (a restarted run)."),
    ] = None,
    forecaster: Annotated[
        str, typer.Option("--forecaster", "-f", help="Name or folder.", autocompletion=known_forecasters)
    ] = DEFAULT_FORECASTER,
    references: ReferenceRuns = "none",
    ledger: Annotated[
        Path | None, typer.Option(help="Enter forecasts in this file.", callback=changed_place)
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--on-alert", help="Program to run on alerts; they come on its standard input."),
    ] = None,
    webhook: Annotated[str | None, typer.Option(help="Address to POST alerts to, as JSON.")] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One update, then end: 0, or 3 where there are alerts.")
    ] = False,
) -> None:
    """Watch a folder: import what arrives, forecast, keep a status file, alert. Stop with Ctrl-C.

    Alerts: a target out of reach, a run outside its own 90 % band, a checkpoint that looks like a wrong
    upload, a curve that falls. Each is handed on once. Nothing is sent anywhere unless a webhook is named.
    Example: neuneu watch results/ --target 0.6 --planned-tokens 300000000000 --status status.json
    """
    from neuneu.app.watch import WatchSettings, alert_lines
    from neuneu.app.watch import watch as watch_folder
    from neuneu.curves.readers.parsing import Given
    from neuneu.decisions.alerts import PATIENCE
    from neuneu.evidence.select import Selection

    settings = WatchSettings(
        folder, status, format_, target, ledger, forecaster,
        Selection(run or (), task or (), metric, n_shot, variant), references,
        Given(
            params=params, tokens_per_step=tokens_per_step, planned_tokens=planned_tokens, schedule=schedule,
            keep=keep,
        ),
        PATIENCE if patience is None else patience, [] if page is None else [page],
    )  # fmt: skip

    def told(found: "Status", table: "CurveTable | None") -> None:
        lines = alert_lines(found)
        counts = f"{how_many(len(found.runs), 'run')}, {how_many(len(lines), 'alert')}"
        note(f"{found.updated}: {counts} → {status}")
        for line in [*lines, *found.problems]:
            note(f"  {line}")
        if page is not None and table is not None and found.runs:
            _write_page(settings, table, page)

    def deliver(alerts: "Sequence[AlertStatus]") -> bool:
        return _alert(alerts, command, webhook)

    found = watch_folder(settings, once=once, told=told, deliver=deliver if command or webhook else None)
    if found.alerts:
        raise typer.Exit(ALERTED)


@app.command()
def settle(
    ledger: Annotated[Path, typer.Argument(help="A ledger that `forecast` or `watch` entered forecasts in.")],
    curves: Annotated[Path, typer.Argument(help="Curve table with what has been measured since.")],
    by: Annotated[
        str, typer.Option(help="forecaster, task, run, metric, horizon; separated by commas.")
    ] = "forecaster",
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """How earlier forecasts compare with what came: error, bias, coverage and width, on your own runs.

    Example: neuneu settle forecasts.jsonl curves.parquet --by task,horizon
    """
    from neuneu.curves.table import read_curves
    from neuneu.decisions.ledger import check_ledger, ledger_record
    from neuneu.errors import InputError, check_known

    columns = [name.strip() for name in by.split(",") if name.strip()]
    for name in columns:
        check_known(name, ("forecaster", "task", "run", "metric", "horizon"), "by", "is none to group by")
    check_ledger(ledger)
    found = ledger_record(ledger, read_curves(curves), columns)
    if not found.settled:
        rule = (
            f"of {how_many(found.entered, 'forecast')} none has come to its horizon in these curves; settle "
            "again when there are later checkpoints"
        )
        raise InputError(rule, where=ledger)
    show(found.table, found.title, output=output, as_json=as_json)


def _write_page(settings: "WatchSettings", table: "CurveTable", page: Path) -> None:
    from neuneu.files import write_text
    from neuneu.reports.answer import ask
    from neuneu.reports.html import ReportOrigin, render_report

    answer = ask(
        table,
        [settings.forecaster],
        selection=settings.selection,
        context=1.0,
        references=settings.references,
    )
    write_text(page, render_report(answer, ReportOrigin(title="Runs in flight", command="neuneu watch")))


def _alert(alerts: "Sequence[AlertStatus]", command: str | None, webhook: str | None) -> bool:
    """Hand new alerts on; whether they were taken. What fails is said and does not end the watch."""
    from neuneu.files import to_json

    body = to_json({"alerts": [alert.model_dump(exclude={"told"}) for alert in alerts]})
    failed: list[str] = []
    if command is not None:
        import shlex

        try:
            subprocess.run(
                shlex.split(command), input=body, text=True, check=True, stdout=sys.stderr,
                timeout=COMMAND_SECONDS,
            )  # fmt: skip
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            failed.append(f"{command}: {error}")
    if webhook is not None:
        import urllib.request

        try:
            request = urllib.request.Request(webhook, body.encode(), {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS).close()
        except (OSError, ValueError) as error:
            failed.append(f"{webhook}: {error}")
    for line in failed:
        note(f"  alerts were not taken, and are handed on again at the next change: {line}")
    return not failed
