"""What moves predictions: SHAP values of trees on models they were not grown on."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.nested import outer
from neuneu.errors import InputError, MissingExtraError

SETTINGS = {"max_depth": 3, "learning_rate": 0.1, "nthread": 1, "seed": 0}
ROUNDS = 100
DRAWS = 1000


def shap_values(
    table: DesignTable, *, split: str = "random", seeds: Sequence[int] = range(5), scope: str = "all"
) -> pl.DataFrame:
    """A row a (task, seed, fold, model, feature): the feature's value, or label, and its SHAP value.

    Exact TreeSHAP (Lundberg et al. 2018) of XGBoost (depth 3, rate 0.1, 100 rounds) for the test models of
    each fold: prediction = expectation + sum of the SHAP values, in units of the score. A missing value is
    null, not a number.
    """
    names = table.scope(scope)
    groups = table.groups(split)
    X = table.matrix(names)
    labels = [_texts(table, name) for name in names]
    frames = []
    for seed in seeds:
        for fold, (train, test) in enumerate(outer(table, split, groups, seed)):
            for k, task in enumerate(table.tasks):
                rows = table.known(test, k)
                values = _tree_shap(X, table.y[:, k], table.known(train, k), rows)[:, : len(names)]
                count = len(rows) * len(names)
                frames.append(
                    pl.DataFrame(
                        {
                            "task": [task.name] * count,
                            "setting": [task.setting] * count,
                            "metric": [task.metric] * count,
                            "seed": np.full(count, seed),
                            "fold": np.full(count, fold),
                            "id": np.repeat([table.ids[i] for i in rows], len(names)),
                            "feature": names * len(rows),
                            "value": X[rows].ravel(),
                            "label": [labels[j][i] for i in rows for j in range(len(names))],
                            "shap": values.ravel(),
                        },
                        schema_overrides={"label": pl.String},
                    ).with_columns(pl.col("value").fill_nan(None))
                )
    return pl.concat(frames)


def _tree_shap(X: Matrix, y: Matrix, train: Indices, test: Indices) -> Matrix:
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtraError("xgboost", "designs") from error
    model = xgboost.train(SETTINGS, xgboost.DMatrix(X[train], y[train], nthread=1), ROUNDS)
    return np.asarray(model.predict(xgboost.DMatrix(X[test], nthread=1), pred_contribs=True), np.float64)


def _texts(table: DesignTable, name: str) -> list[str | None]:
    if name not in table.categories:
        return [None] * len(table)
    return [label or None for label in table.categories[name]]


def importance(values: pl.DataFrame, clusters: dict[str, str], *, seed: int = 0) -> pl.DataFrame:
    """A row a (task, feature), most important first: mean size of the SHAP values, its interval, direction.

    clusters: id → organisation (or family): low and high are the 95 % interval of a bootstrap over whole
    clusters, so that a family of like models counts as one. direction: rank correlation of value and SHAP
    value (−1 to 1), null for categories.
    """
    unknown = set(values["id"]) - set(clusters)
    if unknown:
        raise InputError("belongs to no cluster", field="id", value=min(unknown))
    keys = ("task", "setting", "metric", "feature")
    one = values.group_by(*keys, "id", maintain_order=True).agg(
        pl.col("shap").abs().mean(), pl.first("value", "label"), pl.mean("shap").alias("signed")
    )
    rng = np.random.default_rng(seed)
    rows = []
    for key, part in one.group_by(keys, maintain_order=True):
        owner = np.unique([clusters[name] for name in part["id"]], return_inverse=True)[1]
        size = part["shap"].to_numpy()
        sums, counts = np.bincount(owner, size), np.bincount(owner)
        drawn = rng.integers(0, len(sums), (DRAWS, len(sums)))
        means = sums[drawn].sum(1) / counts[drawn].sum(1)
        numeric = part.filter(pl.col("label").is_null() & pl.col("value").is_not_null())
        spread = numeric["value"].n_unique() > 1 and numeric["signed"].n_unique() > 1
        direction = numeric.select(pl.corr("value", "signed", method="spearman")).item() if spread else None
        low, high = np.quantile(means, [0.025, 0.975])
        rows.append((*key, float(size.mean()), float(low), float(high), direction))
    schema = {**dict.fromkeys(keys, pl.String), "importance": pl.Float64, "low": pl.Float64}
    frame = pl.DataFrame(rows, schema={**schema, "high": pl.Float64, "direction": pl.Float64}, orient="row")
    return frame.sort("task", "setting", "importance", descending=[False, False, True], maintain_order=True)
