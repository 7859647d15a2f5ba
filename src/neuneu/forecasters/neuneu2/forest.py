"""Gradient-boosted trees that LightGBM trains and NumPy evaluates."""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.errors import InputError, MissingExtraError

PARAMETERS: dict[str, Any] = {
    "objective": "l1",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "max_bin": 127,
    "min_data_in_leaf": 150,
    "feature_fraction": 0.2,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
ROWS_AT_ONCE = 4096
MOST_LEAVES = 16
"""Of a tree: its open leaves are bits of a 16-bit number."""
ALL_OPEN = np.uint16(0xFFFF)


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees as tables, (n_trees, n_nodes) each.

    feature, threshold: a row goes left where its feature is at most the threshold; left: the next node, the
    right one stands behind it; a leaf points to itself; missing_left: whether NaN goes left; value: what a
    leaf adds.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    value: Floats

    def predict(self, features: Floats, question: "NDArray[np.intp] | None" = None) -> Floats:
        """Sum of the trees' leaves for each row, (n_rows,). features: (n_rows, n_features), NaN allowed.

        question: (n_rows,) the question of each row, in order: features that are the same in all rows of each
        question are read once a question.
        """
        rows = np.arange(len(features)) if question is None else question
        parts = [
            self._predict(features[start : start + ROWS_AT_ONCE], rows[start : start + ROWS_AT_ONCE])
            for start in range(0, len(features), ROWS_AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])

    def _predict(self, features: Floats, question: NDArray[np.intp]) -> Floats:
        """Which leaves of each tree are still open, feature by feature; the first that stays open is reached.

        Lucchese et al. 2015 (QuickScorer), with tables in place of loops over nodes.
        """
        begins = np.append(True, question[1:] != question[:-1])
        own, first = np.cumsum(begins) - 1, features[begins]
        repeated = first[own]
        alike = ((features == repeated) | (np.isnan(features) & np.isnan(repeated))).all(axis=0)
        open_leaves = np.full((len(self.left), len(first)), ALL_OPEN)
        self._close(open_leaves, first, alike)
        if len(first) < len(features):
            open_leaves = open_leaves.take(own, axis=1)
            self._close(open_leaves, features, ~alike)
        place = _lowest_bits().take(open_leaves) + MOST_LEAVES * np.arange(len(self.left))[:, None]
        return np.asarray(self._leaf_values.ravel().take(place).sum(axis=0))

    def _close(self, open_leaves: NDArray[np.uint16], features: Floats, chosen: NDArray[np.bool_]) -> None:
        """Close, in (n_trees, n_rows), the leaves that these features rule out."""
        for feature, thresholds, trees, table in self._opened:
            if chosen[feature]:
                values = features[:, feature]
                above = np.searchsorted(thresholds, values)
                above[np.isnan(values)] = len(thresholds) + 1
                open_leaves[trees] &= table.take(above, axis=1)

    @cached_property
    def _opened(self) -> list[tuple[int, Floats, NDArray[np.intp], NDArray[np.uint16]]]:
        """For each feature its thresholds, sorted, the trees that ask it, and the leaves of each of these
        that stay open where a value is above the first 0, 1, … of the thresholds, and at last where it is
        missing, (n_trees, n_thresholds + 2)."""
        inner = self.left != np.arange(self.left.shape[1])
        below, first = self._leaves
        found = []
        for feature in np.unique(self.feature[inner]):
            tree, node = np.nonzero(inner & (self.feature == feature))
            thresholds, place = np.unique(self.threshold[tree, node], return_inverse=True)
            asking, row = np.unique(tree, return_inverse=True)
            table = np.full((len(asking), len(thresholds) + 2), ALL_OPEN)
            n_left = below[tree, self.left[tree, node]]
            closed = ~(((1 << n_left) - 1) << first[tree, node]).astype(np.uint16)
            np.bitwise_and.at(table, (row, place + 1), closed)
            table[:, :-1] = np.bitwise_and.accumulate(table[:, :-1], axis=1)
            right = ~self.missing_left[tree, node]
            np.bitwise_and.at(table, (row[right], np.full(right.sum(), -1)), closed[right])
            found.append((int(feature), thresholds, asking, table))
        return found

    @cached_property
    def _leaves(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Below each node: how many leaves there are, and the first of them, counted from the left; -1 for
        what is no part of a tree."""
        trees, nodes = np.arange(self.left.shape[0]), self.left.shape[1]
        below, first = np.ones(self.left.shape, np.int64), np.full(self.left.shape, -1)
        inner = self.left != np.arange(nodes)
        for node in reversed(range(nodes)):
            own = trees[inner[:, node]]
            left = self.left[own, node]
            below[own, node] = below[own, left] + below[own, left + 1]
        first[:, 0] = 0
        for node in range(nodes):
            own = trees[inner[:, node] & (first[:, node] >= 0)]
            left = self.left[own, node]
            first[own, left] = first[own, node]
            first[own, left + 1] = first[own, node] + below[own, left]
        return below, first

    @cached_property
    def _leaf_values(self) -> Floats:
        """What each leaf adds, counted from the left, (n_trees, MOST_LEAVES)."""
        _, first = self._leaves
        values = np.zeros((len(self.left), MOST_LEAVES))
        tree, node = np.nonzero((self.left == np.arange(self.left.shape[1])) & (first >= 0))
        values[tree, first[tree, node]] = self.value[tree, node]
        return values

    def tensors(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Arrays by name (`prefix`.feature, …), as they are stored."""
        return {
            f"{prefix}.feature": self.feature,
            f"{prefix}.threshold": self.threshold,
            f"{prefix}.left": self.left,
            f"{prefix}.missing_left": self.missing_left.astype(np.uint8),
            f"{prefix}.value": self.value,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], prefix: str, n_features: int) -> "Forest":
        """What `tensors` gave. Raises InputError where tables are missing, do not fit or point outside."""
        names = ("feature", "threshold", "left", "missing_left", "value")
        missing = [name for name in names if f"{prefix}.{name}" not in tensors]
        if missing:
            raise InputError("is missing", field=prefix, value=missing)
        table = {name: tensors[f"{prefix}.{name}"] for name in names}
        shapes = {array.shape for array in table.values()}
        if len(shapes) != 1 or table["left"].ndim != 2 or not _descends(table, n_features):
            raise InputError("tables do not fit together", field=prefix, value=sorted(map(str, shapes)))
        forest = cls(
            table["feature"],
            table["threshold"],
            table["left"],
            table["missing_left"].astype(bool),
            table["value"],
        )
        if forest._leaves[0].max(initial=1) > MOST_LEAVES:
            raise InputError(f"must have at most {MOST_LEAVES} leaves each", field=prefix)
        return forest


@cache
def _lowest_bits() -> NDArray[np.uint8]:
    """For every 16-bit number, the place of its lowest bit; 0 for 0."""
    numbers = np.arange(2**16)
    return np.asarray(np.log2(np.maximum(numbers & -numbers, 1)), np.uint8)


def _descends(table: dict[str, NDArray[Any]], n_features: int) -> bool:
    """Whether every node asks a feature that there is and is a leaf or leads to later nodes; few enough."""
    place = np.arange(table["left"].shape[1])
    leads_on = (table["left"] > place) & (table["left"] + 1 < len(place))
    known = (table["feature"] >= 0) & (table["feature"] < n_features)
    few = len(place) < 2 * MOST_LEAVES
    return few and bool((known & (leads_on | (table["left"] == place))).all())


def train_forest(features: Floats, target: Floats, weight: Floats, seed: int, trees: int = 500) -> Forest:
    """Trees that predict `target`, (n_rows,), by least absolute error."""
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", "trees") from error
    data = lightgbm.Dataset(features, target, weight=weight * len(weight) / weight.sum())
    booster = lightgbm.train({**PARAMETERS, "seed": seed}, data, trees)
    return forest_of(booster)


def forest_of(booster: Any) -> Forest:
    """The tables of a LightGBM booster with numerical features."""
    trees = [_tree_rows(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    nodes = max(map(len, trees))
    shape = (len(trees), nodes)
    itself = np.broadcast_to(np.arange(nodes, dtype=np.int32), shape)
    forest = Forest(
        np.zeros(shape, np.int32),
        np.full(shape, np.inf),
        itself.copy(),
        np.ones(shape, bool),
        np.zeros(shape),
    )
    for i, rows in enumerate(trees):
        for j, node in enumerate(rows):
            if "leaf_value" in node:
                forest.value[i, j] = node["leaf_value"]
                continue
            forest.feature[i, j] = node["split_feature"]
            forest.threshold[i, j] = node["threshold"]
            forest.left[i, j] = node["left"]
            # LightGBM reads NaN as 0 where training saw none in this feature.
            zero_left = node["threshold"] >= 0.0
            forest.missing_left[i, j] = node["default_left"] if node["missing_type"] == "NaN" else zero_left
    return forest


def _tree_rows(root: dict[str, Any]) -> list[dict[str, Any]]:
    """Nodes of one tree, the root first, with the place of their left child; the right one follows it."""
    rows: list[dict[str, Any]] = [dict(root)]
    for node in rows:
        if "leaf_value" not in node:
            node["left"] = len(rows)
            rows += [dict(node["left_child"]), dict(node["right_child"])]
    return rows
