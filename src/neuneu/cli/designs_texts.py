"""`neuneu designs`: documents kept, removed, sampled and compared by what was tagged of them."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.designs_common import TEXTS, draw
from neuneu.cli.options import AsJson, Output, file_place, show
from neuneu.cli.tables import note
from neuneu.errors import InputError, how_many

texts = typer.Typer()

Figure = Annotated[
    Path | None, typer.Option(help="Draw the figure into this .png or .svg file.", callback=file_place)
]


@texts.command("filter", rich_help_panel=TEXTS)
def filter_(
    source: Annotated[Path, typer.Argument(help="Documents: .jsonl (.gz, .zst), .csv or .parquet.")],
    kept: Annotated[Path, typer.Option(help="Documents that stay, a .jsonl file.", callback=file_place)],
    removed: Annotated[
        Path | None,
        typer.Option(help="Those that go, with the reason in removed_because.", callback=file_place),
    ] = None,
    repetition: Annotated[Path | None, typer.Option(help="What `tag repetition` wrote of them.")] = None,
    contamination: Annotated[
        Path | None, typer.Option(help="What `tag contamination` wrote: the rest is a decontaminated copy.")
    ] = None,
    most: Annotated[
        float, typer.Option(help="Greatest share of n-grams that may be in evaluation texts.")
    ] = 0.0,
) -> None:
    """Write the documents that the repetition filter keeps, without those that hold evaluation texts.

    Example: neuneu designs filter texts.jsonl --repetition repetition.parquet --kept kept.jsonl --removed
    removed.jsonl
    """
    from neuneu.taggers.filtering import filter_documents

    counts = filter_documents(
        source, kept, removed, repetition=repetition, contamination=contamination, most=most
    )
    for reason, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        note(f"{how_many(count, 'document')}: {reason}")
    note(f"→ {kept}" + (f", {removed}" if removed else ""))


@texts.command(rich_help_panel=TEXTS)
def sample(
    sources: Annotated[list[str], typer.Argument(help="Files, or with --hub hf://OWNER/NAME/FILES.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .jsonl file.", callback=file_place)],
    count: Annotated[int | None, typer.Option("--count", "-n", help="How many documents.")] = None,
    share: Annotated[float | None, typer.Option(help="Each document with this chance.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same sample.")] = 42,
    limit: Annotated[int | None, typer.Option(help="Only the first documents of all.")] = None,
    hub: Annotated[bool, typer.Option("--hub", help="Fetch files of hub data sets.")] = False,
) -> None:
    """A seeded sample of documents: for review, or of a data set on the hub.

    Example: neuneu designs sample removed.jsonl -n 20 -o review.jsonl

    Example: neuneu designs sample hf://org/data/train/*.jsonl --hub -n 1000 -o data.jsonl
    """
    from neuneu.losses.hub_texts import fetch_texts
    from neuneu.taggers.sampling import sample_documents

    files = fetch_texts(sources, hub=hub)
    found = sample_documents(files, output, count=count, share=share, seed=seed, limit=limit)
    note(f"{how_many(found, 'document')} → {output}")


@texts.command(rich_help_panel=TEXTS)
def cost(
    source: Annotated[Path, typer.Argument(help="Documents: .jsonl (.gz, .zst), .csv or .parquet.")],
    price: Annotated[float, typer.Option(help="Dollars for a million tokens in.")],
    limit: Annotated[int | None, typer.Option(help="Only the first documents.")] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """What `tag domain` by an endpoint would ask and cost, at the fewest and at the most; nothing is asked.

    Example: neuneu designs cost texts.jsonl --price 0.15
    """
    from neuneu.taggers.domains import estimate_cost

    frame = estimate_cost(source, price, limit=limit)
    show(frame, "domains by an endpoint", output=output, as_json=as_json)


@texts.command(rich_help_panel=TEXTS)
def agreement(
    domains: Annotated[Path, typer.Argument(help="What `tag domain` wrote (.parquet).")],
    labels: Annotated[Path, typer.Option(help="Documents with labels: .jsonl, .csv or .parquet.")],
    column: Annotated[str, typer.Option(help="The field that holds the label.")] = "label",
    confusions: Annotated[
        Path | None, typer.Option(help="Write the confusion matrix here (.csv, …).", callback=file_place)
    ] = None,
    mistakes: Annotated[
        Path | None, typer.Option(help="Write the documents told otherwise here.", callback=file_place)
    ] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """How far a domain tagger agrees with labels: precision, recall and confusions by class.

    Documents that either side calls unknown or incoherent are left out; media counts as reference.

    Example: neuneu designs agreement domains.parquet --labels labelled.csv --confusions confusions.csv
    """
    from neuneu.files import write_table
    from neuneu.files.tables import read_parquet
    from neuneu.taggers.agreement import by_class, confusion, pairs_of, read_labels
    from neuneu.taggers.agreement import mistakes as wrong

    pairs = pairs_of(read_parquet(domains), read_labels(labels, column))
    for path, frame in ((confusions, confusion(pairs)), (mistakes, wrong(pairs))):
        if path is not None:
            write_table(path, frame)
    draw(figure, lambda charts: charts.confusion_chart(confusion(pairs)), "design_effects")
    show(by_class(pairs), "predictions against labels", output=output, as_json=as_json)


@texts.command(rich_help_panel=TEXTS)
def realism(
    real: Annotated[Path, typer.Option(help="Features of a real corpus, as `aggregate` writes them.")],
    generated: Annotated[Path, typer.Option(help="Features of what models write, a row a model.")],
    corpus: Annotated[str | None, typer.Option(help="The row of --real, where it has several.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these models; repeat.")] = None,
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Features of a real corpus against those of what models write, farthest first, in spreads over models.

    Example: neuneu designs realism --real pile.csv --generated features.csv --figure realism.png
    """
    from neuneu.taggers.realism import compare, pooled, read_features

    truth = read_features(real, [corpus] if corpus is not None else [])
    written = read_features(generated, model or [])
    frame = compare(truth, written)
    draw(figure, lambda charts: charts.realism_chart(frame), "design_effects")
    if output is None and not as_json:
        show(pooled(truth, written), "real and generated values, pooled over features and models")
    show(frame, "generated against real", output=output, as_json=as_json)


@texts.command(rich_help_panel=TEXTS)
def distributions(
    tagged: Annotated[list[str], typer.Option("--tagged", help="CORPUS=FILE as tag wrote it; repeat.")],
    column: Annotated[str, typer.Option(help="A number of the tagged documents: char_len, ttr, …")],
    figure: Figure = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """How a feature of documents is spread in each corpus: mean, deviation and percentiles.

    Example: neuneu designs distributions --tagged mine=counts.parquet --column char_len --figure length.png
    """
    from neuneu.taggers.realism import distributions as read
    from neuneu.taggers.realism import spread_table

    pairs = {}
    for entry in tagged:
        name, _, path = entry.partition("=")
        if not name or not path or name in pairs:
            raise InputError("must be CORPUS=FILE, each corpus once", field="tagged", value=entry)
        pairs[name] = path
    values = read(pairs, column)
    draw(figure, lambda charts: charts.distribution_chart(values, column), "design_effects")
    show(spread_table(values), f"{column} by corpus", output=output, as_json=as_json)
