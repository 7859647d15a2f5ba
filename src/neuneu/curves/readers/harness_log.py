"""Tables that harnesses print, found in plain logs: lm-evaluation-harness's and lighteval's.

|Tasks|Version|Filter|n-shot|Metric| |Value| |Stderr| with a row a metric. The checkpoint is that of the line
before the table, "hf (pretrained=…,revision=…), gen_kwargs: …", else of the log's path. Values are rounded as
printed.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.identity import NAMING
from neuneu.curves.readers.labels import is_mean, parse_lighteval
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, known_as, reader
from neuneu.curves.readers.results_files import ResultsFile, number, read_results_files
from neuneu.curves.tasks import find_task, known_task
from neuneu.files import read_lines

TASK_HEADS = ("tasks", "task", "groups")
_MODEL = re.compile(r"\S* ?\((?P<arguments>[^()]*=[^()]*)\), (?:gen_kwargs|limit|num_fewshot)\b")
_RULE = re.compile(r"[-:\s]*")
_LIGHTEVAL = re.compile(r"(?P<suite>[a-z]\w*):(?P<task>.+):(?P<shots>\d+)")


def _recognise(look: Look) -> Fit:
    heads = [_cells(line) for line in look.text.splitlines() if line.count("|") > 4]
    return Fit.MARK if any(cells and _is_head(cells) for cells in heads) else Fit.NO


@reader(
    "harness-log",
    "the tables that lm-evaluation-harness and lighteval print, in plain logs",
    names=["*.log", "*.out", "*.err", "*.txt", "*.md"],
    recognise=_recognise,
    options=NAMING,
)
def read_harness_log(
    files: Sequence[Path], given: Given, report: ReadReport, **options: str | None
) -> pl.DataFrame:
    """Read logs; each table is one evaluation. What stands in a table of tasks and of groups is one value."""
    return read_results_files(files, _read, "harness-log", given, report, options)


def _read(path: Path, report: ReadReport) -> list[ResultsFile]:
    tables = list(_tables(path, report))
    if not tables:
        report.skip(path, f"no table of a harness in it{known_as(path)}")
    return tables


def _tables(path: Path, report: ReadReport) -> Iterator[ResultsFile]:
    model: dict[str, str] = {}
    heads: list[str] = []
    names: list[tuple[int, str]] = []
    rows: list[dict[str, Any]] = []
    for _, line in read_lines(path):
        cells = _cells(line)
        if cells is None:
            if rows:
                yield ResultsFile(path, model.get("pretrained"), model.get("revision"), rows=rows)
            heads, rows = [], []
            printed = _MODEL.search(line)
            if printed:
                pairs = (part.partition("=") for part in printed["arguments"].split(","))
                model = {name.strip(): value.strip() for name, _, value in pairs}
        elif _is_head(cells):
            heads, names = [cell.strip().casefold() for cell in cells], []
        elif heads and len(cells) == len(heads) and not all(_RULE.fullmatch(cell) for cell in cells):
            row = _row(dict(zip(heads, cells, strict=True)), cells[0], names, path, report)
            rows += [row] if row else []
    if rows:
        yield ResultsFile(path, model.get("pretrained"), model.get("revision"), rows=rows)


def _row(
    cells: dict[str, str], name: str, names: list[tuple[int, str]], path: Path, report: ReadReport
) -> dict[str, Any] | None:
    """One value. names: indent and name of the task of the rows above and of the groups it stands in."""
    if name.strip():
        indent = len(name) - len(name.lstrip(" -"))
        while names and names[-1][0] >= indent:
            names.pop()
        names.append((indent, name.strip(" -")))
    if not names or is_mean(names[-1][1]):
        return None
    task_name = names[-1][1]
    value = _number(cells["value"])
    if value is None:
        report.skip(path, f"{task_name} is {cells['value'].strip()}, no finite number")
        return None
    printed = _LIGHTEVAL.fullmatch(task_name)
    whole = f"{printed['suite']}|{printed['task']}|{printed['shots']}" if printed else task_name
    task, shots = parse_lighteval(whole) if "|" in whole else (_task_of([one for _, one in names]), None)
    told = cells.get("n-shot", "").strip()
    filtered = cells.get("filter", "").strip()
    return {
        "task": task,
        "metric": cells["metric"].strip(),
        "variant": None if filtered in ("", "none") else filtered,
        "n_shot": int(told) if told.isdecimal() else shots,
        "value": value,
        "stderr": _number(cells.get("stderr", "")),
    }


def _task_of(names: Sequence[str]) -> str:
    """The task of a name that is shortened inside its groups: anatomy in mmlu is mmlu_anatomy."""
    whole = (f"{group}_{names[-1]}" for group in names[:-1])
    return find_task(next((name for name in whole if known_task(name)), names[-1])).name


def _cells(line: str) -> list[str] | None:
    """The cells of a row of a table; None where a line is none. Logs may put a time before it."""
    start, end = line.find("|"), line.rfind("|")
    if end - start < 4:
        return None
    return [cell.replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line[start + 1 : end])]


def _is_head(cells: Sequence[str]) -> bool:
    names = {cell.strip().casefold() for cell in cells}
    return cells[0].strip().casefold() in TASK_HEADS and {"metric", "value"} <= names


def _number(text: str) -> float | None:
    try:
        return number(float(text))
    except ValueError:
        return None
