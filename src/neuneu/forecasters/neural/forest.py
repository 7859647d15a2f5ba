"""Gradient-boosted trees that LightGBM trains and NumPy evaluates."""

from dataclasses import dataclass
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

    def predict(self, features: Floats) -> Floats:
        """Sum of the trees' leaves for each row, (n_rows,). features: (n_rows, n_features), NaN allowed."""
        parts = [
            self._predict(features[start : start + ROWS_AT_ONCE])
            for start in range(0, len(features), ROWS_AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])

    def _predict(self, features: Floats) -> Floats:
        """All rows go down all trees side by side; who has reached a leaf stays behind."""
        n_trees, n_nodes = self.feature.shape
        first = np.arange(n_trees, dtype=np.int32) * n_nodes
        left = (self.left + first[:, None]).ravel()
        is_leaf = left == np.arange(len(left))
        feature, threshold, missing_left = (
            table.ravel() for table in (self.feature, self.threshold, self.missing_left)
        )
        flat = np.ascontiguousarray(features).ravel()
        missing = np.isnan(flat)
        node = np.tile(first, len(features))
        row = np.repeat(np.arange(len(features), dtype=np.int32) * features.shape[1], n_trees)
        walking = np.flatnonzero(~is_leaf[node])
        while len(walking):
            here = node[walking]
            at = row[walking] + feature[here]
            goes_left = (flat[at] <= threshold[here]) | (missing[at] & missing_left[here])
            node[walking] = there = left[here] + ~goes_left
            walking = walking[~is_leaf[there]]
        return np.asarray(self.value.ravel()[node].reshape(len(features), n_trees).sum(axis=1))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Arrays by name, as they are stored."""
        return {
            "trees.feature": self.feature,
            "trees.threshold": self.threshold,
            "trees.left": self.left,
            "trees.missing_left": self.missing_left.astype(np.uint8),
            "trees.value": self.value,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], n_features: int) -> "Forest":
        """What `tensors` gave. Raises InputError where tables are missing, do not fit or point outside."""
        names = ("feature", "threshold", "left", "missing_left", "value")
        missing = [name for name in names if f"trees.{name}" not in tensors]
        if missing:
            raise InputError("is missing", field="trees", value=missing)
        table = {name: tensors[f"trees.{name}"] for name in names}
        shapes = {array.shape for array in table.values()}
        if len(shapes) != 1 or table["left"].ndim != 2 or not _descends(table, n_features):
            raise InputError("tables do not fit together", field="trees", value=sorted(map(str, shapes)))
        return cls(
            table["feature"],
            table["threshold"],
            table["left"],
            table["missing_left"].astype(bool),
            table["value"],
        )


def _descends(table: dict[str, NDArray[Any]], n_features: int) -> bool:
    """Whether every node asks a feature that there is and is a leaf or leads to later nodes."""
    place = np.arange(table["left"].shape[1])
    leads_on = (table["left"] > place) & (table["left"] + 1 < len(place))
    known = (table["feature"] >= 0) & (table["feature"] < n_features)
    return bool((known & (leads_on | (table["left"] == place))).all())


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
