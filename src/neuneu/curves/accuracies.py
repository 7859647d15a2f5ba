"""Tasks whose metrics are not known as accuracies, and metrics that look like ones."""

import re

import polars as pl

from neuneu.curves.tasks import find_metric

_LIKE = re.compile(
    r"(?:^|[_\-.@])(?:acc|accuracy|exact|em|match|grade|correct|score|pass)(?:$|[_\-.@\d])", re.IGNORECASE
)


def without_accuracy(frame: pl.DataFrame) -> dict[str, list[str]]:
    """Task → its metrics, for tasks of a curve table none of whose metrics is known as an accuracy.

    Metrics that look like accuracies come first, and alone where there are any.
    """
    ends = (
        frame.drop_nulls(["task", "metric"])
        .group_by("task", "metric")
        .agg(pl.col("value").min().alias("low"), pl.col("value").max().alias("high"))
    )
    known: set[str] = set()
    metrics: dict[str, list[str]] = {}
    like: dict[str, list[str]] = {}
    for task, metric, low, high in ends.sort("task", "metric").iter_rows():
        if find_metric(metric).accuracy:
            known.add(task)
        metrics.setdefault(task, []).append(metric)
        if like_accuracy(metric, low, high):
            like.setdefault(task, []).append(metric)
    return {task: like.get(task, names) for task, names in metrics.items() if task not in known}


def like_accuracy(metric: str | None, low: float | None, high: float | None) -> bool:
    """Whether an unknown metric is named like an accuracy and all its values lie in [0, 1]."""
    within = low is not None and high is not None and low >= 0 and high <= 1
    named = metric is not None and not find_metric(metric).accuracy and _LIKE.search(metric) is not None
    return within and named
