"""How predictable the next token is: n-gram entropy of a whole corpus, in memory that does not grow with it.

Every (context, next token) pair is counted in one hash table; when that is full its counts are added to
files, by context, which are merged one by one at the end. Pairs are told apart by 64-bit hashes: two of 10⁸
share one with a chance below 10⁻³.
"""

import math
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neuneu.designs.taggers.scan import Integers, njit
from neuneu.designs.taggers.tokens import Hashes, hashes_of_ids, join
from neuneu.errors import InputError

BUCKETS = 256
SLOTS = 2**22
"""Slots of the largest table in memory, 24 bytes each."""
_FULL = 0.6
_TABLED = 2**14
_AHEAD = 512


class PairCounter:
    """Counts (context of `order` tokens, next token) pairs; a context manager that holds temporary files.

    Memory: 100 MB, and at the end 24 to 72 bytes for each distinct pair ÷ 256, and 16 for each distinct value
    that the entropies of contexts take. Disk, in `folder` (else the system's place for temporary files): at
    most 24 bytes a token, where all pairs differ.
    """

    def __init__(self, order: int = 1, *, folder: str | Path | None = None, slots: int = SLOTS) -> None:
        if order < 1:
            raise InputError("must be at least 1", field="order", value=order)
        self.order, self.slots, self.total = order, slots, 0
        self._table = np.zeros((min(2**15, slots), 3), np.uint64)
        self._used = 0
        self._place = tempfile.TemporaryDirectory(dir=folder, prefix="entropy-")
        self._spilled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._place.cleanup()

    def add(self, hashes: Hashes, bounds: Integers) -> None:
        """Count documents: hashes of their tokens, of which document d has bounds[d] to bounds[d + 1]."""
        self.total += int(np.maximum(np.diff(bounds) - self.order, 0).sum())
        document, token = 0, int(bounds[0])
        while True:
            limit = int(len(self._table) * _FULL)
            document, token, self._used, _ = _count(
                hashes, bounds, self.order, self._table, self._used, limit, document, token
            )
            if document == len(bounds) - 1:
                return
            self._make_room()

    def _make_room(self) -> None:
        if len(self._table) < self.slots:
            table = np.zeros((2 * len(self._table), 3), np.uint64)
            _add(table, self._table)
            self._table = table
        else:
            self._spill()

    def _spill(self) -> None:
        held = self._table[self._table[:, 2] > 0]
        home = _home(held[:, 1])
        order = np.argsort(home, kind="stable")
        bounds = np.searchsorted(home[order], np.arange(BUCKETS + 1))
        held = held[order]
        for bucket in range(BUCKETS):
            with (Path(self._place.name) / f"{bucket:03d}").open("ab") as file:
                held[bounds[bucket] : bounds[bucket + 1]].tofile(file)
        self._table[:] = 0
        self._used, self._spilled = 0, True

    def result(self, *, keep: bool = False) -> dict[str, float]:
        """The entropies (`corpus_entropy`); InputError where no document was longer than a context.

        keep: for `of_documents`, the entropy of every context, 16 bytes of disk each.
        """
        if not self.total:
            raise InputError(f"no document has more than {self.order} tokens", field="input")
        summary = _Summary()
        if not self._spilled:
            self._keep(0, *summary.add(self._table), keep)
            return summary.result()
        self._spill()
        self._table = np.zeros((0, 3), np.uint64)
        for bucket in range(BUCKETS):
            records = np.fromfile(Path(self._place.name) / f"{bucket:03d}", np.uint64).reshape(-1, 3)
            table = np.zeros((_power_of_two(2 * len(records)), 3), np.uint64)
            _add(table, records)
            self._keep(bucket, *summary.add(table), keep)
        return summary.result()

    def _keep(self, bucket: int, contexts: Hashes, entropies: NDArray[np.float64], keep: bool) -> None:
        if keep:
            order = np.argsort(contexts)
            np.save(self._kept(bucket, "contexts"), contexts[order])
            np.save(self._kept(bucket, "entropies"), entropies[order])

    def _kept(self, bucket: int, what: str) -> Path:
        return Path(self._place.name) / f"{bucket:03d}-{what}.npy"

    def of_documents(self, hashes: Hashes, bounds: Integers) -> tuple[NDArray[np.float64], Integers]:
        """After `result(keep=True)`, of documents that were counted: (the entropy at every token that has a
        whole context before it, in bits; bounds of documents). Contexts are looked up on disk."""
        lengths = np.maximum(np.diff(bounds) - self.order, 0)
        cuts = np.concatenate([[0], np.cumsum(lengths)])
        contexts = np.empty(int(cuts[-1]), np.uint64)
        _contexts_before(hashes, bounds, self.order, cuts, contexts)
        distinct, back = np.unique(contexts, return_inverse=True)
        home = _home(distinct) if self._spilled else np.zeros(len(distinct), np.uint64)
        found = np.empty(len(distinct))
        for bucket in np.unique(home):
            rows = np.flatnonzero(home == bucket)
            known, values = (
                np.load(self._kept(int(bucket), what), mmap_mode="r") for what in ("contexts", "entropies")
            )
            found[rows] = values[np.searchsorted(known, distinct[rows])]
        return found[back], cuts


