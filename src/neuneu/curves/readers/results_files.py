"""Results files of harnesses: what one says of its checkpoint, and its values; together rows of curves."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.lm_eval import _run_of
from neuneu.curves.readers.parsing import Given, ReadReport, compile_step_pattern, find_step
from neuneu.curves.readers.pythia_models import known_facts
from neuneu.curves.table import columns_of

NAMING = {"step_pattern": r"regular expression of the step, like 'step(\d+)'."}
"""Options of every reader of results files."""

NO_STEP = r"its step is in neither revision, model nor path: --step-pattern 'step(\d+)'"


@dataclass
class ResultsFile:
    """One evaluation of one checkpoint: the file, the model as it is named there, when, and its values.

    rows: dictionaries with columns of the curve table, task, metric and value at least.
    """

    path: str | Path
    model: str | None = None
    revision: str | None = None
    step: int | None = None
    tokens: int | None = None
    date: float = 0.0
    params: int | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)


def place_rows(
    found: Sequence[ResultsFile],
    source: str,
    given: Given,
    report: ReadReport,
    options: dict[str, str | None],
) -> pl.DataFrame:
    """The rows of all files with their runs and steps, the older first; files without a step are skipped."""
    pattern = compile_step_pattern(options.get("step_pattern"))
    rows: list[dict[str, Any]] = []
    for file in sorted(found, key=lambda file: (file.date, str(file.path))):
        texts = [text for text in (file.revision, file.model, str(file.path)) if text]
        step = file.step if file.step is not None else find_step(texts, pattern)
        if step is None:
            report.skip(file.path, NO_STEP)
            continue
        run = _run_of({"model_name": file.model}, pattern)
        facts = {"run": run, "step": step, "source": source, **known_facts(run, step)}
        facts |= {"params": file.params} if file.params else {}
        facts |= {"tokens": file.tokens} if file.tokens is not None else {}
        report.read[str(file.path)] += len(file.rows)
        rows += [facts | row for row in file.rows]
    return columns_of(rows)


def finite_values(
    values: Iterable[tuple[str, Any]], path: str | Path, what: str, report: ReadReport
) -> Iterable[tuple[str, float]]:
    """Names and values that are finite numbers; others are counted with their place."""
    for name, value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            report.skip(path, f"{what} {name} is {value!r}, no finite number")
        else:
            yield name, float(value)


def number(value: Any) -> float | None:
    """A finite number, else None."""
    told = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if told else None


def mapping(document: Any, *names: str) -> dict[str, Any]:
    """The object at names in objects, empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def text(value: Any) -> str | None:
    """A text that says something, else None."""
    return value if isinstance(value, str) and value else None
