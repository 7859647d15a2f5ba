"""Cleaning what models generate: encoding repair, the repetition filter, and decontamination by n-grams."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Limits:
    """Where the repetition filter draws its lines; the defaults are the values that were run."""

    least_length: int = 50
    lines: float = 0.6
    paragraphs: float = 0.6
    ngrams: float = 0.5
    run: int = 50


def removal_reason(text: str, limits: Limits | None = None) -> str | None:
    """Why a generation is to be dropped, the first reason in this order; None keeps it.

    too_short; pathological_repetition (a lower-cased word more than `run` times in a row); repeated_lines and
    repeated_paragraphs (1 − distinct ÷ all); repeated_2grams and repeated_3grams (share of n-grams that
    repeat an earlier one of those that repeat at all).
    """
    limits = limits or Limits()
    if len(text) < limits.least_length:
        return "too_short"
    if _longest_run(text.lower().split()) > limits.run:
        return "pathological_repetition"
    if _duplicates([line.strip() for line in text.split("\n")]) > limits.lines:
        return "repeated_lines"
    if _duplicates([part.strip() for part in re.split(r"\n\s*\n", text)]) > limits.paragraphs:
        return "repeated_paragraphs"
    words = WORD.findall(text.lower())
    for n in (2, 3):
        if _repeated_ngrams(words, n) > limits.ngrams:
            return f"repeated_{n}grams"
    return None


def _longest_run(words: list[str]) -> int:
    longest = run = 0
    last = None
    for word in words:
        run = run + 1 if word == last else 1
        longest, last = max(longest, run), word
    return longest


def _duplicates(parts: list[str]) -> float:
    kept = [part for part in parts if part]
    return 1 - len(set(kept)) / len(kept) if kept else 0.0


def _repeated_ngrams(words: list[str], n: int) -> float:
    grams = list(zip(*(words[i:] for i in range(n)), strict=False))
    if not grams:
        return 0.0
    return sum(count - 1 for count in Counter(grams).values()) / len(grams)


_MARKS = re.compile(r"[ÃÂâ][\u0080-\u00bf\u0152-\u0178\u2013-\u2122]")


def repair_encoding(text: str) -> str:
    """Text with UTF-8 that was read as Windows-1252 undone, NULs dropped, in normal form NFKC.

    Undone at most twice, and only where the whole text decodes and loses its tell-tale pairs.
    """
    for _ in range(2):
        if not _MARKS.search(text):
            break
        try:
            better = text.encode("cp1252").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            break
        if len(_MARKS.findall(better)) >= len(_MARKS.findall(text)):
            break
        text = better
    return unicodedata.normalize("NFKC", text.replace("\0", ""))


class Decontaminator:
    """Finds documents that share an n-gram of words with a set of evaluation texts.

    Words are lower-cased runs of letters and digits; test texts shorter than n words count whole. Memory:
    one hash an n-gram of the test texts.
    """

    def __init__(self, test_texts: Iterable[str], *, n: int = 13) -> None:
        self.n = n
        self._grams: set[int] = set()
        self._short: set[tuple[str, ...]] = set()
        for text in test_texts:
            words = _plain_words(text)
            if 0 < len(words) < n:
                self._short.add(tuple(words))
            self._grams.update(hash(gram) for gram in _grams(words, n))

    def share(self, text: str) -> float:
        """Share of the document's n-grams that the test texts hold, in [0, 1]; 0 without n-grams."""
        words = _plain_words(text)
        grams = _grams(words, self.n)
        if not grams:
            return float(tuple(words) in self._short)
        return sum(hash(gram) in self._grams for gram in grams) / len(grams)


def _plain_words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
