"""Per-item results: samples_*.jsonl of lm-evaluation-harness, or what `suite harness` keeps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuneu.curves.tasks import ACCURACIES, find_task
from neuneu.errors import InputError
from neuneu.files import read_json_lines, read_object

SAMPLES = "samples_*.jsonl"
"""Files of the harness, one a task and evaluation."""


@dataclass(frozen=True)
class Items:
    """Scores of the items of one checkpoint. scores: (task, metric) → item → score in [0, 1]."""

    where: Path
    scores: Mapping[tuple[str, str], Mapping[str, float]]


def read_items(path: str | Path) -> Items:
    """Items of a checkpoint: a samples file, a folder with some, or a JSON file of `suite harness`.

    An item is named by its document's hash, else its number. Raises InputError where there is none, or a task
    is there twice (of two checkpoints, or evaluated twice).
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob(SAMPLES))
        if not files:
            raise InputError(
                f"no {SAMPLES} is here: evaluate with `lm_eval --log_samples` or `neuneu suite harness`",
                where=path,
            )
        return Items(path, _together((_of_samples(file), file) for file in files))
    if path.suffix == ".jsonl":
        return Items(path, _together([(_of_samples(path), path)]))
    document = read_object(path)
    kept = document.get("items")
    if not isinstance(kept, dict):
        raise InputError("must hold the items of each task", where=path, field="items")
    found: dict[tuple[str, str], dict[str, float]] = {}
    for task, samples in kept.items():
        if not isinstance(samples, list):
            raise InputError("must be a list", where=path, field=f"items.{task}")
        for sample in samples:
            _add(found, str(task), sample, path)
    return Items(path, found)


def _together(
    parts: "Iterator[tuple[dict[tuple[str, str], dict[str, float]], Path]] | list[Any]",
) -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for part, file in parts:
        for key, scores in part.items():
            if key in found:
                rule = "is here twice: name the folder of one checkpoint, evaluated once"
                raise InputError(rule, where=file, field="task", value=key[0])
            found[key] = scores
    return found


def _of_samples(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    task = path.stem.removeprefix("samples_").rsplit("_", 1)[0]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for _, sample in read_json_lines(path):
        _add(found, task, sample, path)
    return found


def _add(found: dict[tuple[str, str], dict[str, float]], task: str, sample: Any, where: Path) -> None:
    """Keep the accuracies of one item. Raises InputError on a score that is none, on an item twice."""
    if not isinstance(sample, dict) or ("doc_hash" not in sample and "doc_id" not in sample):
        raise InputError("must be an object with doc_id or doc_hash", where=where, field="item")
    item = str(sample.get("doc_hash") or sample.get("doc_id"))
    for metric in ACCURACIES:
        score = sample.get(metric)
        if score is None or isinstance(score, str | list | dict):
            continue
        if not 0 <= float(score) <= 1:
            raise InputError("must be in [0, 1]", where=where, field=metric, value=score)
        own = found.setdefault((find_task(task).name, metric), {})
        if item in own and sample.get("filter") is None:
            raise InputError("is given twice", where=where, field="item", value=item)
        own.setdefault(item, float(score))
