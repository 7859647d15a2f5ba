"""lm-evaluation-harness results: JSON with "acc,none" keys (0.4 and later) or plain "acc" keys (before).

One file a checkpoint, or folders of them. Who a file's run is and which checkpoint it measured, `identity.py`
says; what of the evaluation may differ from file to file (harness, limit, template) goes into `conditions`.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from neuneu.curves.conditions import NAME, conditions_text
from neuneu.curves.groups import members_text
from neuneu.curves.percent import in_percent
from neuneu.curves.readers.identity import NAMING
from neuneu.curves.readers.lm_eval_samples import chosen_measures, finer_rows
from neuneu.curves.readers.lm_eval_schema import check_results
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, document_of, known_as, reader
from neuneu.curves.readers.results_files import ResultsFile, read_results_files, text
from neuneu.curves.tasks import find_task

NOT_METRICS = ("alias", "name", "sample_len", "sample_count", " ", "samples")
"""Keys of a task's results that name no metric."""
STDERR = ("_stderr",)
"""Endings of the names of standard errors."""

MODELS = (
    "pretrained",
    "model",
    "model_name_or_path",
    "path",
    "model_path",
    "checkpoint",
    "ckpt",
    "checkpoint_dir",
)
"""Model arguments that name the model, the first that is there."""

TOLD_ARGUMENTS = (
    "dtype", "add_bos_token", "load_in_4bit", "load_in_8bit", "max_length", "quantization", "enable_thinking",
    "softmax_dtype", "backend",
)  # fmt: skip
"""Model arguments that change values: their changes are told."""

USUAL_MODEL, USUAL_SEED = "hf", 1234
"""The harness's class of models (with what follows: hf-causal) and its seed of few-shot examples, unless told
otherwise (lm_eval/__main__.py): these are no condition."""

OLD, NEW = 'before 0.4 (plain "acc" keys)', '0.4 or later ("acc,none" keys)'
SAMPLES = {
    "samples": "finer measures from the samples_*.jsonl beside each results file: bpb (bits a byte of the "
    "right choice), norm_correct_prob (its probability among all choices), or both with a comma.",
}
"""The option of what the samples say beside the accuracies."""
PERCENT = "in percent, as the harness reports it: divided by 100"


def _recognise(look: Look) -> Fit:
    if not is_results(look.document):
        return Fit.NO
    return Fit.MARK if look.keys & {"lm_eval_version", "n-shot"} else Fit.SHAPE


@reader(
    "lm-eval",
    'result files of lm-evaluation-harness, new ("acc,none") and old, single or in folders',
    names=["*.json"],
    recognise=_recognise,
    options=NAMING | SAMPLES,
)
def read_lm_eval(
    files: Sequence[Path], given: Given, report: ReadReport, **options: str | None
) -> pl.DataFrame:
    """Read result files and folders of them.

    The filter of a metric ("strict-match") becomes the variant, "none" no variant. Files of one checkpoint
    are ordered by their date. Raises InputError on files that are not JSON.
    """
    measures = chosen_measures(options.get("samples"))

    def read(path: Path, report: ReadReport) -> list[ResultsFile]:
        return _read(path, report, measures)

    return read_results_files(files, read, "lm-eval", given, report, options)


def _read(path: Path, report: ReadReport, measures: Sequence[str] = ()) -> list[ResultsFile]:
    document = document_of(path)
    if not is_results(document):
        report.skip(path, f"no lm-eval results in it{known_as(path)}")
        return []
    check_results(document, path)
    file = results_file(document, path)
    rows = list(metric_rows(document, report, path))
    if measures:
        rows += finer_rows(path, task_facts(document), measures, report)
    file.rows = rows
    return [file]


def is_results(document: Any) -> bool:
    """Whether a JSON document is a results file: an object with an object of objects under "results"."""
    results = document.get("results") if isinstance(document, dict) else None
    if isinstance(document, dict) and "config_general" in document:
        return False  # lighteval's
    return isinstance(results, dict) and all(isinstance(metrics, dict) for metrics in results.values())


