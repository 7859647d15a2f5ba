"""ltgoslo's multisynt-dashboard: results/LANGUAGE/RECIPE_Nshot_checkpoints/CHECKPOINT/TASK/…/results*.json.

Result files of lm-evaluation-harness, up to five prompts a task (p0 … p4, the variant). A checkpoint is a
step of 2,097,152 tokens, a number of billions of tokens (21B), or main, the last. A filter of a metric is
part of the metric's name (exact_match:flexible-extract). Where a checkpoint was evaluated twice the latest
counts.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.groups import SEPARATOR, members_text
from neuneu.curves.readers.bulk import Progress
from neuneu.curves.readers.lm_eval import is_results, metric_rows
from neuneu.curves.readers.lm_eval_schema import check_results
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, document_of, reader
from neuneu.curves.table import KEY, columns_of

STEP_TOKENS = 2_097_152
"""Tokens a step: 2,048 sequences of 1,024."""

LAST_STEP = 47_684
"""The step of main: 100 billion tokens."""

PARAMS = 2_147_846_144
"""Parameters of every model (lm-evaluation-harness's own count)."""

RECIPES = {
    "hplt2": "HPLT v2 cleaned",
    "hplt3": "HPLT v3",
    "opus": "Nemotron-CC translated by OPUS-MT",
    "tower9b": "Nemotron-CC translated by Tower 9B",
    "tower72b": "Nemotron-CC translated by Tower 72B",
}
"""The recipes by the names of their folders."""

_PATH = re.compile(
    r"(?P<language>[^/]+)/(?P<recipe>[^/]+?)_(?P<shots>\d+)shot_checkpoints/(?P<checkpoint>[^/]+)/.+"
)
_PROMPT = re.compile(r"(?P<task>.+)_(?P<prompt>p\d)")


def _recognise(look: Look) -> Fit:
    return Fit.PLACE if _place_of(look.path) and is_results(look.document) else Fit.NO


@reader(
    "multisynt",
    "multisynt-dashboard's results tree (ltgoslo): languages, recipes, prompts",
    names=["results*.json"],
    recognise=_recognise,
)
def read_multisynt(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read the tree, a part of it, or single files in it; runs are multisynt/<language>-<recipe>."""
    dated: list[tuple[float, list[dict[str, Any]]]] = []
    for path in Progress(files, given.tell):
        facts = _facts_of(path, report)
        if facts is None:
            continue
        document = document_of(path)
        if not is_results(document):
            report.skip(path, "no lm-eval results in it")
            continue
        check_results(document, path)
        rows = [
            facts | _named(row) | {"n_shot": facts["n_shot"]} for row in metric_rows(document, report, path)
        ]
        report.read[str(path)] += len(rows)
        date = document.get("date")
        dated.append((float(date) if isinstance(date, int | float) else 0.0, rows))
    dated.sort(key=lambda item: item[0])
    frame = columns_of([row for _, rows in dated for row in rows])
    latest = frame.unique([*KEY, "step"], keep="last", maintain_order=True) if len(frame) else frame
    if len(latest) < len(frame):
        report.skip("values", "evaluated twice: the latest counts", len(frame) - len(latest))
    return latest


def parse_checkpoint(name: str) -> tuple[int, int] | None:
    """The step and tokens of a checkpoint's folder: main, 0001000 (a step) or 21B (tokens); else None."""
    if name == "main":
        return LAST_STEP, LAST_STEP * STEP_TOKENS
    if name.isdecimal():
        return int(name), int(name) * STEP_TOKENS
    billions = re.fullmatch(r"(\d+)B", name)
    if billions is None:
        return None
    tokens = int(billions[1]) * 10**9
    return round(tokens / STEP_TOKENS), tokens


def _place_of(path: Path) -> re.Match[str] | None:
    """Language, recipe, shots and checkpoint of a path below results/."""
    return _PATH.fullmatch(
        str(path.absolute()).rpartition(f"{os.sep}results{os.sep}")[2].replace(os.sep, "/")
    )


def _facts_of(path: Path, report: ReadReport) -> dict[str, Any] | None:
    """What the path says: language, recipe, shots, step and tokens."""
    found = _place_of(path)
    checkpoint = parse_checkpoint(found["checkpoint"]) if found else None
    if found is None or checkpoint is None:
        report.skip(path, "not at results/LANGUAGE/RECIPE_Nshot_checkpoints/CHECKPOINT/TASK")
        return None
    step, tokens = checkpoint
    language, recipe = found["language"].lower(), found["recipe"]
    return {
        "run": f"multisynt/{language}-{recipe}",
        "step": step,
        "tokens": tokens,
        "flops": 6.0 * PARAMS * tokens,
        "n_shot": int(found["shots"]),
        "source": "multisynt",
        "family": "multisynt-2b",
        "params": PARAMS,
        "recipe": f"{language}: {RECIPES.get(recipe, recipe)}",
    }


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the harness with the prompt as variant and the filter in the metric's name."""
    task, prompt = _split_prompt(row["task"])
    named: dict[str, Any] = {"task": task, "variant": prompt}
    if row["variant"] is not None:
        named["metric"] = f"{row['metric']}:{row['variant']}"
    if row.get("members"):
        members = (_split_prompt(member)[0] for member in row["members"].split(SEPARATOR))
        named["members"] = members_text(task, members)
    return row | named


def _split_prompt(name: str) -> tuple[str, str | None]:
    found = _PROMPT.fullmatch(name)
    return (found["task"], found["prompt"]) if found else (name, None)
