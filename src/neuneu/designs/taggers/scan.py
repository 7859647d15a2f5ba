"""Texts cut into tokens in compiled code: where each token is and a 64-bit hash of it, as Python's `re` cuts.

Features of documents need to know which tokens are equal, not what they are, so tokens are never made into
strings. Two different tokens of a hundred million have the same hash with a chance below 10⁻³.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.errors import MissingExtraError

try:
    from numba import njit as njit  # noqa: PLC0414 (others take it from here, with the error below)
except ImportError as error:
    raise MissingExtraError("numba", "designs") from error

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

WORD, SPACE, DIGIT = 1, 2, 4
CODE_POINTS = 0x110000
_MIX = np.uint64(0x9E3779B97F4A7C15)
_STIR = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Tokens:
    """The tokens of some documents, one after the other.

    hashes: equal for equal tokens; bounds: document d has the tokens bounds[d] to bounds[d + 1].
    """

    hashes: Hashes
    bounds: Integers

    @property
    def counts(self) -> Integers:
        """Tokens a document."""
        return np.diff(self.bounds)


@cache
def characters() -> NDArray[np.uint8]:
    """For every code point, WORD, SPACE and DIGIT as Python's `\\w`, `\\s` and `\\d` see it."""
    every = "".join("\0" if 0xD800 <= i < 0xE000 else chr(i) for i in range(CODE_POINTS))
    classes = np.zeros(CODE_POINTS, np.uint8)
    for bit, pattern in ((WORD, r"\w"), (SPACE, r"\s"), (DIGIT, r"\d")):
        classes[np.fromiter((m.start() for m in re.finditer(pattern, every)), np.int64)] |= bit
    return classes


@cache
def classes_of(kind: str) -> NDArray[np.uint8]:
    """For every code point, whether it is part of a token (1), between tokens (2), or one itself (0)."""
    classes = characters() & (WORD | SPACE)
    if kind == "words":  # [^\W_]+, all else skipped
        classes[ord("_")] = 0
        classes[classes & WORD == 0] = SPACE
    elif kind == "split":  # \S+, as str.split() cuts
        classes = np.where(classes & SPACE, SPACE, WORD).astype(np.uint8)
    return np.asarray(classes, np.uint8)


