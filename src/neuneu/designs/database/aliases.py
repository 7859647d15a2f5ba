"""One model, several ids; one task, several names: the aliases that bring them together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MODEL_ALIASES: dict[str, str] = {
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "EleutherAI/gpt-neo-125M": "EleutherAI/gpt-neo-125m",
    "EleutherAI/pythia-410M": "EleutherAI/pythia-410m",
    "Qwen/Qwen-2.5-72B": "Qwen/Qwen2.5-72B",
    "meta-llama/Llama-2-7b-hf": "meta-llama/Llama-2-7b",
    "llama2_220M_nl_100_code_0": "llama2_220M_nl_only_shuf-hf",
}
"""Alias → id. Names are listed one by one: stripping punctuation would merge Cerebras-GPT-13B with 1.3B."""

PLACEHOLDERS = frozenset({"model_name", "none", "null", "nan", ""})
"""Ids, lower-cased, that name no model: scripts that forgot to fill them in."""


@dataclass(frozen=True)
class TaskAlias:
    """`benchmark` with `metric` is the same measurement as `to_benchmark` with `to_metric`.

    A trailing * in both benchmarks stands for the same text; the metric * keeps the metric.
    """

    benchmark: str
    metric: str
    to_benchmark: str
    to_metric: str

    def apply(self, benchmark: str, metric: str) -> tuple[str, str] | None:
        """The canonical (benchmark, metric), or None where this alias does not speak of it."""
        if self.metric not in ("*", metric):
            return None
        to_metric = metric if self.to_metric == "*" else self.to_metric
        if self.benchmark == benchmark:
            return self.to_benchmark, to_metric
        if self.benchmark.endswith("*") and benchmark.startswith(self.benchmark[:-1]):
            return self.to_benchmark.removesuffix("*") + benchmark[len(self.benchmark) - 1 :], to_metric
        return None


TASK_ALIASES: tuple[TaskAlias, ...] = (
    TaskAlias("hendrycksTest-*", "*", "mmlu_*", "*"),
    TaskAlias("arc:challenge", "*", "arc_challenge", "*"),
    TaskAlias("truthfulqa:mc", "mc1", "truthfulqa_mc1", "accuracy"),
    TaskAlias("truthfulqa:mc", "mc2", "truthfulqa_mc2", "accuracy"),
)
PUBLISHED_TASK_ALIASES = TASK_ALIASES[:2]
"""The task aliases that the published pipeline knew."""


@dataclass(frozen=True)
class Aliases:
    """Model and task aliases together; an alias of an alias leads to the last name."""

    models: Mapping[str, str] = field(default_factory=lambda: MODEL_ALIASES)
    tasks: tuple[TaskAlias, ...] = TASK_ALIASES
    paths: bool = False
    """Whether an id that is a path stands for its last part. Off: a folder's name is a weak claim, and
    scores under
    paths have been seen to differ from those under the name by 0.3."""

    def model(self, name: str, known: Iterable[str] = ()) -> str:
        """The canonical id. With `paths`, one that starts with / stands for its last part if that is a
        known id."""
        found = self._follow(name)
        if found == name and self.paths and name.startswith("/"):
            last = self._follow(name.rstrip("/").rsplit("/", 1)[-1])
            return last if last in known else name
        return found

    def _follow(self, name: str) -> str:
        seen = {name}
        while name in self.models and self.models[name] not in seen:
            name = self.models[name]
            seen.add(name)
        return name

    def task(self, benchmark: str, metric: str) -> tuple[str, str]:
        """The canonical (benchmark, metric)."""
        for alias in self.tasks:
            found = alias.apply(benchmark, metric)
            if found is not None:
                return found
        return benchmark, metric


NO_ALIASES = Aliases(models={}, tasks=())
PUBLISHED_ALIASES = Aliases(models={}, tasks=PUBLISHED_TASK_ALIASES)


def standard_id(name: str) -> str:
    """org__name, as in file names of results, → org/name."""
    return name.replace("__", "/")
