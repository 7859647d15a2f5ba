"""Scores of the Open LLM Leaderboard, and what the hub knows of models, fetched into files for import."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuneu.designs.database.harvest import fetch_model
from neuneu.errors import InputError
from neuneu.files import read_json, write_json
from neuneu.hub import fetch_files

LEADERBOARD = "open-llm-leaderboard-old/results"
"""The data set with the first leaderboard's results: ORG/MODEL/results_DATE.json."""

_STAMP = re.compile(r"results_(.+)\.json")


def fetch_scores(
    models: Sequence[str], folder: str | Path, *, repository: str = LEADERBOARD
) -> tuple[list[Path], list[str]]:
    """(files written, models without results): results_ORG__MODEL.json a model, as `import scores-json` reads
    it.

    A model has a result file a date; of each measurement the newest is taken. repository: a data set with
    ORG/MODEL/results_DATE.json, or one a model with {org} and {name} in its name and the files at its top
    (open-llm-leaderboard-old/details_{org}__{name}). Raises InputError where the hub does not give it.
    """
    written, without = [], []
    for model in models:
        org, name = _parts(model)
        own = "{" in repository
        place = repository.replace("{org}", org).replace("{name}", name)
        below = Path() if own else Path(org, name)
        found = fetch_files(place, [str(below / "results_*.json")], kind="dataset") / below
        files = sorted(found.glob("results_*.json"), key=lambda file: _stamp(file.name))
        if not files:
            without.append(model)
            continue
        path = Path(folder) / f"results_{org}__{name}.json"
        write_json(path, merge_results(model, files))
        written.append(path)
    return written, without


def merge_results(model: str, files: Sequence[Path]) -> dict[str, Any]:
    """Result files of one model, oldest first → one document of scores, the newest of each measurement."""
    merged: dict[str, Any] = {}
    for file in files:
        document = read_json(file)
        results = document.get("results") if isinstance(document, dict) else None
        if not isinstance(results, dict):
            raise InputError('must be an object with "results"', where=file)
        merged |= {key: value for key, value in results.items() if key != "all" and isinstance(value, dict)}
    return {
        "model_name": model,
        "last_updated": _stamp(files[-1].name),
        "results": {"harness": {key: merged[key] for key in sorted(merged)}},
    }


def fetch_metadata(models: Sequence[str], folder: str | Path) -> list[Path]:
    """Write model_metadata/ORG__MODEL.json a model, as `import metadata` reads it: what the hub knows of it.

    Of a repository only its config.json is fetched, and its page: author, date, licence, tags, parameters.
    """
    written = []
    for model in models:
        org, name = _parts(model)
        info, config = fetch_model(model)
        path = Path(folder) / "model_metadata" / f"{org}__{name}.json"
        write_json(path, _record(info, config))
        written.append(path)
    return written


def _record(info: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    card = info.card_data.to_dict() if info.card_data is not None else {}
    tags = list(info.tags or [])
    licences = [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
    weights = info.safetensors
    return {
        "id": info.id,
        "author": info.author,
        "sha": info.sha,
        "created_at": _date(info.created_at),
        "last_modified": _date(info.last_modified),
        "private": info.private,
        "gated": info.gated,
        "disabled": info.disabled,
        "library_name": info.library_name,
        "license": licences[0] if licences else card.get("license"),
        "tags": tags,
        "pipeline_tag": info.pipeline_tag,
        "mask_token": info.mask_token,
        "card_data": {key: str(value) for key, value in card.items()},
        "model_index": None,
        "config": dict(config),
        "safetensors": weights and {"parameters": dict(weights.parameters), "total": weights.total},
    }


def _date(value: Any) -> str | None:
    return None if value is None else str(value.isoformat())


def _stamp(name: str) -> str:
    match = _STAMP.fullmatch(name)
    return match[1] if match else ""


def _parts(model: str) -> tuple[str, str]:
    org, _, name = model.partition("/")
    if not org or not name or "/" in name:
        raise InputError("must read like org/name", field="model", value=model)
    return org, name
