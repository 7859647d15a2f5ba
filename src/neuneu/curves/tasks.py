"""Canonical names of tasks and metrics, chance levels, items per task."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark: its canonical name, chance level, number of items and group.

    chance: accuracy of guessing, in [0, 1], None if unknown; n_items: questions, None if unknown;
    group: core, mmlu, blimp or other.
    """

    name: str
    chance: float | None = None
    n_items: int | None = None
    group: str = "other"


@dataclass(frozen=True, slots=True)
class Metric:
    """A measurement: its name, range, direction, and whether it is an accuracy (a share of items)."""

    name: str
    low: float = float("-inf")
    high: float = float("inf")
    higher_is_better: bool = True
    accuracy: bool = False


ACCURACIES = (
    "len_norm", "acc_norm", "acc", "primary_metric", "acc_raw", "acc_per_char", "acc_per_token",
    "acc_per_byte", "acc_uncond", "score", "token_accuracy", "exact_match",
)  # fmt: skip
"""Accuracy metrics, the preferred one first: length-normalised, then plain, then the rest."""


def find_task(name: str) -> Task:
    """The task of this name or alias; an unknown name makes a task with unknown facts, never an error."""
    return Task(name)


def find_metric(name: str) -> Metric:
    """The metric of this name; an unknown one is unbounded and better when higher."""
    if name in ACCURACIES:
        return Metric(name, 0.0, 1.0, accuracy=True)
    return Metric(name)
