"""`neuneu designs`: generations, taggers and what they add up to for a model."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from neuneu.cli.designs_common import GENERATE
from neuneu.cli.options import file_place
from neuneu.cli.tables import note
from neuneu.errors import InputError, how_many
from neuneu.files import write_table

taggers = typer.Typer()


class Method(StrEnum):
    """How `tag entropy` measures."""

    ngram = "ngram"
    lm = "lm"


@taggers.command(rich_help_panel=GENERATE)
def generate(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder of a checkpoint (config.json, safetensors, tokenizer).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .jsonl file.", callback=file_place)],
    documents: Annotated[int, typer.Option(help="How many.")] = 1_000,
    tokens: Annotated[
        int | None, typer.Option(help="Tokens of one at most; by default 2047, or what the context leaves.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of the draw, from the whole distribution.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same generations.")] = 0,
    batch: Annotated[int, typer.Option(help="Generations at once; part of what a seed means.")] = 16,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
) -> None:
    """Let a model write freely, from the start of a document; an interrupted run goes on where it stopped.

    Example: neuneu designs generate path/to/checkpoint --output generations.jsonl --documents 500
    """
    from neuneu.taggers.generate import generate as run

    done = run(
        checkpoint,
        output,
        documents=documents,
        tokens=tokens,
        temperature=temperature,
        seed=seed,
        batch=batch,
        device=device,
    )
    note(f"{how_many(done, 'generation')} → {output}")


@taggers.command(rich_help_panel=GENERATE)
def tag(
    feature: Annotated[str, typer.Argument(help="What to measure; see above.", metavar="FEATURE")],
    source: Annotated[
        Path,
        typer.Option(
            "--input", "-i", help="Documents: .jsonl (.gz, .zst), .csv or .parquet; by lm: `score`'s losses."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .parquet file; entropy: .json.", callback=file_place)
    ],
    tokenizer: Annotated[Path | None, typer.Option(help="A tokenizer.json; else words and signs.")] = None,
    order: Annotated[int, typer.Option(help="entropy: tokens of context.")] = 1,
    method: Annotated[
        Method, typer.Option(help="entropy: ngram, or lm: bits of a checkpoint that `neuneu score` scored.")
    ] = Method.ngram,
    corpus: Annotated[Path | None, typer.Option(help="entropy by lm: the corpus of the losses.")] = None,
    run: Annotated[str | None, typer.Option(help="entropy by lm: a run; by default the only one.")] = None,
    step: Annotated[int | None, typer.Option(help="entropy by lm: its step; by default the last.")] = None,
    documents: Annotated[
        Path | None,
        typer.Option(help="entropy: also a row a document, into this .parquet file.", callback=file_place),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="domain: an OpenAI-compatible service; its key, if it has one, is NEUNEU_API_KEY."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="domain: the service's model, else a classifier's folder; edu_classifier: a folder."
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="code_features, parses: of all documents; else their lang, and en.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="contamination: evaluation texts, .jsonl or .parquet.")
    ] = None,
    words: Annotated[int, typer.Option(help="contamination: words in a row that must be shared.")] = 13,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Only the first documents.")] = None,
) -> None:
    """Tag documents with a feature; an interrupted run goes on where it stopped.

    FEATURE: char_len, num_tokens, unique_tokens, ttr, keyword_ratios, keyword_counts, or all of these at
    once: counts. Of the whole input: entropy. Cleaning: repetition, repaired_text, contamination. Code:
    code_features. Parses, by Stanza: content_function_ratio, dep_parse, const_parse. By the field url:
    web_class. By other models: language, edu_classifier, domain. Your own: package.module:function.

    Example: neuneu designs tag counts --input texts.jsonl --output counts.parquet

    Example: neuneu designs tag repetition --input texts.jsonl --output repetition.parquet

    Example: neuneu designs tag entropy --input texts.jsonl --output entropy.json

    Example: neuneu designs tag entropy --method lm --input losses.zarr --corpus corpus --output lm.json
    """
    from neuneu.taggers.corpus_files import tag_entropy
    from neuneu.taggers.run import TaggerOptions
    from neuneu.taggers.run import tag as tag_all

    tokens = None if tokenizer is None else str(tokenizer)
    if method is Method.lm:
        from neuneu.taggers.lm_entropy import lm_entropy

        if feature != "entropy" or corpus is None:
            raise InputError("--method lm needs entropy and --corpus", field="method", value=method.value)
        found = lm_entropy(source, corpus, output, run=run, step=step, documents=documents)
        note(f"{found['mean_bits']:.3f} bits a token, {found['run']} at step {found['step']} → {output}")
        return
    if feature == "entropy":
        tag_entropy(
            source,
            output,
            order=order,
            tokenizer=tokens,
            limit=limit,
            documents=documents,
            workers=workers,
        )
        note(f"{source} → {output}")
        return
    if documents is not None:
        raise InputError("belongs to entropy", field="documents", value=str(documents))
    options = TaggerOptions(
        tokens, endpoint, model, language, None if against is None else str(against), words
    )
    done = tag_all(feature, source, output, options=options, workers=workers, limit=limit)
    note(f"{how_many(done, 'document')} → {output}")


@taggers.command(rich_help_panel=GENERATE)
def aggregate(
    model: Annotated[str, typer.Argument(help="The id of the model that wrote the documents.")],
    tagged: Annotated[list[str], typer.Option("--tagged", help="FEATURE=FILE as tag wrote it; repeat.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A feature CSV that designs import reads.", callback=file_place),
    ],
) -> None:
    """One row of model-level features, under the published column names, from tagged generations.

    With repetition=FILE, only documents that the repetition filter keeps.

    Example: neuneu designs aggregate org/name --tagged counts=counts.parquet --tagged entropy=entropy.json -o
    features.csv
    """
    import polars as pl

    from neuneu.designs.database.records import check_names
    from neuneu.taggers.aggregate import kept_documents, model_row, read_tagged

    check_names(pl.DataFrame({"id": [model]}), "id")
    frames = read_tagged(tagged)
    kept = frames.pop("repetition", None)
    ids = None if kept is None else kept_documents(kept)
    row, left_out = model_row(frames, kept_ids=ids)
    for feature in left_out:
        note(f"left out: {feature}, of which the repetition filter keeps fewer than half of the documents")
    write_table(output, pl.DataFrame([{"id": model, **row}]))
    note(f"{model} → {output}")