class _Summary:
    """Entropies of contexts as they come: sums, and how often each value is taken."""

    def __init__(self) -> None:
        self.weighted = self.corrected = 0.0
        self.total = 0
        self.values, self.counts = np.empty(0), np.empty(0, np.int64)

    def add(self, table: Hashes) -> tuple[Hashes, NDArray[np.float64]]:
        """Take in all pairs of some contexts; returns these contexts and the entropy of each."""
        used = int((table[:, 2] > 0).sum())
        sums, keys = np.empty((used, 3)), np.empty(used, np.uint64)
        found = _contexts(table, np.zeros(_power_of_two(used), np.int32), keys, sums, *_tables())
        K, log_sum, grown = sums[:found].T
        plain = np.maximum(np.log2(K) - log_sum / K, 0.0)
        self.weighted += float((plain * K).sum())
        self.corrected += float((K * np.log(K) - grown).sum() / math.log(2))
        self.total += int(K.sum())
        # Sums in another order differ in the last digits: rounded, few values are left to keep.
        positive = plain[plain > 5e-13]
        values, counts = np.unique(np.round(positive, 12), return_counts=True)
        self.values, back = np.unique(np.concatenate([self.values, [0.0], values]), return_inverse=True)
        joined = np.zeros(len(self.values), np.int64)
        np.add.at(joined, back, np.concatenate([self.counts, [len(plain) - len(positive)], counts]))
        self.counts = joined
        return keys[:found], plain

    def result(self) -> dict[str, float]:
        contexts = int(self.counts.sum())
        p10, p25, p50, p75, p90 = (_percentile(self.values, self.counts, q) for q in (10, 25, 50, 75, 90))
        return {
            "mean_corpus_entropy": float((self.values * self.counts).sum() / contexts),
            "median_corpus_entropy": p50,
            "p10": p10,
            "p25": p25,
            "p75": p75,
            "p90": p90,
            "weighted_entropy": self.weighted / self.total,
            "corrected_entropy": self.corrected / self.total,
            "num_unique_contexts": contexts,
            "total_contexts": self.total,
        }


def corpus_entropy(
    documents: Iterable[NDArray[Any]], *, order: int = 1, folder: str | Path | None = None
) -> dict[str, float]:
    """Entropy of the next token given the `order` tokens before it, in bits, over documents of token ids.

    `mean_corpus_entropy` is the published number: the unweighted mean over distinct contexts of the maximum
    likelihood entropy, which grows with the corpus, for most contexts are rare. `weighted_entropy` weights
    by how often a context occurs; `corrected_entropy` also corrects each context's bias (Grassberger 2003,
    eq. 28). Documents of at most `order` tokens are skipped. folder: for temporary files (`PairCounter`).
    """
    with PairCounter(order, folder=folder) as counter:
        waiting: list[Hashes] = []
        for tokens in documents:
            waiting.append(hashes_of_ids(tokens))
            if sum(map(len, waiting)) > 2**20:
                counter.add(*_joined(waiting))
                waiting = []
        if waiting:
            counter.add(*_joined(waiting))
        return counter.result()


