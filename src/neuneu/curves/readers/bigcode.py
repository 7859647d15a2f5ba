"""bigcode-evaluation-harness: {task: {"pass@1": value}, "config": {"model": …, "n_samples": …}}.

pass@k is the metric; how many samples a problem had is the variant (n20): pass@k is estimated from them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.conditions import conditions_text
from neuneu.curves.readers.identity import NAMING
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, document_of, known_as, reader
from neuneu.curves.readers.results_files import ResultsFile, finite_values, mapping, read_results_files, text
from neuneu.curves.tasks import find_task

CONFIG = "config"
SAMPLES = "n_samples"


def is_bigcode(document: Any) -> bool:
    """Whether a JSON document is a results file of the harness: objects of values by task, and a config."""
    config = mapping(document, CONFIG)
    return (
        "model" in config and SAMPLES in config and all(isinstance(part, dict) for part in document.values())
    )


@reader(
    "bigcode",
    "bigcode-evaluation-harness's metrics (humaneval_pass@1.json)",
    names=["*.json"],
    recognise=lambda look: Fit.MARK if is_bigcode(look.document) else Fit.NO,
    options=NAMING,
)
def read_bigcode(
    files: Sequence[Path], given: Given, report: ReadReport, **options: str | None
) -> pl.DataFrame:
    """Read results files and folders of them; a run is named by its model."""
    return read_results_files(files, _read, "bigcode", given, report, options)


def _read(path: Path, report: ReadReport) -> list[ResultsFile]:
    document = document_of(path)
    if not is_bigcode(document):
        report.skip(path, f"no results of bigcode-evaluation-harness in it{known_as(path)}")
        return []
    config = mapping(document, CONFIG)
    limit, warmth = config.get("limit"), config.get("temperature")
    said = {"items": f"{limit} items at most" if limit else None, "temperature": warmth}
    conditions = conditions_text(said)
    variant = f"n{config[SAMPLES]}" if isinstance(config[SAMPLES], int) else None
    rows: list[dict[str, Any]] = []
    for task, metrics in document.items():
        if task == CONFIG:
            continue
        facts = {"task": find_task(task).name, "variant": variant, "conditions": conditions}
        values = finite_values(metrics.items(), path, task, report)
        rows += [facts | {"metric": metric, "value": value} for metric, value in values]
    return [ResultsFile(path, text(config.get("model")), text(config.get("revision")), rows=rows)]
