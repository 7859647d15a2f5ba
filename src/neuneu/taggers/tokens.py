"""Tokens as 64-bit hashes: features of documents need to know which are equal, not what they are.

Two different tokens, or n-grams, of a hundred million have the same hash with a chance below 10⁻³.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.taggers.scan import Bytes, Integers, classes_of, cut, intrinsic, njit, room, types, utf8

Hashes = NDArray[np.uint64]

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


def tokenize(texts: pl.Series, kind: str = "signs") -> Tokens:
    """Tokens of each text; kinds as `classes_of` tells them."""
    return tokenize_bytes(*utf8(texts), kind)


def tokenize_bytes(data: Bytes, offsets: Integers, kind: str = "signs") -> Tokens:
    """Tokens of texts as `utf8` or `lowered` gives them."""
    space = room(offsets)
    hashes = np.empty(len(data) // 4 + 64, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    document = 0
    while True:
        document = _tokenize(data, offsets, classes_of(kind), *space, hashes, bounds, document)
        if document == len(offsets) - 1:
            return Tokens(hashes[: int(bounds[-1])], bounds)
        hashes = np.concatenate([hashes, np.empty(max(len(hashes), len(space[0])), np.uint64)])


def hashes_of_ids(ids: NDArray[Any]) -> Hashes:
    """Token ids (≥ 0) → hashes, different for different ids."""
    mixed = (np.asarray(ids).astype(np.uint64) + np.uint64(1)) * _MIX
    return np.asarray(mixed ^ (mixed >> np.uint64(29)), np.uint64)


def count_distinct(hashes: Hashes, bounds: Integers, enough: Integers | None = None) -> Integers:
    """Distinct hashes of each document, (documents,); counting a document stops at `enough` of them."""
    result = np.zeros(len(bounds) - 1, np.int64)
    if enough is None:
        enough = np.diff(bounds)
    _distinct(hashes, bounds, enough, table_for(np.diff(bounds)), result)
    return result


def count_tokens_and_distinct(texts: pl.Series) -> tuple[Integers, Integers]:
    """(tokens, distinct tokens) of each text, (documents,) each, without keeping the tokens."""
    data, offsets = utf8(texts)
    counts, unique = np.zeros((2, len(texts)), np.int64)
    hashes = np.empty(int(np.diff(offsets).max(initial=0)), np.uint64)
    space = (*room(offsets), hashes, table_for(np.diff(offsets)))
    _count_distinct(data, offsets, classes_of("signs"), *space, counts, unique)
    return counts, unique


def table_for(counts: Integers) -> Hashes:
    """Room for `distinct` of documents with so many tokens."""
    return np.zeros(1 << (4 * max(int(counts.max(initial=0)), 16)).bit_length(), np.uint64)


def ngrams(hashes: Hashes, bounds: Integers, n: int) -> tuple[Hashes, Integers]:
    """(a hash for each n tokens in a row, bounds of documents); documents of fewer tokens have none."""
    lengths = np.maximum(np.diff(bounds) - n + 1, 0)
    cuts = np.concatenate([[0], np.cumsum(lengths)])
    result = np.empty(int(cuts[-1]), np.uint64)
    _ngrams(hashes, bounds, n, cuts, result)
    return result, cuts


@njit(cache=True)
def _hash(words: Any, first: int, places: Any, count: int, hashes: Any) -> None:  # pragma: no cover
    """Hash the tokens that `cut` found in a document that begins at this byte."""
    for t in range(count):
        hashes[np.uint64(t)] = hash_bytes(words, first + places[0, t], first + places[1, t])


@njit(cache=True)
def _tokenize(
    data: Any, offsets: Any, classes: Any, kinds: Any, places: Any, hashes: Any, bounds: Any, document: int
) -> int:  # pragma: no cover
    """Cut and hash documents as long as there is room; returns the first that is left."""
    words = data.view(np.uint64)
    while document < len(offsets) - 1:
        first = offsets[document]
        count = cut(data, first, offsets[document + 1], classes, kinds, places)
        n = bounds[document]
        if n + count > len(hashes):
            return document
        _hash(words, first, places, count, hashes[n:])
        document += 1
        bounds[document] = n + count
    return document


@njit(cache=True)
def _count_distinct(
    data: Any,
    offsets: Any,
    classes: Any,
    kinds: Any,
    places: Any,
    hashes: Any,
    table: Any,
    counts: Any,
    unique: Any,
) -> None:  # pragma: no cover
    words = data.view(np.uint64)
    for d in range(len(counts)):
        first = offsets[d]
        counts[d] = cut(data, first, offsets[d + 1], classes, kinds, places)
        _hash(words, first, places, counts[d], hashes)
        unique[d] = distinct(hashes[: counts[d]], table, counts[d])


def _load(context: Any, words: Any, place: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        there = builder.bitcast(builder.gep(first, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(there, align=1)

    return types.uint64(words, types.int64), make


load: Any = intrinsic(_load)
"""The 8 bytes from byte i on, least first, of all bytes, 8 by 8 in words; 8 more stand behind the last."""


@njit(cache=True, inline="always")
def first_bytes(length: int) -> Any:
    """A mask of the lowest `length` bytes, 1 to 8."""
    return (np.uint64(2) << np.uint64(length * 8 - 1)) - np.uint64(1)


@njit(cache=True, inline="always")
def hash_bytes(words: Any, i: int, last: int) -> Any:
    """A hash of the bytes from i up to last, at least one."""
    length = last - i
    h = ((load(words, i) & first_bytes(min(length, 8))) ^ np.uint64(length)) * _MIX
    h ^= h >> np.uint64(29)
    while length > 8:
        length -= 8
        i += 8
        h = (h ^ (load(words, i) & first_bytes(min(length, 8)))) * _MIX
        h ^= h >> np.uint64(29)
    return h


@njit(cache=True)
def _distinct(hashes: Any, bounds: Any, enough: Any, table: Any, result: Any) -> None:  # pragma: no cover
    for d in range(len(bounds) - 1):
        result[d] = distinct(hashes[bounds[d] : bounds[d + 1]], table, enough[d])


@njit(cache=True)
def distinct(hashes: Any, table: Any, enough: int) -> int:  # pragma: no cover
    """How many different hashes there are, counted up to `enough`; table: of `table_for`."""
    size = 64
    while size < 2 * len(hashes):
        size *= 2
    table[:size] = 0
    mask = np.uint64(size - 1)
    found = 0
    for h in hashes:
        slot = (h >> np.uint64(32)) & mask
        key = table[slot]
        while key != h and key != 0:  # noqa: PLR1714 (a set is slower here)
            slot = (slot + np.uint64(1)) & mask
            key = table[slot]
        found += key == 0
        table[slot] = h
        if found >= enough:
            break
    return found


@njit(cache=True, inline="always")
def join(before: Any, h: Any) -> Any:
    """The hash of a sequence and the hash of one more token → the hash of the longer sequence."""
    return ((before ^ (before >> np.uint64(31))) * _MIX) ^ (h * _STIR)


@njit(cache=True)
def _ngrams(hashes: Any, bounds: Any, n: int, cuts: Any, result: Any) -> None:  # pragma: no cover
    """A polynomial in _STIR whose coefficients are the hashes of the tokens, mixed; from one n-gram to the
    next the first coefficient goes and another comes."""
    highest = np.uint64(1)
    for _ in range(n - 1):
        highest *= _STIR
    for d in range(len(bounds) - 1):
        if cuts[d + 1] == cuts[d]:
            continue
        place, out = np.uint64(bounds[d]), np.uint64(cuts[d])
        value = np.uint64(0)
        for j in range(n - 1):
            value = value * _STIR + hashes[place + np.uint64(j)]
        for k in range(cuts[d + 1] - cuts[d]):
            value = value * _STIR + hashes[place + np.uint64(k + n - 1)]
            h = (value ^ (value >> np.uint64(32))) * _MIX
            result[out + np.uint64(k)] = (h ^ (h >> np.uint64(29))) | np.uint64(1)
            value -= highest * hashes[place + np.uint64(k)]
