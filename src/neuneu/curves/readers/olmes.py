"""OLMES (oe-eval) and olmo-eval: metrics.json, metrics-all.jsonl, task-000-NAME-metrics.json.

Three layouts: a task a file (task_name, metrics, task_config, model_config), a list of tasks ("tasks", or
"metrics" with the values beside the name) with one model_config, and a task a line. A task's alias says its
format and its standard: arc_easy:rc::olmes is arc_easy with the variant olmes_rc.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.identity import NAMING
from neuneu.curves.readers.json_lines import parse_lines
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, document_of, known_as, reader
from neuneu.curves.readers.results_files import ResultsFile, finite_values, mapping, read_results_files, text
from neuneu.curves.tasks import find_metric, find_task

METRICS = {"primary_score": "primary_metric", "pass_at_1": "pass@1", "pass_at_10": "pass@10"}
"""OLMES's names of metrics and ours, which are those of its published results."""

NO_METRICS = ("predicted_index", "model_", "extra_metrics")
"""Beginnings of what stands among the metrics and is none: means of the index of an answer, and the like."""

FLAT = ("task", "num_instances", "task_config", "alias")
"""What stands beside the values in the oldest list of tasks."""

_ALIAS = re.compile(r"(?P<task>[^:]+)(?::(?P<format>[^:]+))?(?:::(?P<standard>.+))?")


@reader(
    "olmes",
    "metrics of OLMES (oe-eval) and olmo-eval: metrics.json, metrics-all.jsonl, task-000-NAME-metrics.json",
    names=["*metrics*.json", "*metrics*.jsonl"],
    recognise=lambda look: Fit.MARK if is_olmes(look.document or look.line) else Fit.NO,
    options=NAMING,
)
def read_olmes(
    files: Sequence[Path], given: Given, report: ReadReport, **options: str | None
) -> pl.DataFrame:
    """Read metrics files and folders of them; a run is named by its model, else by its folder.

    What stands both in a task's file and in the list of all tasks is one value.
    """
    return read_results_files(files, _read, "olmes", given, report, options)


def _read(path: Path, report: ReadReport) -> list[ResultsFile]:
    documents = parse_lines(path) if path.suffix == ".jsonl" else [document_of(path)]
    if not documents or not is_olmes(documents[0]):
        report.skip(path, f"no OLMES metrics in it{known_as(path)}")
        return []
    return [_results_file(document, path, report) for document in documents if is_olmes(document)]


def is_olmes(document: Any) -> bool:
    """Whether a JSON document is a task's metrics or a list of them."""
    if not isinstance(document, dict):
        return False
    tasks = document.get("tasks", document.get("metrics"))
    listed = isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks)
    known = "all_primary_scores" in document or "summary" in document
    alone = "task_name" in document and isinstance(document.get("metrics"), dict)
    return (listed and known) or (alone and "task_config" in document)


def parse_alias(alias: str) -> tuple[str, str | None]:
    """The task and variant of a task's alias: arc_easy:rc::olmes → ("arc_easy", "olmes_rc")."""
    found = _ALIAS.fullmatch(alias)
    if found is None:
        return find_task(alias).name, None
    parts = [found["standard"], found["format"]]
    variant = "_".join(part.replace(":", "_") for part in parts if part)
    return find_task(found["task"]).name, variant or None


def _results_file(document: dict[str, Any], path: Path, report: ReadReport) -> ResultsFile:
    model = mapping(document, "model_config")
    return ResultsFile(
        path,
        model=text(model.get("model_path")) or text(model.get("model")) or text(model.get("model_name")),
        revision=text(model.get("revision")),
        rows=[row for task in _tasks(document) for row in _task_rows(task, path, report)],
    )


def _tasks(document: dict[str, Any]) -> list[dict[str, Any]]:
    tasks = document.get("tasks", document.get("metrics"))
    return tasks if isinstance(tasks, list) else [document]


def _task_rows(task: dict[str, Any], path: Path, report: ReadReport) -> Iterator[dict[str, Any]]:
    config = mapping(task, "task_config")
    names = (
        mapping(config, "metadata").get("alias"), task.get("alias"), task.get("task_name"), task.get("task"),
    )  # fmt: skip
    alias = next((name for name in names if text(name)), None)
    if alias is None:
        report.skip(path, "a task without a name")
        return
    name, variant = parse_alias(alias)
    shots, items = config.get("num_shots"), task.get("num_instances")
    facts = {
        "task": name,
        "variant": variant,
        "n_shot": shots if isinstance(shots, int) else None,
        "n_items": items if isinstance(items, int) else None,
    }
    nested = task.get("metrics")
    metrics = nested if isinstance(nested, dict) else {k: v for k, v in task.items() if k not in FLAT}
    told = [
        (key, value) for key, value in metrics.items() if value is not None and not key.startswith(NO_METRICS)
    ]
    numbers = [(key, value) for key, value in told if not isinstance(value, dict | list | str)]
    for metric, value in finite_values(numbers, path, alias, report):
        primary = find_metric(str(config.get("primary_metric")))
        if metric == "primary_score" and (not 0 <= value <= 1 or not primary.higher_is_better):
            continue  # another name of a metric that is no accuracy and is read by its own
        yield facts | {"metric": METRICS.get(metric, metric), "value": value}
