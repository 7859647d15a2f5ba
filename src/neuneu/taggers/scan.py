"""Texts cut into tokens in compiled code: where each token begins and ends, as Python's `re` cuts.

A document is taken 64 bytes at a time: first the class of every byte, by comparisons that the compiler makes
wide, then a bit for each byte where a token begins or ends, then the places of these bits.
"""

import re
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.errors import MissingExtraError

try:
    from numba import njit as njit  # noqa: PLC0414 (others take it from here, with the error below)
    from numba import types as types  # noqa: PLC0414
    from numba.extending import intrinsic as intrinsic  # noqa: PLC0414
except ImportError as error:
    raise MissingExtraError("numba", "designs") from error

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

WORD, SPACE, DIGIT = 1, 2, 4
CODE_POINTS = 0x110000

# Classes of bytes. A sign is a token by itself: its first byte begins one, the others belong to it. A
# NEWLINE is BETWEEN tokens.
BETWEEN, PART, SIGN, SIGN_REST, LEAD, NEWLINE = 0, 1, 6, 4, 8, 16
_REST = np.uint8(PART | SIGN_REST)
_EACH = np.uint64(0x0101010101010101)
_HIGH = np.uint64(0x8080808080808080)
_GATHER = np.uint64(0x0102040810204080)
_ONE = np.uint64(1)
BLOCK = 64
_USUAL = 16


@cache
def characters() -> Bytes:
    """For every code point, WORD, SPACE and DIGIT as Python's `\\w`, `\\s` and `\\d` see it."""
    every = _every()
    classes = np.zeros(CODE_POINTS, np.uint8)
    for bit, pattern in ((WORD, r"\w"), (SPACE, r"\s"), (DIGIT, r"\d")):
        classes[np.fromiter((m.start() for m in re.finditer(pattern, every)), np.int64)] |= bit
    return classes


@cache
def classes_of(kind: str) -> Bytes:
    r"""For every code point, whether it is PART of a token, BETWEEN tokens, or a token itself (SIGN).

    kind: "signs" `\w+|[^\w\s]`, "words" `[^\W_]+`, "split" `\S+`, as `str.split()` cuts. ASCII letters and
    digits are one class, so are white space and all other signs but `_`.
    """
    word, space = characters() & WORD > 0, characters() & SPACE > 0
    if kind == "words":
        word[ord("_")] = False
        space = ~word
    elif kind == "split":
        word = ~space
    return np.select([word, space], [PART, BETWEEN], SIGN).astype(np.uint8)


@cache
def _cased() -> NDArray[np.bool_]:
    """For every code point beyond ASCII, whether `str.lower` changes it."""
    return np.fromiter((c > "\x7f" and c.lower() != c for c in _every()), bool, CODE_POINTS)


def _every() -> str:
    """All characters, NUL in place of surrogates."""
    return "".join("\0" if 0xD800 <= i < 0xE000 else chr(i) for i in range(CODE_POINTS))


