"""The conventions of NeuNeu's published loss files, faults and all, for those who must reproduce them.

Published token losses (scoring): a document is cut to 1,024 tokens; entry i is the loss of token i + 1; a
document's last entry is a placeholder, 0 where the document was shorter than the cut and NaN where not;
tokens with id 0 are neither attended to nor scored. Published word losses: the packed, cut losses are read
with the bounds of the uncut documents, so that from the first long document on each word sums losses of
other tokens; the last document is left out. Published histograms: see `published_histogram`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats, Integers
from neuneu.losses.alignment import align_words, sum_words, word_spans
from neuneu.losses.windows import Windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PUBLISHED_WINDOW = 1024


def plan_published(bounds: Integers, window: int) -> Windows:
    """One window a document: its first tokens."""
    begin = bounds[:, 0]
    end = np.minimum(bounds[:, 1], begin + window)
    some = end - begin >= 2
    begin, end = begin[some], end[some]
    return Windows(begin, end, begin + 1, np.zeros(len(begin), dtype=bool))


def published_lengths(bounds: Integers, window: int) -> Integers:
    """Entries of each document in a published file, (n_documents,)."""
    lengths: Integers = np.minimum(bounds[:, 1] - bounds[:, 0], window)
    return lengths


def pack_published(
    losses: NDArray[np.float32], tokens: NDArray[Any], bounds: Integers, window: int
) -> NDArray[np.float32]:
    """Aligned losses → the packed, shifted array of a published file.

    losses: (n_tokens,), entry i of token i; tokens: their ids, of which those with id 0 get 0.
    """
    parts = []
    values = np.where(losses == 0, np.float32(1e-12), losses)
    values = np.where(tokens == 0, np.float32(0), values)
    for begin, end in bounds.tolist():
        length = min(end - begin, window)
        if length:
            last = np.float32(np.nan if length == window else 0.0)
            parts.append(np.append(values[begin + 1 : begin + length], last))
    return np.concatenate(parts).astype(np.float32)


def published_ranges(tokens: NDArray[Any], bounds: Integers, tokenizer: "Tokenizer") -> list[Integers]:
    """Token ranges of each document's words, as published: of the decoded text, encoded again.

    Where that gives another number of tokens, both are cut to the shorter.
    """
    ranges = []
    for begin, end in bounds.tolist():
        text = tokenizer.decode(tokens[begin:end].tolist(), skip_special_tokens=False)
        offsets = np.array(tokenizer.encode(text, add_special_tokens=False).offsets, dtype=np.int64)
        offsets = offsets.reshape(-1, 2)[: end - begin]
        ranges.append(begin + align_words(word_spans(text), offsets[:, 0], offsets[:, 1]))
    return ranges


def published_words(losses: Floats, bounds: Integers, ranges: list[Integers]) -> Floats:
    """Word losses as published: misaligned (module docstring), NaN as 0, infinity as 10.

    losses: a packed array; bounds: of the whole documents; ranges: as `published_ranges` gives them.
    """
    whole = bounds[:-1, 1] <= len(losses)
    n_documents = len(whole) if whole.all() else int(np.argmin(whole))
    some = np.concatenate([np.empty((0, 2), dtype=np.int64), *ranges[:n_documents]])
    clean = np.nan_to_num(losses, nan=0.0, posinf=10.0, neginf=0.0)
    return np.nan_to_num(sum_words(clean, some), nan=0.0)


def published_histogram(losses: Floats, bins: int, high: float, *, probabilities: bool = False) -> Floats:
    """Histogram as published, (bins,) float32 that sum to 1: NaN counts as 0, infinity as 10.

    high: upper end of the last bin (15 for losses, 1 for probabilities exp(−loss)); values at or beyond it
    count in the last bin. The published histograms were taken of tokens and words together.
    """
    values = np.nan_to_num(losses, nan=0.0, posinf=10.0, neginf=0.0)
    values = np.exp(-values) if probabilities else values
    counts, _ = np.histogram(np.clip(values, 0.0, high - 1e-6), bins=bins, range=(0.0, high))
    shares = counts.astype(np.float32)
    return np.asarray(shares / (shares.sum() + np.float32(1e-8)), dtype=np.float32).astype(np.float64)
