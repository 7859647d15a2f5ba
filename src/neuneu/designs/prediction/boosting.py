"""Gradient-boosted trees for tables of tens of rows: XGBoost's hist algorithm without its cost per call.

XGBoost spends nearly all of a 40-row fit on set-up: 10 ms for what is 0.3 ms of arithmetic, and nested
selection needs hundreds of thousands of fits. This grows the same trees (squared error, depth-wise, λ = 1,
α = γ = 0, one bin a distinct value, learned default directions) with sums in float64 and gains, leaves and
predictions in float32, in the order that XGBoost takes them, so that predictions are the same bits; tests
hold it against XGBoost 3.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import MissingExtraError

try:
    from numba import njit
except ImportError as error:
    raise MissingExtraError("numba", "designs") from error

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Bins:
    """A table cut into bins: `index` (rows, features), −1 missing; bin b of a feature is below its cut b.

    cuts, offsets: the cuts of feature f are cuts[offsets[f]:offsets[f + 1]]; lowest: below its least value.
    """

    index: NDArray[np.int32]
    cuts: Floats
    offsets: NDArray[np.int32]
    lowest: Floats


@dataclass(frozen=True)
class Trees:
    """Boosted trees in arrays of shape (rounds, nodes); node i has the children 2i + 1 and 2i + 2.

    feature: −1 at leaves; threshold: values below go left; default_left: where missing values go.
    """

    base: np.float32
    feature: NDArray[np.int32]
    threshold: Floats
    default_left: NDArray[np.bool_]
    value: Floats

    def predict(self, X: Floats, rounds: int | None = None) -> Floats:
        """Predictions of shape (rows,) from the first `rounds` trees; NaN in X is missing."""
        count = len(self.feature) if rounds is None else rounds
        table = np.ascontiguousarray(X, np.float32)
        result: Floats = _predict(
            table, self.base, self.feature, self.threshold, self.default_left, self.value, count
        )
        return result


def bin_table(X: NDArray[Any]) -> Bins:
    """Cut a table (rows, features; NaN missing) into one bin a distinct value, at most 256 of them."""
    X = np.asarray(X, np.float32)
    index = np.full(X.shape, -1, np.int32)
    cuts, offsets, lowest = [], [0], []
    for column in range(X.shape[1]):
        present = ~np.isnan(X[:, column])
        values = np.unique(X[present, column])
        last = values[-1:] if len(values) else np.zeros(1, np.float32)
        first = values[0] if len(values) else np.float32(0)
        own = np.concatenate([values[1:], last + (np.abs(last) + np.float32(1e-5))]).astype(np.float32)
        index[present, column] = np.searchsorted(own, X[present, column], side="right")
        cuts.append(own)
        offsets.append(offsets[-1] + len(own))
        lowest.append(first - (np.abs(first) + np.float32(1e-5)))
    return Bins(
        np.ascontiguousarray(index),
        np.concatenate(cuts),
        np.array(offsets, np.int32),
        np.array(lowest, np.float32),
    )


def fit(bins: Bins, y: NDArray[Any], *, depth: int, learning_rate: float, rounds: int) -> Trees:
    """Boost `rounds` trees of at most `depth` levels on y of shape (rows,)."""
    target = np.ascontiguousarray(y, np.float32)
    base = np.float32(np.mean(target.astype(np.float64)))
    arrays = _fit(
        bins.index,
        bins.cuts,
        bins.offsets,
        bins.lowest,
        target,
        base,
        depth,
        np.float32(learning_rate),
        rounds,
    )
    return Trees(base, *arrays)


@njit(cache=True, nogil=True)
def _predict(X, base, feature, threshold, default_left, value, rounds):  # type: ignore[no-untyped-def]
    out = np.empty(X.shape[0], np.float32)
    for row in range(X.shape[0]):
        total = base
        for r in range(rounds):
            node = 0
            while feature[r, node] >= 0:
                x = X[row, feature[r, node]]
                left = default_left[r, node] if np.isnan(x) else x < threshold[r, node]
                node = 2 * node + 1 if left else 2 * node + 2
            total = np.float32(total + value[r, node])
        out[row] = total
    return out


@njit(cache=True, nogil=True)
def _gain(gradient, weight):  # type: ignore[no-untyped-def]
    return np.float32(gradient * gradient / (weight + 1.0)) if weight > 0 else np.float32(0)


@njit(cache=True, nogil=True)
def _best_split(cuts, offsets, lowest, g, h, total, count):  # type: ignore[no-untyped-def]
    """Best (gain, feature, threshold, default_left, left gradient) of a node with histograms g, h."""
    own = _gain(total, count)
    best_gain, best_feature, best_threshold, best_left = np.float32(0), -1, np.float32(0), False
    best_gradient = 0.0
    for f in range(len(offsets) - 1):
        first, last = offsets[f], offsets[f + 1]
        left_g, left_h = 0.0, 0.0
        for b in range(first, last):
            left_g += g[b]
            left_h += h[b]
            if h[b] > 0 and count - left_h >= 1.0:  # an empty bin splits like the one before it
                gain = np.float32(
                    float(_gain(left_g, left_h)) + float(_gain(total - left_g, count - left_h)) - float(own)
                )
                if gain > best_gain:
                    best_gain, best_feature, best_left = gain, f, False
                    best_threshold, best_gradient = cuts[b], left_g
        if left_h == count and left_g == total:
            continue
        right_g, right_h = 0.0, 0.0
        for b in range(last - 1, first - 1, -1):
            right_g += g[b]
            right_h += h[b]
            if h[b] > 0 and count - right_h >= 1.0:
                gain = np.float32(
                    float(_gain(total - right_g, count - right_h))
                    + float(_gain(right_g, right_h))
                    - float(own)
                )
                if gain > best_gain:
                    best_gain, best_feature, best_left = gain, f, True
                    best_threshold = lowest[f] if b == first else cuts[b - 1]
                    best_gradient = total - right_g
    return best_gain, best_feature, best_threshold, best_left, best_gradient


@njit(cache=True, nogil=True)
def _histogram(index, offsets, gradient, rows, start, stop, g, h):  # type: ignore[no-untyped-def]
    g[:], h[:] = 0, 0
    for i in range(start, stop):
        row = rows[i]
        for f in range(index.shape[1]):
            b = index[row, f]
            if b >= 0:
                g[offsets[f] + b] += gradient[row]
                h[offsets[f] + b] += 1.0


@njit(cache=True, nogil=True)
def _partition(index, cuts, offsets, rows, start, stop, f, cut, default_left, spare):  # type: ignore[no-untyped-def]
    """Rows that go left to the front, the order kept on both sides; returns where the right side begins."""
    low, high = start, 0
    for i in range(start, stop):
        b = index[rows[i], f]
        left = default_left if b < 0 else cuts[offsets[f] + b] <= cut
        if left:
            rows[low] = rows[i]
            low += 1
        else:
            spare[high] = rows[i]
            high += 1
    for i in range(high):
        rows[low + i] = spare[i]
    return low


@njit(cache=True, nogil=True)
def _fit(index, cuts, offsets, lowest, y, base, depth, eta, rounds):  # type: ignore[no-untyped-def]
    n, nodes, inner = index.shape[0], 2 ** (depth + 1) - 1, 2**depth - 1
    feature = np.full((rounds, nodes), -1, np.int32)
    threshold = np.zeros((rounds, nodes), np.float32)
    default_left = np.zeros((rounds, nodes), np.bool_)
    value = np.zeros((rounds, nodes), np.float32)
    prediction = np.full(n, base, np.float32)
    gradient, total = np.empty(n, np.float64), np.zeros(nodes)
    rows, spare = np.arange(n), np.empty(n, np.int64)
    g, h = np.zeros((inner, len(cuts))), np.zeros((inner, len(cuts)))
    begin, end = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    for r in range(rounds):
        begin[:], end[:], total[0] = 0, 0, 0.0
        for i in range(n):
            rows[i] = i
            gradient[i] = np.float32(prediction[i] - y[i])
            total[0] += gradient[i]
        end[0] = n
        _histogram(index, offsets, gradient, rows, 0, n, g[0], h[0])
        for node in range(nodes):
            start, stop = begin[node], end[node]
            if start == stop:
                continue
            gain, f = np.float32(0), -1
            if node < inner:
                gain, f, cut, to_left, left_total = _best_split(
                    cuts, offsets, lowest, g[node], h[node], total[node], float(stop - start)
                )
            if f < 0 or gain <= np.float32(1e-6):
                leaf = np.float32(np.float32(-total[node] / (stop - start + 1.0)) * eta)
                value[r, node] = leaf
                for i in range(start, stop):
                    prediction[rows[i]] = np.float32(prediction[rows[i]] + leaf)
                continue
            feature[r, node], threshold[r, node], default_left[r, node] = f, cut, to_left
            middle = _partition(index, cuts, offsets, rows, start, stop, f, cut, to_left, spare)
            left, right = 2 * node + 1, 2 * node + 2
            begin[left], end[left], begin[right], end[right] = start, middle, middle, stop
            total[left], total[right] = left_total, total[node] - left_total
            if left < inner:  # the smaller side is counted, the other is the difference, as in XGBoost
                small, large = (right, left) if stop - middle < middle - start else (left, right)
                _histogram(index, offsets, gradient, rows, begin[small], end[small], g[small], h[small])
                g[large] = g[node] - g[small]
                h[large] = h[node] - h[small]
    return feature, threshold, default_left, value
