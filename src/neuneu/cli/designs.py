"""`neuneu designs`: the database of models and what is contributed to it; other commands are added here."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuneu.cli.designs_collect import collecting
from neuneu.cli.designs_common import CONTRIBUTE, DATABASE, Store, read_pairs
from neuneu.cli.designs_errors import diagnostics
from neuneu.cli.designs_explain import explanations
from neuneu.cli.designs_predict import predictions
from neuneu.cli.designs_tag import taggers
from neuneu.cli.designs_texts import texts
from neuneu.cli.options import AsJson, Output, changed_place, file_place, folder_place, make_app, one_of, show
from neuneu.cli.tables import cell, note
from neuneu.errors import InputError, how_many

if TYPE_CHECKING:
    from neuneu.designs.database.records import NewRows

app = make_app()
designs = make_app()
app.add_typer(
    designs,
    name="designs",
    help="The database of models; scores from design decisions.",
    no_args_is_help=True,
)

Policy = Annotated[
    str,
    typer.Option(
        help="Where a stored and a new value differ.",
        **one_of("error", "keep", "replace", "larger", "smaller"),
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; write nothing.")]
Skip = Annotated[
    bool, typer.Option("--skip-refused", help="Leave refused files of a folder out, naming them on stderr.")
]


Names = Annotated[
    list[str] | None,
    typer.Option(help="PATH=ID: what files call a model (own checkpoints: a path), and its id; repeat."),
]


class Format(StrEnum):
    """What `designs import` reads."""

    export = "export"
    lm_eval = "lm-eval"
    scores = "scores"
    scores_json = "scores-json"
    features = "features"
    metadata = "metadata"
    model = "model"
    dataset = "dataset"
    sheet = "sheet"


@designs.command("import", rich_help_panel=DATABASE)
def import_(
    kind: Annotated[Format, typer.Argument(help="What the path holds.", metavar="FORMAT")],
    path: Annotated[Path, typer.Argument(help="File or folder.")],
    store: Store,
    policy: Policy = "error",
    dry_run: DryRun = False,
    skip_refused: Skip = False,
    name: Names = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Put files into a design database (made if it is not there) and show what changed.

    FORMAT: export (folder of a DuckDB EXPORT DATABASE; its SQL is never run), lm-eval (results JSON, or the
    folder of `neuneu suite harness`: each run's last step), scores (CSV), scores-json, features (CSV),
    metadata (folder), model, dataset (CSV of that table), sheet (what `designs sheet` wrote, filled in).

    Example: neuneu designs import export 2025_03_03.duckdb --store designs.duckdb

    Example: neuneu designs import lm-eval results --store designs.duckdb --name runs/web-300M=me/web-300m
    """
    if not dry_run:
        changed_place(store)
    refused: list[str] | None = [] if skip_refused else None
    batch = _read(kind, path, refused)
    for problem in refused or ():
        note(f"left out: {problem}")
    if name:
        from neuneu.designs.database.records import rename_models

        batch = rename_models(batch, read_pairs(name, "name", "PATH=ID"))
    _apply(batch, store, policy, dry_run, output, as_json)


def _read(kind: Format, path: Path, refused: list[str] | None) -> "NewRows":
    from neuneu.designs.database import metadata, readers
    from neuneu.designs.database.schema import find_table
    from neuneu.designs.database.sheet import read_sheet

    makers: dict[Format, Callable[[], NewRows]] = {
        Format.export: lambda: readers.read_export(path),
        Format.lm_eval: lambda: readers.read_lm_eval(path),
        Format.scores: lambda: readers.read_scores_csv(path),
        Format.scores_json: lambda: readers.read_scores_json(path, refused=refused),
        Format.features: lambda: readers.read_features_csv(path),
        Format.metadata: lambda: metadata.read_metadata(path, refused=refused),
        Format.model: lambda: readers.read_table_csv(path, find_table("model")),
        Format.dataset: lambda: readers.read_table_csv(path, find_table("dataset")),
        Format.sheet: lambda: read_sheet(path),
    }
    return makers[kind]()


