"""What is in a curve table, and what looks wrong in it: runs, tasks, gaps, repeated steps, outliers, noise.

Everything here takes a frame with the columns of the curve table (`table.normalise`), which need not be
valid: `inspect` shows all that is wrong, where CurveTable stops at the first.
"""

import numpy as np
import polars as pl

from neuneu.curves.accuracies import without_accuracy
from neuneu.curves.conditions import condition_changes, setting_changes
from neuneu.curves.curve import Floats
from neuneu.curves.noise import noise_deviation
from neuneu.curves.table import KEY, REQUIRED, fill_facts
from neuneu.curves.tasks import find_metric, find_task
from neuneu.progress import counted

ALIVE = 0.05
"""A curve is at chance if its best accuracy is not this much above chance."""

CONTEXT = 0.2
"""Noise is measured after this fraction of the run's clock, where curves move slowly."""

GAP = 1.6
"""An interval of the clock is a gap if it is this much longer than the longer of its two neighbours."""

OUTLIER = 2.0
MAX_JUMP = 8.0
TREND = 3.0
MIN_WEIGHT = 2.0
"""An outlier checkpoint jumps by OUTLIER deviations of noise in the weighted mean over the run's curves. One
curve counts for at most MAX_JUMP; one whose trend is TREND times its noise has half the weight of one that
only trends, and the weights together are at least MIN_WEIGHT."""

PROBLEM_SCHEMA = {
    "problem": pl.String(), "run": pl.String(), "task": pl.String(), "metric": pl.String(),
    "step": pl.Int64(), "detail": pl.String(),
}  # fmt: skip


