"""What predictions amount to: errors, coverage and corrected tests by task, and errors by model."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from neuneu.curves.tasks import find_metric
from neuneu.designs.prediction.significance import benjamini_hochberg, half_width, paired_t
from neuneu.errors import InputError

TASK = ("task", "setting", "metric")
LEAST = 10
"""Models that errors are held against a feature with at least."""


def with_errors(predictions: pl.DataFrame) -> pl.DataFrame:
    """The predictions with columns error (predicted − true), miss (its size), covered and width."""
    return predictions.with_columns(
        (pl.col("q50") - pl.col("true")).alias("error"),
        (pl.col("q50") - pl.col("true")).abs().alias("miss"),
        pl.col("true").is_between("q10", "q90").alias("covered"),
        (pl.col("q90") - pl.col("q10")).alias("width"),
    )


def summary(predictions: pl.DataFrame, reference: str = "log-linear") -> pl.DataFrame:
    """A row a (task, method): MAE (mean of folds, then seeds), coverage and width of the 80 % interval,
    label noise.

    mae_ci: half-width of the 95 % t interval over seeds, which are splits of the same models; noise: mean
    absolute error that the labels' own standard errors would cause (normal), null where unknown.
    skill_percent: how far the MAE is below the reference's. p, p_fdr: against the reference on the same
    folds; Nadeau-Bengio corrected, then Benjamini-Hochberg over all rows of the table.
    """
    folds = _by_fold(predictions)
    known = folds["method"].unique().to_list()
    if reference not in known:
        raise InputError(f"not among {', '.join(sorted(known))}", field="reference", value=reference)
    rows = []
    for key, task in folds.group_by(*TASK, maintain_order=True):
        base = task.filter(method=reference)
        for (method,), part in task.group_by("method", maintain_order=True):
            seeds = part.group_by("seed", maintain_order=True).agg(pl.mean("miss"))["miss"].to_numpy()
            mae, other = float(part["miss"].to_numpy().mean()), float(base["miss"].to_numpy().mean())
            rows.append(
                {
                    **dict(zip(TASK, key, strict=True)),
                    "method": method,
                    "models": int(part.filter(seed=part["seed"][0])["len"].sum()),
                    "mae": mae,
                    "mae_ci": half_width(seeds) if len(seeds) > 1 else None,
                    "skill_percent": (1 - mae / other) * 100,
                    "coverage80": part["covered"].mean(),
                    "width80": part["width"].mean(),
                    "noise": part["noise"].mean(),
                    "p": None if method == reference else corrected_p(part, base),
                }
            )
    absent = dict.fromkeys(("p", "mae_ci", "noise", "coverage80", "width80"), pl.Float64)
    frame = pl.DataFrame(rows, schema_overrides=absent)
    return frame.with_columns(adjusted(frame["p"]).alias("p_fdr"))


def brief(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a summary that fit a terminal; `coverage` is of the 80 % interval."""
    name = pl.when(pl.col("setting") == "").then("task").otherwise(pl.format("{} ({})", "task", "setting"))
    return frame.select(
        name.alias("task"),
        "method",
        "models",
        "mae",
        _rounded("skill_percent", 1).alias("skill %"),
        _rounded("coverage80", 2).alias("coverage"),
        "p_fdr",
    )


def _rounded(name: str, decimals: int) -> pl.Expr:
    """A column of numbers as texts with so many decimals."""
    return pl.col(name).map_elements(lambda value: f"{value:.{decimals}f}", return_dtype=pl.String)


def overall(frame: pl.DataFrame) -> pl.DataFrame:
    """The mean over the rows of a summary: a row a method, best first."""
    return (
        frame.group_by("method", maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.mean("mae", "coverage80", "width80"),
            (pl.col("p_fdr") < 0.05).sum().alias("significant"),
        )
        .sort("mae")
    )


def _by_fold(predictions: pl.DataFrame) -> pl.DataFrame:
    return (
        with_errors(predictions)
        .group_by(*TASK, "method", "seed", "fold", maintain_order=True)
        .agg(
            pl.mean("miss", "covered", "width"),
            (pl.mean("stderr") * np.sqrt(2 / np.pi)).alias("noise"),
            pl.len(),
        )
    )


def corrected_p(part: pl.DataFrame, base: pl.DataFrame) -> float | None:
    """Nadeau and Bengio's p of two methods on the same folds, one task; null with fewer than two folds."""
    if len(part) != len(base) or len(part) <= 1:
        return None
    differences = base["miss"].to_numpy() - part["miss"].to_numpy()
    total = int(part.filter(seed=part["seed"][0])["len"].sum())
    tested = float(part["len"].to_numpy().mean())
    return paired_t(differences, test_share=tested / (total - tested))


def adjusted(p: pl.Series) -> pl.Series:
    """p values adjusted together (Benjamini-Hochberg), null where null."""
    found = np.full(len(p), np.nan)
    seen = p.is_not_null().to_numpy()
    if seen.any():
        found[seen] = benjamini_hochberg(p.drop_nulls().to_numpy())
    return pl.Series(found).fill_nan(None)