def results_file(document: dict[str, Any], path: str | Path) -> ResultsFile:
    """What a results document says of the checkpoint that it measured, without its values."""
    config, arguments = _mapping(document, "config"), _arguments(document)
    name = next((arguments[key] for key in MODELS if arguments.get(key)), None) or document.get("model_name")
    return ResultsFile(
        path,
        model=text(name),
        revision=text(config.get("model_revision") or arguments.get("revision")),
        adapter=text(arguments.get("peft") or arguments.get("delta")),
        subfolder=text(arguments.get("subfolder")),
        date=_date(document),
        params=_params(document),
    )


class Measurement(NamedTuple):
    """One value of a task as a results document has it: its key there, metric and filter (None for none).

    value, stderr: whatever stands there, but for numbers in percent, which are divided by 100.
    """

    key: str
    metric: str
    filter: str | None
    value: Any
    stderr: Any
    percent: bool


@dataclass(frozen=True, slots=True)
class TaskResults:
    """What a results document says of one task or group: its name there, shots, and what was measured.

    members: tasks that a group is made of, none for a task.
    """

    name: str
    n_shot: int | None
    group: bool
    members: tuple[str, ...]
    metrics: Mapping[str, Any]

    @property
    def measurements(self) -> Iterator[Measurement]:
        """Each value of it."""
        return measurements(self.metrics, find_task(self.name).name)


def task_results(document: Mapping[str, Any]) -> Iterator[TaskResults]:
    """The tasks and groups of a results document, one by one: the one place where its layout is read.

    Shots are those of `n-shot`, else of the task's own configuration, else of the whole evaluation's.
    """
    shots, configs = _mapping(document, "n-shot"), _mapping(document, "configs")
    groups, subtasks = _mapping(document, "groups"), _mapping(document, "group_subtasks")
    default = _mapping(document, "config").get("num_fewshot")
    for name, metrics in document["results"].items():
        own = _mapping(configs, name).get("num_fewshot")
        n_shot = shots.get(name, default if own is None else own)
        members = {**groups, **subtasks}.get(name)
        listed = tuple(map(str, members)) if isinstance(members, list) else ()
        yield TaskResults(
            name,
            n_shot if isinstance(n_shot, int) and not isinstance(n_shot, bool) else None,
            group=name in groups or bool(listed),
            members=listed,
            metrics=metrics,
        )


def measurements(
    metrics: Mapping[str, Any], task: str | None = None, errors: tuple[str, ...] = STDERR
) -> Iterator[Measurement]:
    """Each value of one task's metrics by "metric,filter" or "metric", with the error that stands beside it.

    task: its canonical name, by which it is known what is in percent; errors: endings of names of errors.
    """
    for key, value in metrics.items():
        metric, _, filtered = key.partition(",")
        if key in NOT_METRICS or metric.endswith(errors):
            continue
        beside = (f"{metric}{ending}" + (f",{filtered}" if filtered else "") for ending in errors)
        error: Any = next((metrics[name] for name in beside if name in metrics), None)
        percent = task is not None and in_percent(task, metric)
        value, error = (each / 100.0 if percent and is_number(each) else each for each in (value, error))  # noqa: PLW2901
        yield Measurement(key, metric, None if filtered in ("", "none") else filtered, value, error, percent)


def metric_rows(document: dict[str, Any], report: ReadReport, path: str | Path) -> Iterator[dict[str, Any]]:
    """Each value of a results document: the columns of `reading.VALUES`."""
    common = _common_conditions(document)
    for found in task_results(document):
        task, raw = find_task(found.name).name, found.name
        facts = _facts(document, found, common)
        for key, metric, filtered, value, error, percent in found.measurements:
            if not is_number(value) or not math.isfinite(value):
                report.skip(path, f"{raw} {key} is {value!r}, no finite number")
                continue
            if percent:
                report.count_note(PERCENT, f"{task} {metric}")
            yield facts | {
                "metric": metric,
                "variant": filtered,
                "value": float(value),
                "stderr": float(error) if is_number(error) else None,
            }


