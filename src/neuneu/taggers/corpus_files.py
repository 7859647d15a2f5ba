"""Run the entropy of a whole file of documents: streaming, in parallel, and resumable."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.errors import InputError
from neuneu.files import atomic_path, write_json
from neuneu.files.writing import remove_folder
from neuneu.progress import counting
from neuneu.taggers import counts
from neuneu.taggers.document_features import expected, read_blocks
from neuneu.taggers.entropy import (
    BUCKETS,
    Group,
    PairCounter,
    bucket_of,
    contexts_of,
    groups,
    merge,
    summarize,
    where,
)
from neuneu.taggers.parts import LOCK, Job, check, claimed, start, version, work
from neuneu.taggers.scan import Integers
from neuneu.taggers.tokens import Hashes


def tag_entropy(
    source: str | Path,
    output: str | Path,
    *,
    order: int = 1,
    tokenizer: str | None = None,
    limit: int | None = None,
    documents: str | Path | None = None,
    workers: int = 1,
) -> dict[str, float]:
    """`corpus_entropy` of a file of documents, into a JSON file: tokens by a tokenizer.json, else words and
    single signs.

    documents: a Parquet to write as well, a row a document that has more than `order` tokens: id, and
    entropy_mean, entropy_max, entropy_min, entropy_p25 and entropy_p75 of the corpus's entropies after the
    contexts in the document, each taken as often as it occurs there.

    What is finished waits in `<output>.parts`, as of `tag`; on disk at most 24 bytes a token, and 16 a
    context where documents are asked for. Memory, for each worker: about fifteen times a block (8 MB, or
    one document), or, where that is more, 120 bytes for each distinct pair of the fullest of 256
    groups of contexts.
    """
    source, output = Path(source), Path(output)
    check(source, output, workers, suffix=".json")
    if documents is not None and Path(documents).suffix != ".parquet":
        raise InputError("must end in .parquet", field="documents", value=str(documents))
    used = [version(path) for path in (source, tokenizer) if path is not None]
    settings = {"order": order, "limit": limit, "tokenizer": tokenizer, "documents": documents is not None}
    with (
        claimed(output, {"feature": "entropy", "files": used, **settings}) as parts,
        start(workers) as executor,
    ):

        def each_block(name: str, call: Callable[..., None]) -> None:
            done = 0

            def jobs() -> Iterator[Job]:
                nonlocal done
                for number, block in enumerate(read_blocks(source, limit=limit)):
                    done += len(block)
                    yield Job(parts / f"{name}-{number:08d}", call, (parts, order, tokenizer, block), done)

            with counting("documents", expected(source, limit)) as tell:
                work(jobs(), executor, workers, tell)

        each_block("pairs", _count)
        starts = list(_starts(parts).values())
        if not starts:
            raise InputError("holds no documents", where=source)
        together = groups(starts)
        merges = [
            Job(_group(parts, buckets), _merge, (parts, buckets, documents is not None), number)
            for number, buckets in enumerate(together, 1)
        ]
        with counting("groups of contexts", len(merges)) as tell:
            work(merges, executor, workers, tell)
        result = summarize(_read(_group(parts, buckets)) for buckets in together)
        if not result:
            remove_folder(parts, LOCK)
            raise InputError(f"no document has more than {order} tokens", where=source)
        if documents is not None:
            each_block("documents", partial(_of_documents, together))
            with atomic_path(Path(documents)) as temporary:
                frames = pl.scan_parquet(parts / "documents-*")
                frames.sink_parquet(temporary, compression="zstd", maintain_order=True)
        write_json(output, result)
    return result


def _count(parts: Path, order: int, tokenizer: str | None, block: pl.DataFrame, path: Path) -> None:
    tokens = counts.tokens_of(block, tokenizer)
    with atomic_path(path) as temporary:
        _counter(order).count(tokens.hashes, tokens.bounds).tofile(temporary)


_counter = cache(PairCounter)


def _starts(parts: Path) -> dict[Path, Hashes]:
    return {path: np.fromfile(path, np.uint64, BUCKETS + 1) for path in sorted(parts.glob("pairs-*"))}


def _group(parts: Path, buckets: range) -> Path:
    return parts / f"group-{buckets.start:03d}"


def _piece(path: Path, place: slice) -> Hashes:
    return np.fromfile(path, np.uint64, place.stop - place.start, offset=8 * place.start)


def _kept(group: Path, what: str) -> Path:
    return group.with_name(f"{group.name}-{what}")


def _merge(parts: Path, buckets: range, keep: bool, path: Path) -> None:
    group = merge(_piece(path, where(starts, buckets)) for path, starts in _starts(parts).items())
    if keep:
        order = np.argsort(group.contexts)
        _save(_kept(path, "contexts"), group.contexts[order])
        _save(_kept(path, "entropies"), group.entropies[order])
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, sums=group.sums, values=group.values, counts=group.counts)


def _read(path: Path) -> Group:
    none = np.empty(0)
    with np.load(path) as saved:
        return Group(saved["sums"], saved["values"], saved["counts"], none.astype(np.uint64), none)


def _save(path: Path, array: NDArray[Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _of_documents(
    together: list[range], parts: Path, order: int, tokenizer: str | None, block: pl.DataFrame, path: Path
) -> None:
    tokens = counts.tokens_of(block, tokenizer)
    contexts, cuts = contexts_of(tokens.hashes, tokens.bounds, order)
    distinct, back = np.unique(contexts, return_inverse=True)
    homes = np.searchsorted([buckets.stop for buckets in together], bucket_of(distinct), side="right")
    found = np.empty(len(distinct))
    for home in np.unique(homes):
        rows = np.flatnonzero(homes == home)
        files = (_kept(_group(parts, together[home]), what) for what in ("contexts", "entropies"))
        known, values = (np.load(file, mmap_mode="r") for file in files)
        found[rows] = values[np.searchsorted(known, distinct[rows])]
    with atomic_path(path) as temporary:
        _summaries(block["id"], np.diff(cuts), found[back]).write_parquet(temporary)


def _summaries(ids: pl.Series, lengths: Integers, values: NDArray[np.float64]) -> pl.DataFrame:
    """A row for each document that has values."""
    rows = np.repeat(np.arange(len(ids)), lengths)
    value = pl.col("value")
    parts = {"mean": value.mean(), "max": value.max(), "min": value.min()}
    parts |= {f"p{q}": value.quantile(q / 100, "linear") for q in (25, 75)}
    return (
        pl.DataFrame({"id": ids.gather(rows), "row": rows, "value": values})
        .group_by("row", maintain_order=True)
        .agg(pl.first("id"), *(part.alias(f"entropy_{name}") for name, part in parts.items()))
        .drop("row")
    )
