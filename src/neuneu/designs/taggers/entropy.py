"""How predictable the next token is: n-gram entropy of a whole corpus, in memory that does not grow with it.

Every (context, next token) pair becomes one 64-bit key in one of many files on disk, by context; each file
is then sorted and summed by itself. The result is exact but for collisions of hashed contexts (about 10⁻⁴
for 10⁸ pairs); contexts of one token are not hashed when the tokens are below 2³².
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError

BUCKETS = 64
_MIX = np.uint64(0x9E3779B97F4A7C15)


def corpus_entropy(
    documents: Iterable[NDArray[Any]], *, order: int = 1, folder: str | Path | None = None
) -> dict[str, float]:
    """Entropy of the next token given the `order` tokens before it, in bits, over documents of token ids
    (≥ 0, < 2³²).

    `mean_corpus_entropy` is the published number: the unweighted mean over distinct contexts of the maximum
    likelihood entropy, which grows with the corpus, for most contexts are rare. `weighted_entropy` weights
    by how often a context occurs; `corrected_entropy` also corrects each context's bias (Grassberger 2003).
    Documents of at most `order` tokens are skipped. folder: for temporary files (8 to 16 bytes a token),
    else the system's.
    """
    if order < 1:
        raise InputError("must be at least 1", field="order", value=order)
    with tempfile.TemporaryDirectory(dir=folder, prefix="entropy-") as place:
        total = _spill(documents, order, Path(place))
        entropies, corrected, counts = [], [], []
        for bucket in range(BUCKETS):
            path = Path(place) / f"{bucket:02d}"
            if path.stat().st_size:
                pairs = np.fromfile(path, np.uint64).reshape(-1, 2)
                plain, better, count = _bucket(pairs)
                entropies.append(plain)
                corrected.append(better)
                counts.append(count)
                path.unlink()
    if not entropies:
        raise InputError(f"no document has more than {order} tokens", field="input")
    H, G, K = np.concatenate(entropies), np.concatenate(corrected), np.concatenate(counts)
    p10, p25, p50, p75, p90 = np.percentile(H, [10, 25, 50, 75, 90])
    return {
        "mean_corpus_entropy": float(H.mean()),
        "median_corpus_entropy": float(p50),
        "p10": float(p10),
        "p25": float(p25),
        "p75": float(p75),
        "p90": float(p90),
        "weighted_entropy": float((H * K).sum() / K.sum()),
        "corrected_entropy": float((G * K).sum() / K.sum()),
        "num_unique_contexts": len(H),
        "total_contexts": int(total),
    }


def _spill(documents: Iterable[NDArray[Any]], order: int, folder: Path, block: int = 2_000_000) -> int:
    """Write (context, next token) pairs to one file a bucket; returns how many."""
    files = [(folder / f"{bucket:02d}").open("ab") for bucket in range(BUCKETS)]
    waiting: list[NDArray[np.uint64]] = []
    held = total = 0
    try:
        for tokens in documents:
            if len(tokens) <= order:
                continue
            pairs = _pairs(np.asarray(tokens, np.uint64), order)
            waiting.append(pairs)
            held += len(pairs)
            total += len(pairs)
            if held >= block:
                _write(np.concatenate(waiting), files)
                waiting, held = [], 0
        if waiting:
            _write(np.concatenate(waiting), files)
    finally:
        for file in files:
            file.close()
    return total


def _pairs(tokens: NDArray[np.uint64], order: int) -> NDArray[np.uint64]:
    count = len(tokens) - order
    context = tokens[:count].copy()
    for k in range(1, order):
        context = (context ^ (context >> np.uint64(29))) * _MIX + tokens[k : k + count] + np.uint64(1)
    return np.stack([context, tokens[order:]], axis=1)


def _write(pairs: NDArray[np.uint64], files: list[Any]) -> None:
    home = ((pairs[:, 0] * _MIX) >> np.uint64(58)).astype(np.uint8)
    order = np.argsort(home, kind="stable")
    bounds = np.searchsorted(home[order], np.arange(BUCKETS + 1))
    sorted_pairs = pairs[order]
    for bucket, file in enumerate(files):
        sorted_pairs[bounds[bucket] : bounds[bucket + 1]].tofile(file)


def _bucket(pairs: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """(maximum likelihood entropy, corrected entropy, occurrences) of every context in a bucket."""
    if (pairs[:, 0] < 2**32).all():
        keys = np.sort((pairs[:, 0] << np.uint64(32)) | pairs[:, 1])
        same_pair = keys[1:] == keys[:-1]
        context = keys >> np.uint64(32)
    else:
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        context, following = pairs[order, 0], pairs[order, 1]
        same_pair = (context[1:] == context[:-1]) & (following[1:] == following[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~same_pair]))
    count = np.diff(np.append(starts, len(context)))
    first = np.flatnonzero(np.concatenate([[True], context[starts][1:] != context[starts][:-1]]))
    total = np.add.reduceat(count, first)
    plain = np.log2(total) - np.add.reduceat(count * np.log2(count), first) / total
    grown = np.add.reduceat(count * _grassberger(count), first)
    corrected = (np.log(total) - grown / total) / np.log(2)
    return np.maximum(plain, 0.0), corrected, total


def _grassberger(count: NDArray[np.int64]) -> NDArray[np.float64]:
    """G(n) = ψ(n) + ½ (−1)ⁿ (ψ((n + 1) / 2) − ψ(n / 2)); Grassberger 2003, eq. 28."""
    from scipy.special import digamma

    values, back = np.unique(count, return_inverse=True)
    sign = np.where(values % 2 == 0, 1.0, -1.0)
    result = digamma(values) + 0.5 * sign * (digamma((values + 1) / 2) - digamma(values / 2))
    return np.asarray(result[back], np.float64)


class Vocabulary:
    """Words → small ids, as they come."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def ids(self, words: list[str]) -> NDArray[np.int64]:
        """The ids of words, new ones for new words."""
        known = self._ids
        return np.fromiter((known.setdefault(word, len(known)) for word in words), np.int64, len(words))
