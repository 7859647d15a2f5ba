"""Counts and ratios of documents: characters, tokens, keywords; whole blocks at once, in compiled code."""

import re
import string
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.losses.tokenizer import load_tokenizer
from neuneu.taggers.scan import (
    CODE_POINTS,
    DIGIT,
    Integers,
    characters,
    classes_of,
    count_tokens,
    cut,
    decode,
    njit,
    room,
    utf8,
)
from neuneu.taggers.tokens import (
    Tokens,
    count_distinct,
    count_tokens_and_distinct,
    first_bytes,
    hashes_of_ids,
    load,
    tokenize,
)

Tagger = Callable[[pl.DataFrame], pl.DataFrame]
"""A block with id and text → a frame with id and the feature's columns, a row a document."""

_WHOLE_WORDS = {
    "question_words": "how what why when where who which whose",
    "imperative_verbs": "do make consider take use ensure check build apply run create find go try turn "
    "start stop put keep leave get move",
    "conjunctions": "and but or so because although however therefore yet",
}
_ENDINGS = ("question", "answer", "instruction", "user", "assistant", "q", "a")

KEYWORDS: Mapping[str, str] = {
    **{kind: rf"\b(?i:{words.replace(' ', '|')})\b" for kind, words in _WHOLE_WORDS.items()},
    "instructions_words": f"(?i:{'|'.join(f'{word}:' for word in _ENDINGS)})",
    "numbers": r"\b\d+\b|\b\d+\.\d+\b|\b\d+%\b",
}
"""Kind → the pattern that is counted, as published: instruction words match inside words (FAQ:), and a
decimal counts twice, for its first alternative takes each run of digits by itself."""

PER = 100_000
"""Keyword ratios are occurrences a hundred thousand characters."""


def character_length(block: pl.DataFrame) -> pl.DataFrame:
    """char_len: Unicode characters."""
    return block.select("id", pl.col("text").str.len_chars().cast(pl.Int64).alias("char_len"))


def keyword_counts(block: pl.DataFrame) -> pl.DataFrame:
    """One count a kind of keyword, and characters."""
    data, offsets = utf8(block["text"])
    counts = np.zeros((len(block), len(KEYWORDS)), np.int64)
    tables = (classes_of("signs"), characters(), _letters(), *_word_table(), _ending_table())
    _keywords(data, offsets, *tables, *room(offsets), counts)
    named = pl.DataFrame(counts, schema=dict.fromkeys(KEYWORDS, pl.Int64))
    return block.select("id", pl.col("text").str.len_chars().cast(pl.Int64).alias("characters")).hstack(named)


def keyword_ratios(block: pl.DataFrame) -> pl.DataFrame:
    """`<kind>_ratio`: occurrences of each kind of keyword a hundred thousand characters, 0 for empty text."""
    return ratios(keyword_counts(block))


def ratios(counts: pl.DataFrame) -> pl.DataFrame:
    """The counts of keywords → id and a ratio each."""
    size = pl.col("characters")
    per = (pl.when(size > 0).then(pl.col(kind) * PER / size).otherwise(0.0) for kind in KEYWORDS)
    return counts.select(
        "id", *(ratio.alias(f"{kind}_ratio") for kind, ratio in zip(KEYWORDS, per, strict=True))
    )


def tokens_of(block: pl.DataFrame, tokenizer: str | None) -> Tokens:
    """The tokens of each document: by a tokenizer.json, without special tokens, else words and single
    signs."""
    if tokenizer is None:
        return tokenize(block["text"])
    encoded = load_tokenizer(tokenizer).encode_batch(block["text"].to_list(), add_special_tokens=False)
    bounds = np.concatenate([[0], np.cumsum([len(e) for e in encoded])]).astype(np.int64)
    ids = np.fromiter((i for e in encoded for i in e.ids), np.int64, int(bounds[-1]))
    return Tokens(hashes_of_ids(ids), bounds)


TOKEN_FEATURES = ("num_tokens", "unique_tokens", "ttr")


def token_features(block: pl.DataFrame, tokenizer: str | None = None) -> pl.DataFrame:
    """num_tokens, unique_tokens and ttr (unique ÷ all, 0 if there are none)."""
    if tokenizer is None:
        counts, unique = count_tokens_and_distinct(block["text"])
    else:
        tokens = tokens_of(block, tokenizer)
        counts, unique = tokens.counts, count_distinct(tokens.hashes, tokens.bounds)
    return block.select(
        "id",
        pl.Series("num_tokens", counts),
        pl.Series("unique_tokens", unique),
        pl.Series("ttr", unique / np.maximum(counts, 1)),
    )


def token_feature(name: str, tokenizer: str | None = None) -> Tagger:
    """One of the columns of `token_features` as a tagger."""
    if name == "num_tokens" and tokenizer is None:
        return lambda block: block.select("id", pl.Series(name, count_tokens(block["text"])))
    return lambda block: token_features(block, tokenizer).select("id", name)


def all_counts(block: pl.DataFrame, tokenizer: str | None = None) -> pl.DataFrame:
    """char_len, num_tokens, unique_tokens, ttr, and a count and a ratio for each kind of keyword, at once."""
    counts = keyword_counts(block)
    tokens = token_features(block, tokenizer)
    size = counts.select("id", pl.col("characters").alias("char_len"))
    return (
        size.hstack(tokens.drop("id"))
        .hstack(counts.drop("id", "characters"))
        .hstack(ratios(counts).drop("id"))
    )


