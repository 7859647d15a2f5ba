"""Every Eval Ever: evaluation_results with metric_config and score_details (schema 0.2 and later).

evaluation_name is the task, or task/filter; the metric is its name in metric_config. What the file says are
percentages is divided by 100.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.identity import NAMING
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, document_of, known_as, reader
from neuneu.curves.readers.results_files import (
    ResultsFile,
    finite_values,
    mapping,
    number,
    read_results_files,
    text,
)
from neuneu.curves.tasks import find_metric, find_task, metric_names

METRICS = {"accuracy": "acc", "exact match": "exact_match", "normalized accuracy": "acc_norm"}
"""Display names of metrics and ours."""

PERCENT = "percent"
_FIELDS = {"schema_version", "evaluation_results", "model_info"}


@reader(
    "every-eval-ever",
    "Every Eval Ever's evaluation logs (JSON)",
    names=["*.json"],
    recognise=lambda look: Fit.MARK if look.keys >= _FIELDS else Fit.NO,
    options=NAMING,
)
def read_every_eval_ever(
    files: Sequence[Path], given: Given, report: ReadReport, **options: str | None
) -> pl.DataFrame:
    """Read evaluation logs and folders of them; a run is named by its model."""
    return read_results_files(files, _read, "every-eval-ever", given, report, options)


def _read(path: Path, report: ReadReport) -> list[ResultsFile]:
    document = document_of(path)
    results = document.get("evaluation_results") if isinstance(document, dict) else None
    if not isinstance(results, list) or not set(document) >= _FIELDS:
        report.skip(path, f"no log of Every Eval Ever{known_as(path)}")
        return []
    model = mapping(document, "model_info")
    details = mapping(model, "additional_details")
    params = text(details.get("num_parameters"))
    file = ResultsFile(
        path,
        model=text(model.get("name")) or text(model.get("id")),
        revision=text(details.get("revision")),
        date=_seconds(document.get("evaluation_timestamp")),
        params=int(params) if params and params.isdecimal() else None,
        rows=[row for result in results for row in _rows(result, path, report)],
    )
    return [file]


def _rows(result: Any, path: Path, report: ReadReport) -> Iterator[dict[str, Any]]:
    config, score = mapping(result, "metric_config"), mapping(result, "score_details")
    name = text(mapping(result).get("evaluation_name"))
    told = (text(config.get(key)) for key in ("metric_name", "metric_id", "evaluation_description"))
    metric = next((one for one in told if one), None)
    if name is None or metric is None:
        report.skip(path, "a result without the name of its task or metric")
        return
    task, _, filtered = name.partition("/")
    uncertainty = mapping(score, "uncertainty")
    error = uncertainty.get("standard_error")
    error = number(error.get("value") if isinstance(error, dict) else error)
    shots = mapping(result, "generation_config", "additional_details").get("num_fewshot")
    items = uncertainty.get("num_samples")
    for _, value in finite_values([(metric, score.get("score"))], path, name, report):
        metric = metric if metric in metric_names() else METRICS.get(metric.casefold(), metric)
        scale = 100.0 if config.get("metric_unit") == PERCENT and find_metric(metric).high <= 1 else 1.0
        yield {
            "task": find_task(task).name,
            "metric": metric,
            "variant": filtered or None,
            "n_shot": int(str(shots)) if str(shots).isdecimal() else None,
            "value": value / scale,
            "stderr": None if error is None else error / scale,
            "n_items": items if isinstance(items, int) else None,
        }


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
