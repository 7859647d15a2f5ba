"""Finer measures of the same checkpoint, from the harness's samples_TASK_DATE.jsonl beside its results.

An accuracy counts which choice is likeliest. The log-likelihoods that it is counted from say more: how
probable the right choice is among all, and how many bits its text costs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neuneu.curves.readers.parsing import ReadReport
from neuneu.errors import InputError
from neuneu.files import read_json_lines

BPB, PROBABILITY = "bpb", "norm_correct_prob"
MEASURES = (BPB, PROBABILITY)
"""Bits a byte of the right choice's text, −log₂ p / bytes; and p of the right choice over that of all.

The names are OLMES's; both are means over items.
"""

RESULTS = "results_"
"""Begin of a results file's name; its samples end in the same date."""


def chosen_measures(text: str | None) -> tuple[str, ...]:
    """The measures named in an option, "bpb,norm_correct_prob". Raises InputError on others."""
    named = [] if text is None else [name.strip() for name in text.split(",") if name.strip()]
    for name in named:
        if name not in MEASURES:
            raise InputError(f"must be of {', '.join(MEASURES)}", field="samples", value=name)
    if text is not None and not named:
        raise InputError(f"must name {' or '.join(MEASURES)}", field="samples", value=text)
    return tuple(dict.fromkeys(named))


def finer_rows(
    path: Path,
    tasks: Mapping[str, Mapping[str, Any]],
    measures: Sequence[str],
    report: ReadReport,
) -> Iterator[dict[str, Any]]:
    """Rows of the measures of each task whose samples lie beside a results file.

    tasks: name in the file → the columns of its rows but metric and value. Tasks without samples of
    choices (generated answers, perplexities) have none; the report counts them.
    """
    date = path.stem.removeprefix(RESULTS)
    for name, facts in tasks.items():
        beside = path.with_name(f"samples_{name}_{date}.jsonl")
        if not path.stem.startswith(RESULTS) or not beside.is_file():
            report.count_note("no samples beside the results: evaluate with log_samples", name)
            continue
        values = item_values(beside)
        if values is None:
            report.count_note("samples that are no choices: no finer measure", name)
            continue
        for measure in measures:
            of_items = values[measure]
            yield {
                **facts,
                "metric": measure,
                "value": float(of_items.mean()),
                "stderr": float(of_items.std(ddof=1) / math.sqrt(len(of_items)))
                if len(of_items) > 1
                else None,
                "n_items": len(of_items),
            }


def item_values(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]] | None:
    """Each measure of each item of a samples file, (n_items,); None where an item has no choices.

    Raises InputError where log-likelihoods are no finite numbers ≤ 0, or the right choice is not told.
    """
    found: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    first: str | None = None
    for where, sample in read_json_lines(path):
        if not isinstance(sample, dict):
            raise InputError("must be an object", where=where, field="item")
        name = str(sample.get("filter"))
        first = first or name
        if name != first:  # every filter of a task lists all items again
            continue
        texts, logs = _choices(sample, where)
        if len(texts) < 2:
            return None
        right = _right_choice(sample, texts, where)
        total = float(np.logaddexp.reduce(logs))
        found[PROBABILITY].append(math.exp(logs[right] - total))
        found[BPB].append(-logs[right] / (math.log(2.0) * len(texts[right].encode())))
    if not found[BPB]:
        raise InputError("holds no items", where=path, field="items")
    return {measure: np.array(values) for measure, values in found.items()}


def _choices(sample: Mapping[str, Any], where: str) -> tuple[list[str], list[float]]:
    """Text and log-likelihood of each choice; none for an item whose answer is generated."""
    asked, answers = sample.get("arguments"), sample.get("resps")
    if isinstance(asked, dict):
        asked = [list(each.values()) if isinstance(each, dict) else each for each in asked.values()]
    if not isinstance(asked, list) or not isinstance(answers, list) or len(asked) != len(answers):
        return [], []
    texts, logs = [], []
    for request, answer in zip(asked, answers, strict=True):
        while isinstance(answer, list) and len(answer) == 1:
            answer = answer[0]  # noqa: PLW2901
        pair = isinstance(answer, list) and len(answer) == 2 and str(answer[1]) in ("True", "False")
        if not pair or not isinstance(request, list) or len(request) < 2 or not isinstance(request[1], str):
            return [], []
        texts.append(request[1])
        logs.append(_log_likelihood(answer[0], where))
    if "acc_mutual_info" in sample and len(texts) % 2 == 0:  # the second half asks without the question
        half = len(texts) // 2
        texts, logs = texts[:half], logs[:half]
    return texts, logs


def _log_likelihood(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not -math.inf < number <= 0:
        raise InputError(
            "must be a log-likelihood: finite, at most 0", where=where, field="resps", value=value
        )
    return number


def _right_choice(sample: Mapping[str, Any], texts: Sequence[str], where: str) -> int:
    """Number of the right choice: the target is its number, or its text."""
    target = str(sample.get("target"))
    if target.isdecimal() and int(target) < len(texts):
        return int(target)
    same = [number for number, text in enumerate(texts) if text.strip() == target.strip()]
    if len(same) != 1:
        rule = f"must be the number or the text of one of {len(texts)} choices"
        raise InputError(rule, where=where, field="target", value=target[:80])
    return same[0]