def _apply(
    batch: "NewRows", store: Path, policy: str, dry_run: bool, output: Path | None, as_json: bool
) -> None:
    import polars as pl

    from neuneu.designs.database.changes import check_policy
    from neuneu.designs.database.store import DesignStore

    check_policy(policy)
    if dry_run:
        with DesignStore(store) if store.exists() else DesignStore.in_memory() as opened:
            changes = opened.diff(batch, policy=policy)
    elif store.exists():
        with DesignStore(store, write=True) as opened:
            changes = opened.apply(batch, policy=policy)
    else:
        with DesignStore.create(store) as opened:
            changes = opened.apply(batch, policy=policy)
    counts = changes.group_by("table", "kind").len("cells").sort("table", "kind")
    if output is None and not as_json:
        show(counts, f"{'would change' if dry_run else 'changed'} in {store}")
        changed = changes.filter(pl.col("kind") == "changed")
        if len(changed):
            show(changed, f"{how_many(len(changed), 'cell')} that differ")
    else:
        show(changes, "changes", output=output, as_json=as_json)


@designs.command(rich_help_panel=DATABASE)
def stats(store: Store, output: Output = None, as_json: AsJson = False) -> None:
    """Rows, and distinct ids, benchmarks, settings and metrics.

    Example: neuneu designs stats --store home
    """
    from neuneu.designs.database.home import open_store

    with open_store(store) as opened:
        show(opened.stats(), str(store), output=output, as_json=as_json)


@designs.command(rich_help_panel=DATABASE)
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT.")],
    store: Store,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Ask the database in SQL, read-only.

    Example: neuneu designs query "SELECT id, total_params FROM model_annotations" --store home
    """
    from neuneu.designs.database.home import open_store

    with open_store(store) as opened:
        show(opened.query(sql), str(store), output=output, as_json=as_json)


@designs.command(rich_help_panel=DATABASE)
def profile(
    model: Annotated[str, typer.Argument(help="The model, by any of its ids.")],
    store: Store,
    as_json: AsJson = False,
) -> None:
    """All that is known of one model, under any of its ids.

    Example: neuneu designs profile home/llama-50k-prose-seed0 --store home
    """
    import polars as pl

    from neuneu.designs.database import views
    from neuneu.designs.database.home import open_store
    from neuneu.files import to_json

    with open_store(store) as opened:
        found = views.profile(opened, model)
    if as_json:
        sys.stdout.write(to_json({name: frame.to_dicts() for name, frame in found.items()}))
        return
    for name, frame in found.items():
        if name in ("model", "dataset") and len(frame):
            whole = frame.transpose(include_header=True, header_name="column", column_names=["value"])
            values = [cell(value) for value in frame.row(0)] if len(frame) == 1 else whole["value"]
            show(whole, name, brief=whole.with_columns(value=pl.Series(values, dtype=pl.String)))
        elif len(frame):
            show(frame, name)


@designs.command(rich_help_panel=DATABASE)
def conflicts(store: Store, output: Output = None, as_json: AsJson = False) -> None:
    """Measurements that several rows tell differently, once aliases make their names one.

    Example: neuneu designs conflicts --store home
    """
    import polars as pl

    from neuneu.designs.database import views
    from neuneu.designs.database.home import open_store

    with open_store(store) as opened:
        frame = views.conflicts(opened)
    text = [pl.col(name).cast(pl.List(pl.String)).list.join("; ") for name in ("values", "origins")]
    show(
        frame.with_columns(text),
        f"{how_many(len(frame), 'conflict')}, the largest first" if len(frame) else "No conflicts",
        brief=frame.drop("origins"), output=output, as_json=as_json,
    )  # fmt: skip


@designs.command(rich_help_panel=DATABASE)
def gaps(
    store: Store,
    least: Annotated[int, typer.Option(help="Only measurements that this many models have.")] = 30,
    facts: Annotated[bool, typer.Option("--facts", help="Missing facts instead of evaluations.")] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Evaluations (or facts) that models lack.

    Example: neuneu designs gaps --store home --output gaps.csv
    """
    from neuneu.designs.database import views
    from neuneu.designs.database.home import open_store

    with open_store(store) as opened:
        frame = views.missing_facts(opened) if facts else views.missing_evaluations(opened, least=least)
    what = "Facts" if facts else f"Measurements that {least} models or more have, and"
    show(frame, f"{what} that models lack", output=output, as_json=as_json)


@designs.command(rich_help_panel=DATABASE)
def export(
    store: Store, folder: Annotated[Path, typer.Argument(help="A free path.", callback=folder_place)]
) -> None:
    """Write the database as CSVs that DuckDB's IMPORT DATABASE reads; the same rows give the same bytes.

    Example: neuneu designs export --store home 2026_11_22.duckdb
    """
    from neuneu.designs.database.exporting import export as write
    from neuneu.designs.database.home import open_store

    with open_store(store) as opened:
        write(opened, folder)
    note(f"{store} → {folder}")


