"""lm-evaluation-harness over checkpoints: its tasks, its scores; results and items kept by checkpoint."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from neuneu.curves.readers.lm_eval import metric_rows
from neuneu.curves.readers.parsing import ReadReport
from neuneu.curves.table import CurveTable, columns_of
from neuneu.errors import InputError, MissingExtraError, check_known
from neuneu.files import read_object, remove_leftovers, sha256_of_all, write_json
from neuneu.losses.checkpoints import CHECKPOINT_FILES, weights_digest
from neuneu.progress import counted
from neuneu.suite.outside_models import is_here, load_checkpoint, parse_model

VERSION = 2
_OTHER = {
    "version": "by another version of neuneu",
    "include": "with other files under `include`",
    "tokenizer": "with another tokenizer",
}
"""How a result was evaluated that does not belong to those asked for, by what tells it."""


def evaluate_with_harness(
    models: Sequence[str],
    tasks: Sequence[str],
    output: Path,
    *,
    include: Path | None = None,
    tokenizer: Path | None = None,
    shots: int | None = None,
    limit: int | None = None,
    batch: int = 8,
    hub: bool = False,
) -> CurveTable:
    """Scores of checkpoints on tasks that lm-evaluation-harness can load.

    models: as `parse_model` reads them; tasks: names the harness knows, or of YAML files under `include`;
    shots: examples before each question, None = as the task says; limit: questions a task. Each checkpoint's
    results (values, standard errors, item counts) and items (scores and log-likelihoods a question) go to
    `output`/RUN/stepN.json; a checkpoint that is there is not asked again. All that are there make the table.
    Without `hub` nothing is fetched. Raises InputError on an unknown task, on a model or data that cannot be
    loaded, and where `output` was made with other settings, files under `include`, tokenizer or checkpoints;
    MissingExtraError without the harness.
    """
    asked: dict[str, Any] = {
        "version": VERSION,
        "tasks": sorted(tasks),
        "num_fewshot": shots,
        "limit": limit,
        "include": _digest(include, output),
        "tokenizer": _digest(tokenizer, output),
    }
    remove_leftovers(output)
    for file in _results(output):
        _check_asked(file, asked)
    for name in counted(models, "models"):
        run, path, step = parse_model(name)
        file = output / quote(run, safe=" +,=@") / f"step{step}.json"
        checkpoint = _identify(path, hub=hub)
        if not file.exists():
            document = _evaluate(path, tasks, include, tokenizer, shots, limit, batch, hub)
            write_json(file, {"asked": asked, "checkpoint": checkpoint, **document})
        elif (known := read_object(file).get("checkpoint")) != checkpoint:
            rule = f"was evaluated from another checkpoint than {path}: name the run, as RUN=FOLDER"
            raise InputError(rule, where=file, field="checkpoint", value=known)
    rows = [row for file in _results(output) for row in _rows(file)]
    table = CurveTable.from_frame(columns_of(rows), output)
    table.write(output / "curves.parquet")
    return table


def _results(output: Path) -> list[Path]:
    """Results of checkpoints that a folder has."""
    return sorted(output.glob("*/step*.json"))


def _rows(file: Path) -> list[dict[str, Any]]:
    """Rows of one checkpoint's results, whose path says its run and step."""
    document = read_object(file)
    run, step = unquote(file.parent.name), int(file.stem.removeprefix("step"))
    facts = {"run": run, "step": step, "params": document["params"], "source": "lm-eval"}
    return [facts | row for row in metric_rows(document, ReadReport(), file)]


def _check_asked(file: Path, asked: dict[str, Any]) -> None:
    """InputError where a result is of other settings, or no result."""
    known = read_object(file).get("asked") or {}
    for name, value in asked.items():
        if known.get(name) != value:
            rule = f"was evaluated {_OTHER.get(name, 'with other settings')}: choose another folder"
            raise InputError(rule, where=file, field=name, value=known.get(name))


def _digest(place: Path | None, output: Path) -> str | None:
    """What is in a file, or in those of a folder, without hidden ones, what Python compiles and results."""
    if place is None or place.is_file():
        return None if place is None else sha256_of_all([place])
    results = {path.resolve() for path in (*_results(output), output / "curves.parquet")}
    inside = (path for path in sorted(place.rglob("*")) if path.is_file() and path.resolve() not in results)
    parts = ((path, path.relative_to(place).parts) for path in inside)
    return sha256_of_all(
        path for path, names in parts if not any(name.startswith((".", "__pycache__")) for name in names)
    )


def _identify(path: str, *, hub: bool) -> dict[str, Any]:
    """What tells a checkpoint from others: what its folder holds; on the hub its name; fetches nothing."""
    if not is_here(path, hub=hub):
        return {"hub": path}
    patterns = (pattern for pattern in CHECKPOINT_FILES if pattern != "*.safetensors")
    files = sorted({file for pattern in patterns for file in Path(path).glob(pattern)})
    return {"weights": weights_digest(Path(path)), "files": sha256_of_all(files)}


def _evaluate(
    path: str,
    tasks: Sequence[str],
    include: Path | None,
    tokenizer: Path | None,
    shots: int | None,
    limit: int | None,
    batch: int,
    hub: bool,
) -> dict[str, Any]:
    """Results and items of one checkpoint."""
    if not hub:
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    try:
        import lm_eval
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingExtraError("lm_eval", "lm") from error
    manager = TaskManager(include_path=None if include is None else str(include))
    for task in tasks:
        check_known(
            task, manager.all_tasks, "task", "unknown to the harness; `include` names a folder of more"
        )
    model, reader = load_checkpoint(path, tokenizer, hub=hub)
    try:
        found = lm_eval.simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=reader, batch_size=batch, device=str(model.device)),
            tasks=list(tasks),
            task_manager=manager,
            num_fewshot=shots,
            limit=limit,
            log_samples=True,
        )
    except Exception as error:  # the harness and its data raise many kinds
        raise InputError(
            f"the harness failed: {error}", where=path, field="task", value=list(tasks)
        ) from error
    items = {task: list(map(_item, samples)) for task, samples in found["samples"].items()}
    return {
        **{key: found[key] for key in ("results", "n-shot", "n-samples", "versions")},
        "lm_eval_version": lm_eval.__version__,
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "items": items,
    }


def _item(sample: dict[str, Any]) -> dict[str, Any]:
    """One question's scores and what the model gave each choice; no text of it."""
    scores = {name: sample[name] for name in sample["metrics"] if isinstance(sample[name], int | float)}
    given = [part for part in sample["filtered_resps"] if not isinstance(part, str)]
    return {"doc_id": sample["doc_id"], "doc_hash": sample.get("doc_hash"), **scores, "given": given}
