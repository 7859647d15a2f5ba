"""`neuneu plot` and `neuneu report`: figures, and the self-contained HTML report."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import file_place, make_app, note

app = make_app()

Runs = Annotated[list[str] | None, typer.Option("--run", help="Only this run; may be repeated.")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")]
Metric = Annotated[str | None, typer.Option(help="This metric; by default one accuracy a curve.")]
Beyond = Annotated[
    float | None,
    typer.Option(help="Also forecast past the last checkpoint, up to this multiple of its clock."),
]


@app.command()
def plot(
    kind: Annotated[
        str,
        typer.Argument(
            help="fan, compute, leaderboard, ranking, horizon, context, coverage, runs, tasks or steps."
        ),
    ],
    paths: Annotated[
        list[Path],
        typer.Argument(help="Curve tables (fan, compute), or the folder that `neuneu evaluate` wrote."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .png or .svg file.", callback=file_place)],
    forecaster: Annotated[
        str | None, typer.Option("--forecaster", "-f", help="Names or folders, separated by commas.")
    ] = None,
    run: Runs = None,
    task: Tasks = None,
    metric: Metric = None,
    n_shot: Annotated[int | None, typer.Option(help="Only curves with this number of shots.")] = None,
    variant: Annotated[str | None, typer.Option(help="Only this variant of the tasks.")] = None,
    context: Annotated[float | None, typer.Option(help="Share of the clock that is seen (fan: 0.2).")] = None,
    beyond: Beyond = None,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic clock.")] = False,
    title: Annotated[str | None, typer.Option(help="A line above the figure (fan).")] = None,
) -> None:
    """Draw a figure as PNG or SVG.

    Examples: neuneu plot fan curves.parquet --forecaster power-law --context 0.2 -o fan.png;
    neuneu evaluate curves.parquet -o results, then neuneu plot leaderboard results -o leaderboard.svg
    """
    from neuneu.reports.figures import Options, write_figure

    options = Options(
        forecasters=split_names(forecaster), runs=run or (), tasks=task or (), metric=metric, n_shot=n_shot,
        variant=variant, context=context, beyond=beyond, log=log, title=title,
    )  # fmt: skip
    for line in write_figure(kind, paths, output, options):
        note(line)
    note(f"{kind} → {output}")


def split_names(text: str | None) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


@app.command()
def report(
    curves: Annotated[list[Path], typer.Argument(help="Curve tables (.parquet, .csv, .json).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .html file.", callback=file_place)
    ] = Path("report.html"),
    forecaster: Annotated[
        str | None,
        typer.Option(
            "--forecaster", "-f", help="Names or folders, separated by commas; the first is drawn as a fan."
        ),
    ] = None,
    context: Annotated[
        float,
        typer.Option(help="Share of each run's clock that is seen; 1 forecasts past the last checkpoint."),
    ] = 0.2,
    beyond: Beyond = None,
    run: Runs = None,
    task: Tasks = None,
    metric: Metric = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    charts: Annotated[int, typer.Option(help="Draw at most this many curves.", min=1)] = 60,
) -> None:
    """Write a self-contained HTML report: forecasts beside baselines, scored where the truth is known.

    Example: neuneu report curves.parquet --forecaster power-law --context 0.2 -o report.html
    """
    from neuneu.reports.writing import report_files

    note(
        report_files(
            curves,
            output,
            forecasters=split_names(forecaster),
            context=context,
            beyond=beyond,
            runs=run or (),
            tasks=task or (),
            metric=metric,
            title=title,
            max_charts=charts,
        )
    )
