"""What is predicted: the score of a model on a task, as a mean over the task's components."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from neuneu.curves.tasks import find_metric
from neuneu.designs.database.schema import metric_range
from neuneu.errors import InputError, offered


@dataclass(frozen=True)
class DesignTask:
    """A score to predict: one setting and metric, averaged over the benchmarks whose name matches
    `pattern`."""

    name: str
    setting: str
    metric: str
    pattern: str

    @property
    def key(self) -> str:
        """Name with shots, as tables print it: mmlu (5-shot)."""
        return f"{self.name} ({self.setting})" if self.setting else self.name

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest possible score; infinite where unknown."""
        if self.logarithmic:
            return 0.0, np.inf
        low, high = metric_range(self.metric)
        known = find_metric(self.metric)
        return max(low, known.low), min(high, known.high)

    @property
    def logarithmic(self) -> bool:
        """Whether tables hold the natural logarithm of the metric: of perplexities, which reach 10²⁹."""
        return self.metric == "perplexity"


PUBLISHED_TASKS: tuple[DesignTask, ...] = (
    DesignTask("arc_challenge", "25-shot", "accuracy", "arc_challenge"),
    DesignTask("gsm8k", "5-shot", "accuracy", "gsm8k|gsm8k_cot"),
    DesignTask("hellaswag", "10-shot", "accuracy", "hellaswag"),
    DesignTask("humaneval", "0-shot", "accuracy", "humaneval"),
    DesignTask("lambada", "0-shot", "accuracy", "lambada_standard|lambada_openai"),
    DesignTask("mmlu", "0-shot", "accuracy", "mmlu_.*"),
    DesignTask("mmlu", "5-shot", "accuracy", "mmlu_.*"),
    DesignTask("truthfulqa", "0-shot", "accuracy", "truthfulqa_mc[12]"),
    DesignTask("winogrande", "5-shot", "accuracy", "winogrande"),
    DesignTask("anli", "0-shot", "brier_score", "anli_.*"),
    DesignTask("logiqa2", "0-shot", "brier_score", "logiqa2"),
    DesignTask("mathqa", "0-shot", "brier_score", "mathqa"),
    DesignTask("xnli", "0-shot", "brier_score", "xnli_.*"),
)
"""The 13 rows of the published tables."""


def matches(evaluations: pl.DataFrame, task: DesignTask) -> pl.DataFrame:
    """The evaluations that a task is made of: its setting, metric and benchmarks, with a value."""
    return evaluations.filter(
        (pl.col("setting") == task.setting)
        & (pl.col("metric") == task.metric)
        & pl.col("benchmark").str.contains(f"^(?:{task.pattern})$")
        & pl.col("metric_value").is_not_null()
    )


def labels(evaluations: pl.DataFrame, task: DesignTask, *, complete: bool = False) -> pl.DataFrame:
    """One row a model: id, value, stderr (of the mean, components independent), components (how many).

    The value is the mean over whatever components the model has; with `complete`, models that lack a
    component that at least half of the others have are left out. Missing standard errors count as unknown
    (null).
    """
    rows = matches(evaluations, task)
    if complete:
        half = rows["id"].n_unique() / 2
        common = rows.group_by("benchmark").len().filter(pl.col("len") >= half)["benchmark"].to_list()
        rows = rows.filter(pl.col("benchmark").is_in(common))
        full = rows.group_by("id").len().filter(pl.col("len") == len(common))["id"].to_list()
        rows = rows.filter(pl.col("id").is_in(full))
    known = pl.col("metric_stderr").is_not_null().all()
    return (
        rows.group_by("id")
        .agg(
            pl.mean("metric_value").alias("value"),
            pl.when(known).then((pl.col("metric_stderr") ** 2).sum().sqrt() / pl.len()).alias("stderr"),
            pl.len().cast(pl.Int64).alias("components"),
        )
        .sort("id")
    )


def find_tasks(names: Sequence[str], tasks: Sequence[DesignTask] = PUBLISHED_TASKS) -> tuple[DesignTask, ...]:
    """The tasks of these names, given as mmlu or "mmlu (5-shot)" or mmlu:5-shot; all for an empty list."""
    found = []
    for name in names:
        plain = re.sub(r"[ (:]+", " ", name.rstrip(")")).strip()
        matches = [t for t in tasks if plain in (t.name, f"{t.name} {t.setting}")]
        if not matches:
            raise InputError("unknown" + offered(name, [t.key for t in tasks]), field="task", value=name)
        found += matches
    return tuple(found) if names else tuple(tasks)
