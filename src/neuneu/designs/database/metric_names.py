"""Metric names and shots as evaluation harnesses write them → canonical names."""

import math
import re
from collections.abc import Iterable
from typing import Any

from neuneu.curves.readers.lm_eval import Measurement
from neuneu.errors import InputError

METRIC_ALIASES = {
    "acc": "accuracy",
    "exact_match": "accuracy",
    "pass@1,create_test": "accuracy",
    "ppl": "perplexity",
}
STDERR_SUFFIXES = ("_stderr", "_std", "_stddev", "_error")
"""Endings of the names of standard errors, whoever writes them."""
DEFAULT_SHOTS: dict[str, int] = {
    "arc_challenge": 25,
    "hellaswag": 10,
    "mmlu": 5,
    "truthfulqa": 0,
    "winogrande": 5,
    "lambada": 0,
    "drop": 3,
    "gsm8k": 5,
    "arithmetic": 5,
    "minerva": 5,
    "mathqa": 0,
    "xnli": 0,
    "anli": 0,
    "logiqa2": 0,
    "fld": 0,
    "asdiv": 5,
}
"""Task prefix → shots, for results that do not say them."""

_SETTING = re.compile(r"[0-9]{1,4}-shot")


def default_setting(benchmark: str) -> str | None:
    """The usual number of shots of a task, as "5-shot"; None where there is no usual one."""
    for prefix, shots in DEFAULT_SHOTS.items():
        if benchmark.startswith(prefix):
            return f"{shots}-shot"
    return None


def check_setting(setting: str) -> str:
    """The setting itself; InputError unless it reads like "5-shot"."""
    if not _SETTING.fullmatch(setting):
        raise InputError('must read like "5-shot"', field="setting", value=setting)
    return setting


def canonical_metrics(found: Iterable[Measurement]) -> dict[str, tuple[float | None, float | None]]:
    """Canonical metric → (value, standard error or None) of one task's measurements.

    Filters are part of a metric's name, but for "strict-match"; "flexible" ones, timestamps and what is not a
    number are left out; numbers in text are read; a value of NaN becomes None.
    """
    metrics: dict[str, tuple[float | None, float | None]] = {}
    for _, metric, filtered, value, error, _ in found:
        plain = filtered is None or filtered == "strict-match"
        key = metric if plain else f"{metric},{filtered}"
        number = _number(value)
        if number is None or "flexible" in key or key == "timestamp":
            continue
        stderr = _number(error)
        metrics[METRIC_ALIASES.get(key, key)] = (
            None if math.isnan(number) else number,
            None if stderr is None or math.isnan(stderr) else stderr,
        )
    return metrics


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*", value):
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except ValueError:
        return None
    if math.isinf(number):
        raise InputError("must be a finite number", field="metric", value=value)
    return number
