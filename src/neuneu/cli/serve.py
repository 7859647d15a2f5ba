"""`neuneu serve`: the web page and its JSON API."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.curves import Keep
from neuneu.cli.options import LearningRate, Losses, ReferenceRuns, make_app
from neuneu.cli.tables import note

app = make_app()

AUTO_TOKEN = "auto"
TOKEN_BYTES = 24
"""Random bytes of a token that is made here."""


@app.command()
def serve(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A folder or file of results, or a curve table: offered, followed as it grows.",
        ),
    ] = None,
    references: ReferenceRuns = "none",
    losses: Losses = None,
    port: Annotated[int, typer.Option(help="0 takes any free one.", min=0, max=65535)] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that others reach needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="NEUNEU_TOKEN",
            help="Ask everybody for it, 16 characters or more; auto makes one. Better in the variable: "
            "others on the machine see command lines.",
        ),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="As `neuneu import` names it.")] = "auto",
    tokens_per_step: Annotated[int | None, typer.Option(help="Fills the clock.", min=1)] = None,
    planned_tokens: Annotated[int | None, typer.Option(help="Where the runs will end.", min=1)] = None,
    schedule: LearningRate = None,
    keep: Annotated[Keep | None, typer.Option(help="Which of two values of one step stays.")] = None,
) -> None:
    """Serve a page and a JSON API on this machine: drop results, get forecasts. Stop with Ctrl-C.

    Open pages follow the folder or file as it grows. On a login node, reach it by a tunnel:
    ssh -L 8080:127.0.0.1:8080 NODE. The API is described at /api.
    Example: neuneu serve results/ --planned-tokens 300000000000
    """
    import secrets

    from neuneu.app.asked import Sent, Started
    from neuneu.app.guard import Access
    from neuneu.app.server import Settings
    from neuneu.app.server import serve as serve_app

    made = secrets.token_urlsafe(TOKEN_BYTES) if token == AUTO_TOKEN else token
    sent = Sent(
        format=format_, tokens_per_step=tokens_per_step, planned_tokens=planned_tokens,
        schedule=schedule, keep=keep.value if keep else None,
    )  # fmt: skip
    serve_app(
        Settings(place, Started(losses, references), sent),
        Access(host, made),
        port,
        lambda address: note(f"neuneu is at {address} (Ctrl-C stops it)"),
    )
