"""Scores half way to normal ranks: what bends at chance level or at a sudden rise becomes straighter."""

from dataclasses import dataclass, replace

import numpy as np

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.predictors import Predictor

SHARE = 0.5
"""How far scores are moved from themselves, standardised, to the normal quantiles of their ranks."""


@dataclass(frozen=True)
class Warp:
    """A monotone map of one task's scores, given by its knots, both ascending."""

    scores: Matrix
    warped: Matrix

    @classmethod
    def fit(cls, y: Matrix) -> "Warp":
        """The map that the training scores (rows,) define."""
        from scipy.stats import norm, rankdata

        spread = y.std()
        straight = (y - y.mean()) / (spread if spread > 0 else 1.0)
        ranks = norm.ppf((rankdata(y) - 0.5) / len(y))
        knots, first = np.unique(y, return_index=True)
        return cls(knots, (SHARE * ranks + (1 - SHARE) * straight)[first])

    def forward(self, y: Matrix) -> Matrix:
        """Training scores → warped scores."""
        return np.interp(y, self.scores, self.warped)

    def back(self, warped: Matrix) -> Matrix:
        """Predictions → scores, inside the range of the training scores."""
        return np.interp(warped, self.warped, self.scores)


def warped(member: Predictor) -> Predictor:
    """The predictor fitted to warped scores; medians stay medians, and no score leaves the known range."""

    def predict(table: DesignTable, train: Indices, test: Indices) -> Matrix:
        y = np.full_like(table.y, np.nan)
        warps = []
        for k in range(len(table.tasks)):
            rows = table.known(train, k)
            warps.append(Warp.fit(table.y[rows, k]))
            y[rows, k] = warps[k].forward(table.y[rows, k])
        found = member(replace(table, y=y), train, test)
        return np.column_stack([warp.back(column) for warp, column in zip(warps, found.T, strict=True)])

    return predict
