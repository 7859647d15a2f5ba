"""`neuneu designs`: generations, taggers and what they add up to for a model."""

from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.common import note
from neuneu.errors import InputError
from neuneu.files import write_table

taggers = typer.Typer()


@taggers.command()
def tag(
    feature: Annotated[str, typer.Argument(help="char_len, ttr, keyword_ratios, entropy, domain, …")],
    source: Annotated[Path, typer.Option("--input", help="Documents: .jsonl (.gz, .zst) or .parquet.")],
    output: Annotated[Path, typer.Option("--output", help="A .parquet file; entropy: .json.")],
    tokenizer: Annotated[str | None, typer.Option(help="A tokenizer.json; else words and signs.")] = None,
    order: Annotated[int, typer.Option(help="entropy: tokens of context.")] = 1,
    endpoint: Annotated[str | None, typer.Option(help="domain: an OpenAI-compatible address.")] = None,
    model: Annotated[str | None, typer.Option(help="domain: model name; edu_classifier: folder.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Only the first documents.")] = None,
) -> None:
    """Tag documents with a feature; an interrupted run goes on where it stopped.

    Example: neuneu designs tag keyword_ratios --input texts.jsonl --output keywords.parquet
    """
    from neuneu.designs.taggers.run import Options, entropy_of_file
    from neuneu.designs.taggers.run import tag as run
    from neuneu.files import write_json

    if feature == "entropy":
        write_json(output, entropy_of_file(source, order=order, tokenizer=tokenizer, limit=limit))
        note(f"{source} → {output}")
        return
    done = run(
        feature,
        source,
        output,
        options=Options(tokenizer, endpoint, model),
        workers=workers,
        limit=limit,
        progress=lambda count: note(f"{count} documents"),
    )
    note(f"{done} documents → {output}")


@taggers.command()
def aggregate(
    model: Annotated[str, typer.Argument(help="The id of the model that wrote the documents.")],
    tagged: Annotated[list[str], typer.Option("--tagged", help="FEATURE=FILE as tag wrote it; repeat.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A feature CSV that designs import reads.")],
) -> None:
    """One row of model-level features, under the published column names, from tagged generations.

    Example: neuneu designs aggregate org/name --tagged ttr=ttr.parquet -o features.csv
    """
    import polars as pl

    from neuneu.designs.taggers.aggregate import model_row

    frames = {}
    for entry in tagged:
        feature, _, path = entry.partition("=")
        if not Path(path).is_file():
            raise InputError("must read FEATURE=FILE", field="tagged", value=entry)
        frames[feature] = pl.read_parquet(path)
    kept = frames.pop("repetition", None)
    ids = None if kept is None else set(kept.filter(pl.col("removed_because").is_null())["id"])
    write_table(output, pl.DataFrame([{"id": model, **model_row(frames, kept_ids=ids)}]))
    note(f"{model} → {output}")
