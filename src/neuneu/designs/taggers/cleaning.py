"""Cleaning what models generate: encoding repair, the repetition filter, and decontamination by n-grams."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from neuneu.designs.taggers.scan import (
    Hashes,
    classes_of,
    count_distinct,
    cut,
    hash_bytes,
    ngrams,
    njit,
    tokenize,
    utf8,
)
from neuneu.errors import InputError, MissingExtraError


@dataclass(frozen=True)
class Limits:
    """Where the repetition filter draws its lines; the defaults are the values that were run."""

    least_length: int = 50
    lines: float = 0.6
    paragraphs: float = 0.6
    ngrams: float = 0.5
    run: int = 50


REASONS = (
    "too_short",
    "pathological_repetition",
    "repeated_lines",
    "repeated_paragraphs",
    "repeated_2grams",
    "repeated_3grams",
)
"""Why a generation is dropped, in the order in which it is looked at."""


def removal_reasons(texts: pl.Series, limits: Limits | None = None) -> pl.Series:
    """Why each generation is to be dropped, the first of REASONS that holds; null keeps it.

    too_short: fewer characters than the limit. pathological_repetition: a lower-cased word (between spaces)
    more than `run` times in a row. repeated_lines and repeated_paragraphs (between empty lines): 1 −
    distinct ÷ all, of those that are not empty, above the limit. repeated_2grams and repeated_3grams: share
    of the n-grams of lower-cased words and signs that repeat an earlier one.
    """
    limits = limits or Limits()
    lower = pl.Series([text.lower() for text in texts], dtype=pl.String)
    tokens = tokenize(lower)
    split = tokenize(lower, "split")
    holds = [
        texts.str.len_chars().to_numpy() < limits.least_length,
        _longest_runs(split.hashes, split.bounds) > limits.run,
        _repeated(*_parts(texts, breaks=1)) > limits.lines,
        _repeated(*_parts(texts, breaks=2)) > limits.paragraphs,
        *(_repeated(*ngrams(tokens.hashes, tokens.bounds, n)) > limits.ngrams for n in (2, 3)),
    ]
    first = np.argmax(np.column_stack([*holds, np.ones(len(texts), bool)]), axis=1)
    return pl.Series([[*REASONS, None][i] for i in first], dtype=pl.String)


def removal_reason(text: str, limits: Limits | None = None) -> str | None:
    """`removal_reasons` of one text."""
    reason: str | None = removal_reasons(pl.Series([text]), limits)[0]
    return reason


def _repeated(hashes: Hashes, bounds: Any) -> Any:
    """1 − distinct ÷ all for each document, 0 where there are none."""
    counts = np.diff(bounds)
    return np.where(counts > 0, 1 - count_distinct(hashes, bounds) / np.maximum(counts, 1), 0.0)


def _longest_runs(hashes: Hashes, bounds: Any) -> Any:
    result = np.zeros(len(bounds) - 1, np.int64)
    _runs(hashes, bounds, result)
    return result


@njit(cache=True)
def _runs(hashes: Any, bounds: Any, result: Any) -> None:  # pragma: no cover
    for d in range(len(result)):
        run = 0
        for t in range(bounds[d], bounds[d + 1]):
            run = run + 1 if t > bounds[d] and hashes[t] == hashes[t - 1] else 1
            result[d] = max(result[d], run)


def _parts(texts: pl.Series, *, breaks: int) -> tuple[Hashes, Any]:
    """Hashes of the parts between runs of white space with at least so many line breaks: 1 lines, 2
    paragraphs."""
    data, offsets = utf8(texts)
    scratch = np.empty((2, int(np.diff(offsets).max(initial=0)) + 2), np.int32)
    hashes = np.empty(len(data) // 2 + len(offsets), np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    _segments(data, data.view(np.uint64), offsets, classes_of("split"), breaks, scratch, hashes, bounds)
    return hashes[: int(bounds[-1])], bounds


@njit(cache=True)
def _segments(
    data: Any, words: Any, offsets: Any, classes: Any, breaks: int, scratch: Any, hashes: Any, bounds: Any
) -> None:  # pragma: no cover
    n = 0
    for d in range(len(bounds) - 1):
        first = offsets[d]
        count = cut(data, first, offsets[d + 1], classes, scratch)
        begin = 0
        for t in range(count):
            ends = t == count - 1
            if not ends:
                found = 0
                for i in range(first + scratch[1, t], first + scratch[0, t + 1]):
                    found += data[i] == 10
                ends = found >= breaks
            if ends:
                hashes[n] = hash_bytes(words, first + scratch[0, begin], first + scratch[1, t])
                n += 1
                begin = t + 1
        bounds[d + 1] = n


def repair_encoding(text: str) -> str:
    """The text as `ftfy` mends it (UTF-8 read as something else, and the like), in form NFKC, no NULs."""
    try:
        import ftfy
    except ImportError as error:
        raise MissingExtraError("ftfy", "taggers") from error
    return ftfy.fix_text(unicodedata.normalize("NFKC", text)).replace("\0", "")  # type: ignore[no-any-return]


class Decontaminator:
    """Finds documents that share an n-gram of words with evaluation texts, given block by block.

    Words are lower-cased runs of letters and digits; test texts shorter than n words count whole, where a
    document is nothing else. Memory: 16 to 32 bytes an n-gram of the test texts.
    """

    def __init__(self, test_texts: Iterable[pl.Series], *, n: int = 13) -> None:
        if n < 1:
            raise InputError("must be at least 1", field="n", value=n)
        self.n = n
        grams, short = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
        for texts in test_texts:
            words = _words(texts)
            grams.append(np.unique(ngrams(words.hashes, words.bounds, n)[0]))
            short.append(self._whole(words))
        self._grams = _table_of(np.unique(np.concatenate(grams)))
        self._short = np.unique(np.concatenate(short))

    def shares(self, texts: pl.Series) -> Any:
        """Share of each document's n-grams that the test texts hold, in [0, 1], (documents,)."""
        words = _words(texts)
        hashes, bounds = ngrams(words.hashes, words.bounds, self.n)
        shares = np.zeros(len(texts))
        _held(hashes, bounds, self._grams, shares)
        short = (words.counts > 0) & (words.counts < self.n)
        shares[short] = np.isin(self._whole(words), self._short)
        return shares

    def share(self, text: str) -> float:
        """`shares` of one text."""
        return float(self.shares(pl.Series([text]))[0])

    def _whole(self, words: Any) -> Hashes:
        """A hash of each document that has words, but fewer than n."""
        found = [np.empty(0, np.uint64)]
        for d in np.flatnonzero((words.counts > 0) & (words.counts < self.n)):
            part = words.hashes[words.bounds[d] : words.bounds[d + 1]]
            found.append(ngrams(part, np.array([0, len(part)]), len(part))[0])
        return np.concatenate(found)


