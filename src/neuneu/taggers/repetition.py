"""The repetition filter: which generations repeat themselves too much to be kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.taggers.scan import (
    BLOCK,
    PART,
    Integers,
    bits,
    classes_of,
    classify,
    cut,
    edges,
    lowered,
    lowest_bit,
    njit,
    room,
    utf8,
)
from neuneu.taggers.tokens import Hashes, distinct, hash_bytes, join, table_for, tokenize_bytes


@dataclass(frozen=True)
class RepetitionLimits:
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


def removal_reasons(texts: pl.Series, limits: RepetitionLimits | None = None) -> pl.Series:
    """Why each generation is to be dropped, the first of REASONS that holds; null keeps it.

    too_short: fewer characters than the limit. pathological_repetition: a lower-cased word (between spaces)
    more than `run` times in a row. repeated_lines and repeated_paragraphs (between empty lines): 1 −
    distinct ÷ all, of those that are not empty, above the limit. repeated_2grams and repeated_3grams: share
    of the n-grams of lower-cased words and signs that repeat an earlier one.
    """
    limits = limits or RepetitionLimits()
    lower = lowered(texts)
    tokens = tokenize_bytes(*lower)
    holds = np.ones((len(texts), len(REASONS) + 1), np.bool_)
    holds[:, 0] = texts.str.len_chars().to_numpy() < limits.least_length
    holds[:, 1] = False
    _long_runs(*lower, classes_of("split"), *room(lower[1]), max(limits.run, 1), holds[:, 1])
    holds[:, 2:4] = _repeated_parts(texts) > [limits.lines, limits.paragraphs]
    _repeated_grams(*_room_for(tokens.counts), tokens.hashes, tokens.bounds, limits.ngrams, holds[:, 4:6])
    first = np.argmax(holds, axis=1)
    names = [*REASONS, None]
    return pl.Series([names[i] for i in first], dtype=pl.String)


def removal_reason(text: str, limits: RepetitionLimits | None = None) -> str | None:
    """`removal_reasons` of one text."""
    reason: str | None = removal_reasons(pl.Series([text]), limits)[0]
    return reason


@njit(cache=True)
def _long_runs(
    data: Any, offsets: Any, classes: Any, kinds: Any, places: Any, limit: int, result: Any
) -> None:  # pragma: no cover
    """Whether a word stands more than `limit` (≥ 1) times in a row. Such a run holds a word whose number
    is a multiple of the limit and the word after it: no others are compared."""
    words = data.view(np.uint64)
    for d in range(len(result)):
        count = cut(data, offsets[d], offsets[d + 1], classes, kinds, places)
        for t in range(0, count, limit):
            i = j = t
            while i > 0 and _same(words, offsets[d], places, i - 1, t):
                i -= 1
            while j + 1 < count and _same(words, offsets[d], places, j + 1, t):
                j += 1
            if j - i >= limit:
                result[d] = True
                break


@njit(cache=True, inline="always")
def _same(words: Any, first: int, places: Any, one: int, other: int) -> Any:
    """Whether two tokens of a document are equal."""
    return hash_bytes(words, first + places[0, one], first + places[1, one]) == hash_bytes(
        words, first + places[0, other], first + places[1, other]
    )


@njit(cache=True)
def _repeated_grams(
    grams: Any, table: Any, hashes: Any, bounds: Any, limit: float, result: Any
) -> None:  # pragma: no cover
    """Whether more than `limit` of the 2-grams, and of the 3-grams, repeat an earlier one.

    Counting ends where enough are known to differ: of 3-grams as many as of 2-grams but one, for each 2-gram
    that is not the last begins one.
    """
    for d in range(len(bounds) - 1):
        tokens = hashes[bounds[d] : bounds[d + 1]]
        different: Any = np.int64(0)
        for n in (2, 3):
            count: Any = max(len(tokens) - n + 1, 0)
            enough: Any = min(count, np.int64((1 - limit) * count) + 2)
            if different < enough:
                for k in range(count):
                    grams[k] = join(tokens[k], tokens[k + 1])
                    if n == 3:
                        grams[k] = join(grams[k], tokens[k + 2])
                different = distinct(grams[:count], table, enough)
            result[d, n - 2] = count > 0 and 1 - different / max(count, 1) > limit
            different -= 1


def _room_for(counts: Integers) -> tuple[Hashes, Hashes]:
    """Room for the hashes of the longest document, and for `distinct`."""
    return np.empty(int(counts.max(initial=0)), np.uint64), table_for(counts)


def _repeated_parts(texts: pl.Series) -> NDArray[np.float64]:
    """1 − distinct ÷ all of each text's lines and of its paragraphs, (documents, 2); 0 where none are."""
    data, offsets = utf8(texts)
    shares = np.zeros((len(texts), 2))
    kinds, _ = room(offsets)
    lines, table = _room_for(np.diff(offsets) + 1)
    _parts(data, offsets, classes_of("split"), kinds, lines, lines.copy(), table, shares)
    return shares


@njit(cache=True)
def _parts(
    data: Any, offsets: Any, classes: Any, kinds: Any, lines: Any, paragraphs: Any, table: Any, shares: Any
) -> None:  # pragma: no cover
    """Lines and paragraphs are taken without the white space around them; an empty line ends a paragraph."""
    words, rows = data.view(np.uint64), kinds.view(np.uint64).reshape(-1, 8)
    for d in range(len(shares)):
        first, length = offsets[d], offsets[d + 1] - offsets[d]
        part = data[first : first + length]
        classify(part, classes, kinds)
        n = m = begin = 0
        paragraph = end = -1
        before = np.uint64(0)
        for block in range(length // BLOCK + 1):
            _, _, before = edges(part, classes, kinds, rows, block, before)
            breaks = bits(rows[block], 4)
            if block == length // BLOCK:  # the end of the text ends a line
                breaks |= np.uint64(1) << np.uint64(length % BLOCK)
            while breaks:
                stop = block * BLOCK + lowest_bit(breaks)
                breaks &= breaks - np.uint64(1)
                i, j = _strip(kinds, begin, stop)
                begin = stop + 1
                if i < j:
                    lines[n] = hash_bytes(words, first + i, first + j)
                    n += 1
                    paragraph, end = i if paragraph < 0 else paragraph, j
                elif paragraph >= 0:
                    paragraphs[m] = hash_bytes(words, first + paragraph, first + end)
                    m += 1
                    paragraph = -1
        if paragraph >= 0:
            paragraphs[m] = hash_bytes(words, first + paragraph, first + end)
            m += 1
        shares[d, 0] = 1 - distinct(lines[:n], table, n) / max(n, 1) if n > 0 else 0.0
        shares[d, 1] = 1 - distinct(paragraphs[:m], table, m) / max(m, 1) if m > 0 else 0.0


@njit(cache=True, inline="always")
def _strip(kinds: Any, i: Any, j: Any) -> Any:
    """The part of i to j without white space at its ends."""
    while i < j and not kinds[np.uint64(i)] & PART:
        i += 1
    while i < j and not kinds[np.uint64(j - 1)] & PART:
        j -= 1
    return i, j
