"""Run a tagger over a file: streaming, in parallel, and resumable."""

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.designs.taggers import cleaning, counts
from neuneu.designs.taggers.documents import BLOCK, read_blocks
from neuneu.designs.taggers.entropy import Vocabulary, corpus_entropy
from neuneu.errors import InputError
from neuneu.files import atomic_path, write_json

FEATURES = (
    "char_len",
    "num_tokens",
    "unique_tokens",
    "ttr",
    "keyword_ratios",
    "keyword_counts",
    "repetition",
    "repaired_text",
    "content_function_ratio",
    "dep_parse",
    "const_parse",
    "edu_classifier",
    "domain",
)
"""What `tag` can compute a document; `entropy` is of a whole corpus."""


@dataclass(frozen=True)
class Options:
    """What some features need: a tokenizer.json; an endpoint and its model; a local checkpoint folder."""

    tokenizer: str | None = None
    endpoint: str | None = None
    model: str | None = None


def make_tagger(feature: str, options: Options) -> counts.Tagger:
    """The tagger of a feature; InputError if it is unknown or lacks an option."""
    if feature in ("num_tokens", "unique_tokens", "ttr"):
        return counts.token_feature(feature, options.tokenizer)
    plain: dict[str, counts.Tagger] = {
        "char_len": counts.character_length,
        "keyword_ratios": counts.keyword_ratios,
        "keyword_counts": counts.keyword_counts,
        "repetition": _repetition,
        "repaired_text": _repair,
    }
    if feature in plain:
        return plain[feature]
    if feature in ("content_function_ratio", "dep_parse", "const_parse"):
        from neuneu.designs.taggers.parses import stanza_tagger

        return stanza_tagger(feature)  # type: ignore[no-any-return]
    if feature == "edu_classifier":
        from neuneu.designs.taggers.classifiers import educational_tagger

        return educational_tagger(_needed(options.model, "model"))
    if feature == "domain":
        from neuneu.designs.taggers.domains import domain_tagger

        return domain_tagger(_needed(options.endpoint, "endpoint"), _needed(options.model, "model"))
    raise InputError(f"unknown; known: {', '.join([*FEATURES, 'entropy'])}", field="feature", value=feature)


def tag(
    feature: str,
    source: str | Path,
    output: str | Path,
    *,
    options: Options | None = None,
    workers: int = 1,
    limit: int | None = None,
    size: int = BLOCK,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Tag every document of a file into one Parquet (id and the feature's columns); returns how many.

    Finished blocks wait in `<output>.parts`; the same call after an interruption takes them up, if the file,
    feature and options are the same, and gives the same bytes. Memory: a few blocks of `size` documents a
    worker.
    """
    source, output = Path(source), Path(output)
    options = options or Options()
    make_tagger(feature, options)
    parts = output.with_name(f"{output.name}.parts")
    _claim(parts, source, {"feature": feature, "size": size, "limit": limit, **vars(options)})
    done = 0
    spawn = multiprocessing.get_context("spawn")  # Polars' threads do not survive a fork
    with ProcessPoolExecutor(workers, spawn) if workers > 1 else _Serial() as pool:
        waiting: list[tuple[Future[int], int]] = []
        for number, block in enumerate(read_blocks(source, size=size, limit=limit)):
            path = parts / f"{number:08d}.parquet"
            done += len(block)
            if not path.exists():
                waiting.append((pool.submit(_tag_block, feature, options, block, path), done))
            while len(waiting) >= 2 * workers:
                future, count = waiting.pop(0)
                future.result()
                progress(count)
        for future, count in waiting:
            future.result()
            progress(count)
    if done == 0:
        shutil.rmtree(parts)
        raise InputError("holds no documents", where=source)
    with atomic_path(output) as temporary:
        pl.scan_parquet(parts / "*.parquet").sink_parquet(temporary, compression="zstd", maintain_order=True)
    shutil.rmtree(parts)
    return done


class _Serial:
    """An executor that does the work at once, in this process."""

    def __enter__(self) -> "_Serial":
        return self

    def __exit__(self, *error: object) -> None: ...

    def submit(self, call: Callable[..., int], *arguments: object) -> "Future[int]":
        future: Future[int] = Future()
        future.set_result(call(*arguments))
        return future


def _claim(parts: Path, source: Path, settings: dict[str, object]) -> None:
    """Make the folder of parts; parts of other settings or another file are dropped."""
    if not source.is_file():
        raise InputError("no such file", where=source)
    state = source.stat()
    text = json.dumps([str(source.resolve()), state.st_size, state.st_mtime_ns, settings], sort_keys=True)
    mark = {"digest": hashlib.sha256(text.encode()).hexdigest()}
    known = parts / "settings.json"
    if known.exists() and json.loads(known.read_text()) == mark:
        return
    if parts.exists() and not known.exists():
        raise InputError("is in the way of unfinished work", where=parts)
    shutil.rmtree(parts, ignore_errors=True)
    write_json(known, mark)


def _tag_block(feature: str, options: Options, block: pl.DataFrame, path: Path) -> int:
    tagged = make_tagger(feature, options)(block)
    with atomic_path(path) as temporary:
        tagged.write_parquet(temporary)
    return len(tagged)


def _repetition(block: pl.DataFrame) -> pl.DataFrame:
    reasons = [cleaning.removal_reason(text) for text in block["text"]]
    return block.select("id", pl.Series("removed_because", reasons, dtype=pl.String))


def _repair(block: pl.DataFrame) -> pl.DataFrame:
    return block.select(
        "id", pl.Series("text", [cleaning.repair_encoding(t) for t in block["text"]], dtype=pl.String)
    )


def _needed(value: str | None, name: str) -> str:
    if value is None:
        raise InputError("is needed by this feature", field=name)
    return value


def entropy_of_file(
    source: str | Path, *, order: int = 1, tokenizer: str | None = None, limit: int | None = None
) -> dict[str, float]:
    """`corpus_entropy` of a file of documents: tokens by a tokenizer.json, else words and single signs."""
    return corpus_entropy(_token_ids(source, tokenizer, limit), order=order)


def _token_ids(source: str | Path, tokenizer: str | None, limit: int | None) -> Iterator[NDArray[np.int64]]:
    vocabulary = Vocabulary()
    for block in read_blocks(source, limit=limit):
        for tokens in counts.token_lists(block, tokenizer):
            yield tokens.to_numpy() if tokenizer is not None else vocabulary.ids(tokens.to_list())
