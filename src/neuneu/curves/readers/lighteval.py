"""lighteval's results_<date>.json: config_general, and results by suite|task:subset|shots (or with : for |).

"all" and task:_average are means of other tasks of the file and left out. The standard error of METRIC is
METRIC_stderr. The Open LLM Leaderboard's first files have the same form.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.conditions import conditions_text
from neuneu.curves.readers.identity import NAMING
from neuneu.curves.readers.labels import is_mean, parse_lighteval
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

_DATE = re.compile(r"results_(\d{4})-(\d\d)-(\d\d)T(\d\d)-(\d\d)-(\d\d)")


def is_lighteval(document: Any) -> bool:
    """Whether a JSON document is a results file of lighteval."""
    return bool(mapping(document, "config_general")) and bool(mapping(document, "results"))


@reader(
    "lighteval",
    "lighteval's results_*.json",
    names=["*.json"],
    recognise=lambda look: Fit.MARK if is_lighteval(look.document) else Fit.NO,
    options=NAMING,
)
def read_lighteval(
    files: Sequence[Path], given: Given, report: ReadReport, **options: str | None
) -> pl.DataFrame:
    """Read results files and folders of them; a run is named by its model."""
    return read_results_files(files, _read, "lighteval", given, report, options)


def _read(path: Path, report: ReadReport) -> list[ResultsFile]:
    document = document_of(path)
    if not is_lighteval(document):
        report.skip(path, f"no lighteval results in it{known_as(path)}")
        return []
    return [_results_file(document, path, report)]


def _results_file(document: dict[str, Any], path: Path, report: ReadReport) -> ResultsFile:
    general = mapping(document, "config_general")
    config = mapping(general, "model_config")
    limit = general.get("max_samples")
    conditions = conditions_text({"items": f"{limit} items at most" if isinstance(limit, int) else None})
    rows: list[dict[str, Any]] = []
    for name, metrics in mapping(document, "results").items():
        if is_mean(name) or not isinstance(metrics, dict):
            report.skip(name, "a mean of other tasks")
            continue
        task, shots = parse_lighteval(name)
        values = [(key, value) for key, value in metrics.items() if not key.endswith("_stderr")]
        for metric, value in finite_values(values, path, name, report):
            error = number(metrics.get(f"{metric}_stderr"))
            place: dict[str, Any] = {
                "task": task,
                "metric": metric,
                "n_shot": shots,
                "conditions": conditions,
            }
            rows.append(place | {"value": value, "stderr": error})
    dated = _DATE.search(path.name)
    return ResultsFile(
        path,
        model=text(config.get("model_name")) or text(general.get("model_name")),
        revision=text(config.get("revision")),
        date=float("".join(dated.groups())) if dated else 0.0,
        rows=rows,
    )
