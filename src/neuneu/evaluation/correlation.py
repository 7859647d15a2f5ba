"""Correlation of forecasts with what came true: Pearson's of the numbers, Spearman's of their ranks."""

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats
from neuneu.evaluation.metrics import Index

FEWEST = 3
"""Two points always correlate perfectly."""


def correlations(predicted: Floats, truth: Floats, group: Index) -> Floats:
    """Pearson's and Spearman's correlation within each group, (n_groups, 2).

    predicted, truth: (n,); group: (n,) code of each, 0 … n_groups - 1. NaN where a group has fewer than
    `FEWEST` points, or either side is constant.
    """
    frame = pl.DataFrame({"group": group, "predicted": predicted, "truth": truth})
    kinds = {kind: pl.corr("predicted", "truth", method=kind) for kind in ("pearson", "spearman")}
    varied = (pl.col("predicted").n_unique() > 1) & (pl.col("truth").n_unique() > 1)
    found = frame.group_by("group").agg(**kinds, known=varied & (pl.len() >= FEWEST)).sort("group")
    values = found.select(pl.when("known").then(pl.col(kind)) for kind in kinds).to_numpy().astype(np.float64)
    return np.asarray(np.clip(values, -1.0, 1.0), dtype=np.float64)


def pearson(predicted: Floats, truth: Floats) -> float | None:
    """Pearson's correlation, (n,) each; None of fewer than three points, or where either is constant."""
    value = correlations(predicted, truth, np.zeros(len(truth), dtype=np.intp))[0, 0]
    return None if np.isnan(value) else float(value)
