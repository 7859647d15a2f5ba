"""How predictable the next token is: n-gram entropy of a whole corpus, counted in parts.

The (context, next token) pairs of a part are grouped by context into 256 buckets and counted bucket by
bucket, which keeps what is counted in the processor's cache; then the parts are merged, some buckets at once.
Pairs are told apart by 64-bit hashes: two of 10⁸ share one with a chance below 10⁻³.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError
from neuneu.taggers.scan import Integers, njit
from neuneu.taggers.tokens import Hashes, hashes_of_ids, join

BUCKETS = 256
_GROUP = 2**16
_WAITING = 2**22
_TABLED = 2**14


class PairCounter:
    """Counts the pairs of `order` tokens of context and the next token, in memory that serves again."""

    def __init__(self, order: int) -> None:
        if order < 1:
            raise InputError("must be at least 1", field="order", value=order)
        self.order = order
        self._space = np.empty(0, np.uint64)

    def count(self, hashes: Hashes, bounds: Integers) -> Hashes:
        """Count documents: hashes of their tokens, of which document d has bounds[d] to bounds[d + 1].

        Returns a part, which the next call overwrites: where each of 256 buckets begins, and the last ends;
        then rows of (pair, context, count), in each bucket as they first occur. Memory: 25 bytes a token.
        """
        homes = np.empty(int(np.maximum(np.diff(bounds) - self.order, 0).sum()), np.uint8)
        sizes = np.zeros(BUCKETS, np.int64)
        _measure(hashes, bounds, self.order, homes, sizes)
        size = BUCKETS + 1 + 3 * len(homes)
        if len(self._space) < size:
            # Kept, for to get fresh memory can take longer than all that is done in it.
            self._space = np.empty(size, np.uint64)
        starts, records = self._space[: BUCKETS + 1], self._space[BUCKETS + 1 : size].reshape(-1, 3)
        index = np.zeros(_power_of_two(2 * int(sizes.max())), np.int32)
        _group(hashes, bounds, self.order, homes, np.cumsum(sizes) - sizes, records)
        _count(records, sizes, index, starts)
        return self._space[: BUCKETS + 1 + 3 * int(starts[-1])]


@dataclass(frozen=True)
class Group:
    """The contexts of some buckets: sums over them, and how often each value of their entropy is taken.

    sums: contexts' entropies weighted by occurrences, and corrected; occurrences. contexts, entropies: of
    each context, (contexts,).
    """

    sums: NDArray[np.float64]
    values: NDArray[np.float64]
    counts: Integers
    contexts: Hashes
    entropies: NDArray[np.float64]


def groups(starts: Sequence[Hashes]) -> list[range]:
    """The 256 buckets, in groups to be merged at a time: one bucket, or several of few pairs.

    starts: the first 257 numbers of every part.
    """
    together = np.array(starts, np.int64).sum(axis=0)[:-1]
    _, firsts = np.unique(together // _GROUP, return_index=True)
    return [range(first, last) for first, last in pairwise([*firsts.tolist(), BUCKETS])]


def where(starts: Hashes, buckets: range) -> slice:
    """Where in a part, whose first 257 numbers are given, the records of these buckets are."""
    first, last = (BUCKETS + 1 + 3 * int(starts[i]) for i in (buckets.start, buckets.stop))
    return slice(first, last)


def merge(pieces: Iterable[Hashes]) -> Group:
    """Records of the same buckets, from each part. Memory: 120 bytes for each pair that is distinct."""
    waiting: list[Hashes] = []
    size = 0  # of what is waiting after the first, which has been added up
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size > max(len(waiting[0]), _WAITING):
            waiting, size = [_compact(waiting)], 0
    records = _compact(waiting).reshape(-1, 3)
    keys, sums = np.empty(len(records), np.uint64), np.empty((len(records), 3))
    found = _contexts(records, np.zeros(_power_of_two(len(records)), np.int32), keys, sums, *_tables())
    K, log_sum, grown = sums[:found].T
    plain = np.maximum(np.log2(K) - log_sum / K, 0.0)
    corrected = float((K * np.log(K) - grown).sum() / math.log(2))
    # Sums in another order differ in the last digits: rounded, few values are left to keep.
    rounded = np.round(plain[plain > 5e-13], 12)  # most contexts are seen once
    values, counts = _tally([np.zeros(1), rounded], [[found - len(rounded)], np.ones(len(rounded), np.int64)])
    return Group(np.array([(plain * K).sum(), corrected, K.sum()]), values, counts, keys[:found], plain)


def _compact(pieces: Sequence[Hashes]) -> Hashes:
    if len(pieces) == 1:
        return pieces[0]
    records, starts = np.concatenate(pieces), np.zeros(2, np.uint64)
    size = len(records) // 3
    _count(records.reshape(-1, 3), np.array([size]), np.zeros(_power_of_two(2 * size), np.int32), starts)
    return records[: 3 * int(starts[1])]


def _tally(values: Sequence[NDArray[np.float64]], counts: Sequence[Any]) -> tuple[Any, Integers]:
    """Values, each with how often it was seen → the distinct ones, sorted, with how often they were."""
    distinct, back = np.unique(np.concatenate(values), return_inverse=True)
    return distinct, np.bincount(back, np.concatenate(counts)).astype(np.int64)


def summarize(found: Iterable[Group]) -> dict[str, float]:
    """The entropies (`corpus_entropy`) of all groups, one at a time; nothing where all are empty."""
    sums, values, counts = np.zeros(3), [np.empty(0)], [np.empty(0, np.int64)]
    for group in found:
        sums += group.sums
        values.append(group.values)
        counts.append(group.counts)
        if len(values) == 32:
            distinct, seen = _tally(values, counts)
            values, counts = [distinct], [seen]
    distinct, seen = _tally(values, counts)
    weighted, corrected, total = sums
    if not total:
        return {}
    p10, p25, p50, p75, p90 = (_percentile(distinct, seen, q) for q in (10, 25, 50, 75, 90))
    return {
        "mean_corpus_entropy": float((distinct * seen).sum() / seen.sum()),
        "median_corpus_entropy": p50,
        "p10": p10,
        "p25": p25,
        "p75": p75,
        "p90": p90,
        "weighted_entropy": float(weighted / total),
        "corrected_entropy": float(corrected / total),
        "num_unique_contexts": int(seen.sum()),
        "total_contexts": int(total),
    }


def corpus_entropy(documents: Iterable[NDArray[Any]], *, order: int = 1) -> dict[str, float]:
    """Entropy of the next token given the `order` tokens before it, in bits, over documents of token ids.

    `mean_corpus_entropy` is the published number: the unweighted mean over distinct contexts of the maximum
    likelihood entropy, which grows with the corpus, for most contexts are rare. `weighted_entropy` weights
    by how often a context occurs; `corrected_entropy` also corrects each context's bias (Grassberger 2003,
    eq. 28). Documents of at most `order` tokens are skipped; InputError where all are. All in memory; of a
    file of any size: `tag_entropy`.
    """
    hashes = [hashes_of_ids(tokens) for tokens in documents]
    bounds = np.concatenate([[0], np.cumsum([len(d) for d in hashes], dtype=np.int64)])
    part = PairCounter(order).count(np.concatenate([*hashes, np.empty(0, np.uint64)]), bounds)
    result = summarize(merge([part[where(part, buckets)]]) for buckets in groups([part[: BUCKETS + 1]]))
    if not result:
        raise InputError(f"no document has more than {order} tokens", field="documents")
    return result


def contexts_of(hashes: Hashes, bounds: Integers, order: int) -> tuple[Hashes, Integers]:
    """(the context of every token of documents that has a whole one, bounds of documents)."""
    lengths = np.maximum(np.diff(bounds) - order, 0)
    cuts = np.concatenate([[0], np.cumsum(lengths)])
    contexts = np.empty(int(cuts[-1]), np.uint64)
    _contexts_before(hashes, bounds, order, cuts, contexts)
    return contexts, cuts


def bucket_of(contexts: Hashes) -> NDArray[np.uint8]:
    """The bucket of each context, 0 to 255."""
    return (contexts * np.uint64(0xD6E8FEB86659FD93) >> np.uint64(56)).astype(np.uint8)


def _percentile(values: NDArray[np.float64], counts: Integers, q: float) -> float:
    """As `numpy.percentile` of the values, each repeated as often as it was counted."""
    last = np.cumsum(counts)
    place = q / 100 * (int(last[-1]) - 1)
    low, high = (
        values[np.searchsorted(last, i, side="right")] for i in (math.floor(place), math.ceil(place))
    )
    return float(low + (high - low) * (place - math.floor(place)))


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 63).bit_length()


@cache
def _tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n log₂ n, n G(n)) for n below 2¹⁴: G(1) = −γ − ln 2, G(2) = G(1) + 2, G(2m + 1) = G(2m), and
    G(2m + 2) = G(2m) + 2 / (2m + 1)."""
    n = np.arange(_TABLED, dtype=np.float64)
    grassberger = np.zeros(_TABLED)
    grassberger[1] = -np.euler_gamma - math.log(2)
    grassberger[2::2] = grassberger[1] + np.cumsum(2 / (2 * np.arange(1, _TABLED // 2) - 1))
    grassberger[3::2] = grassberger[2:-1:2]
    return n * np.log2(np.maximum(n, 1)), n * grassberger


@njit(cache=True, inline="always")
def _context(hashes: Any, t: int, order: int) -> Any:
    """The hash of the `order` tokens before token t."""
    context = hashes[t - order]
    for k in range(1, order):
        context = join(context, hashes[t - order + k])
    return context


@njit(cache=True)
def _contexts_before(
    hashes: Any, bounds: Any, order: int, cuts: Any, result: Any
) -> None:  # pragma: no cover
    for d in range(len(bounds) - 1):
        for k in range(cuts[d + 1] - cuts[d]):
            result[cuts[d] + k] = _context(hashes, bounds[d] + order + k, order)


@njit(cache=True)
def _measure(hashes: Any, bounds: Any, order: int, homes: Any, sizes: Any) -> None:  # pragma: no cover
    """The bucket of every pair, and how many each has."""
    n = 0
    for d in range(len(bounds) - 1):
        for t in range(bounds[d] + order, bounds[d + 1]):
            home = (_context(hashes, t, order) * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(56)
            homes[n] = home
            sizes[home] += 1
            n += 1


@njit(cache=True)
def _group(
    hashes: Any, bounds: Any, order: int, homes: Any, places: Any, records: Any
) -> None:  # pragma: no cover
    """Every pair as a record of its own, by bucket; places: where each bucket begins."""
    n = 0
    for d in range(len(bounds) - 1):
        for t in range(bounds[d] + order, bounds[d + 1]):
            context = _context(hashes, t, order)
            place = places[homes[n]]
            places[homes[n]] += 1
            records[place, 0] = _mixed(join(context, hashes[t]))
            records[place, 1] = context
            records[place, 2] = 1
            n += 1


@njit(cache=True, inline="always")
def _mixed(pair: Any) -> Any:
    """A hash whose every bit depends on all bits."""
    pair = (pair ^ (pair >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return pair ^ (pair >> np.uint64(29))


@njit(cache=True)
def _count(records: Any, sizes: Any, index: Any, starts: Any) -> None:  # pragma: no cover
    """Add up the records of each bucket that are of one pair, in place; starts: where each bucket is left.

    index: zeros, at least twice the largest bucket; where a hash leads, 1 + the row of its pair.
    """
    first = out = 0
    for bucket in range(len(sizes)):
        room = 64
        while room < 2 * sizes[bucket]:
            room *= 2
        mask = np.uint64(room - 1)
        index[:room] = 0
        begin = out
        starts[bucket] = begin
        for r in range(first, first + sizes[bucket]):
            pair = records[r, 0]
            slot = pair >> np.uint64(24) & mask
            while index[slot] != 0 and records[np.uint64(begin + index[slot] - 1), 0] != pair:
                slot = slot + np.uint64(1) & mask
            if index[slot] == 0:
                records[out] = records[r]
                out += 1
                index[slot] = out - begin
            else:
                records[np.uint64(begin + index[slot] - 1), 2] += records[r, 2]
        first += sizes[bucket]
    starts[len(sizes)] = out


@njit(cache=True)
def _contexts(
    records: Any, index: Any, keys: Any, sums: Any, plain: Any, grown: Any
) -> int:  # pragma: no cover
    """For every context its hash, occurrences, Σ k log₂ k and Σ k G(k) over its next tokens, in rows of keys
    and sums as they come; returns how many. index: where a hash leads, 1 + the row of the context."""
    mask = np.uint64(len(index) - 1)
    found = 0
    for r in range(len(records)):
        context, count = records[r, 1], np.int64(records[r, 2])
        slot = ((context * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(24)) & mask
        while index[slot] != 0 and keys[np.uint64(index[slot] - 1)] != context:
            slot = (slot + np.uint64(1)) & mask
        if index[slot] == 0:
            keys[found] = context
            sums[found] = 0
            found += 1
            index[slot] = found
        row = sums[np.uint64(index[slot] - 1)]
        row[0] += count
        if count < len(plain):
            row[1] += plain[count]
            row[2] += grown[count]
        else:  # G(n) = ln n + 1 / (6 n²) + O(n⁻⁴) for even n; what is left out is below 10⁻¹⁶ here
            even = np.float64(count - count % 2)
            row[1] += count * np.log2(count)
            row[2] += count * (np.log(even) + 1 / (6 * even * even))
    return found