def comparisons(predictions: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Each method against another on the same folds: a row a (task, pair), all p values adjusted together.

    pairs: (method, reference); columns method, reference, mae, reference_mae, skill_percent, p, p_fdr.
    """
    folds = _by_fold(predictions)
    rows = []
    for key, task in folds.group_by(*TASK, maintain_order=True):
        for method, reference in pairs:
            part, base = task.filter(method=method), task.filter(method=reference)
            if part.is_empty() or base.is_empty():
                raise InputError("has no predictions", field="method", value=f"{method} or {reference}")
            mae, other = float(part["miss"].to_numpy().mean()), float(base["miss"].to_numpy().mean())
            rows.append(
                {
                    **dict(zip(TASK, key, strict=True)),
                    "method": method,
                    "reference": reference,
                    "mae": mae,
                    "reference_mae": other,
                    "skill_percent": (1 - mae / other) * 100,
                    "p": corrected_p(part, base),
                }
            )
    frame = pl.DataFrame(rows, schema_overrides={"p": pl.Float64})
    return frame.with_columns(adjusted(frame["p"]).alias("p_fdr"))


def error_table(predictions: pl.DataFrame, *, by: str = "model") -> pl.DataFrame:
    """Where predictions are off, worst first: by model (over tasks and seeds), or by task and model.

    better: how much better than predicted (true − predicted; the reverse for Brier scores and losses); miss:
    mean absolute error; standing: miss in units of the method's mean over the task, so that tasks can be
    averaged; outside: share of predictions whose 80 % interval missed.
    """
    if by not in ("model", "task"):
        raise InputError("must be model or task", field="by", value=by)
    lower = [name for name in predictions["metric"].unique() if not find_metric(name).higher_is_better]
    unit = pl.mean("miss").over(*TASK, "method")
    scored = with_errors(predictions).with_columns(
        (pl.col("miss") / unit).alias("standing"),
        (~pl.col("covered")).alias("outside"),
        (pl.col("error") * pl.when(pl.col("metric").is_in(lower)).then(1).otherwise(-1)).alias("better"),
    )
    keys = ["method", "id"] if by == "model" else ["method", *TASK, "id"]
    return (
        scored.group_by(keys, maintain_order=True)
        .agg(
            pl.struct(TASK).n_unique().alias("tasks"),
            pl.mean("better", "miss", "standing", "outside"),
            pl.any("extrapolates"),
        )
        .sort("method", "standing", descending=[False, True], maintain_order=True)
    )


def errors_against(predictions: pl.DataFrame, feature: str, known: Mapping[str, float | str]) -> pl.DataFrame:
    """What a feature explains of the errors: a row a (method, task), with R², most first.

    known: id → number, or label of a category; other models are left out. error: predicted − true, mean over
    seeds. Of a number, slope is of the least-squares line; of a category, R² is what the labels' means
    explain. p_fdr: of no relation, Benjamini-Hochberg over the table; models are taken for independent. Tasks
    with fewer than ten models, or one value, are left out; InputError where none is left.
    """
    from scipy import stats

    keys = ["method", *TASK]
    errors = with_errors(predictions).group_by(*keys, "id", maintain_order=True).agg(pl.mean("error"))
    rows = []
    for key, part in errors.group_by(keys, maintain_order=True):
        pairs = [(known[name], error) for name, error in part.select("id", "error").rows() if name in known]
        found, values = [value for value, _ in pairs], np.array([error for _, error in pairs])
        if len(pairs) < LEAST or len(set(found)) < 2 or np.ptp(values) == 0:
            continue
        if isinstance(found[0], str):
            groups = [values[[label == one for label in found]] for one in sorted(set(map(str, found)))]
            within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
            r2 = 1 - within / float(((values - values.mean()) ** 2).sum())
            p = float(stats.f_oneway(*groups).pvalue) if len(groups) < len(values) else None
            rows.append((*key, feature, len(pairs), None, r2, p))
        else:
            line = stats.linregress(np.array(found, np.float64), values)
            rows.append(
                (*key, feature, len(pairs), float(line.slope), float(line.rvalue**2), float(line.pvalue))
            )
    if not rows:
        raise InputError(
            f"fewer than {LEAST} models have it, or it has one value", field="against", value=feature
        )
    schema = {**dict.fromkeys((*keys, "feature"), pl.String), "models": pl.Int64}
    schema |= dict.fromkeys(("slope", "r2", "p"), pl.Float64)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(adjusted(frame["p"]).alias("p_fdr")).sort(
        "method", "r2", descending=[False, True], maintain_order=True
    )


def signed_errors(predictions: pl.DataFrame, known: Mapping[str, float | str]) -> pl.DataFrame:
    """Signed errors of the first method, mean over seeds, beside what is known of the model: columns task,
    setting, metric, id, value, label, error."""
    first = predictions.filter(pl.col("method") == predictions["method"][0])
    errors = with_errors(first).group_by(*TASK, "id", maintain_order=True).agg(pl.mean("error"))
    ours = errors.filter(pl.col("id").is_in(list(known)))
    found = [known[name] for name in ours["id"]]
    labels = [value if isinstance(value, str) else None for value in found]
    values = [None if isinstance(value, str) else value for value in found]
    return ours.with_columns(pl.Series("value", values, pl.Float64), pl.Series("label", labels, pl.String))


def merge_rows(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """A summary whose rows of a task and its parts (mmlu in several settings; arithmetic_1dc, …) are one.

    As published: errors are averaged over the rows, a method at a time; tests, which were of the parts, are
    left empty; setting is empty. Raises InputError where no row is called so.
    """
    ours = (pl.col("task") == name) | pl.col("task").str.starts_with(f"{name}_")
    parts = frame.filter(ours)
    if parts.is_empty():
        raise InputError("no row to merge", field="merge", value=name)
    by = ["method"] if "method" in frame.columns else []
    numbers = [
        c for c, kind in frame.schema.items() if kind.is_float() and not c.startswith("p_") and c != "p"
    ]
    kept = parts.with_columns(pl.lit(name).alias("task"), pl.lit("").alias("setting"))
    averaged = kept.group_by("task", "setting", "metric", *by, maintain_order=True).agg(
        *(pl.mean(column) for column in numbers), *(pl.max(c) for c in ("models",) if c in frame.columns)
    )
    return pl.concat([frame.filter(~ours), averaged], how="diagonal").select(frame.columns)
