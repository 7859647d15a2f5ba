"""neuneu tokenize, score, words: from a text to the losses of checkpoints on it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from neuneu.cli.options import AsJson, file_place, folder_place, make_app, one_of, show
from neuneu.cli.tables import note
from neuneu.errors import InputError, how_many

app = make_app()

Hub = Annotated[bool, typer.Option("--hub", help="Names that are no folder are Hugging Face repositories.")]


@app.command()
def tokenize(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Text files or folders: .jsonl, .jsonl.zst, .jsonl.gz, .parquet, .txt, .md, .rst; published "
            "*_tokens.npy; with --hub hf://OWNER/NAME/FILE and weborganizer:SHARD (an id, val, 0.5-0.51)."
        ),
    ],
    tokenizer: Annotated[
        str,
        typer.Option(
            "--tokenizer", "-t", help="A folder, a tokenizer.json, or with --hub a repository or datadecide."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The corpus: a folder that is made.", callback=folder_place)
    ],
    field: Annotated[str, typer.Option(help="Field or column that holds the text.")] = "text",
    split: Annotated[
        str, typer.Option(help="What a document of plain text is.", **one_of("file", "line", "paragraph"))
    ] = "file",
    source_tokenizer: Annotated[
        str | None,
        typer.Option(help="Of token files: the tokenizer that made them; their text is encoded anew."),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Keep no more tokens of a document.")] = None,
    max_documents: Annotated[int | None, typer.Option(help="Stop after so many documents.")] = None,
    hub: Hub = False,
    revision: Annotated[str | None, typer.Option(help="Revision of the tokenizer's repository.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one a core.")] = None,
) -> None:
    """Turn a corpus into token ids with document and word bounds.

    Killed at any time, the same command goes on where it stopped and ends in the same bytes. Token files of
    the published layout (`val_00000141_tokens.npy` with its `_boundaries.npy`) keep their ids.

    Example: neuneu tokenize validation.jsonl.zst -t ./olmo-tokenizer -o corpus
    """
    from neuneu.losses.corpus import tokenize_corpus
    from neuneu.losses.hub_texts import fetch_texts
    from neuneu.losses.published_corpus import find_token_files, import_token_files

    files = fetch_texts(sources, hub=hub)
    shared: dict[str, Any] = {
        "max_tokens": max_tokens,
        "max_documents": max_documents,
        "hub": hub,
        "revision": revision,
    }
    if find_token_files(files):
        for name, value, unset in (("field", field, "text"), ("split", split, "file")):
            if value != unset:
                raise InputError("is for texts, not for token files", field=name, value=value)
        corpus = import_token_files(files, output, tokenizer, **shared, source_tokenizer=source_tokenizer)
    elif source_tokenizer is not None:
        raise InputError("is for token files", field="source-tokenizer", value=source_tokenizer)
    else:
        corpus = tokenize_corpus(
            files,
            output,
            tokenizer,
            **shared,
            field=field,
            split=split,
            workers=workers or len(os.sched_getaffinity(0)),
        )
    facts = corpus.facts
    note(
        f"{how_many(facts['documents'], 'document')}, {how_many(facts['tokens'], 'token')}, "
        f"{how_many(facts['words'], 'word')} → {output} "
        f"({corpus.fingerprint[:12]})"
    )


@app.command()
def score(
    checkpoints: Annotated[
        list[str],
        typer.Argument(help="Folders of checkpoints, of step folders, of runs; with --hub repositories."),
    ],
    corpus: Annotated[Path, typer.Option("--corpus", "-c", help="The validation text, from `tokenize`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The loss store; made, or added to.", callback=folder_place)
    ],
    run: Annotated[str | None, typer.Option(help="Name of the run, if not the folder's.")] = None,
    step: Annotated[
        int | None, typer.Option(help="Step of a single checkpoint whose name does not say.")
    ] = None,
    hub: Hub = False,
    revision: Annotated[
        str, typer.Option(help="Branches and tags of a repository that are checkpoints.")
    ] = "*step*",
    seed: Annotated[
        str | None,
        typer.Option(help="Of DataDecide's models, only this seed: default, or 2 or 3 of the further ones."),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Tokens the model reads at once.")] = None,
    stride: Annotated[
        int | None, typer.Option(help="How far the window goes on; by default half of it.")
    ] = None,
    bos: Annotated[
        bool, typer.Option("--bos", help="Put a beginning-of-text token before documents.")
    ] = False,
    precision: Annotated[
        str, typer.Option(help="Of the arithmetic.", **one_of("float32", "bfloat16"))
    ] = "float32",
    batch_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens a batch with padding: bounds memory.")
    ] = 8192,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; by default a GPU if any.")] = None,
    dtype: Annotated[str, typer.Option(help="Of stored losses.", **one_of("float16", "float32"))] = "float16",
    compat: Annotated[
        bool, typer.Option("--compat", help="NeuNeu's published conventions, faults and all.")
    ] = False,
    allow_bin: Annotated[
        bool, typer.Option("--allow-bin", help="Also read weights that are no safetensors.")
    ] = False,
    statistics: Annotated[
        str | None,
        typer.Option(
            help="Kept beside the losses, in losses.NAME.zarr: rank, entropy, top1, top10 (commas)."
        ),
    ] = None,
    shard: Annotated[str, typer.Option(help="i/n: only every n-th checkpoint, from the i-th.")] = "1/1",
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster to spread over (auto, local, host:port).")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs a checkpoint on Ray, e.g. 0.25.")] = 0.0,
) -> None:
    """Compute the loss of each token of a corpus at each checkpoint of runs.

    What the store has already is not scored again, so a killed command goes on where it stopped, and more
    checkpoints can be added later.

    Example: neuneu score runs/web-300M --corpus corpus -o losses.zarr --window 1024
    """
    from neuneu.losses.checkpoints import find_checkpoints
    from neuneu.losses.scorer import Scoring
    from neuneu.losses.scoring import score_checkpoints

    scoring = Scoring(
        window=window,
        stride=stride,
        bos=bos,
        precision=precision,
        batch_tokens=batch_tokens,
        device=device,
        dtype=dtype,
        published=compat,
        allow_bin=allow_bin,
        statistics=tuple(name.strip() for name in (statistics or "").split(",") if name.strip()),
    )
    store = score_checkpoints(
        find_checkpoints(checkpoints, run=run, step=step, hub=hub, revision=revision, seed=seed),
        corpus,
        output,
        scoring,
        shard=_shard(shard),
        ray=ray,
        gpus=gpus,
    )
    count = sum(len(store.steps(name)) for name in store.runs)
    note(f"{how_many(count, 'checkpoint')} of {how_many(len(store.runs), 'run')} → {output}")


@app.command()
def words(
    losses: Annotated[Path, typer.Argument(help="Token losses, from `score`.")],
    corpus: Annotated[Path, typer.Option("--corpus", "-c", help="The corpus that they are of.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Store of word losses.", callback=folder_place)
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(help="Write the table below to a .parquet, .csv or .json file.", callback=file_place),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of stored losses.", **one_of("float16", "float32"))] = "float16",
    compat: Annotated[
        str | None,
        typer.Option(metavar="TOKENIZER", help="NeuNeu's published (misaligned) words, with this tokenizer."),
    ] = None,
    hub: Hub = False,
    as_json: AsJson = False,
) -> None:
    """Sum token losses to losses of words; show their mean, spread and quantiles by checkpoint.

    Example: neuneu words losses.zarr --corpus corpus -o words.zarr
    """
    from neuneu.losses.corpus import read_corpus
    from neuneu.losses.loss_store import LossStore
    from neuneu.losses.words import PublishedWordLosses, WordLosses, summarise, word_losses
    from neuneu.losses.zarr_store import ZarrLossStore

    if output is not None:
        store: LossStore = word_losses(losses, corpus, output, dtype=dtype, published=compat, hub=hub)
    elif compat is not None:
        store = PublishedWordLosses(ZarrLossStore(losses), read_corpus(corpus), compat, hub=hub)
    else:
        store = WordLosses(ZarrLossStore(losses), read_corpus(corpus))
    show(summarise(store), "Word losses in nats", output=summary, as_json=as_json)


def _shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise InputError("must be i/n, such as 2/8", field="shard", value=text)
    return int(number), int(of)
