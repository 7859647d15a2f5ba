"""One checkpoint against the exam: scores per task, per-item scores, token losses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.suite.exam import Exam
from neuneu.suite.multiple_choice import Item, score_questions
from neuneu.suite.small_models import make_logits


@dataclass(frozen=True)
class CheckpointScores:
    """What one checkpoint answered.

    rows: task, metric, value and, for accuracies, n_items; items: task → (n_items, most choices)
    log-probabilities, NaN where an item has fewer choices; losses: (n_positions,) nats of each scored token
    of the windows, sources in order.
    """

    rows: list[dict[str, Any]]
    items: dict[str, NDArray[np.float32]]
    losses: Floats


def score_checkpoint(model: Any, exam: Exam, *, share: bool = True) -> CheckpointScores:
    """Ask a model everything in the exam. The model must use the tokenizer of the exam."""
    rows: list[dict[str, Any]] = []
    losses = []
    for source, windows in exam.windows.items():
        assert exam.bytes_of is not None
        nats, right = score_windows(model, windows)
        size = int(exam.bytes_of[windows[:, 1:]].sum())
        task = f"text_{source}"
        rows.append({"task": task, "metric": "bpb", "value": float(nats.sum() / np.log(2) / size)})
        rows.append(_accuracy(task, "token_accuracy", right))
        losses.append(nats.ravel())
    names = list(exam.tasks)
    answers = score_questions(
        model, [question for name in names for question in exam.tasks[name]], share=share
    )
    items, position = {}, 0
    for name in names:
        questions = exam.tasks[name]
        scores = answers[position : position + len(questions)]
        position += len(questions)
        rows.extend(_grade(name, questions, scores))
        items[name] = _pad(scores)
    return CheckpointScores(rows, items, np.concatenate([np.empty(0), *losses]))


def score_windows(
    model: Any, windows: NDArray[np.int64], batch: int = 16
) -> tuple[Floats, NDArray[np.bool_]]:
    """Loss in nats and whether the likeliest token is right, each (n_windows, length - 1)."""
    import torch

    nats, right = [], []
    with torch.no_grad():
        for ids in torch.split(torch.from_numpy(windows).to(model.device), batch):
            hidden = model.base_model(input_ids=ids, use_cache=False)[0][:, :-1]
            logits = make_logits(model, hidden)
            target = ids[:, 1:]
            nats.append(torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, reduction="none"))
            right.append(logits.argmax(-1) == target)
    return torch.cat(nats).double().cpu().numpy(), torch.cat(right).cpu().numpy()


def _grade(task: str, questions: list[Item], scores: list[Floats]) -> list[dict[str, Any]]:
    """Accuracy by log-probability and, where choices differ in more than order, by bits per byte."""
    gold = [question.gold for question in questions]
    right = np.array([int(np.argmax(score)) == g for score, g in zip(scores, gold, strict=True)])
    chance = float(np.mean([1 / len(question.choices) for question in questions]))
    rows = [_accuracy(task, "acc", right, chance)]
    if not task.startswith(("blimp_", "word_order_", "continuation_")):
        sizes = [np.array([choice.n_bytes for choice in question.choices]) for question in questions]
        best = [int(np.argmax(score / size)) for score, size in zip(scores, sizes, strict=True)]
        rows.append(_accuracy(task, "acc_per_byte", np.array(best) == np.array(gold), chance))
        bits = [-s[g] / size[g] / np.log(2) for s, size, g in zip(scores, sizes, gold, strict=True)]
        rows.append({"task": task, "metric": "bpb", "value": float(np.mean(bits)), "n_items": len(gold)})
    return rows


def _accuracy(
    task: str, metric: str, right: NDArray[np.bool_], chance: float | None = None
) -> dict[str, Any]:
    value, count = float(right.mean()), int(right.size)
    row = {"task": task, "metric": metric, "value": value, "n_items": count}
    row["stderr"] = float(np.sqrt(value * (1 - value) / count))
    return row if chance is None else {**row, "chance": chance}


def _pad(scores: list[Floats]) -> NDArray[np.float32]:
    table = np.full((len(scores), max(map(len, scores))), np.nan, dtype=np.float32)
    for row, score in zip(table, scores, strict=True):
        row[: len(score)] = score
    return table
