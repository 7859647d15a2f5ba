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
    """Trees as tables, (n_trees, n_nodes) each: a leaf points to itself.

    feature, threshold: a row goes left where its feature is at most the threshold; left, right: the next
    node; missing_left: whether NaN goes left; value: what a leaf adds.
    """

    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    value: Floats
    depth: int

    def predict(self, features: Floats) -> Floats:
        """Sum of the trees' leaves for each row, (n_rows,). features: (n_rows, n_features), NaN allowed."""
        parts = [
            self._predict(features[start : start + ROWS_AT_ONCE])
            for start in range(0, len(features), ROWS_AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])

    def _predict(self, features: Floats) -> Floats:
        n_trees, n_nodes = self.feature.shape
        offset = (np.arange(n_trees, dtype=np.intp) * n_nodes)[None, :]
        node = np.broadcast_to(offset, (len(features), n_trees)).copy()
        width = features.shape[1]
        flat, rows = np.ascontiguousarray(features).ravel(), np.arange(len(features))[:, None] * width
        tables = [table.ravel() for table in (self.feature, self.threshold, self.missing_left)]
        left, right = (
            self.left.ravel() + np.repeat(offset, n_nodes),
            self.right.ravel() + np.repeat(offset, n_nodes),
        )
        for _ in range(self.depth):
            x = flat[rows + tables[0][node]]
            goes_left = np.where(np.isnan(x), tables[2][node], x <= tables[1][node])
            node = np.where(goes_left, left[node], right[node])
        return np.asarray(self.value.ravel()[node].sum(axis=1), dtype=np.float64)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Arrays by name, as they are stored."""
        return {
            "trees.feature": self.feature,
            "trees.threshold": self.threshold,
            "trees.left": self.left,
            "trees.right": self.right,
            "trees.missing_left": self.missing_left.astype(np.uint8),
            "trees.value": self.value,
            "trees.depth": np.array([self.depth], dtype=np.int32),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], n_features: int) -> "Forest":
        """What `tensors` gave. Raises InputError where tables are missing, do not fit or point outside."""
        names = ("feature", "threshold", "left", "right", "missing_left", "value", "depth")
        missing = [name for name in names if f"trees.{name}" not in tensors]
        if missing:
            raise InputError("is missing", field="trees", value=missing)
        table = {name: tensors[f"trees.{name}"] for name in names}
        shapes = {table[name].shape for name in names[:-1]}
        nodes = table["feature"].shape[-1]
        inside = all(
            table[name].min() >= 0 and table[name].max() < top
            for name, top in (("feature", n_features), ("left", nodes), ("right", nodes))
        )
        if len(shapes) != 1 or not inside:
            raise InputError("tables do not fit together", field="trees", value=sorted(map(str, shapes)))
        return cls(
            table["feature"],
            table["threshold"],
            table["left"],
            table["right"],
            table["missing_left"].astype(bool),
            table["value"],
            int(table["depth"][0]),
        )


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
    nodes = max(len(rows) for rows, _ in trees)
    shape = (len(trees), nodes)
    itself = np.broadcast_to(np.arange(nodes, dtype=np.int32), shape)
    forest = Forest(
        np.zeros(shape, np.int32),
        np.full(shape, np.inf),
        itself.copy(),
        itself.copy(),
        np.ones(shape, bool),
        np.zeros(shape),
        max(depth for _, depth in trees),
    )
    for i, (rows, _) in enumerate(trees):
        for j, node in enumerate(rows):
            if "leaf_value" in node:
                forest.value[i, j] = node["leaf_value"]
                continue
            forest.feature[i, j] = node["split_feature"]
            forest.threshold[i, j] = node["threshold"]
            forest.left[i, j], forest.right[i, j] = node["children"]
            # LightGBM reads NaN as 0 where training saw none in this feature.
            zero_left = node["threshold"] >= 0.0
            forest.missing_left[i, j] = node["default_left"] if node["missing_type"] == "NaN" else zero_left
    return forest


def _tree_rows(root: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Nodes of one tree, the root first, with the places of their children; and the tree's depth."""
    rows: list[dict[str, Any]] = [dict(root)]
    depths = [0]
    for place, node in enumerate(rows):
        if "leaf_value" not in node:
            node["children"] = (len(rows), len(rows) + 1)
            rows += [dict(node["left_child"]), dict(node["right_child"])]
            depths += [depths[place] + 1] * 2
    return rows, max(depths)
