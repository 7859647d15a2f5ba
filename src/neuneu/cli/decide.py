"""`neuneu rank` and `neuneu advise`: forecasts → choices."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.options import (
    AsJson,
    Losses,
    MetricName,
    Output,
    ReferenceRuns,
    Runs,
    SeedsShown,
    Shots,
    Tasks,
    Variant,
    known_forecasters,
    make_app,
    read_share,
    show,
)
from neuneu.cli.tables import note
from neuneu.forecasters.base import DEFAULT_FORECASTER

if TYPE_CHECKING:
    from neuneu.decisions.choices import Comparison

app = make_app()

Curves = Annotated[Path, typer.Argument(help="Curve table (.parquet, .csv, .json).")]
Method = Annotated[
    str,
    typer.Option(
        "--forecaster", "-f", help="Name, folder or package.module:Class.", autocompletion=known_forecasters
    ),
]
At = Annotated[
    float | None, typer.Option("--horizon", help="Clock value; by default the farthest planned end.")
]
Seen = Annotated[
    str, typer.Option("--context", help="What may be seen: all, or a share of the clock, to look back.")
]


@app.command()
def rank(
    curves: Curves,
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    forecaster: Method = DEFAULT_FORECASTER,
    context: Seen = "all",
    horizon: At = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    seeds: SeedsShown = "each",
    pairs: Annotated[bool, typer.Option("--pairs", help="P(run beats other) of every pair.")] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Which run will win, with what probability.

    The mean over the benchmarks that all runs have, each in one setting. A run's tasks are taken as fully
    dependent, runs as independent. Example: neuneu rank runs.parquet --task hellaswag
    """
    from neuneu.decisions import choices

    found = _compare(
        curves, run, task, metric, n_shot, variant, forecaster, context, horizon, references, losses,
        seeds,
    )  # fmt: skip
    frame = choices.pairs(found) if pairs else choices.rank(found)
    title = f"At clock {found.at:.4g}: {found.shared.in_words}"
    brief = frame if pairs else frame.drop("at", "finished")
    show(frame, title, brief=brief, output=output, as_json=as_json)
    _tell(found)


@app.command()
def advise(
    curves: Curves,
    target: Annotated[float | None, typer.Option(help="Value to reach, e.g. 0.6.")] = None,
    rival: Annotated[str | None, typer.Option(help="Run to beat.")] = None,
    threshold: Annotated[float, typer.Option(help="Stop where success is less likely than this.")] = 0.05,
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    forecaster: Method = DEFAULT_FORECASTER,
    context: Seen = "all",
    horizon: At = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    seeds: SeedsShown = "each",
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Whether to stop a run or let it go on.

    Stop where reaching the target, or beating the rival, is less likely than the threshold. Example:
    neuneu advise runs.parquet --task hellaswag --target 0.6
    """
    from neuneu.decisions import choices

    wanted = sorted({*run, rival}) if run and rival else run
    found = _compare(
        curves, wanted, task, metric, n_shot, variant, forecaster, context, horizon, references, losses,
        seeds, in_flight=True,
    )  # fmt: skip
    frame = choices.advise(found, target=target, rival=rival, threshold=threshold)
    show(
        frame, f"At clock {found.at:.4g}: {found.shared.in_words}",
        brief=frame.select(choices.ADVICE_IN_BRIEF), least=("regret", "compute_saved", "done"),
        output=output, as_json=as_json, legend=choices.rule_in_words(threshold),
    )  # fmt: skip
    _tell(found)


def _compare(
    curves: Path,
    run: list[str] | None,
    task: list[str] | None,
    metric: str | None,
    n_shot: int | None,
    variant: str | None,
    forecaster: str,
    context: str,
    horizon: float | None,
    references: str,
    losses: Path | None,
    seeds: str,
    *,
    in_flight: bool = False,
) -> "Comparison":
    from neuneu.curves.broken import broken_in_words
    from neuneu.curves.table import CurveTable
    from neuneu.decisions.choices import compare_runs
    from neuneu.evidence.select import Selection

    table = CurveTable.read_sound(curves)
    found = compare_runs(
        table,
        forecaster,
        selection=Selection(run or (), task or (), metric, n_shot, variant),
        horizon=horizon,
        context=read_share(context),
        references=references,
        losses=losses,
        in_flight=in_flight,
        seeds=seeds,
    )
    for line in [*broken_in_words(table.broken), *(f"note: {line}" for line in found.notes)]:
        note(line)
    return found


def _tell(found: "Comparison") -> None:
    """Runs and tasks that were left out, and why, on stderr."""
    for line in found.shared.left_out_in_words:
        note(line)
    if found.seeds is not None:
        for line in found.seeds.in_words(found.shared.runs):
            note(line)
        note(f"standard deviation between seeds today: {found.between_seeds:.4f}; it widens the intervals")
