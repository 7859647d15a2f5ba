"""Windows: which stretch of tokens a model reads to give each token its loss."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Integers
from neuneu.errors import InputError


class Windows(NamedTuple):
    """Stretches of tokens, each (n_windows,): the model reads [begin, end) and gives losses to [scored, end).

    lead: whether a beginning-of-text token is put before the stretch.
    """

    begin: Integers
    end: Integers
    scored: Integers
    lead: NDArray[np.bool_]

    @property
    def length(self) -> Integers:
        """Tokens that the model reads."""
        return self.end - self.begin + self.lead

    def take(self, rows: Integers) -> "Windows":
        """Some of the windows."""
        return Windows(self.begin[rows], self.end[rows], self.scored[rows], self.lead[rows])


class WindowBatch(NamedTuple):
    """Windows side by side, padded on the right.

    ids: (n_rows, longest); rows, columns: where the model's output predicts the tokens that get a loss;
    positions: which tokens of the corpus these are, each (n_scored,).
    """

    ids: Integers
    rows: Integers
    columns: Integers
    positions: Integers


def plan_windows(bounds: Integers, window: int, stride: int, *, bos: bool = False) -> Windows:
    """Windows over documents, so that each token but a document's first gets one loss.

    bounds: (n_documents, 2) token ranges; window: longest stretch, with the beginning-of-text token if
    `bos`; stride: how far a window of a long document goes on, so that a token there has at least
    window − stride tokens before it. With `bos`, first tokens get a loss too. Raises InputError unless
    1 ≤ stride < window.
    """
    if window < 2:
        raise InputError("must be at least 2", field="window", value=window)
    if not 1 <= stride < window:
        raise InputError(
            f"must be at least 1 and less than the window of {window}", field="stride", value=stride
        )
    begins, ends, scored, leads = [], [], [], []
    for first, last in bounds.tolist():
        start, done, lead = first, first if bos else first + 1, bos
        while done < last:
            past = min(start + window - lead, last)
            begins.append(start)
            ends.append(past)
            scored.append(done)
            leads.append(lead)
            start, done, lead = start + stride - lead, past, False
    begin, end, scored_from = (np.array(column, dtype=np.int64) for column in (begins, ends, scored))
    return Windows(begin, end, scored_from, np.array(leads, dtype=bool))


def scored_mask(windows: Windows, n_tokens: int) -> NDArray[np.bool_]:
    """Which tokens get a loss, (n_tokens,)."""
    mask = np.zeros(n_tokens, dtype=bool)
    mask[_ranges(windows.scored, windows.end)] = True
    return mask


def make_batches(
    tokens: NDArray[Any], windows: Windows, batch_tokens: int, bos_id: int | None
) -> Iterator[WindowBatch]:
    """Windows in batches of like length, longest first, each of at most `batch_tokens` with padding."""
    order = np.argsort(-windows.length, kind="stable")
    start = 0
    while start < len(order):
        longest = int(windows.length[order[start]])
        rows = order[start : start + max(1, batch_tokens // longest)]
        yield _make_batch(tokens, windows.take(rows), longest, bos_id)
        start += len(rows)


def _make_batch(tokens: NDArray[Any], windows: Windows, longest: int, bos_id: int | None) -> WindowBatch:
    ids = np.zeros((len(windows.begin), longest), dtype=np.int64)
    for row, (begin, end, _, lead) in enumerate(zip(*windows, strict=True)):
        if lead and bos_id is not None:
            ids[row, 0] = bos_id
        ids[row, int(lead) : int(lead) + end - begin] = tokens[begin:end]
    positions = _ranges(windows.scored, windows.end)
    counts = windows.end - windows.scored
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = positions - (windows.begin - windows.lead)[rows] - 1
    return WindowBatch(ids, rows, columns, positions)


def _ranges(first: Integers, past: Integers) -> Integers:
    """All of first[i] … past[i] − 1, one range after the other."""
    counts = past - first
    offsets = np.cumsum(counts) - counts
    return np.repeat(first - offsets, counts) + np.arange(int(counts.sum()))
