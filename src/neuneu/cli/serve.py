"""`neuneu serve`: the web page and its JSON API."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import Losses, ReferenceRuns, make_app, note

app = make_app()


@app.command()
def serve(
    curves: Annotated[Path | None, typer.Argument(help="A curve table to offer beside uploads.")] = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    port: Annotated[int, typer.Option(help="0 takes any free one.", min=0, max=65535)] = 8080,
) -> None:
    """Serve a page and a JSON API on 127.0.0.1: drop a curve table, get the report. Stop with Ctrl-C.

    Example: neuneu serve curves.parquet --port 8080; the API is described in /openapi.json
    """
    from neuneu.app.server import serve as serve_app

    ready = lambda address: note(f"neuneu is at {address} (Ctrl-C stops it)")  # noqa: E731
    serve_app(curves, port, ready, losses, references)
