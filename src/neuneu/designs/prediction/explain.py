"""What moves predictions: SHAP values of trees on models they were not grown on."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.nested import outer
from neuneu.errors import InputError, MissingExtraError
from neuneu.progress import counted

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
    for seed in counted(seeds, "seeds"):
        for fold, (train, test) in enumerate(counted(outer(table, split, groups, seed), "folds")):
            for k, task in enumerate(table.tasks):
                rows = table.known(test, k)
                values = tree_shap(X, table.y[:, k], table.known(train, k), rows)[:, : len(names)]
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


def tree_shap(X: Matrix, y: Matrix, train: Indices, test: Indices) -> Matrix:
    """SHAP values of the test rows, (rows, features + 1), the expectation last; XGBoost grown on `train`."""
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


def by_kind(values: pl.DataFrame, kinds: Mapping[str, str]) -> pl.DataFrame:
    """SHAP values added up by kind of feature (scale, composition, …), in the columns of `shap_values`.

    What adds up is a model's whole shift by that kind, in which features that pull apart cancel.
    """
    unknown = set(values["feature"]) - set(kinds)
    if unknown:
        raise InputError("belongs to no kind", field="feature", value=min(unknown))
    keys = ["task", "setting", "metric", "seed", "fold", "id"]
    return (
        values.with_columns(pl.col("feature").replace_strict(dict(kinds), return_dtype=pl.String))
        .group_by(*keys, "feature", maintain_order=True)
        .agg(pl.sum("shap"))
        .with_columns(value=pl.lit(None, pl.Float64), label=pl.lit(None, pl.String))
    )


def task_profiles(values: pl.DataFrame) -> tuple[list[tuple[str, str]], Matrix]:
    """((task, setting), …) and what each leans on: shares of the mean size of SHAP values, rows of sum 1."""
    sizes = values.group_by("task", "setting", "feature", maintain_order=True).agg(
        pl.col("shap").abs().mean()
    )
    wide = sizes.pivot("feature", index=["task", "setting"], values="shap").fill_null(0.0)
    matrix = wide.drop("task", "setting").to_numpy()
    total = matrix.sum(1, keepdims=True)
    return wide.select("task", "setting").rows(), matrix / np.where(total > 0, total, 1.0)


def task_tree(values: pl.DataFrame) -> tuple[pl.DataFrame, Matrix]:
    """Tasks joined by what their predictions lean on: Ward's clustering of `task_profiles`, as published.

    A row a join: step, distance, tasks (of the joined branch); and SciPy's linkage matrix. Raises InputError
    with fewer than two tasks.
    """
    from scipy.cluster.hierarchy import linkage

    keys, profiles = task_profiles(values)
    if len(keys) < 2:
        raise InputError("needs at least two tasks", field="task", value=len(keys))
    links = np.asarray(linkage(profiles, method="ward"), np.float64)
    branches = [[f"{name} ({setting})" if setting else name] for name, setting in keys]
    rows = []
    for step, (a, b, distance, _) in enumerate(links, 1):
        branches.append([*branches[int(a)], *branches[int(b)]])
        rows.append((step, float(distance), branches[int(a)], branches[int(b)]))
    schema: dict[str, pl.DataType] = {"step": pl.Int64(), "distance": pl.Float64()}
    schema |= dict.fromkeys(("first", "second"), pl.List(pl.String))
    return pl.DataFrame(rows, schema=schema, orient="row"), links
