"""Seeded samples of documents: so many of all, or each with the same chance."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuneu.errors import InputError
from neuneu.taggers.document_features import read_records
from neuneu.taggers.filtering import write_records

SEED = 42
"""Of the published samples."""


def sample_documents(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    count: int | None = None,
    share: float | None = None,
    seed: int = SEED,
    limit: int | None = None,
) -> int:
    """Write a sample of the documents of all files, one after the other, in their order; returns how many.

    count: so many, each set equally likely (a reservoir; all where there are no more); or share: each
    document with this chance. limit: only the first documents of all. Memory: the sample. The same seed and
    documents give the same bytes. Raises InputError unless exactly one of count and share is given.
    """
    if (count is None) == (share is None):
        raise InputError("give one of count and share", field="count", value=count)
    if count is not None and count < 1:
        raise InputError("must be at least 1", field="count", value=count)
    if share is not None and not 0 < share <= 1:
        raise InputError("must be above 0, and at most 1", field="share", value=share)
    if Path(output).suffix != ".jsonl":
        raise InputError("must end in .jsonl", field="output", value=str(output))
    rng = np.random.default_rng(seed)
    every = _documents(sources, limit)
    if share is not None:
        return write_records(output, (record for record in every if rng.random() < share))
    return write_records(output, iter(_reservoir(every, count or 0, rng)))


def _documents(sources: Sequence[str | Path], limit: int | None) -> Iterator[Any]:
    if limit is not None and limit < 1:
        raise InputError("must be at least 1", field="limit", value=limit)
    done = 0
    for source in sources:
        for records in read_records(source):
            for record in records:
                if done == limit:
                    return
                yield record
                done += 1


def _reservoir(records: Iterator[Any], count: int, rng: np.random.Generator) -> list[Any]:
    """Algorithm R (Vitter 1985); the sample is sorted by place."""
    kept: list[tuple[int, Any]] = []
    for place, record in enumerate(records):
        if place < count:
            kept.append((place, record))
        else:
            slot = int(rng.integers(0, place + 1))
            if slot < count:
                kept[slot] = (place, record)
    if not kept:
        raise InputError("no documents to sample from", field="source")
    return [record for _, record in sorted(kept, key=lambda pair: pair[0])]
