"""Metric names and shots as evaluation harnesses write them → canonical names."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from neuneu.errors import InputError

METRIC_ALIASES = {
    "acc": "accuracy",
    "exact_match": "accuracy",
    "pass@1,create_test": "accuracy",
    "ppl": "perplexity",
}
STDERR_SUFFIXES = ("_stderr", "_std", "_stddev", "_error")
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


def extract_metrics(
    results: Mapping[str, Any], exclude: Collection[str] = ("alias",)
) -> dict[str, tuple[float | None, float | None]]:
    """Canonical metric → (value, standard error or None) of one task's results.

    Filters ",none" and ",strict-match" are stripped; "flexible" filters, timestamps and what is not a number
    are left out; numbers in text are read; a value of NaN becomes None.
    """
    flat = {_plain_key(key): value for key, value in results.items() if "flexible" not in key}
    found: dict[str, tuple[float | None, float | None]] = {}
    for key, value in flat.items():
        if key in exclude or key == "timestamp" or any(suffix in key for suffix in STDERR_SUFFIXES):
            continue
        number = _number(value)
        if number is None:
            continue
        stderr = next((_number(flat[key + s]) for s in STDERR_SUFFIXES if key + s in flat), None)
        clean = None if math.isnan(number) else number
        found[METRIC_ALIASES.get(key, key)] = (
            clean,
            None if stderr is None or math.isnan(stderr) else stderr,
        )
    return found


def _plain_key(key: str) -> str:
    return key.replace(",none", "").replace(",strict-match", "")


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
