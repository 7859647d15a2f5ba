"""lm-evaluation-harness results: JSON with "acc,none" keys (0.4 and later) or plain "acc" keys (before).

One file a checkpoint, or folders of them. The step of a file is found, in this order, in: the revision of
the model (config.model_revision, revision= of model_args), the model's name or path, the path of the file.
Only whole words count: step1000, global_step1000, checkpoint-1000, ckpt_1000, iter_1000. --step-pattern, a
regular expression with one group, replaces these words.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BaseModel, Field

from neuneu.curves.readers.parsing import STEP, Given, ReadReport, compile_step_pattern, find_step
from neuneu.curves.readers.pythia_models import known_facts
from neuneu.curves.readers.reader import Fit, Look, known_as, reader
from neuneu.curves.table import columns_of
from neuneu.curves.tasks import find_task
from neuneu.files import check_document, read_json

NOT_METRICS = ("alias", "name", "sample_len", "sample_count", " ", "samples")

NO_NAMES = ("ckpt", "ckpts", "checkpoint", "checkpoints", "model", "models", "output", "outputs", "hf")
"""Folders above a checkpoint that do not name its run."""


def _fits(value: Any) -> Any:
    if _is_number(value) and abs(value) >= MAX_NUMBER:
        raise ValueError("must be below 2^63, as all numbers of a table")
    return value


MAX_NUMBER = 2.0**63
Bounded = Annotated[Any, AfterValidator(_fits)]
"""Anything, but no number that a column of whole numbers does not hold."""


@dataclass
class Seen:
    """Which versions and hashes each task had: where they change, curves mix different questions."""

    versions: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    hashes: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    harness: set[str] = field(default_factory=set)

    def add(self, document: dict[str, Any]) -> None:
        """Note the versions and hashes of one results file."""
        for kind, seen in (("versions", self.versions), ("task_hashes", self.hashes)):
            for task, value in (document.get(kind) or {}).items():
                seen[task].add(str(value))
        self.harness.add(str(document.get("lm_eval_version", "unknown")))

    def notes(self) -> Iterator[str]:
        """A sentence for each task whose version or hash changes, and for mixed harnesses."""
        for kind, seen in (("versions", self.versions), ("task hashes", self.hashes)):
            for task, values in sorted(seen.items()):
                if len(values) > 1:
                    yield f"{task} was evaluated with different {kind}: {', '.join(sorted(values))}"
        if len(self.harness) > 1:
            yield f"different versions of lm-eval: {', '.join(sorted(self.harness))}"


def _recognise(look: Look) -> Fit:
    if not is_results(look.document):
        return Fit.NO
    return Fit.MARK if look.keys & {"lm_eval_version", "n-shot"} else Fit.SHAPE


@reader(
    "lm-eval",
    'result files of lm-evaluation-harness, new ("acc,none") and old, single or in folders',
    names=["*.json"],
    recognise=_recognise,
    options={"step_pattern": r"regular expression of the step, like 'step(\d+)'."},
)
def read_lm_eval(
    files: Sequence[Path], given: Given, report: ReadReport, *, step_pattern: str | None = None
) -> pl.DataFrame:
    """Read result files and folders of them.

    A run is named by its model (without the step), unless `given.run` says otherwise. The filter of a metric
    ("strict-match") becomes the variant, "none" no variant. Files of one checkpoint are ordered by their
    date. Raises InputError on files that are not JSON, and where no file has results and a step.
    """
    pattern = compile_step_pattern(step_pattern)
    seen = Seen()
    documents = []
    for path in files:
        document = read_json(path)
        if not is_results(document):
            report.skip(path, f"no lm-eval results in it{known_as(path)}")
            continue
        check_results(document, path)
        step = _step_of(document, path, pattern)
        if step is None:
            report.skip(path, r"its step is in neither revision, model nor path: --step-pattern 'step(\d+)'")
            continue
        documents.append((_date(document), path, step, document))
    rows: list[dict[str, Any]] = []
    for _, path, step, document in sorted(documents, key=lambda item: (item[0], str(item[1]))):
        seen.add(document)
        run = _run_of(document, pattern)
        facts = {"run": run, "step": step, "source": "lm-eval", **_params(document), **known_facts(run, step)}
        values = [facts | row for row in metric_rows(document, report, path)]
        report.read[str(path)] += len(values)
        rows += values
    report.notes += seen.notes()
    return columns_of(rows)


def is_results(document: Any) -> bool:
    """Whether a JSON document is a results file: an object with an object of objects under "results"."""
    results = document.get("results") if isinstance(document, dict) else None
    if isinstance(document, dict) and "config_general" in document:
        return False  # lighteval's
    return isinstance(results, dict) and all(isinstance(metrics, dict) for metrics in results.values())


def check_results(document: dict[str, Any], path: str | Path) -> None:
    """InputError naming the field where what a results file says beside its results is of another kind."""
    check_document(_About, document, path)


class _About(BaseModel):
    """What a results file says beside its results; whatever else it says is not read."""

    versions: dict[str, Any] | None = None
    task_hashes: dict[str, Any] | None = None
    n_shot: dict[str, Bounded] | None = Field(None, alias="n-shot")
    n_samples: dict[str, Bounded | dict[str, Bounded]] | None = Field(None, alias="n-samples")
    config: dict[str, Bounded] | None = None


def metric_rows(document: dict[str, Any], report: ReadReport, path: str | Path) -> Iterator[dict[str, Any]]:
    """Each value of a results document: task, metric, variant, n_shot, value, stderr, n_items."""
    shots, counts = _mapping(document, "n-shot"), _mapping(document, "n-samples")
    default_shots = _mapping(document, "config").get("num_fewshot")
    for task, metrics in document["results"].items():
        n_shot = shots.get(task, default_shots)
        samples = counts.get(task)
        n_items = samples.get("effective") if isinstance(samples, dict) else metrics.get("sample_len")
        for key, value in metrics.items():
            metric, _, filtered = key.partition(",")
            if key in NOT_METRICS or metric.endswith("_stderr"):
                continue
            if not _is_number(value) or not math.isfinite(value):
                report.skip(path, f"{task} {key} is {value!r}, no finite number")
                continue
            error = metrics.get(f"{metric}_stderr" + (f",{filtered}" if filtered else ""))
            yield {
                "task": find_task(task).name,
                "metric": metric,
                "variant": None if filtered in ("", "none") else filtered,
                "n_shot": n_shot if isinstance(n_shot, int) else None,
                "value": float(value),
                "stderr": float(error) if _is_number(error) else None,
                "n_items": n_items if isinstance(n_items, int) else None,
            }


def _step_of(document: dict[str, Any], path: Path, pattern: re.Pattern[str] | None) -> int | None:
    config, arguments = _mapping(document, "config"), _arguments(document)
    texts = [config.get("model_revision"), arguments.get("revision"), _model_of(document), str(path)]
    return find_step([text for text in texts if isinstance(text, str)], pattern)


def _run_of(document: dict[str, Any], pattern: re.Pattern[str] | None) -> str:
    """The model without its step: a name on a hub as it is, of a path the last folder that names it."""
    model = _model_of(document)
    if model is None:
        return "run"
    parts = [part for part in re.split(r"[/\\]", model) if part not in ("", ".", "..")]
    if (pattern or STEP).search(model):
        parts = [(pattern or STEP).sub("", part).strip("-_.") for part in parts]
        parts = [part for part in parts if part]
    named = [part for part in parts if part.casefold() not in NO_NAMES]
    parts = named or parts
    is_path = model.startswith((".", "/", "~", "\\")) or len(parts) > 2
    return (parts[-1] if is_path else "/".join(parts)) if parts else "run"


def _model_of(document: dict[str, Any]) -> str | None:
    name = _arguments(document).get("pretrained") or document.get("model_name")
    return name if isinstance(name, str) else None


def _arguments(document: dict[str, Any]) -> dict[str, Any]:
    """config.model_args, an object or a string of a=b,c=d, as a dictionary."""
    arguments = _mapping(document, "config").get("model_args")
    if isinstance(arguments, str):
        pairs = (part.partition("=") for part in arguments.split(","))
        return {name.strip(): value.strip() for name, _, value in pairs}
    return arguments if isinstance(arguments, dict) else {}


def _params(document: dict[str, Any]) -> dict[str, int]:
    params = _mapping(document, "config").get("model_num_parameters")
    return {"params": params} if isinstance(params, int) and params > 0 else {}


def _mapping(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _date(document: dict[str, Any]) -> float:
    date = document.get("date")
    return float(date) if isinstance(date, int | float) else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
