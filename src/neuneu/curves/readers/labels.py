"""Names of columns and tags in run logs: what each measures, as trainers and harnesses write it.

arc_easy_test_rc_5shot_bpb (OLMo), "hellaswag_rc_5shot (length-normalized accuracy v2)" (OLMo-core),
hellaswag/10-shot/InContextLearningMultipleChoiceAccuracy (llm-foundry), gsm8k/exact_match,strict-match
(lm-evaluation-harness), "leaderboard|arc:challenge|25/acc" (lighteval); before any of them folders such as
eval/downstream/, and "my-run - " as Weights & Biases writes it when several runs are shown.
"""

import math
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from neuneu.curves.missing import blank_missing
from neuneu.curves.readers.report import ReadReport
from neuneu.curves.tasks import find_task, metric_names
from neuneu.errors import InputError


class Label(NamedTuple):
    """What a column measures; variant joins the format (rc, mc), the split (val, test) and the version."""

    task: str
    metric: str
    variant: str | None
    n_shot: int | None


OLMO_CORE = {
    "F1 score": "f1", "accuracy": "acc", "length-normalized accuracy": "len_norm",
    "PMI-DC accuracy": "acc_uncond", "CE loss": "ce_loss", "BPB": "bpb", "soft loss": "soft",
    "log soft loss": "soft_log",
}  # fmt: skip
"""OLMo-core's words for metrics (its evaluator_callback); " v2" is another way to reduce them."""

COMPOSER = {
    "MultipleChoiceAccuracy": "acc", "LMAccuracy": "acc", "GenerationExactMatchAccuracy": "exact_match",
    "QAAccuracy": "exact_match", "GenerationWithAnswersAccuracy": "exact_match", "CodeEvalAccuracy": "pass@1",
    "MCExpectedCalibrationError": "ece", "LMExpectedCalibrationError": "ece",
    "ExpectedCalibrationError": "ece",
}  # fmt: skip
"""llm-foundry's metrics, without their InContextLearning."""

ODD_SHOWN = 3
"""Cells of a column that are told one by one; more are counted."""

NOT_TASKS = ("train", "eval", "val", "test", "validation", "evaluation")
_OLMO_CORE = re.compile(r"(?:.*/)?(?P<name>[^/()]+) \((?P<words>[^()]+?)(?P<version> v\d+)?\)")
_COMPOSER = re.compile(
    r"(?:.*/)?(?P<task>[^/]+)/(?P<shots>\d+)-shot(?:/(?P<part>[^/]+))?/InContextLearning(?P<metric>[A-Za-z]+)"
)
_LIGHTEVAL = re.compile(r"(?:(?P<suite>[\w-]+)\|)?(?P<task>[^|]+)\|(?P<shots>\d+)(?:\|\d)?")
_SETTING = (
    r"(?:_(?P<split>val|test))?(?:_(?P<format>rc_var|bpb_var|gold_bpb|rc|mc|var|bpb))?"
    r"(?:_(?P<shots>\d+)shot)?(?:_(?P<late_split>val|test))?(?:_(?P<part>fast))?"
)


def parse_column(name: str) -> tuple[str | None, Label] | None:
    """The run (None if it does not say) and the label of a column; None where it is no task's value."""
    run, separator, label = name.rpartition(" - ")
    found = parse_tag(label)
    return None if found is None else ((run if separator else None), found)


def parse_tag(tag: str) -> Label | None:
    """What a logged name measures; None where it is no task's value."""
    found = _olmo_core(tag) or _composer(tag) or _harness(tag)
    return None if found is None or found.task.casefold() in NOT_TASKS else found


def parse_label(label: str) -> Label | None:
    """The parts of <task>[_split][_format][_Nshot][_split]_<metric>; None where no known metric ends it."""
    found = _pattern().fullmatch(label)
    return None if found is None else _label(found, found["metric"])


def is_mean(name: str) -> bool:
    """Whether a name of lighteval is that of a mean of other tasks: all, and mmlu:_average|5."""
    return name == "all" or re.search(r"[:/]_average(?:[|:]|$)", name) is not None


def parse_lighteval(name: str) -> tuple[str, int | None]:
    """The task and shots of suite|task:subset|shots, of task|shots, and of a plain name."""
    found = _LIGHTEVAL.fullmatch(name)
    task, shots = (found["task"], int(found["shots"])) if found else (name, None)
    return find_task(task.replace(":", "_").replace("/", "_")).name, shots


