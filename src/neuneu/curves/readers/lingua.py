"""lingua's metrics.eval.jsonl: a line an evaluation, global_step beside the harness's results by task.

The folder is the run. The tokens of a step are those of metrics.jsonl beside it, which training writes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.history import History, name_folders
from neuneu.curves.readers.json_lines import flat, parse_lines, read_lines
from neuneu.curves.readers.labels import parse_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack

STEP, TOKENS = "global_step", "optim/total_tokens"
TRAINING = "metrics.jsonl"


def _recognise(look: Look) -> Fit:
    line = look.line
    if not isinstance(line, dict) or STEP not in line:
        return Fit.NO
    nested = any(isinstance(value, dict) for value in line.values())
    return Fit.MARK if nested and any(parse_column(name) for name in flat(line)) else Fit.NO


@reader(
    "lingua",
    "lingua's metrics.eval.jsonl, with the tokens of metrics.jsonl beside it",
    names=["*.eval.jsonl"],
    recognise=_recognise,
)
def read_lingua(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read evaluation lines; a run is named by its folder."""
    names = name_folders([path.absolute().parent for path in files])
    parts = []
    for path in files:
        folder = path.absolute().parent
        frame = read_lines(path)
        seen = _tokens(folder / TRAINING)
        if seen and STEP in frame.columns and TOKENS not in frame.columns:
            tokens = [seen.get(step) for step in frame[STEP].to_list()]
            frame = frame.with_columns(pl.Series(TOKENS, tokens, dtype=pl.String))
        columns = {"step_column": STEP}
        part = History(frame, path, names[folder], "lingua", columns, given=given).rows(report)
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)


def _tokens(path: Path) -> dict[str, Any]:
    """Step → tokens, both as text, of the training log, where there is one."""
    if not path.is_file():
        return {}
    lines = [flat(line) for line in parse_lines(path)]
    return {str(line[STEP]): str(line[TOKENS]) for line in lines if STEP in line and TOKENS in line}
