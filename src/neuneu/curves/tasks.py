"""Canonical names of tasks and metrics, chance levels, items per task."""

from dataclasses import dataclass
from functools import cache, lru_cache

from neuneu.curves import benchmarks


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark: its canonical name, chance level, number of items and group.

    chance: accuracy of guessing, in [0, 1], None if unknown; n_items: questions, None if unknown;
    group: core, mmlu, blimp or other; n_validation: questions of the validation split, where it is scored.
    """

    name: str
    chance: float | None = None
    n_items: int | None = None
    group: str = "other"
    n_validation: int | None = None


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
    "acc_per_byte", "acc_uncond", "score", "token_accuracy", "exact_match", "acc_mutual_info",
    "acc_all", "em", "mc1", "pass@1", "multiple_choice_grade", "accuracy", "exact", "quasi_exact_match",
    "prompt_level_strict_acc", "inst_level_strict_acc", "prompt_level_loose_acc", "inst_level_loose_acc",
)  # fmt: skip
"""Accuracy metrics, the preferred one first: length-normalised, then plain, then the rest."""

_INF = float("inf")
_RANGES: dict[tuple[float, float, bool], str] = {
    (0.0, 1.0, True): """
        soft correct_prob correct_prob_per_token correct_prob_per_char norm_correct_prob
        norm_correct_prob_per_token norm_correct_prob_per_char uncond_correct_prob
        uncond_correct_prob_per_token uncond_correct_prob_per_char f1 mc2 HasAns_exact HasAns_f1 NoAns_exact
        NoAns_f1 best_exact best_f1 pass@10 pass@100
    """,
    (0.0, 1.0, False): "pct_stereotype no_answer ece",
    (0.0, 2.0, False): "brier_score",
    (-1.0, 1.0, True): "mcc",
    (0.0, 100.0, True): "bleu chrf rouge1 rouge2 rougeL",
    (-_INF, _INF, True): "margin margin_per_token margin_per_char",
    (-_INF, 0.0, True): """
        soft_log sum_logits_corr logits_per_token_corr logits_per_char_corr logits_per_byte_corr loglikelihood
    """,
    (0.0, _INF, False): """
        bpb bits_per_byte bits_per_byte_corr ppl perplexity word_perplexity byte_perplexity loss
        cross_entropy ce ce_loss ce_nats nll ter likelihood_diff likelihood_difference
    """,
    (0.0, _INF, True): """
        total_prob total_prob_per_token total_prob_per_char uncond_total_prob correct_choice
    """,
}
"""(low, high, higher is better) → names of the metrics that are no accuracies."""


@lru_cache(4096)
def find_task(name: str) -> Task:
    """The task of this name or alias; an unknown name makes a task with unknown facts, never an error.

    Names are compared without regard to case and to - or _; hendrycksTest-X is mmlu_X, a BLiMP paradigm
    is known with and without its blimp_.
    """
    return _registry().get(_plain(name)) or Task(name)


def known_task(name: str) -> bool:
    """Whether the registry knows a task of this name or alias."""
    return _plain(name) in _registry()


def find_metric(name: str) -> Metric:
    """The metric of this name; an unknown one is unbounded and better when higher."""
    return _metrics().get(name) or Metric(name)


def metric_names() -> frozenset[str]:
    """The names of all known metrics."""
    return frozenset(_metrics())


def known_tasks(group: str | None = None) -> list[Task]:
    """Every task of the registry, or those of one group (core, mmlu, blimp, other), by name."""
    tasks = {task.name: task for task in _registry().values()}
    return [tasks[name] for name in sorted(tasks) if group in (None, tasks[name].group)]


def olmes_tasks() -> list[str]:
    """The 66 tasks of OLMES as NeuNeu uses them: nine standard ones and the 57 MMLU subjects."""
    return [*benchmarks.CORE, *(f"mmlu_{subject}" for subject in _counts(benchmarks.MMLU_SUBJECTS))]


@cache
def _registry() -> dict[str, Task]:
    """Plain name → task, aliases included."""
    core = [Task(name, chance, n, "core", val) for name, (chance, n, val) in benchmarks.CORE.items()]
    areas = [Task(name, chance, n, "mmlu", val) for name, (chance, n, val) in benchmarks.MMLU_GROUPS.items()]
    other = [Task(name, chance, n) for name, (chance, n) in benchmarks.OTHER.items()]
    crows = [Task(f"crows_pairs_{kind}", None, n) for kind, n in _counts(benchmarks.CROWS_PAIRS).items()]
    blimp = Task("blimp", 0.5, 67_000, "blimp")
    registry = {_plain(task.name): task for task in [*core, *areas, *other, *crows, blimp]}
    for subject, n_items in _counts(benchmarks.MMLU_SUBJECTS).items():
        task = Task(f"mmlu_{subject}", 0.25, n_items, "mmlu")
        registry |= {prefix + subject: task for prefix in benchmarks.MMLU_PREFIXES}
    for paradigm in benchmarks.BLIMP_PARADIGMS.split():
        task = Task(f"blimp_{paradigm}", 0.5, 1000, "blimp")
        registry |= {_plain(task.name): task, _plain(paradigm): task}
    return registry | {alias: registry[_plain(name)] for alias, name in benchmarks.ALIASES.items()}


@cache
def _metrics() -> dict[str, Metric]:
    accuracies = {name: Metric(name, 0.0, 1.0, accuracy=True) for name in ACCURACIES}
    others = {
        name: Metric(name, low, high, higher_is_better=higher)
        for (low, high, higher), names in _RANGES.items()
        for name in names.split()
    }
    return accuracies | others


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")


def _counts(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in (pair.split("=") for pair in text.split())}
