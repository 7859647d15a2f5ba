"""data: public runs by name."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.options import AsJson, Output, file_place, make_app, show
from neuneu.cli.tables import note

app = make_app()
data = typer.Typer(help="Public runs by name: `list` shows them, `get NAME` makes their table.")
app.add_typer(data, name="data", no_args_is_help=True)


def known_runs() -> list[str]:
    """Completes names of public runs."""
    from neuneu.curves.public import CATALOG

    return list(CATALOG)


@data.command("list")
def list_(output: Output = None, as_json: AsJson = False) -> None:
    """Show the public runs: repository, commit, licence and size. Nothing is fetched.

    Example: neuneu data list
    """
    import polars as pl

    from neuneu.curves.public import CATALOG

    rows = [
        {
            "name": runs.name,
            "about": runs.about,
            "repository": runs.repository,
            "revision": runs.revision[:12],
            "licence": runs.licence,
            "megabytes": runs.megabytes,
        }
        for runs in CATALOG.values()
    ]
    least = ("revision", "repository")
    show(pl.DataFrame(rows), "public runs", least=least, digits=1, output=output, as_json=as_json)


@data.command()
def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="One of `neuneu data list`.", autocompletion=known_runs)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .parquet, .csv or .json file to write; NAME.parquet if not said.",
            callback=file_place,
        ),
    ] = None,
    clone: Annotated[
        Path | None,
        typer.Option("--from", help="A clone of the repository, or a part of it: nothing is fetched."),
    ] = None,
) -> None:
    """Fetch public runs at a pinned commit and write their curve table.

    The commit, licence and size are shown first. Every file is checked by its git object id; what is in the
    cache already is not fetched again. With --from nothing is fetched.
    Example: neuneu data get pythia -o pythia.parquet
    """
    from neuneu.curves.public import fetch_public, find_public, read_public
    from neuneu.files import check_place

    runs = find_public(name)
    target = check_place(output or Path(f"{name}.parquet"))
    for line in runs.lines(clone):
        note(line)
    result = read_public(runs, clone or fetch_public(runs, note), note)
    result.table.write(target)
    for line in result.report.lines():
        note(line)
    table = result.table
    note(f"{table.in_words()} → {target}")
