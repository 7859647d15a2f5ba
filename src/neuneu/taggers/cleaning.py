"""Cleaning what models generate: encoding repair, and decontamination by n-grams."""

import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from neuneu.errors import InputError, MissingExtraError
from neuneu.taggers.scan import Bytes, lowered, njit
from neuneu.taggers.tokens import Hashes, Tokens, ngrams, tokenize_bytes


def repair_encoding(text: str) -> str:
    """The text as `ftfy` mends it (UTF-8 read as something else, and the like), in form NFKC, no NULs."""
    try:
        import ftfy
    except ImportError as error:
        raise MissingExtraError("ftfy", "taggers") from error
    return ftfy.fix_text(unicodedata.normalize("NFKC", text)).replace("\0", "")  # type: ignore[no-any-return]


BLOCK = 512
"""Documents at a time: what is made of so many stays in the processor's cache."""


class Decontaminator:
    """Finds documents that share an n-gram of words with evaluation texts, given block by block.

    Words are lower-cased runs of letters and digits; test texts shorter than n words count whole, where a
    document is nothing else. Memory: 17 to 34 bytes an n-gram of the test texts.
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
        self._table, self._marks = _table_of(np.unique(np.concatenate(grams)))
        self._short = np.unique(np.concatenate(short))

    def shares(self, texts: pl.Series) -> Any:
        """Share of each document's n-grams that the test texts hold, in [0, 1], (documents,)."""
        blocks = [self._shares(block) for block in texts.to_frame().iter_slices(BLOCK)]
        return np.concatenate([np.empty(0), *blocks])

    def _shares(self, block: pl.DataFrame) -> Any:
        texts = block.to_series()
        words = _words(texts)
        hashes, bounds = ngrams(words.hashes, words.bounds, self.n)
        shares = np.zeros(len(texts))
        _held(hashes, bounds, self._table, self._marks, shares)
        short = (words.counts > 0) & (words.counts < self.n)
        shares[short] = np.isin(self._whole(words), self._short)
        return shares

    def share(self, text: str) -> float:
        """`shares` of one text."""
        return float(self.shares(pl.Series([text]))[0])

    def _whole(self, words: Tokens) -> Hashes:
        """A hash of each document that has words, but fewer than n."""
        found = [np.empty(0, np.uint64)]
        for d in np.flatnonzero((words.counts > 0) & (words.counts < self.n)):
            part = words.hashes[words.bounds[d] : words.bounds[d + 1]]
            found.append(ngrams(part, np.array([0, len(part)]), len(part))[0])
        return np.concatenate(found)


def _words(texts: pl.Series) -> Tokens:
    return tokenize_bytes(*lowered(texts), "words")


def _table_of(hashes: Hashes) -> tuple[Hashes, Bytes]:
    """(a hash set at most half full, where 0 is a free slot; four bits a slot, of which most hashes that are
    not in the set find theirs unset)."""
    table = np.zeros(1 << max(2 * len(hashes), 64).bit_length(), np.uint64)
    marks = np.zeros(len(table) // 2, np.uint8)
    _fill(hashes, table, marks)
    return table, marks


@njit(cache=True)
def _fill(hashes: Any, table: Any, marks: Any) -> None:  # pragma: no cover
    mask = np.uint64(len(table) - 1)
    for h in hashes:
        slot = (h >> np.uint64(20)) & mask
        while table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = h
        byte, bit = _mark(h, marks)
        marks[byte] |= bit


@njit(cache=True, inline="always")
def _mark(h: Any, marks: Any) -> Any:
    """(byte, bit) of marks for a hash."""
    byte = (h >> np.uint64(23)) & np.uint64(len(marks) - 1)
    return byte, np.uint8(1) << np.uint8((h >> np.uint64(20)) & np.uint64(7))


@njit(cache=True)
def _held(hashes: Any, bounds: Any, table: Any, marks: Any, shares: Any) -> None:  # pragma: no cover
    mask = np.uint64(len(table) - 1)
    for d in range(len(shares)):
        found = 0
        for h in hashes[bounds[d] : bounds[d + 1]]:
            byte, bit = _mark(h, marks)
            if marks[byte] & bit:
                slot = (h >> np.uint64(20)) & mask
                while table[slot] != 0 and table[slot] != h:
                    slot = (slot + np.uint64(1)) & mask
                found += table[slot] == h
        if bounds[d + 1] > bounds[d]:
            shares[d] = found / (bounds[d + 1] - bounds[d])
