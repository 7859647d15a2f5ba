"""Weights & Biases histories: CSV (downloaded in the browser or written from the API) and JSON lines.

A column is a task's value where its name says so (labels.py): arc_easy/acc, eval/downstream/arc_easy_acc,
"my-run - eval/arc_easy/acc_norm" (the browser's form, which names the run), and the forms of OLMo-core,
llm-foundry and lm-evaluation-harness. The step is the trainer's own where it was logged, else wandb's
counter.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers import lingua
from neuneu.curves.readers.bulk import each_file
from neuneu.curves.readers.history import COLUMNS, STEP_COLUMNS, History
from neuneu.curves.readers.json_lines import flat, read_lines
from neuneu.curves.readers.labels import parse_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.readers.run_names import name_files
from neuneu.files.tables import SEPARATORS


def _recognise(look: Look) -> Fit:
    names = look.columns or (tuple(flat(look.line)) if isinstance(look.line, dict) else ())
    logged = any(name in STEP_COLUMNS for name in names)
    return Fit.SHAPE if logged and any(parse_column(name) for name in names) else Fit.NO


@reader(
    "wandb",
    "Weights & Biases histories in CSV (from the browser or the API) and JSON lines",
    names=["*.csv", "*.tsv", "*.jsonl"],
    recognise=_recognise,
    options=COLUMNS,
)
def read_wandb(files: Sequence[Path], given: Given, report: ReadReport, **asked: Any) -> pl.DataFrame:
    """Read .csv and .jsonl histories, one run a file unless the columns name runs.

    A run is named by the file (a log of lingua as its own reader does) unless `given.run` or the columns say
    otherwise. Empty cells and NaN are steps at which nothing was logged. Raises InputError without a step
    column, and on text for numbers.
    """
    metric = next(iter(given.metrics)) if len(given.metrics) == 1 else None
    logs = [path for path in files if path.name.endswith(lingua.ENDING)]
    names = name_files([path for path in files if path not in logs]) | lingua.name_logs(logs)
    parts = []
    for path, frame in each_file(files, _read, given, report, "wandb"):
        part = History(frame, path, names[path], "wandb", asked, metric, given).rows(report)
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)


def _read(path: Path, _: ReadReport) -> pl.DataFrame:
    return read_frame(path) if path.suffix in SEPARATORS else read_lines(path)
