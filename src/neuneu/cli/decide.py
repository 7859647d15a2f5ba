"""`neuneu rank` and `neuneu advise`: forecasts → choices."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, Output, make_app, note, print_table, show
from neuneu.forecasters.base import DEFAULT_FORECASTER

app = make_app()

Curves = Annotated[Path, typer.Argument(help="Curve table (.parquet, .csv, .json).")]
Run = Annotated[list[str] | None, typer.Option("--run", help="These runs only; repeatable.")]
Task = Annotated[str | None, typer.Option("--task", help="This task only; by default the mean over all.")]
MetricName = Annotated[str | None, typer.Option("--metric", help="By default one accuracy a curve.")]
Method = Annotated[str, typer.Option("--forecaster", "-f", help="Name or folder.")]
At = Annotated[
    float | None, typer.Option("--horizon", help="Clock value; by default the farthest planned end.")
]


@app.command()
def rank(
    curves: Curves,
    run: Run = None,
    task: Task = None,
    metric: MetricName = None,
    forecaster: Method = DEFAULT_FORECASTER,
    horizon: At = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="P(run beats other) of every pair.")] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which run will win, with what probability.

    A run's tasks are taken as fully dependent, runs as independent.
    Example: neuneu rank runs.parquet --task hellaswag
    """
    from neuneu.decisions import choices

    runs, at = choices.candidates_of(curves, run, task, metric, forecaster, horizon)
    frame = choices.rank(runs)
    show(choices.pairs(runs) if pairs else frame, f"At clock {at:.4g}", output=output, as_json=as_json)


@app.command()
def advise(
    curves: Curves,
    target: Annotated[float | None, typer.Option(help="Value to reach, e.g. 0.6.")] = None,
    rival: Annotated[str | None, typer.Option(help="Run to beat.")] = None,
    threshold: Annotated[float, typer.Option(help="Stop where success is less likely than this.")] = 0.05,
    run: Run = None,
    task: Task = None,
    metric: MetricName = None,
    forecaster: Method = DEFAULT_FORECASTER,
    horizon: At = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Whether to stop a run or let it go on.

    Stop where reaching the target, or beating the rival, is less likely than the threshold. Example:
    neuneu advise runs.parquet --task hellaswag --target 0.6
    """
    from neuneu.decisions import choices

    wanted = sorted({*run, rival}) if run and rival else run
    runs, at = choices.candidates_of(curves, wanted, task, metric, forecaster, horizon)
    frame = choices.advise(runs, at, target=target, rival=rival, threshold=threshold)
    if output is not None or as_json:
        show(frame, "", output=output, as_json=as_json)
        return
    print_table(frame.select(choices.ADVICE_IN_BRIEF), f"At clock {at:.4g}")
    note(choices.rule_in_words(threshold))