@designs.command(rich_help_panel=DATABASE)
def finished(
    store: Store,
    output: Annotated[Path, typer.Option("--output", "-o", help="The curve table.", callback=file_place)],
) -> None:
    """Write untuned models of known size and tokens as finished runs: they extend `neuneu atlas`.

    Example: neuneu designs finished --store designs.duckdb -o finished.parquet, then neuneu atlas arc_easy
    --params 7e9 --tokens 2e12 --finished finished.parquet
    """
    from neuneu.designs.database.for_atlas import finished_models
    from neuneu.designs.database.home import open_store

    with open_store(store) as opened:
        table = finished_models(opened)
    table.write(output)
    note(f"{how_many(len(table.runs), 'model')} → {output}")


@designs.command(rich_help_panel=DATABASE)
def diff(
    old: Annotated[Path, typer.Argument(help="A design database.")],
    new: Annotated[Path, typer.Argument(help="Another.")],
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """What is added, filled, changed and removed from one database to another.

    Example: neuneu designs diff old.duckdb new.duckdb
    """
    from neuneu.designs.database.home import open_store

    with open_store(old) as before, open_store(new) as after:
        changes = after.compare(before)
    title = f"{old} → {new}" if len(changes) else f"{old} and {new} do not differ"
    show(changes, title, output=output, as_json=as_json)


@designs.command(rich_help_panel=DATABASE)
def migrate(store: Store) -> None:
    """Bring a database to the newest schema; no row changes.

    Example: neuneu designs migrate --store designs.duckdb
    """
    from neuneu.designs.database.schema import VERSION
    from neuneu.designs.database.store import DesignStore

    with DesignStore(store, write=True):
        note(f"{store} has schema {VERSION}")


@designs.command(rich_help_panel=CONTRIBUTE)
def alias(
    store: Store,
    name: Annotated[str, typer.Argument(help="Another id of a model.")],
    model: Annotated[str, typer.Argument(help="The id that it stands for.")],
) -> None:
    """Say that an id is another name of a model.

    Example: neuneu designs alias --store designs.duckdb gpt2 openai-community/gpt2
    """
    from neuneu.designs.database.store import DesignStore

    with DesignStore(store, write=True) as opened:
        opened.alias_model(name, model)
    note(f"{name} = {model}")


@designs.command(rich_help_panel=CONTRIBUTE)
def template(
    model: Annotated[str | None, typer.Argument(help="The model's id.")] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="To fill in from: a local folder, or with --hub a repository.")
    ] = None,
    hub: Annotated[bool, typer.Option("--hub", help="Fetch config.json from the Hugging Face hub.")] = False,
) -> None:
    """Print a YAML template that describes one model, filled from its checkpoint where there is one.

    Example: neuneu designs template org/name --checkpoint path/to/checkpoint > name.yaml

    Example: neuneu designs template --checkpoint org/name --hub > name.yaml
    """
    from neuneu.designs.database.contribute import harvest
    from neuneu.designs.database.contribute import template as blank

    if checkpoint is None:
        sys.stdout.write(blank(model=model or "org/name"))
    else:
        sys.stdout.write(harvest(checkpoint, model, hub=hub))


@designs.command(rich_help_panel=CONTRIBUTE)
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Filled-in templates.")],
) -> None:
    """Check filled-in templates; the first problem of each file is named.

    Example: neuneu designs validate name.yaml
    """
    from neuneu.designs.database.contribute import read_contribution

    problems = []
    for path in paths:
        try:
            note(f"{path}: good, {how_many(len(read_contribution(path)), 'row')}")
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))


@designs.command(rich_help_panel=CONTRIBUTE)
def add(
    paths: Annotated[list[Path], typer.Argument(help="Filled-in templates.")],
    store: Store,
    policy: Policy = "error",
    dry_run: DryRun = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Put models described by filled-in templates into a design database.

    Example: neuneu designs add name.yaml --store designs.duckdb --dry-run
    """
    from neuneu.designs.database.contribute import read_contribution
    from neuneu.designs.database.records import merge_batches

    if not dry_run:
        changed_place(store)
    batch = merge_batches([read_contribution(path) for path in paths])
    _apply(batch, store, policy, dry_run, output, as_json)


designs.add_typer(collecting)
designs.add_typer(predictions)
designs.add_typer(explanations)
designs.add_typer(diagnostics)
designs.add_typer(taggers)
designs.add_typer(texts)