def _joined(documents: list[Hashes]) -> tuple[Hashes, Integers]:
    return np.concatenate(documents), np.concatenate([[0], np.cumsum([len(d) for d in documents])])


def _percentile(values: NDArray[np.float64], counts: Integers, q: float) -> float:
    """As `numpy.percentile` of the values, each repeated as often as it was counted."""
    last = np.cumsum(counts)
    place = q / 100 * (int(last[-1]) - 1)
    low, high = (
        values[np.searchsorted(last, i, side="right")] for i in (math.floor(place), math.ceil(place))
    )
    return float(low + (high - low) * (place - math.floor(place)))


def _home(contexts: Hashes) -> Hashes:
    """The bucket of each context, of 256."""
    return np.asarray((contexts * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(56), np.uint64)


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
def _count(
    hashes: Any, bounds: Any, order: int, table: Any, used: int, limit: int, document: int, token: int
) -> Any:  # pragma: no cover
    """Count pairs until the table is full; returns (document, token) to go on at, and how many slots are
    used."""
    mask = np.int64(len(table) - 1)
    pairs, contexts = np.empty(_AHEAD, np.uint64), np.empty(_AHEAD, np.uint64)
    touched = np.uint64(0)
    while document < len(bounds) - 1:
        t = max(token, bounds[document] + order)
        while t < bounds[document + 1]:
            n = min(bounds[document + 1] - t, _AHEAD)
            if used + n > limit:
                return document, t, used, touched
            for i in range(n):
                context = _context(hashes, t + i, order)
                pairs[i], contexts[i] = _mixed(join(context, hashes[t + i])), context
            for i in range(n):
                # The slot of a later pair is read now, so that memory has it when its turn comes.
                touched ^= table[np.int64(pairs[min(i + 16, n - 1)] >> np.uint64(24)) & mask, 0]
                slot = _find(table, pairs[i], mask)
                used += table[slot, 0] == 0
                table[slot, 0] = pairs[i]
                table[slot, 1] = contexts[i]
                table[slot, 2] += np.uint64(1)
            t += n
        document += 1
    return document, token, used, touched


@njit(cache=True, inline="always")
def _mixed(pair: Any) -> Any:
    """A hash whose every bit depends on all bits; never 0, which marks a free slot."""
    pair = (pair ^ (pair >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    return (pair ^ (pair >> np.uint64(29))) | np.uint64(1)


@njit(cache=True, inline="always")
def _find(table: Any, pair: Any, mask: Any) -> Any:
    """The slot of a pair, or the free one where it belongs."""
    slot = np.int64(pair >> np.uint64(24)) & mask
    key = table[slot, 0]
    while key != pair and key != 0:  # noqa: PLR1714 (a set is slower here)
        slot = (slot + 1) & mask
        key = table[slot, 0]
    return slot


@njit(cache=True)
def _add(table: Any, records: Any) -> None:  # pragma: no cover
    """Add the counts of records (or of another table) to a table that has room."""
    mask = np.int64(len(table) - 1)
    for r in range(len(records)):
        if records[r, 2] != 0:
            slot = _find(table, records[r, 0], mask)
            table[slot, 0] = records[r, 0]
            table[slot, 1] = records[r, 1]
            table[slot, 2] += records[r, 2]


@njit(cache=True)
def _contexts(
    table: Any, index: Any, keys: Any, sums: Any, plain: Any, grown: Any
) -> int:  # pragma: no cover
    """For every context its hash, occurrences, Σ k log₂ k and Σ k G(k) over its next tokens, in rows of keys
    and sums as they come; returns how many. index: where a hash leads, 1 + the row of the context."""
    mask = np.uint64(len(index) - 1)
    found = 0
    for r in range(len(table)):
        if table[r, 2] == 0:
            continue
        context, count = table[r, 1], np.int64(table[r, 2])
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