def _words(texts: pl.Series) -> Any:
    return tokenize(pl.Series([text.lower() for text in texts], dtype=pl.String), "words")


def _table_of(hashes: Hashes) -> Hashes:
    """A hash set at most half full; 0 is a free slot (and so never found)."""
    table = np.zeros(1 << max(2 * len(hashes), 64).bit_length(), np.uint64)
    _fill(hashes, table)
    return table


@njit(cache=True)
def _fill(hashes: Any, table: Any) -> None:  # pragma: no cover
    mask = np.int64(len(table) - 1)
    for h in hashes:
        slot = np.int64(h >> np.uint64(20)) & mask
        while table[slot] != 0:
            slot = (slot + 1) & mask
        table[slot] = h


@njit(cache=True)
def _held(hashes: Any, bounds: Any, table: Any, shares: Any) -> None:  # pragma: no cover
    mask = np.int64(len(table) - 1)
    for d in range(len(shares)):
        found = 0
        for t in range(bounds[d], bounds[d + 1]):
            slot = np.int64(hashes[t] >> np.uint64(20)) & mask
            while table[slot] != 0 and table[slot] != hashes[t]:
                slot = (slot + 1) & mask
            found += table[slot] != 0
        if bounds[d + 1] > bounds[d]:
            shares[d] = found / (bounds[d + 1] - bounds[d])
