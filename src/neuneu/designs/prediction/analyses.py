"""What goes with what: compositions read from generations, correlations, principal components."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import folds
from neuneu.designs.prediction.significance import benjamini_hochberg
from neuneu.errors import InputError, check_known, how_many

DOMAINS = ("web", "code", "books", "reference", "academic")
LEAST = 10
"""Models that two columns must share before they are correlated."""


def composition_map(generated: Matrix, true: Matrix, *, steps: int = 200) -> Matrix:
    """Weights (domains generated, domains true) in [0, 1], of sum 5, from generated shares to true ones.

    generated, true: (models, domains) in per cent, rows of sum 100. Predictions are rows times weights,
    scaled to 100; least squares by SLSQP from the identity, as published.
    """
    from scipy.optimize import LinearConstraint, minimize

    count = true.shape[1]
    best = minimize(
        map_loss,
        np.eye(count).ravel(),
        args=(generated, true),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count**2,
        constraints=LinearConstraint(np.ones((1, count**2)), count, count),
        options={"maxiter": steps},
    )
    return np.asarray(np.clip(best.x, 0, 1).reshape(count, count), np.float64)


def map_loss(weights: Matrix, generated: Matrix, true: Matrix) -> tuple[float, Matrix]:
    """Mean squared error of the map in squares of a per cent, and its gradient.

    weights: (domains²,) row by row; generated, true: (models, domains).
    """
    count = true.shape[1]
    raw = generated @ weights.reshape(count, count)
    total = np.maximum(raw.sum(1, keepdims=True), 1e-9)
    left = 100 * raw / total - true
    slope = 100 / total * (left - (left * raw).sum(1, keepdims=True) / total)
    return float((left**2).mean()), (generated.T @ slope * 2 / left.size).ravel()


def apply_map(generated: Matrix, weights: Matrix) -> Matrix:
    """True shares predicted from generated ones, (models, domains), rows of sum 100."""
    raw = generated @ weights
    return np.asarray(100 * raw / np.maximum(raw.sum(1, keepdims=True), 1e-9), np.float64)


def compositions(
    table: DesignTable, *, split: str = "organisation", count: int = 5, seed: int = 0
) -> pl.DataFrame:
    """Pretraining data read from generations: a row a (model, domain), each model predicted by a map that
    was fitted without its group.

    Columns generated (share of what it writes), predicted, mean (of the training models), true; per cent.
    Raises InputError where fewer than 20 models have both.
    """
    generated_names = [f"domain_{domain}_pct_mean" for domain in DOMAINS]
    true_names = [f"pretraining_summary_percentage_{domain}" for domain in DOMAINS]
    for name in (*generated_names, *true_names):
        if name not in table.numbers:
            rule = (
                "the table has no such feature; shares of what models write come from `neuneu designs "
                "generate`, `tag domain` and `aggregate`, then `neuneu designs import features`"
            )
            raise InputError(rule, field="feature", value=name)
    generated, true = table.matrix(generated_names), table.matrix(true_names)
    rows = np.flatnonzero(~np.isnan(generated).any(1) & ~np.isnan(true).any(1) & (generated.sum(1) > 0))
    if len(rows) < 20:
        rule = f"{how_many(len(rows), 'model')} with generated and true shares; needs 20"
        raise InputError(rule, field="generation_features")
    generated = 100 * generated[rows] / generated[rows].sum(1, keepdims=True)
    true = 100 * true[rows] / true[rows].sum(1, keepdims=True)
    predicted, mean = np.empty_like(true), np.empty_like(true)
    for train, test in folds(table.groups(split)[rows], count, seed):
        predicted[test] = apply_map(generated[test], composition_map(generated[train], true[train]))
        mean[test] = true[train].mean(0)
    return pl.DataFrame(
        {
            "id": np.repeat([table.ids[i] for i in rows], len(DOMAINS)),
            "domain": list(DOMAINS) * len(rows),
            "generated": generated.ravel(),
            "predicted": predicted.ravel(),
            "mean": mean.ravel(),
            "true": true.ravel(),
        }
    )


def composition_errors(found: pl.DataFrame) -> pl.DataFrame:
    """A row a domain: mean absolute error in points of the map, of the generated shares themselves and of
    the training mean; and the correlation of the map with the truth."""
    errors = [
        (pl.col(name) - pl.col("true")).abs().mean().alias(f"{name}_mae")
        for name in ("predicted", "generated", "mean")
    ]
    return found.group_by("domain", maintain_order=True).agg(
        pl.len().alias("models"), *errors, pl.corr("predicted", "true").alias("pearson")
    )


def correlations(table: DesignTable, *, of: str = "tasks") -> pl.DataFrame:
    """Correlations of every pair: columns a, b, models, correlation, p, p_fdr, measure; strongest first.

    of: tasks (Pearson, of scores), features (Kendall's τ, of numbers) or both (τ, features with tasks).
    Missing values are left out, pair by pair; pairs with fewer than 10 models in common are left out.
    p_fdr: Benjamini-Hochberg over all pairs. Models are taken for independent, which families are not.
    """
    from scipy import stats

    scores = {task.key: table.y[:, k] for k, task in enumerate(table.tasks)}
    numbers = dict(table.numbers)
    pools = {"tasks": (scores, scores), "features": (numbers, numbers), "both": (numbers, scores)}
    check_known(of, pools, "of", "unknown")
    left, right = pools[of]
    test: Callable[..., Any] = getattr(stats, "pearsonr" if of == "tasks" else "kendalltau")
    rows = []
    for place, (a, x) in enumerate(left.items()):
        for b, y in list(right.items())[place + 1 if of != "both" else 0 :]:
            seen = ~np.isnan(x) & ~np.isnan(y)
            if seen.sum() < LEAST or np.ptp(x[seen]) == 0 or np.ptp(y[seen]) == 0:
                continue
            value, p = test(x[seen], y[seen])
            rows.append((a, b, int(seen.sum()), float(value), float(p)))
    if not rows:
        raise InputError("no two columns share 10 models", field="of", value=of)
    frame = pl.DataFrame(rows, schema=["a", "b", "models", "correlation", "p"], orient="row")
    frame = frame.with_columns(
        pl.Series("p_fdr", benjamini_hochberg(frame["p"].to_numpy())),
        pl.lit("Pearson's r" if of == "tasks" else "Kendall's τ").alias("measure"),
    )
    return frame.sort(pl.col("correlation").abs(), descending=True, maintain_order=True)


def components(table: DesignTable, count: int = 3, *, of: str = "tasks") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Principal components: loadings (component, share, task or feature, loading) and models (id, one column
    a component, unit spread).

    of: tasks (scores), features (all numbers) or generation (those of what models write). Columns are
    standardised; missing values are imputed by the components themselves, those of columns and models that
    lack more than half are left out. share: of the variance. Loadings are correlations with the component,
    positive on average, for tasks over the accuracies.
    """
    numbers = [name for name in table.numbers if of == "features" or table.kinds[name] == "generation"]
    known = {"tasks": [task.key for task in table.tasks], "features": numbers, "generation": numbers}
    check_known(of, known, "of", "unknown")
    names = known[of]
    if not names:
        raise InputError("this table has no such features", field="of", value=of)
    values = table.y if of == "tasks" else table.matrix(names)
    seen = ~np.isnan(values)
    some = seen.any(1)
    keep = np.flatnonzero(seen[some].mean(0) >= 0.5)
    rows = np.flatnonzero(some & (seen[:, keep].mean(1) >= 0.5))
    if not 1 <= count <= min(len(keep), len(rows)):
        raise InputError(f"must be in [1, {min(len(keep), len(rows))}]", field="count", value=count)
    latents, loadings, shares = principal_components(values[np.ix_(rows, keep)], count)
    higher = np.array([1.0 if of != "tasks" or table.tasks[k].range[1] == 1 else 0.0 for k in keep])
    sign = np.where(loadings @ (higher if higher.any() else np.ones(len(keep))) < 0, -1.0, 1.0)
    latents, loadings = latents * sign, loadings * sign[:, None]
    told = pl.DataFrame(
        {
            "component": np.repeat(np.arange(1, count + 1), len(keep)),
            "share": np.repeat(shares, len(keep)),
            "task" if of == "tasks" else "feature": [names[k] for k in keep] * count,
            "loading": loadings.ravel(),
        }
    )
    found = {f"component {c + 1}": latents[:, c] for c in range(count)}
    return told, pl.DataFrame({"id": [table.ids[i] for i in rows], **found})


def principal_components(scores: Matrix, count: int, sweeps: int = 50) -> tuple[Matrix, Matrix, Matrix]:
    """Latents of unit spread (models, count), correlations with tasks (count, tasks), shares of variance.

    scores: (models, columns), NaN unknown: imputed by the components themselves, in `sweeps` rounds.
    """
    spread = np.nanstd(scores, 0)
    Z = (scores - np.nanmean(scores, 0)) / np.where(spread > 0, spread, 1.0)
    unknown = np.isnan(Z)
    Z[unknown] = 0.0
    for _ in range(sweeps if unknown.any() else 1):
        U, s, V = np.linalg.svd(Z - Z.mean(0), full_matrices=False)
        Z[unknown] = ((U[:, :count] * s[:count]) @ V[:count] + Z.mean(0))[unknown]
    size = np.where(Z.std(0) > 0, Z.std(0), 1.0)
    latents = U[:, :count] * np.sqrt(len(Z))
    loadings = latents.T @ ((Z - Z.mean(0)) / size) / len(Z)
    return latents, loadings, s[:count] ** 2 / (s**2).sum()