def utf8(texts: pl.Series) -> tuple[Bytes, Integers]:
    """(bytes of all texts one after the other, read-only, with at least 8 zeros behind them; where each
    begins, and the last ends)."""
    import pyarrow

    array = texts.clone().append(pl.Series(["\0" * 16])).rechunk().to_arrow().cast(pyarrow.large_string())
    _, offsets, buffer = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(buffer, np.uint8)[bounds[0] :]
    return data[: (bounds[-1] - bounds[0]) // 8 * 8], bounds[:-1] - bounds[0]


def lowered(texts: pl.Series) -> tuple[Bytes, Integers]:
    """`utf8` of the texts as `str.lower` makes them; only texts with capitals beyond ASCII go through it."""
    capital = np.zeros(len(texts), np.bool_)
    data, offsets = _lowered(texts, capital)
    if capital.any():
        rows = np.flatnonzero(capital)
        lower = texts.clone().scatter(rows, [texts[int(row)].lower() for row in rows])
        data, offsets = _lowered(lower, capital)
    return data, offsets


def _lowered(texts: pl.Series, capital: NDArray[np.bool_]) -> tuple[Bytes, Integers]:
    data, offsets = utf8(texts)
    small = data.copy()
    _lower(small, offsets, _cased(), capital)
    small.flags.writeable = False  # as of `utf8`, so that no function is compiled twice
    return small, offsets


def room(offsets: Integers) -> tuple[Bytes, NDArray[np.int32]]:
    """What `cut` works in for the longest of these documents: classes of bytes, starts and ends of tokens."""
    longest = int(np.diff(offsets).max(initial=0))
    return np.zeros((longest // BLOCK + 2) * BLOCK, np.uint8), np.empty((2, longest + 2 * BLOCK), np.int32)


def count_tokens(texts: pl.Series, kind: str = "signs") -> Integers:
    """Tokens of each text, (documents,); see `classes_of`."""
    data, offsets = utf8(texts)
    counts = np.zeros(len(texts), np.int64)
    _count(data, offsets, classes_of(kind), *room(offsets), counts)
    return counts


def _lowest_bit(context: Any, value: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, 0))

    return types.int64(types.uint64), make


def _count_bits(context: Any, value: Any) -> Any:
    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), make


lowest_bit: Any = intrinsic(_lowest_bit)
"""The place of the lowest bit that is set in 64 of them; 64 if none is."""
count_bits: Any = intrinsic(_count_bits)
"""How many of 64 bits are set."""

# Indices below are unsigned: of others it is asked whether they count from behind.


@njit(cache=True, inline="always")
def decode(data: Any, i: Any) -> Any:
    """(code point that starts at byte i, its length in bytes) of valid UTF-8."""
    i = np.uint64(i)
    b: Any = np.int64(data[i])
    if b < 0x80:
        return b, 1
    one = np.int64(data[i + np.uint64(1)]) & 0x3F
    if b < 0xE0:
        return (b & 0x1F) << 6 | one, 2
    two = np.int64(data[i + np.uint64(2)]) & 0x3F
    if b < 0xF0:
        return (b & 0x0F) << 12 | one << 6 | two, 3
    return (b & 0x07) << 18 | one << 12 | two << 6 | np.int64(data[i + np.uint64(3)]) & 0x3F, 4


@njit(cache=True)
def classify(part: Any, classes: Any, kinds: Any) -> None:  # pragma: no cover
    """The class of every byte of a document, LEAD where a character beyond ASCII starts, then BETWEEN."""
    letter, underscore, space, sign = classes[97], classes[95], classes[32], classes[33]
    for i in range(len(part)):
        b = part[i]
        alphabetic = np.uint8(np.uint8(b | np.uint8(32)) - np.uint8(97)) < np.uint8(26)
        digit = np.uint8(b - np.uint8(48)) < np.uint8(10)
        spaces = np.uint8(b - np.uint8(9)) < np.uint8(5), np.uint8(b - np.uint8(28)) < np.uint8(5)
        kinds[i] = (
            letter
            if alphabetic | digit
            else underscore
            if b == np.uint8(95)
            else np.uint8(NEWLINE)
            if b == np.uint8(10)
            else space
            if spaces[0] | spaces[1]
            else sign
            if b < np.uint8(0x80)
            else np.uint8(LEAD)
            if b >= np.uint8(0xC0)
            else np.uint8(BETWEEN)
        )
    kinds[len(part) : len(part) // BLOCK * BLOCK + BLOCK] = BETWEEN


@njit(cache=True, inline="always")
def bits(words: Any, bit: int) -> Any:
    """One bit of each of 64 bytes, 8 by 8 in words, gathered."""
    found = np.uint64(0)
    for k in range(8):
        found |= (((words[k] >> np.uint64(bit)) & _EACH) * _GATHER >> np.uint64(56)) << np.uint64(8 * k)
    return found


@njit(cache=True, inline="always")
def edges(part: Any, classes: Any, kinds: Any, words: Any, block: int, before: Any) -> Any:
    """Of the 64 bytes of a block: bits where tokens begin, bits where they have ended, and what the next
    block must know of the last byte. Characters beyond ASCII get their classes here."""
    row = words[block]
    word, sign, token, leads = bits(row, 0), bits(row, 1), bits(row, 2), bits(row, 3)
    while leads:
        place = np.uint64(lowest_bit(leads))
        leads &= leads - _ONE
        k = np.uint64(block * BLOCK) + place
        point, width = decode(part, k)
        kind = classes[np.uint64(point)]
        kinds[k] = kind
        for j in range(1, 4):
            if j < width:
                kinds[k + np.uint64(j)] = kind & _REST
        span = (
            (_ONE << np.uint64(width)) - _ONE
        ) << place  # what is beyond this block, the next has as kinds
        word |= span * np.uint64(kind & np.uint8(1))
        sign |= np.uint64(kind >> np.uint8(1) & np.uint8(1)) << place
        token |= span * np.uint64(kind >> np.uint8(2))
    token |= word
    starts = (word & ~(word << _ONE | before & _ONE)) | sign
    ends = (token << _ONE | before >> _ONE) & (~token | starts)
    return starts, ends, word >> np.uint64(63) | token >> np.uint64(63) << _ONE


@njit(cache=True)
def cut(data: Any, first: int, last: int, classes: Any, kinds: Any, places: Any) -> Any:  # pragma: no cover
    """Starts and ends of the tokens of one document, from its first byte, into places[0] and [1]; how many.

    Most blocks have at most 16 tokens: so many places are always written, which needs no decision.
    """
    part = data[first:last]
    classify(part, classes, kinds)
    words = kinds.view(np.uint64).reshape(-1, 8)
    starts, ends = places
    n = m = 0
    before = np.uint64(0)
    for block in range(len(part) // BLOCK + 1):
        s, e, before = edges(part, classes, kinds, words, block, before)
        base = block * BLOCK
        begun, ended = count_bits(s), count_bits(e)
        for j in range(_USUAL):
            starts[np.uint64(n + j)] = base + lowest_bit(s)
            s &= s - _ONE
        for j in range(_USUAL):
            ends[np.uint64(m + j)] = base + lowest_bit(e)
            e &= e - _ONE
        for j in range(_USUAL, max(begun, ended)):
            starts[np.uint64(n + j)] = base + lowest_bit(s)
            ends[np.uint64(m + j)] = base + lowest_bit(e)
            s &= s - _ONE
            e &= e - _ONE
        n += begun
        m += ended
    return n


@njit(cache=True)
def _count(
    data: Any, offsets: Any, classes: Any, kinds: Any, places: Any, counts: Any
) -> None:  # pragma: no cover
    words = kinds.view(np.uint64).reshape(-1, 8)
    for d in range(len(counts)):
        part = data[offsets[d] : offsets[d + 1]]
        classify(part, classes, kinds)
        before = np.uint64(0)
        for block in range(len(part) // BLOCK + 1):
            s, _, before = edges(part, classes, kinds, words, block, before)
            counts[d] += count_bits(s)


@njit(cache=True)
def _lower(data: Any, offsets: Any, cased: Any, capital: Any) -> None:  # pragma: no cover
    """Make ASCII letters small, and say which documents have capitals beyond ASCII."""
    for i in range(len(data)):
        upper = np.uint8(data[i] - np.uint8(65)) < np.uint8(26)
        data[i] |= np.uint8(32) if upper else np.uint8(0)
    words = data.view(np.uint64)
    for q in range(len(words)):
        leads = words[q] & (words[q] << _ONE) & _HIGH  # bytes whose two highest bits are set
        while leads:
            i = q * 8 + (lowest_bit(leads) >> 3)
            leads &= leads - _ONE
            if cased[np.uint64(decode(data, i)[0])]:
                capital[np.searchsorted(offsets, i, side="right") - 1] = True