def with_clock(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `clock`: tokens if every row of the run has them, else flops, else steps."""
    has = {name: pl.col(name).is_not_null().all().over("run") for name in ("tokens", "flops")}
    clock = (
        pl.when(has["tokens"])
        .then(pl.col("tokens").cast(pl.Float64))
        .when(has["flops"])
        .then(pl.col("flops"))
        .otherwise(pl.col("step").cast(pl.Float64))
    )
    return frame.with_columns(clock.alias("clock"))


def runs(frame: pl.DataFrame) -> pl.DataFrame:
    """A row a run: its facts, how many tasks, curves and checkpoints, first and last step, last tokens."""
    return (
        frame.group_by("run")
        .agg(
            pl.col("source", "family", "params", "recipe").drop_nulls().first(),
            pl.col("task").n_unique().alias("tasks"),
            pl.struct(KEY).n_unique().alias("curves"),
            pl.col("step").n_unique().alias("checkpoints"),
            pl.col("step").min().alias("first_step"),
            pl.col("step").max().alias("last_step"),
            pl.col("tokens").max().alias("last_tokens"),
            pl.len().alias("values"),
        )
        .sort("run")
    )


def tasks(frame: pl.DataFrame) -> pl.DataFrame:
    """A row a task, metric, shots and variant: group, runs, items, chance, last value, at chance, noise.

    last: mean over runs of the last value. at_chance: runs whose best accuracy never exceeds chance by 0.05.
    noise: see `noise`, root mean square over curves.
    """
    kind = ["task", "metric", "n_shot", "variant"]
    curves = (
        fill_facts(frame)
        .sort("step")
        .group_by(KEY)
        .agg(
            pl.col("n_items", "chance").drop_nulls().first(),
            pl.col("value").last().alias("last"),
            pl.col("value").max().alias("best"),
            pl.len().alias("points"),
        )
        .join(noise(frame), on=KEY, how="left", nulls_equal=True)
    )
    table = (
        curves.group_by(kind)
        .agg(
            pl.col("run").n_unique().alias("runs"),
            pl.col("points").median().alias("median_points"),
            pl.col("n_items").first(),
            pl.col("chance").drop_nulls().first(),
            pl.col("last").mean(),
            (pl.col("best") < pl.col("chance") + ALIVE).sum().alias("at_chance"),
            pl.col("noise").pow(2).mean().sqrt(),
        )
        .with_columns(pl.when(pl.col("chance").is_not_null()).then(pl.col("at_chance").cast(pl.Int64)))
        .sort(kind, nulls_last=False)
    )
    groups = {name: find_task(name).group for name in table["task"].unique()}
    group = pl.col("task").replace_strict(groups, default="other", return_dtype=pl.String)
    return table.select(pl.col("task"), group.alias("group"), pl.exclude("task"))


def noise(frame: pl.DataFrame) -> pl.DataFrame:
    """Noise of each curve after the first fifth of the run's clock (`curves.noise`).

    Columns of KEY and `noise`; null where there are not three values at different clocks there.
    """
    later = (
        with_clock(frame)
        .with_columns((pl.col("clock").max().over("run") * CONTEXT).alias("_context"))
        .filter((pl.col("clock") > pl.col("_context")) & pl.col("value").is_finite())
        .unique([*KEY, "clock"], keep="last", maintain_order=True)
        .sort("clock")
    )
    curves = later.group_by(KEY, maintain_order=True).agg("clock", "value")
    found = [
        noise_deviation(np.array(clock, np.float64), np.array(value, np.float64))
        for clock, value in curves.select("clock", "value").iter_rows()
    ]
    return curves.select(*KEY, pl.Series("noise", found, pl.Float64).fill_nan(None))


def problems(frame: pl.DataFrame) -> pl.DataFrame:
    """Everything that looks wrong, a row a finding: problem, run, task, metric, step, detail.

    Rows are taken in the order given, so that a run that went back is seen before they are sorted.
    """
    order = frame.with_row_index("_row").with_columns(pl.col("_row").cast(pl.Int64))
    usable = order.filter(pl.col("value").is_finite() & pl.col("step").is_not_null())
    findings = [
        _bad_values(order),
        _repeated_steps(order),
        _rewound(order),
        _mixed_facts(order),
        _clock_backwards(order),
        _missing_checkpoints(usable),
        _changes(order),
        _no_accuracy(usable),
        gaps(usable),
        outliers(usable),
    ]
    return pl.concat([part.select(list(PROBLEM_SCHEMA)) for part in findings])


def gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """Intervals between a run's checkpoints that are longer than both neighbours' by the factor GAP.

    It takes a neighbour on both sides, so that neither doubling steps nor a coarser grid make a gap.
    """
    points = with_clock(frame).select("run", "step", "clock").sort("run", "clock", "step")
    points = points.unique(["run", "clock"], keep="first", maintain_order=True)
    interval = pl.col("clock").diff().over("run")
    before, after = interval.shift(1).over("run"), interval.shift(-1).over("run")
    found = points.with_columns(
        pl.col("step").shift(1).over("run").alias("before"),
        (interval / pl.max_horizontal(before, after)).alias("times"),
    ).filter((pl.col("times") > GAP) & before.is_not_null() & after.is_not_null())
    detail = pl.format(
        "no checkpoint since step {}: {} times its neighbours' interval", "before", _rounded("times")
    )
    return _findings(found, "gap", detail)


def outliers(frame: pl.DataFrame) -> pl.DataFrame:
    """Checkpoints that jump away from both their neighbours in most curves at once and come back.

    A wrong upload looks like this. The jump of a value is its distance from the median of itself and its two
    neighbours, in units of the curve's noise (1.4826 × median |v[i+1] − v[i]| / √2). A checkpoint is named
    where the mean jump over the run's curves exceeds OUTLIER; curves without a trend, which would look the
    same with another checkpoint in its place, weigh little.
    """
    parts = [
        _run_outliers(run)
        for run in counted(with_clock(frame).partition_by("run", maintain_order=True), "runs")
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=PROBLEM_SCHEMA)


def _run_outliers(run: pl.DataFrame) -> pl.DataFrame:
    points = run.unique([*KEY, "step"], keep="first", maintain_order=True).sort("clock")
    curves = points.group_by(KEY, maintain_order=True).agg("step", "value")
    parts = []
    for steps, values in zip(curves["step"], curves["value"], strict=True):
        sizes, trend = jump_sizes(values.to_numpy())
        if trend > 0:
            parts.append((steps.to_numpy(), sizes, np.full(len(sizes), trend**2 / (TREND**2 + trend**2))))
    if not parts:
        return pl.DataFrame(schema=PROBLEM_SCHEMA)
    columns = dict(
        zip(("step", "size", "weight"), map(np.concatenate, zip(*parts, strict=True)), strict=True)
    )
    size, weight = pl.col("size").clip(upper_bound=MAX_JUMP), pl.col("weight")
    found = (
        pl.DataFrame(columns)
        .group_by("step")
        .agg(
            ((size * weight).sum() / weight.sum()).alias("mean"),
            weight.sum().alias("weight"),
            (pl.col("size") > OUTLIER).sum().alias("jump"),
            pl.len().alias("curves"),
        )
        .filter((pl.col("mean") > OUTLIER) & (pl.col("weight") >= MIN_WEIGHT))
        .sort("step")
        .with_columns(pl.lit(points["run"][0]).alias("run"))
    )
    text = "{} of {} curves jump here and come back, by {} times their noise"
    return _findings(found, "outlier checkpoint", pl.format(text, "jump", "curves", _rounded("mean")))


def jump_sizes(values: Floats) -> tuple[Floats, float]:
    """How far each value is from the median of itself and its neighbours, and the trend, in units of noise.

    values: (n,). Jumps: (n,), ≥ 0, the ends 0. Trend: |median of the last quarter − of the first|. All 0 for
    curves under five points or without noise.
    """
    jumps = np.zeros(len(values))
    if len(values) < 5:
        return jumps, 0.0
    scale = 1.4826 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2)
    if scale <= 0:
        return jumps, 0.0
    middle = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    jumps[1:-1] = np.abs(values[1:-1] - middle) / scale
    quarter = max(1, len(values) // 4)
    trend = float(abs(np.median(values[-quarter:]) - np.median(values[:quarter]))) / scale
    return jumps, trend


def _bad_values(order: pl.DataFrame) -> pl.DataFrame:
    """Missing and non-finite values, negative steps, and values outside the metric's range."""
    metrics = {name: find_metric(name) for name in order["metric"].drop_nulls().unique()}
    low = pl.col("metric").replace_strict({n: m.low for n, m in metrics.items()}, default=-np.inf)
    high = pl.col("metric").replace_strict({n: m.high for n, m in metrics.items()}, default=np.inf)
    value, step = pl.col("value"), pl.col("step")
    checks = {
        **{f"missing {name}": pl.col(name).is_null() for name in REQUIRED},
        "value not finite": ~value.is_finite(),
        "value out of range": value.is_finite() & ~value.is_between(low, high),
        "negative step": step < 0,
    }
    detail = pl.format("value {}", value)
    return pl.concat([_findings(order.filter(bad), name, detail) for name, bad in checks.items()])


def _repeated_steps(order: pl.DataFrame) -> pl.DataFrame:
    """Steps given more than once in a curve, with how many values and how far apart."""
    found = (
        order.group_by([*KEY, "step"])
        .agg(pl.len().alias("times"), (pl.col("value").max() - pl.col("value").min()).alias("apart"))
        .filter(pl.col("times") > 1)
        .sort([*KEY, "step"], nulls_last=False)
    )
    return _findings(found, "repeated step", pl.format("{} values, {} apart", "times", _rounded("apart", 6)))


def _rewound(order: pl.DataFrame) -> pl.DataFrame:
    """Curves with repeated steps whose rows go back: a run restarted from an earlier step."""
    step = pl.col("step")
    found = (
        order.sort("_row")
        .group_by(KEY, maintain_order=True)
        .agg(
            step.filter(step.diff() < 0).first().alias("step"),
            step.filter((step.diff() < 0).shift(-1)).first().alias("before"),
            (step.diff() < 0).sum().alias("times"),
            step.is_duplicated().any().alias("repeated"),
        )
        .filter((pl.col("times") > 0) & pl.col("repeated"))
        .sort(KEY, nulls_last=False)
    )
    return _findings(found, "rewound", pl.format("rows go back from step {}, {} times", "before", "times"))


def _mixed_facts(order: pl.DataFrame) -> pl.DataFrame:
    """Runs with several values of a fact in one source: several runs under one name."""
    parts = []
    for fact in ("params", "recipe", "seed", "planned_tokens", "schedule"):
        known = order.filter(pl.col(fact).is_not_null())
        found = (
            known.group_by("run", "source")
            .agg(pl.col(fact).cast(pl.String).unique().sort().alias("several"))
            .filter(pl.col("several").list.len() > 1)
            .sort("run", "source")
        )
        detail = pl.format(f"several {fact}: {{}}", pl.col("several").list.head(3).list.join(", "))
        parts.append(_findings(found, "merged runs", detail))
    return pl.concat(parts)


def _clock_backwards(order: pl.DataFrame) -> pl.DataFrame:
    """Steps of a run after which the tokens do not grow, and steps with several token counts."""
    tokens = pl.col("tokens")
    points = (
        order.filter(tokens.is_not_null() & pl.col("step").is_not_null())
        .group_by("run", "source", "step")
        .agg(tokens.min().alias("least"), tokens.max().alias("most"))
        .sort("run", "source", "step")
    )
    before = pl.col("most").shift(1).over("run", "source")
    back = points.filter(pl.col("least") <= before)
    several = points.filter(pl.col("least") < pl.col("most"))
    return pl.concat(
        [
            _findings(back, "clock goes back", pl.format("{} tokens, no more than the step before", "least")),
            _findings(several, "merged runs", pl.format("from {} to {} tokens at one step", "least", "most")),
        ]
    )


def _missing_checkpoints(order: pl.DataFrame) -> pl.DataFrame:
    """Curves that lack checkpoints, between their first and last, which most curves of the run have."""
    curves = order.group_by(KEY).agg(
        pl.col("step").unique(), pl.col("step").min().alias("first"), pl.col("step").max().alias("last")
    )
    total = curves.group_by("run").agg(pl.len().alias("curves"))
    usual = (
        curves.explode("step").group_by("run", "step").len().join(total, on="run")
        .filter(pl.col("len") * 2 > pl.col("curves")).select("run", "step")
    )  # fmt: skip
    inside = curves.drop("step").join(usual, on="run").filter(pl.col("step").is_between("first", "last"))
    found = (
        inside.join(order.select([*KEY, "step"]), on=[*KEY, "step"], how="anti", nulls_equal=True)
        .group_by(KEY).agg(pl.col("step").min(), pl.len().alias("lacks")).sort(KEY, nulls_last=False)
    )  # fmt: skip
    return _findings(found, "missing checkpoints", pl.format("lacks {} that other tasks have", "lacks"))


def _changes(order: pl.DataFrame) -> pl.DataFrame:
    """Curves along which the way of evaluation changes, and settings that end where others begin."""
    return pl.concat(
        [
            _findings(condition_changes(order), "conditions change", pl.col("detail")),
            _findings(setting_changes(order), "setting changes", pl.col("detail")),
        ]
    )


def _no_accuracy(usable: pl.DataFrame) -> pl.DataFrame:
    """Tasks without a metric that is known as an accuracy, which means over accuracies leave out."""
    rows = [(task, ", ".join(metrics)) for task, metrics in without_accuracy(usable).items()]
    found = pl.DataFrame(rows, schema={"task": pl.String, "metrics": pl.String}, orient="row")
    detail = pl.format(
        "report, rank, forecast and evaluate leave it out; `metric` takes one of {}", "metrics"
    )
    return _findings(found, "no known accuracy", detail)


def _findings(found: pl.DataFrame, problem: str, detail: pl.Expr) -> pl.DataFrame:
    absent = [name for name in ("run", "task", "metric", "step") if name not in found.columns]
    found = found.with_columns(pl.lit(None, PROBLEM_SCHEMA[name]).alias(name) for name in absent)
    return found.select(
        pl.lit(problem).alias("problem"), "run", "task", "metric", "step", detail.alias("detail")
    )


def _rounded(name: str, digits: int = 1) -> pl.Expr:
    return pl.col(name).round(digits)
