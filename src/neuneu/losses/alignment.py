"""Which tokens make a word: whitespace-separated words against the tokens' character spans."""

import numpy as np

from neuneu.curves.curve import Floats, Integers

_SPACES = np.array([chr(code).isspace() for code in range(0x3002)])
"""Whether a code point is white space; none above U+3000 is."""


def word_spans(text: str) -> Integers:
    """Character spans of the words of a text, (n_words, 2): maximal runs of non-white space (regex \\S+)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    word = np.zeros(len(codes) + 2, dtype=np.int8)
    word[1:-1] = ~_SPACES[np.minimum(codes, len(_SPACES) - 1)]
    change = np.diff(word)
    return np.stack([np.flatnonzero(change == 1), np.flatnonzero(change == -1)], axis=1)


def align_words(words: Integers, starts: Integers, ends: Integers) -> Integers:
    """The tokens of each word, (n_words, 2): from the first to past the last token that overlaps its span.

    words: (n_words, 2) character spans; starts, ends: (n_tokens,) character spans of the tokens. A token of
    no width belongs to a word only if it lies between others of the word; a token may belong to two words;
    a word that no token overlaps gets an empty range. Linear in words and tokens but for a binary search.
    """
    wide = np.flatnonzero(ends > starts)
    last_end = np.maximum.accumulate(ends[wide])
    next_start = np.minimum.accumulate(starts[wide][::-1])[::-1]
    first = np.searchsorted(last_end, words[:, 0], side="right")
    past = np.searchsorted(next_start, words[:, 1], side="left")
    places = np.append(wide, len(ends))
    found = past > first
    begin = places[first]
    return np.stack([begin, np.where(found, places[np.maximum(past, 1) - 1] + 1, begin)], axis=1)


def sum_words(losses: Floats, words: Integers) -> Floats:
    """Loss of each word, (n_words,): the sum over its tokens; NaN where a token has none or there is none.

    losses: (n_tokens,); words: (n_words, 2) token ranges, as `align_words` makes them.
    """
    if not len(words):
        return np.empty(0)
    padded = np.append(losses, 0.0)
    sums = np.add.reduceat(padded, np.ravel(words))[::2]
    return np.where(words[:, 1] > words[:, 0], sums, np.nan)
