"""Our predictor: the median of Gaussian processes and of forests on what a scaling law leaves, no weights.

Weights chosen on inner folds helped between random folds and hurt between organisations, where inner errors
say little about the next organisation; the median needs none.
"""

from collections.abc import Mapping

import numpy as np

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.predictors import Predictor, forest, gaussian_process
from neuneu.designs.prediction.warping import warped

TREES = 60
DESIGN = ("composition", "architecture", "training")

MEMBERS: Mapping[str, Predictor] = {
    "forest-scale": warped(forest("random", ("scale",), residual=True, trees=TREES)),
    "forest-composition": warped(forest("random", ("scale", "composition"), residual=True, trees=TREES)),
    "extra-composition": warped(forest("extra", ("scale", "composition"), residual=True, trees=TREES)),
    "extra-design": warped(forest("extra", ("scale", *DESIGN), residual=True, trees=TREES)),
    "gaussian-composition": warped(gaussian_process("composition", "training", "labels")),
    "gaussian-written": warped(gaussian_process("composition", "training", "generation")),
    "gaussian-all": warped(gaussian_process(*DESIGN, "generation", "labels")),
}
"""What the median is taken over."""


def members(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """The predictions of every member, (members, rows to predict, tasks)."""
    return np.stack([member(table, train, test) for member in MEMBERS.values()])


def ensemble(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """The median of the members, (rows to predict, tasks)."""
    return np.asarray(np.median(members(table, train, test), axis=0), np.float64)
