"""`neuneu designs`: what is collected for the database: hub, spreadsheets, records of data sets."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.designs_common import CONTRIBUTE, DATABASE, Store
from neuneu.cli.options import Output, file_place, folder_place, show
from neuneu.cli.tables import note
from neuneu.errors import InputError, how_many

collecting = typer.Typer()


class Fetched(StrEnum):
    """What `designs fetch` fetches."""

    scores = "scores"
    metadata = "metadata"


@collecting.command(rich_help_panel=DATABASE)
def home(
    store: Annotated[
        Path, typer.Argument(help="The design database to make: a new file.", callback=file_place)
    ],
) -> None:
    """Write the packaged home suite as a design database: 42 small models, to try every command on.

    Commands that read take `--store home` as well, without a file. There are no features of what the models
    write: their weights are not in the package.

    Example: neuneu designs home home.duckdb
    """
    from neuneu.designs.database.home import home_batch
    from neuneu.designs.database.store import DesignStore

    with DesignStore.create(store) as made:
        made.apply(home_batch())
    note(f"42 models → {store}")


@collecting.command(rich_help_panel=CONTRIBUTE)
def fetch(
    what: Annotated[Fetched, typer.Argument(help="scores (of the Open LLM Leaderboard) or metadata.")],
    models: Annotated[list[str], typer.Argument(help="Models on the Hugging Face hub: org/name.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for a JSON file a model.", callback=folder_place)
    ],
    repository: Annotated[
        str | None,
        typer.Option(
            help="scores: a data set with ORG/MODEL/results_DATE.json, or one a model, with {org} and {name}."
        ),
    ] = None,
) -> None:
    """Fetch models' leaderboard scores, or what the hub knows of them, for `designs import` to read.

    Of scores, the newest of each measurement is kept. Of a model only its page and config.json are fetched.

    Example: neuneu designs fetch scores EleutherAI/pythia-70m -o scores

    Example: neuneu designs fetch metadata EleutherAI/pythia-70m -o hub
    """
    from neuneu.designs.database.collect import LEADERBOARD, fetch_metadata, fetch_scores

    if what is Fetched.metadata:
        if repository is not None:
            raise InputError("belongs to scores", field="repository", value=repository)
        files = fetch_metadata(models, output)
        note(_fetched(len(files), output, "metadata"))
        return
    files, without = fetch_scores(models, output, repository=repository or LEADERBOARD)
    for name in without:
        note(f"no results: {name}")
    note(_fetched(len(files), output, "scores-json"))


def _fetched(count: int, output: Path, kind: str) -> str:
    return f"{how_many(count, 'model')} → {output}; next: `neuneu designs import {kind} {output} -s STORE`"


@collecting.command(rich_help_panel=CONTRIBUTE)
def record(
    source: Annotated[
        Path | None, typer.Argument(help="A filled-in record (.yaml), or a published one (.json).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="dataset_metadata/NAME.json, for `import metadata`.", callback=file_place
        ),
    ] = None,
) -> None:
    """Check a record of a data set and add up its shares; without a file, print one to fill in.

    Types are those of the taxonomy, as deep as they are known: web/news, code/documentation.

    Example: neuneu designs record > mix.yaml

    Example: neuneu designs record mix.yaml -o records/dataset_metadata/mix.json
    """
    from neuneu.designs.database.dataset_records import read_record, record_template
    from neuneu.files import to_json, write_json

    if source is None:
        sys.stdout.write(record_template())
        return
    found = read_record(source)
    if output is None:
        sys.stdout.write(to_json(found))
    else:
        write_json(output, found)
        note(f"{source} → {output}")


@collecting.command(rich_help_panel=CONTRIBUTE)
def sheet(
    store: Store,
    model: Annotated[list[str] | None, typer.Option(help="Only this model, or a new one; repeat.")] = None,
    output: Output = None,
) -> None:
    """Facts of many models as a spreadsheet, a row each, to fill in and give back to `designs import sheet`.

    Empty cells say nothing: what they leave empty stays as it is in the database.

    Example: neuneu designs sheet --store home -o sheet.csv

    Example: neuneu designs sheet --store home --model me/new-1b -o sheet.csv
    """
    from neuneu.designs.database.home import open_store
    from neuneu.designs.database.sheet import sheet as facts

    if output is not None and output.suffix != ".csv":
        raise InputError("must end in .csv", field="output", value=str(output))
    with open_store(store) as opened:
        show(facts(opened, model or ()), "facts", output=output)
