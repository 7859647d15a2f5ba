"""Tasks to predict, named on the command line, described in YAML files, or those that a database has."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs.database.home import HOME_BENCHMARKS
from neuneu.designs.database.metric_names import METRIC_ALIASES, check_setting
from neuneu.designs.database.store import DesignStore
from neuneu.designs.database.views import evaluations
from neuneu.designs.prediction.targets import PUBLISHED_TASKS, DesignTask, find_tasks, matches
from neuneu.errors import InputError, offered
from neuneu.files import read_document

FIELDS = ("name", "setting", "metric", "pattern")
HOME_TASKS = tuple(DesignTask(name, "0-shot", metric, text) for name, metric, text in HOME_BENCHMARKS)
"""What is predicted of the packaged home suite, unless other tasks are asked for."""
LEAST = 30
"""Models that a task must have, as published."""


def read_tasks(path: str | Path) -> tuple[DesignTask, ...]:
    """The tasks of a YAML file: a list under `tasks` of mappings name, setting, metric and pattern.

    pattern: a regular expression that the benchmarks' whole names match, by default the name itself; the
    score is their mean. metric: as stored (accuracy, acc_norm, brier_score, perplexity, …) or as harnesses
    write it (acc). Raises InputError with the number of the task that breaks a rule.
    """
    path = Path(path)
    document = read_document(path)
    entries = document.get("tasks") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise InputError("must hold a list of tasks under `tasks`", where=path)
    tasks = [_task(entry, f"{path}, task {number}") for number, entry in enumerate(entries, 1)]
    for number, task in enumerate(tasks, 1):
        if task in tasks[: number - 1] or task.key in [other.key for other in tasks[: number - 1]]:
            rule = "the same name and setting must not be given twice"
            raise InputError(rule, where=f"{path}, task {number}", field="name", value=task.key)
    return tuple(tasks)


def _task(entry: Any, where: str) -> DesignTask:
    if not isinstance(entry, dict):
        raise InputError("must be a mapping", where=where)
    for key, value in entry.items():
        if key not in FIELDS:
            rule = "unknown" + offered(key, FIELDS)
            raise InputError(rule, where=where, field=key)
        if not isinstance(value, str) or not value.strip():
            raise InputError("must be text", where=where, field=key, value=value)
    for key in FIELDS[:3]:
        if key not in entry:
            raise InputError("must be given", where=where, field=key)
    try:
        check_setting(entry["setting"])
        pattern = str(entry.get("pattern", re.escape(entry["name"])))
        pl.Series([""]).str.contains(f"^(?:{pattern})$")
    except InputError as error:
        raise InputError(error.rule, where=where, field=error.field, value=error.value) from error
    except pl.exceptions.PolarsError as error:
        rule = f"no regular expression: {str(error).splitlines()[0]}"
        raise InputError(rule, where=where, field="pattern", value=pattern) from error
    metric = METRIC_ALIASES.get(entry["metric"], entry["metric"])
    return DesignTask(entry["name"], entry["setting"], str(metric), pattern)


def tasks_of(store: DesignStore, names: Sequence[str]) -> tuple[DesignTask, ...]:
    """The tasks of these names, of which those that end in .yaml are files of tasks.

    Without a file, names are of the published tasks, or of the tasks that the database has; without any name,
    all of those.
    """
    files = [name for name in names if name.endswith((".yaml", ".yml"))]
    rest = [name for name in names if name not in files]
    if files:
        return find_tasks(rest, [task for file in files for task in read_tasks(file)])
    return find_tasks(rest, default_tasks(store))


def default_tasks(store: DesignStore) -> tuple[DesignTask, ...]:
    """The published tasks, or those of the home suite, if 30 models have one of them; else every measurement
    that 30 models have, by its own name."""
    values = evaluations(store)
    for tasks in (PUBLISHED_TASKS, HOME_TASKS):
        if any(matches(values, task)["id"].n_unique() >= LEAST for task in tasks):
            return tasks
    counts = values.group_by("benchmark", "setting", "metric").agg(pl.col("id").n_unique())
    found = counts.filter(pl.col("id") >= LEAST).sort("benchmark", "setting", "metric")
    every = [DesignTask(name, setting, metric, re.escape(name)) for name, setting, metric, _ in found.rows()]
    return tuple(every) or PUBLISHED_TASKS
