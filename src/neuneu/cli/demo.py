"""`neuneu demo`: what neuneu does, on runs that ship with it."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, folder_place, make_app

app = make_app()


@app.command()
def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for curves, forecasts, figure and report.", callback=folder_place
        ),
    ] = Path("demo"),
    forecaster: Annotated[
        str | None, typer.Option("--forecaster", "-f", help="Name or folder; by default the best that ships.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the second half of packaged training runs from their first half; needs no network.

    Example: neuneu demo --output demo, then open demo/report.html
    """
    from neuneu.reports.demo import print_demo, run_demo

    print_demo(run_demo(output, forecaster), as_json=as_json)