def utf8(texts: pl.Series) -> tuple[NDArray[np.uint8], Integers]:
    """(bytes of all texts one after the other, with at least 8 zeros behind them; where each begins)."""
    import pyarrow

    array = texts.rechunk().to_arrow()
    array = array.cast(pyarrow.large_string())
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    first, last = int(bounds[0]), int(bounds[-1])
    padded = np.zeros((last - first) // 8 * 8 + 16, np.uint8)
    if last > first:
        padded[: last - first] = np.frombuffer(data, np.uint8)[first:last]
    return padded, bounds - first


def tokenize(texts: pl.Series, kind: str = "signs") -> Tokens:
    r"""Tokens of each text: "signs" by `\w+|[^\w\s]`, "words" by `[^\W_]+`, "split" as `str.split()`."""
    data, offsets = utf8(texts)
    scratch = np.empty((2, int(np.diff(offsets).max(initial=0)) + 2), np.int32)
    hashes = np.empty(len(data) // 4 + 64, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    document = 0
    while True:
        document = _tokenize(
            data, data.view(np.uint64), offsets, classes_of(kind), scratch, hashes, bounds, document
        )
        if document == len(offsets) - 1:
            return Tokens(hashes[: int(bounds[-1])], bounds)
        hashes = np.concatenate([hashes, np.empty(max(len(hashes), scratch.shape[1]), np.uint64)])


def hashes_of_ids(ids: NDArray[Any]) -> Hashes:
    """Token ids (≥ 0) → hashes, different for different ids."""
    mixed = (np.asarray(ids).astype(np.uint64) + np.uint64(1)) * _MIX
    return np.asarray(mixed ^ (mixed >> np.uint64(29)), np.uint64)


def count_distinct(hashes: Hashes, bounds: Integers) -> Integers:
    """Distinct hashes of each document, (documents,)."""
    longest = int(np.diff(bounds).max(initial=1))
    size = 64
    while size < 2 * longest:
        size *= 2
    result = np.zeros(len(bounds) - 1, np.int64)
    _distinct(hashes, bounds, np.zeros(size, np.uint64), np.full(size, -1, np.int64), result)
    return result


def ngrams(hashes: Hashes, bounds: Integers, n: int) -> tuple[Hashes, Integers]:
    """(a hash for each n tokens in a row, bounds of documents); documents of fewer tokens have none."""
    lengths = np.maximum(np.diff(bounds) - n + 1, 0)
    cut = np.concatenate([[0], np.cumsum(lengths)])
    result = np.empty(int(cut[-1]), np.uint64)
    _ngrams(hashes, bounds, n, cut, result)
    return result, cut


@njit(cache=True, inline="always")
def decode(data: Any, i: Any) -> Any:
    """(code point that starts at byte i, its length in bytes) of valid UTF-8."""
    b: Any = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
    if b < 0xF0:
        return (b & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F), 3
    high = (b & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
    return high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F), 4


@njit(cache=True)
def _tokenize(
    data: Any,
    words: Any,
    offsets: Any,
    classes: Any,
    scratch: Any,
    hashes: Any,
    bounds: Any,
    document: int,
) -> int:  # pragma: no cover
    """Cut and hash documents as long as there is room; returns the first that is left."""
    while document < len(offsets) - 1:
        first = offsets[document]
        count = cut(data, first, offsets[document + 1], classes, scratch)
        n = bounds[document]
        if n + count > len(hashes):
            return document
        for t in range(count):
            hashes[n + t] = hash_bytes(words, first + scratch[0, t], first + scratch[1, t])
        document += 1
        bounds[document] = n + count
    return document


@njit(cache=True)
def cut(data: Any, first: int, last: int, classes: Any, scratch: Any) -> Any:  # pragma: no cover
    """Starts and ends of the tokens of one document into scratch[0] and [1], from its first byte; how many.

    Where words end cannot be foreseen, so there is no branch on it: every place is written, few are kept.
    """
    starts, ends = scratch
    n = m = np.int64(0)
    before = np.uint8(0)
    i: Any = first
    while i < last:
        point, width = np.int64(data[i]), 1
        if point >= 0x80:
            point, width = decode(data, i)
        c = classes[point]
        word = c & np.uint8(1)
        sign = (word | (c >> np.uint8(1)) & np.uint8(1)) ^ np.uint8(1)
        ends[m] = i - first
        m += np.int64(before & (word ^ np.uint8(1)))
        starts[n] = i - first
        n += np.int64((word & (before ^ np.uint8(1))) | sign)
        i += width
        ends[m] = i - first
        m += np.int64(sign)
        before = word
    if before:
        ends[m] = last - first
    return n


@njit(cache=True, inline="always")
def load(words: Any, i: Any) -> Any:
    """The 8 bytes from byte i on, least first."""
    q, shift = i >> 3, np.uint64((i & 7) * 8)
    return (words[q] >> shift) | ((words[q + 1] << np.uint64(1)) << (np.uint64(63) - shift))


@njit(cache=True, inline="always")
def first_bytes(length: int) -> Any:
    """A mask of the lowest `length` bytes, 1 to 8."""
    return (np.uint64(2) << np.uint64(length * 8 - 1)) - np.uint64(1)


@njit(cache=True, inline="always")
def hash_bytes(words: Any, i: int, last: int) -> Any:
    """A hash of the bytes from i up to last; `words` are all bytes, 8 by 8."""
    length = last - i
    h = np.uint64(length)
    while length > 0:
        h = (h ^ (load(words, i) & first_bytes(min(length, 8)))) * _MIX
        h ^= h >> np.uint64(29)
        length -= 8
        i += 8
    return h


@njit(cache=True)
def _distinct(hashes: Any, bounds: Any, table: Any, owner: Any, result: Any) -> None:  # pragma: no cover
    for d in range(len(bounds) - 1):
        size = 64
        while size < 2 * (bounds[d + 1] - bounds[d]):
            size *= 2
        mask = np.uint64(size - 1)
        found = 0
        for t in range(bounds[d], bounds[d + 1]):
            h = hashes[t]
            slot = np.int64((h ^ (h >> np.uint64(32))) & mask)
            while owner[slot] == d and table[slot] != h:
                slot = (slot + 1) & np.int64(mask)
            if owner[slot] != d:
                owner[slot] = d
                table[slot] = h
                found += 1
        result[d] = found


@njit(cache=True, inline="always")
def join(before: Any, h: Any) -> Any:
    """The hash of a sequence and the hash of one more token → the hash of the longer sequence."""
    return ((before ^ (before >> np.uint64(31))) * _MIX) ^ (h * _STIR)


@njit(cache=True)
def _ngrams(hashes: Any, bounds: Any, n: int, cut: Any, result: Any) -> None:  # pragma: no cover
    for d in range(len(bounds) - 1):
        for k in range(cut[d + 1] - cut[d]):
            h = hashes[bounds[d] + k]
            for j in range(1, n):
                h = join(h, hashes[bounds[d] + k + j])
            result[cut[d] + k] = h
