"""Conformalised quantiles: move each quantile so that it held the truth as often as it says.

For every horizon bin and level, the offset is the level's quantile of (truth - predicted quantile) on runs
that the network was not trained on, all runs weighing the same (Romano et al. 2019, one side at a time).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuneu.curves.curve import Floats, Integers
from neuneu.forecasters.calibration import weighted_quantile

EDGES = (0.0, 0.35, 0.7, 1.2, 2.0)
"""Left edges of the horizon bins, in log of horizon clock over context end."""

MIN_CELLS = 50
"""A bin with fewer cells is joined with the one before."""


@dataclass(frozen=True)
class Conformal:
    """Offsets to add to quantiles, by horizon bin: edges[i] ≤ log ratio < edges[i + 1].

    offsets: (n_bins, n_levels).
    """

    edges: tuple[float, ...]
    offsets: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls,
        predicted: Floats,
        truth: Floats,
        log_ratio: Floats,
        weight: Floats,
        levels: Sequence[float],
    ) -> "Conformal":
        """Learn offsets from cells: predicted (n, n_levels); truth, log_ratio, weight (n,)."""
        edges = _joined_bins(log_ratio)
        rows = np.searchsorted(edges, log_ratio, side="right") - 1
        offsets = []
        for row in range(len(edges)):
            own = np.maximum(rows, 0) == row
            error = truth[own, None] - predicted[own]
            offsets.append(
                tuple(
                    round(weighted_quantile(error[:, column], weight[own], level), 6)
                    for column, level in enumerate(levels)
                )
            )
        return cls(tuple(edges), tuple(offsets))

    def apply(self, predicted: Floats, log_ratio: Floats) -> Floats:
        """Moved quantiles, (n, n_levels), sorted so that they do not cross."""
        rows: Integers = np.maximum(np.searchsorted(self.edges, log_ratio, side="right") - 1, 0)
        moved = predicted + np.array(self.offsets)[rows]
        return np.asarray(np.sort(moved, axis=1), dtype=np.float64)

    def to_document(self) -> dict[str, Any]:
        """What is written as JSON."""
        return {"edges": list(self.edges), "offsets": [list(row) for row in self.offsets]}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Conformal":
        """Read what `to_document` made."""
        return cls(tuple(document["edges"]), tuple(tuple(row) for row in document["offsets"]))


def _joined_bins(log_ratio: Floats) -> list[float]:
    edges = [EDGES[0]]
    for left, right in zip(EDGES[1:], (*EDGES[2:], np.inf), strict=True):
        if np.count_nonzero((log_ratio >= left) & (log_ratio < right)) >= MIN_CELLS:
            edges.append(left)
    return edges
