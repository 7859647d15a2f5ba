"""`neuneu plot` and `neuneu report`: figures, and the self-contained HTML report."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import (
    Losses,
    Methods,
    MetricName,
    ReferenceRuns,
    Runs,
    SeedsShown,
    Shots,
    Tasks,
    Variant,
    file_place,
    make_app,
    named_place,
    read_share,
    split_names,
)
from neuneu.cli.tables import note
from neuneu.files import check_place

app = make_app()

Beyond = Annotated[
    float | None,
    typer.Option(help="Also forecast past the last checkpoint, up to this multiple of its clock."),
]


def known_kinds() -> list[str]:
    """Completes kinds of figures."""
    from neuneu.reports.figures import KINDS, MANY

    return [*KINDS, *MANY]


@app.command()
def plot(
    kind: Annotated[
        str,
        typer.Argument(
            help="fan, compute, leaderboard, ranking, decisions, horizon, context, coverage, runs, tasks "
            "or steps; all (every figure of an evaluation) or trajectories (a file a run) into a folder.",
            autocompletion=known_kinds,
        ),
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Curve tables (fan, compute), folders that `neuneu evaluate` or NeuNeu's code wrote, or "
            "LABEL=FOLDER. Folders may hold seed0, seed1, …, which are averaged."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A .png or .svg file; a folder for all and trajectories.",
            callback=named_place,
        ),
    ],
    forecaster: Methods = None,
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    context: Annotated[float | None, typer.Option(help="Share of the clock that is seen (fan: 0.2).")] = None,
    beyond: Beyond = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    seeds: SeedsShown = "each",
    log: Annotated[bool, typer.Option("--log", help="Logarithmic clock.")] = False,
    title: Annotated[str | None, typer.Option(help="A line above the figure (fan).")] = None,
    step_min: Annotated[
        int | None, typer.Option("--step-min", help="Only evaluated checkpoints from this step on.")
    ] = None,
    step_max: Annotated[
        int | None, typer.Option("--step-max", help="Only evaluated checkpoints up to this step.")
    ] = None,
) -> None:
    """Draw a figure as PNG or SVG, or several.

    Examples: neuneu plot fan curves.parquet --forecaster power-law --context 0.2 -o fan.png;
    neuneu evaluate curves.parquet -o results, then neuneu plot leaderboard results -o leaderboard.svg;
    neuneu plot tasks "CNN=results/cnn" "no losses=results/noloss" --step-min 10000 -o tasks.png;
    neuneu plot all results -o figures; neuneu plot trajectories results curves.parquet -o figures
    """
    from neuneu.reports.figures import MANY, Options, write_figure, write_figures

    options = Options(
        forecasters=split_names(forecaster), runs=run or (), tasks=task or (), metric=metric, n_shot=n_shot,
        variant=variant, context=context, beyond=beyond, references=references, losses=losses, log=log,
        title=title, step_min=step_min, step_max=step_max, seeds=seeds,
    )  # fmt: skip
    if kind in MANY:
        for line in write_figures(kind, paths, check_place(output, folder=True), options):
            note(line)
        return
    check_place(output)
    for line in write_figure(kind, paths, output, options):
        note(line)
    note(f"{kind} → {output}")


@app.command()
def report(
    curves: Annotated[list[Path], typer.Argument(help="Curve tables (.parquet, .csv, .json).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .html file.", callback=file_place)
    ] = Path("report.html"),
    forecaster: Methods = None,
    context: Annotated[
        str,
        typer.Option(help="What may be seen: all (runs in flight), or a share of the clock, to look back."),
    ] = "all",
    beyond: Beyond = None,
    run: Runs = None,
    task: Tasks = None,
    metric: MetricName = None,
    n_shot: Shots = None,
    variant: Variant = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    seeds: SeedsShown = "each",
    since: Annotated[
        Path | None,
        typer.Option(help="An earlier report (.html) or a ledger (.jsonl): tell what has changed since."),
    ] = None,
) -> None:
    """Write a self-contained HTML report: what each run will score, how sure that is, which run leads.

    Runs in flight are forecast to their planned end, without a plan to three times their clock. A share looks
    back instead: forecasts from the first part of each run, scored against what came.
    Examples: neuneu report runs.parquet --since yesterday.html -o today.html;
    neuneu report finished.parquet --context 0.2 -o report.html
    """
    from neuneu.evidence.select import Selection
    from neuneu.reports.report_files import report_files

    note(
        report_files(
            curves,
            output,
            forecasters=split_names(forecaster),
            context=read_share(context),
            beyond=beyond,
            selection=Selection(run or (), task or (), metric, n_shot, variant),
            references=references,
            losses=losses,
            title=title,
            seeds=seeds,
            since=since,
        )
    )