def task_facts(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name in the file → what is known of each task, groups left out, beside its values."""
    common = _common_conditions(document)
    return {
        found.name: _facts(document, found, common) for found in task_results(document) if not found.group
    }


def _facts(document: dict[str, Any], found: TaskResults, common: dict[str, object]) -> dict[str, Any]:
    samples = _mapping(document, "n-samples").get(found.name)
    n_items = samples.get("effective") if isinstance(samples, dict) else found.metrics.get("sample_len")
    return {
        "task": find_task(found.name).name,
        "n_shot": found.n_shot,
        "n_items": n_items if isinstance(n_items, int) else None,
        "members": members_text(found.name, found.members) if found.members else None,
        "conditions": conditions_text(common | _task_conditions(document, found.name, found.metrics)),
    }


def _common_conditions(document: dict[str, Any]) -> dict[str, object]:
    """What holds for every task of a file."""
    arguments = _arguments(document)
    template = document.get("chat_template_sha") or document.get("chat_template")
    system = document.get("system_instruction_sha") or document.get("system_instruction")
    config = _mapping(document, "config")
    model, seed = config.get("model"), config.get("fewshot_seed")
    return {
        "lm_eval": document.get("lm_eval_version"),
        "harness_model": model if isinstance(model, str) and not model.startswith(USUAL_MODEL) else None,
        "fewshot_seed": seed if is_number(seed) and seed != USUAL_SEED else None,
        "chat_template": _digest(template),
        "system_prompt": _digest(system),
        "multiturn": True if document.get("fewshot_as_multiturn") else None,
        **{name: arguments[name] for name in TOLD_ARGUMENTS if arguments.get(name) not in (None, "")},
    }


def _task_conditions(document: dict[str, Any], raw: str, metrics: Mapping[str, Any]) -> dict[str, object]:
    """What holds for one task of a file, under the name that the harness gave it."""
    digest = _mapping(document, "task_hashes").get(raw)
    names = [key for key in metrics if key not in NOT_METRICS]
    return {
        NAME: raw if find_task(raw).name != raw else None,
        "generation": (NEW if any("," in key for key in names) else OLD) if names else None,
        "version": _version(_mapping(document, "versions").get(raw)),
        "hash": str(digest)[:12] if digest else None,
        "items": _items(document, raw),
    }


def _items(document: dict[str, Any], raw: str) -> str | None:
    """How many of a task's items were scored, where --limit left some out."""
    samples = _mapping(document, "n-samples").get(raw)
    limit = _mapping(document, "config").get("limit")
    if isinstance(samples, dict):
        scored, whole = samples.get("effective"), samples.get("original")
        if isinstance(scored, int) and isinstance(whole, int):
            return f"{scored:,} of {whole:,} items" if 0 < scored < whole else None
    if not is_number(limit):
        return None
    return f"{limit:g} items" if float(limit or 0) >= 1 else f"{limit:g} of the items"


def _version(value: object) -> object:
    """A task's version; 0 and 0.0 are the same."""
    return f"{value:g}" if is_number(value) and isinstance(value, int | float) else value


def _arguments(document: dict[str, Any]) -> dict[str, Any]:
    """config.model_args, an object or a string of a=b,c=d, as a dictionary."""
    arguments = _mapping(document, "config").get("model_args")
    if isinstance(arguments, str):
        pairs = (part.partition("=") for part in arguments.split(","))
        return {name.strip(): value.strip() for name, _, value in pairs}
    return arguments if isinstance(arguments, dict) else {}


def _params(document: dict[str, Any]) -> int | None:
    params = _mapping(document, "config").get("model_num_parameters")
    return params if isinstance(params, int) and params > 0 else None


def _mapping(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _date(document: dict[str, Any]) -> float:
    date = document.get("date")
    return float(date) if isinstance(date, int | float) else 0.0


def _digest(value: object) -> str | None:
    return hashlib.sha256(str(value).encode()).hexdigest()[:8] if value else None


def is_number(value: Any) -> bool:
    """Whether a value of a document is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
