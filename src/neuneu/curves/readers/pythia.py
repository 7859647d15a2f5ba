"""The evaluations in EleutherAI's pythia repository: evals/pythia-v1/<model>/<zero|five>-shot/*.json.

Steps are turned into tokens: 2,097,152 a step; the batch-size variants say theirs in the name; in v0 the
160m, 410m and 1.4b models took 4,194,304. Left out: the gender-swap interventions, which are other models,
and v0's "five-shot" files, which by their own configuration hold zero-shot results.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.bulk import Progress
from neuneu.curves.readers.lm_eval import is_results, metric_rows
from neuneu.curves.readers.lm_eval_schema import check_results
from neuneu.curves.readers.names import read_name
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.pythia_models import pythia_model
from neuneu.curves.readers.reader import Fit, Look, document_of, reader
from neuneu.curves.table import columns_of
from neuneu.errors import InputError
from neuneu.hub import GITHUB, cache_folder, fetch_github, list_github, split_address

DOUBLE_BATCH_V0 = ("160m", "410m", "1.4b")
SHOTS = {"zero-shot": 0, "five-shot": 5}


EVALS = "evals/pythia-v1"
"""Where the repository keeps the evaluations of the released models."""

VERSIONS = ("pythia-v0", "pythia-v1")


def _recognise(look: Look) -> Fit:
    return (
        Fit.PLACE if set(look.path.absolute().parts) & set(VERSIONS) and is_results(look.document) else Fit.NO
    )


def _fetch(path: str | Path) -> str | Path:
    """The folder of what an address on GitHub names: https://github.com/EleutherAI/pythia?size=70m,1.4b."""
    if not str(path).startswith("https://"):
        return path
    place, asked = split_address(str(path))
    repository = place.removeprefix(GITHUB).strip("/")
    names = [name for values in asked.values() for name in values]
    if (
        not place.startswith(GITHUB)
        or repository.count("/") != 1
        or set(asked) - {"size", "shots"}
        or not all(re.fullmatch(r"[\w.-]+", name) for name in names)
    ):
        rule = f"must be {GITHUB}OWNER/NAME, with ?size=70m,1.4b&shots=zero where not all are wanted"
        raise InputError(rule, field="path", value=str(path))
    models = [f"pythia-{size}" for size in asked.get("size", ())]
    if not models:
        models = [str(entry["name"]) for entry in list_github(repository, EVALS) if entry["type"] == "dir"]
    shots = [f"{shots}-shot" for shots in asked.get("shots", ("zero",))]
    folders = [f"{EVALS}/{model}/{name}" for model in models for name in shots]
    root = cache_folder() / "github" / "--".join([*repository.split("/"), *names])
    return fetch_github(repository, folders, "*.json", root) / EVALS


@reader(
    "pythia",
    f"EleutherAI's evals/pythia-v0 and -v1 trees; {GITHUB}EleutherAI/pythia?size=70m,1.4b fetches some",
    names=["*.json"],
    recognise=_recognise,
    fetch=_fetch,
)
def read_pythia(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read the tree, a part of it, or single files in it.

    Runs are named pythia-v1/<model> (or pythia-v0/<model>). Files whose own configuration names another step
    or number of shots than their path are skipped and said.
    """
    rows: list[dict[str, Any]] = []
    for path in Progress(files, given.tell):
        facts = _facts_of(path, report)
        if facts is None:
            continue
        document = document_of(path)
        if not is_results(document):
            report.skip(path, "no lm-eval results in it")
            continue
        check_results(document, path)
        config = document.get("config")
        shots = _shots_of(config if isinstance(config, dict) else {}, facts, path, report)
        if shots is None:
            continue
        values = [row | facts | {"n_shot": shots} for row in metric_rows(document, report, path)]
        report.read[str(path)] += len(values)
        rows += values
    return columns_of(rows)


def _facts_of(path: Path, report: ReadReport) -> dict[str, Any] | None:
    """What the path says: version, model, shots (None of models evaluated once), step, and so tokens."""
    parts = path.absolute().parts
    version = next((part for part in reversed(parts) if part in VERSIONS), None)
    above = parts[-2] if len(parts) > 1 else ""
    model = parts[-3] if above in SHOTS and len(parts) > 2 else above
    step, known = read_name(path.name).step, pythia_model(model)
    if step is None or (known is None and above not in SHOTS):
        report.skip(path, "no model, zero-shot or five-shot folder and step in its path")
        return None
    if "intervention" in model or "intervention" in path.name or known is None:
        report.skip(path, f"{model} is not one of the released models")
        return None
    doubled = version == "pythia-v0" and known["size"] in DOUBLE_BATCH_V0
    tokens = step * known["batch_tokens"] * (2 if doubled else 1)
    params = known["params"]
    return {
        "run": f"{version or 'pythia-v1'}/{model}",
        "step": step,
        "tokens": tokens,
        "flops": 6.0 * params * tokens if params else None,
        "n_shot": SHOTS.get(above),
        "source": (version or "pythia-v1").replace("-", "_"),
        "family": "pythia",
        "params": params,
        "recipe": known["recipe"],
        "seed": "1234",
    }


def _shots_of(config: dict[str, Any], facts: dict[str, Any], path: Path, report: ReadReport) -> int | None:
    """The shots of a file, of its folder or else its configuration; None, and why, where they contradict.

    So v0's false five-shot files are skipped, and a file whose configuration has another step than its name.
    """
    shots, said = config.get("num_fewshot"), facts["n_shot"]
    if isinstance(shots, int) and said is not None and shots != said:
        report.skip(path, f"its own configuration says {shots} shots, its folder {said}")
        return None
    arguments = config.get("model_args")
    revision = re.search(r"revision=([^,]+)", arguments) if isinstance(arguments, str) else None
    step = read_name(revision[1], revision=True).step if revision else None
    if step is not None and step != facts["step"]:
        report.skip(path, f"its own configuration says step {step}, its name {facts['step']}")
        return None
    known = said if said is not None else shots
    if not isinstance(known, int):
        report.skip(path, "neither its folder nor its configuration says the shots")
        return None
    return known
