"""Any Hugging Face causal language models against a suite's exam or question folders."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuneu.curves.table import CurveTable, columns_of
from neuneu.errors import InputError
from neuneu.hub import fetch_files
from neuneu.losses.checkpoints import CHECKPOINT_FILES
from neuneu.losses.models import load_model
from neuneu.losses.tokenizer import load_hf_tokenizer
from neuneu.progress import counted
from neuneu.suite.exam import Exam, fingerprint
from neuneu.suite.exam_scores import score_checkpoint
from neuneu.suite.multiple_choice import read_blimp, read_requests


def evaluate_models(
    models: Sequence[str],
    *,
    blimp: Path | None = None,
    requests: Path | None = None,
    tokenizer: Path | None = None,
    tasks: Sequence[str] = (),
    pairs: int = 1000,
    items: int = 1000,
    longest: int | None = None,
    share: bool = True,
    hub: bool = False,
) -> CurveTable:
    """Minimal pairs and multiple choice for any models.

    models: folders, or with `hub` names of the hub, written as `parse_model` says; tokenizer: a
    tokenizer.json for models that bring none. Only safetensors weights are read. Raises InputError on a model
    or question file that cannot be read, MissingExtraError without transformers.
    """
    if blimp is None and requests is None:
        raise InputError("give `blimp` or `requests`", field="questions")
    rows: list[dict[str, Any]] = []
    for name in counted(models, "models"):
        run, path, step = parse_model(name)
        model, reader = load_checkpoint(path, tokenizer, hub=hub)
        exam = _exam(reader, model, blimp, requests, tasks, pairs=pairs, items=items, longest=longest)
        scores = score_checkpoint(model, exam, share=share)
        params = sum(parameter.numel() for parameter in model.parameters())
        rows += [{"run": run, "step": step, "params": params, **row} for row in scores.rows]
    return CurveTable.from_frame(columns_of(rows), "models")


def parse_model(name: str) -> tuple[str, str, int]:
    """`RUN=FOLDER@STEP` → run, folder, step; what is not given comes from the folder's name.

    A folder named 1000 or step1000 is that step of the run that the folder above is named after (or the one
    above `weights`); any other is step 0 of a run of its own name. Raises InputError on a bad step.
    """
    run, _, rest = name.rpartition("=")
    path, _, step = rest.rpartition("@")
    if path and not step.isdigit():
        raise InputError("the step after @ must be a whole number", field="model", value=name)
    path = path or rest
    *above, last = (part for part in path.split("/") if part)
    named = re.fullmatch(r"(?:step)?(\d+)", last)
    if named and above:
        owner = above[-2] if above[-1] == "weights" and len(above) > 1 else above[-1]
        return run or owner, path, int(step if rest != path else named[1])
    return run or path, path, int(step) if rest != path else 0


def is_here(path: str, *, hub: bool) -> bool:
    """Whether a model is a folder, and no name of the hub; InputError where it is neither."""
    if Path(path).is_dir():
        return True
    if not hub:
        raise InputError("no such folder; `hub` looks for it on the hub", field="model", value=path)
    return False


def load_checkpoint(path: str, tokenizer_file: Path | None, *, hub: bool) -> tuple[Any, Any]:
    """A model in float32 and its tokenizer, from a folder or with `hub` from the hub; only safetensors.

    Raises InputError where they cannot be loaded, MissingExtraError without transformers.
    """
    folder = Path(path) if is_here(path, hub=hub) else fetch_files(path, CHECKPOINT_FILES)
    return load_model(folder), load_hf_tokenizer(tokenizer_file or folder)


def _exam(
    tokenizer: Any,
    model: Any,
    blimp: Path | None,
    requests: Path | None,
    tasks: Sequence[str],
    *,
    pairs: int,
    items: int,
    longest: int | None,
) -> Exam:
    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    start = next(
        (
            token
            for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, model.config.bos_token_id)
            if token is not None
        ),
        0,
    )
    room = longest or getattr(model.config, "max_position_embeddings", None) or 2048
    questions = {} if blimp is None else read_blimp(blimp, pairs, encode, start)
    for task in tasks:
        if requests is None:
            raise InputError("needs `requests`", field="task", value=task)
        questions[task.split("/")[0]] = read_requests(
            requests, task, items, encode, start=start, longest=room
        )
    return Exam({}, None, questions, fingerprint({}, questions))