def stderr_of(name: str) -> str:
    """The name under which a harness logs the standard error of the value that it logs under this name."""
    metric, comma, filtered = name.partition(",")
    return f"{metric}_stderr{comma}{filtered}"


def number_column(frame: pl.DataFrame, name: str, path: Path, report: ReadReport | None = None) -> pl.Series:
    """A column of text as numbers; empty cells and NaN, which stand for not logged, become null.

    report: takes cells that are no finite number, by row, or the column where no cell is; they become null.
    Raises InputError without it on such cells, and on columns of dates, bytes or lists.
    """
    column = blank_missing(frame[name])
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical, pl.Null)):
        raise InputError("must be numbers", where=path, field=name, value=str(column.dtype))
    numbers = column.cast(pl.Float64, strict=False)
    infinite = numbers.is_infinite().fill_null(value=False)
    odd = (numbers.is_null() & column.is_not_null()) | infinite
    if not odd.any():
        return numbers.fill_nan(None)
    rows = odd.arg_true().to_list()
    rules = [
        f"must be {'finite' if infinite[row] else 'a number'} (row {row + 1})" for row in rows[:ODD_SHOWN]
    ]
    if report is None:
        raise InputError(
            rules[0], where=path, field=name, value=math.inf if infinite[rows[0]] else column[rows[0]]
        )
    sound = pl.select(pl.when(~odd).then(numbers).alias(name)).to_series().fill_nan(None)
    if sound.null_count() == len(sound):
        report.skip(name, f"{column[rows[0]]!r} {rules[0]}", len(rows))
        return sound
    for row, rule in zip(rows, rules, strict=False):
        report.skip(name, f"{column[row]!r} {rule}")
    if len(rows) > ODD_SHOWN:
        report.skip(name, "must be a finite number in other rows", len(rows) - ODD_SHOWN)
    return sound


def text_column(frame: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """A column of names, or of numbers that stand for names, as text.

    Raises InputError on columns of dates, bytes or lists.
    """
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise InputError("must be text", where=path, field=name, value=str(column.dtype))
    return column.cast(pl.String)


def _olmo_core(tag: str) -> Label | None:
    found = _OLMO_CORE.fullmatch(tag)
    metric = OLMO_CORE.get(found["words"]) if found else None
    if found is None or metric is None:
        return None
    named = _named().fullmatch(found["name"].removesuffix(f"_{metric}"))
    return None if named is None else _label(named, metric, (found["version"] or "").strip())


def _composer(tag: str) -> Label | None:
    found = _COMPOSER.fullmatch(tag)
    metric = COMPOSER.get(found["metric"]) if found else None
    if found is None or metric is None:
        return None
    task = "_".join(filter(None, [found["task"], found["part"]]))
    return Label(find_task(task).name, metric, None, int(found["shots"]))


def _harness(tag: str) -> Label | None:
    """task/metric,filter · suite|task|shots/metric · folders/task_metric."""
    name, comma, filtered = tag.partition(",")
    parts = re.split(r"/|(?<=\|\d)\.|(?<=\|\d\d)\.", name)
    if parts[-1] in metric_names() and len(parts) > 1:
        if "|" in name:
            if is_mean(name.removesuffix(parts[-1])[:-1]):
                return None
            whole = name.removesuffix(parts[-1])[:-1]
            first = next(place for place, part in enumerate(whole.split("/")) if "|" in part)
            task, shots = parse_lighteval("/".join(whole.split("/")[first:]))
            return Label(task, parts[-1], None, shots)
        found = parse_label("_".join(parts[-2:]))
    else:
        found = parse_label(parts[-1])
    if found is None or not comma or filtered == "none":
        return found
    return found._replace(variant="_".join(filter(None, [found.variant, filtered])))


def _label(found: re.Match[str], metric: str, version: str = "") -> Label:
    setting = [found["format"], found["split"] or found["late_split"], found["part"], version]
    shots = int(found["shots"]) if found["shots"] else None
    return Label(find_task(found["task"]).name, metric, "_".join(filter(None, setting)) or None, shots)


@cache
def _named() -> re.Pattern[str]:
    return re.compile(rf"(?P<task>.+?){_SETTING}")


@cache
def _pattern() -> re.Pattern[str]:
    metrics = "|".join(map(re.escape, sorted(metric_names(), key=len, reverse=True)))
    return re.compile(rf"(?P<task>.+?){_SETTING}_(?P<metric>{metrics})")