@cache
def _letters() -> NDArray[np.uint8]:
    """For every code point the small letter that it matches when case is ignored (ſ is s, K is k), else 0."""
    every = "".join("\0" if 0xD800 <= i < 0xE000 else chr(i) for i in range(CODE_POINTS))
    table = np.zeros(CODE_POINTS, np.uint8)
    for match in re.finditer("[a-z]", every, re.IGNORECASE):
        for letter in string.ascii_lowercase:
            if re.fullmatch(letter, match.group(), re.IGNORECASE):
                table[match.start()] = ord(letter)
    return table


@cache
def _word_table() -> tuple[NDArray[np.uint64], Integers, Integers]:
    """Whole-word keywords by hash: (first 8 letters, last letter << 8 | length, kind)."""
    first, rest, kinds = np.zeros(256, np.uint64), np.zeros(256, np.int64), np.zeros(256, np.int64)
    for kind, words in enumerate(_WHOLE_WORDS.values()):
        for word in words.split():
            key = int.from_bytes(word[:8].encode(), "little")
            slot = _slot(np.uint64(key))
            while rest[slot]:
                slot = (slot + 1) % 256
            first[slot], rest[slot], kinds[slot] = key, ord(word[-1]) << 8 | len(word), kind
    return first, rest, kinds


@cache
def _ending_table() -> NDArray[np.uint8]:
    """Instruction words backwards, a row each, 0 behind."""
    table = np.zeros((len(_ENDINGS), 12), np.uint8)
    for row, word in enumerate(_ENDINGS):
        table[row, : len(word)] = np.frombuffer(word[::-1].encode(), np.uint8)
    return table


@njit(cache=True)
def _slot(key: Any) -> Any:
    return np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56))


@njit(cache=True)
def _keywords(
    data: Any,
    offsets: Any,
    classes: Any,
    kinds_of_character: Any,
    letters: Any,
    keys: Any,
    rests: Any,
    kinds: Any,
    endings: Any,
    classes_of_bytes: Any,
    places: Any,
    counts: Any,
) -> None:  # pragma: no cover
    """What the patterns of KEYWORDS find, token by token: a word between \\b and \\b is a whole token, so is
    a run of digits, and every instruction word ends at a colon."""
    words = data.view(np.uint64)
    for d in range(len(counts)):
        first = offsets[d]
        for t in range(cut(data, first, offsets[d + 1], classes, classes_of_bytes, places)):
            i, last = first + places[0, t], first + places[1, t]
            length = last - i
            head = data[i]
            if head == 58:  # a colon
                counts[d, 3] += _ends_instruction(data, first, i, letters, endings)
                continue
            if (head >= 0x80 or 48 <= head <= 57) and _all_digits(data, i, last, kinds_of_character):
                counts[d, 4] += 1
                continue
            if length > 27:  # nine letters of three bytes
                continue
            key = load(words, i) & first_bytes(min(length, 8)) | np.uint64(0x2020202020202020) & first_bytes(
                min(length, 8)
            )
            final = np.int64(data[last - 1] | 0x20)
            if _has_high(words, i, length):
                key, final, length = _fold(data, i, last, letters)
            slot = _slot(key)
            while rests[slot] != 0:
                if keys[slot] == key and rests[slot] == final << 8 | length:
                    counts[d, kinds[slot]] += 1
                    break
                slot = (slot + 1) & 255


@njit(cache=True, inline="always")
def _has_high(words: Any, i: int, length: int) -> Any:
    """Whether a token of at most 27 bytes holds a byte from 128 on. Of long ones the rest is not looked at:
    no keyword has so many plain letters."""
    return load(words, i) & first_bytes(min(length, 8)) & np.uint64(0x8080808080808080) != 0 or (
        length > 8
        and load(words, i + 8) & first_bytes(min(length - 8, 8)) & np.uint64(0x8080808080808080) != 0
    )


@njit(cache=True)
def _fold(data: Any, i: int, last: int, letters: Any) -> Any:  # pragma: no cover
    """(first 8 letters, last letter, length) of a token whose case is ignored; length 0 if it is no word of
    letters."""
    key, final, length = np.uint64(0), np.int64(0), 0
    while i < last:
        point, width = decode(data, i)
        final = np.int64(letters[point])
        if final == 0:
            return np.uint64(0), np.int64(0), 0
        if length < 8:
            key |= np.uint64(final) << np.uint64(8 * length)
        length += 1
        i += width
    return key, final, length


@njit(cache=True)
def _all_digits(data: Any, i: int, last: int, classes: Any) -> bool:  # pragma: no cover
    while i < last:
        point, width = decode(data, i)
        if not classes[point] & DIGIT:
            return False
        i += width
    return True


@njit(cache=True)
def _ends_instruction(data: Any, first: int, i: int, letters: Any, endings: Any) -> int:  # pragma: no cover
    """1 if the text from first to i ends with an instruction word, whatever its case."""
    for row in range(len(endings)):
        k, place = 0, i
        while endings[row, k] != 0 and place > first:
            place -= 1
            while data[place] & 0xC0 == 0x80:
                place -= 1
            if letters[decode(data, place)[0]] != endings[row, k]:
                break
            k += 1
        if endings[row, k] == 0:
            return 1
    return 0
