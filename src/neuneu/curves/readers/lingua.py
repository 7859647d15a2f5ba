"""lingua's metrics.eval.jsonl: a line an evaluation, global_step beside the harness's results by task.

The folder is the run; a folder evals/0000001000, in which an evaluation by hand logs, is a step of the run
above, and a log of another name than metrics is named by somebody, so that it names the run. The tokens of a
step are those of metrics.jsonl beside it or in the run's folder, which training writes.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.history import History, name_folders
from neuneu.curves.readers.json_lines import flat, parse_lines, read_lines
from neuneu.curves.readers.labels import parse_column
from neuneu.curves.readers.names import is_plain
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack

STEP, TOKENS = "global_step", "optim/total_tokens"
TRAINING = "metrics.jsonl"
ENDING = ".eval.jsonl"
USUAL = "metrics"
"""What lingua's logs are called before ENDING, whatever the run."""

_STEP_FOLDER = re.compile(r"/(?:\d{10}|evals?/\d+)$")
"""lingua writes the step of a checkpoint with ten digits (its train.py: dump_dir/evals/{step:010d})."""


def _recognise(look: Look) -> Fit:
    line = look.line
    if not isinstance(line, dict) or STEP not in line:
        return Fit.NO
    nested = any(isinstance(value, dict) for value in line.values())
    return Fit.MARK if nested and any(parse_column(name) for name in flat(line)) else Fit.NO


@reader(
    "lingua",
    "lingua's metrics.eval.jsonl, with the tokens of metrics.jsonl beside it",
    names=[f"*{ENDING}"],
    recognise=_recognise,
)
def read_lingua(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read evaluation lines; a run is named as `name_logs` says."""
    names = name_logs(files)
    parts = []
    for path in files:
        frame = read_lines(path)
        seen = _tokens(path.absolute().parent / TRAINING) or _tokens(_run_folder(path) / TRAINING)
        if seen and STEP in frame.columns and TOKENS not in frame.columns:
            tokens = [seen.get(step) for step in frame[STEP].to_list()]
            frame = frame.with_columns(pl.Series(TOKENS, tokens, dtype=pl.String))
        columns = {"step_column": STEP}
        part = History(frame, path, names[path], "lingua", columns, given=given).rows(report)
        report.read[str(path)] += len(part)
        parts.append(part)
    return stack(parts)


def name_logs(files: Iterable[Path]) -> dict[Path, str]:
    """The run of each evaluation log: its folder, or what the log is called where that is not the usual."""
    places = {}
    for path in files:
        name = path.name.removesuffix(ENDING)
        places[path] = _run_folder(path) if name == USUAL else _run_folder(path) / name
    names = name_folders(list(places.values()))
    return {path: names[place] for path, place in places.items()}


def _run_folder(path: Path) -> Path:
    """The folder of the run that a log is of: evals/0000001000 belongs to the folder above.

    Another number may be that of a run (sweep/1), which nothing here tells from a step.
    """
    folder = own = path.absolute().parent
    if _STEP_FOLDER.search(folder.as_posix()):
        folder = folder.parent
        while is_plain(folder.name) and folder.name:
            folder = folder.parent
    return folder if folder.name else own


def _tokens(path: Path) -> dict[str, Any]:
    """Step → tokens, both as text, of the training log, where there is one."""
    if not path.is_file():
        return {}
    lines = [flat(line) for line in parse_lines(path)]
    return {str(line[STEP]): str(line[TOKENS]) for line in lines if STEP in line and TOKENS in line}
