"""What a checkpoint says of itself: its config.json and the headers of its weights, local or on the hub."""

import math
import struct
from pathlib import Path
from typing import Any

from neuneu.designs.database.metadata import architecture_from_config, read_config
from neuneu.errors import InputError
from neuneu.files import parse_json, read_json
from neuneu.hub import hub_errors

MAX_HEADER = 100_000_000
"""Longest header of a safetensors file, in bytes, that is read."""


def harvest_local(checkpoint: str | Path) -> dict[str, Any]:
    """Column of model_annotations → value, from a checkpoint's folder (or its config.json).

    total_params counts what its *.safetensors hold; without them it is not filled.
    """
    path = Path(checkpoint)
    facts = read_config(path)
    weights = sorted((path if path.is_dir() else path.parent).glob("*.safetensors"))
    if weights:
        facts["total_params"] = sum(count_parameters(file) for file in weights)
    return facts


def harvest_hub(repository: str, revision: str | None = None) -> dict[str, Any]:
    """The same of a repository of the Hugging Face hub; only its config.json is fetched, and what the hub
    knows of its weights and its date."""
    info, config = fetch_model(repository, revision)
    facts = architecture_from_config(config)
    if info.safetensors is not None:
        facts["total_params"] = info.safetensors.total
    if info.created_at is not None:
        facts["released"] = info.created_at.date().isoformat()
    return facts


def fetch_model(repository: str, revision: str | None = None) -> tuple[Any, dict[str, Any]]:
    """(what the hub knows of a repository, its config.json); InputError where the hub does not give them."""
    with hub_errors(repository):
        from huggingface_hub import HfApi, hf_hub_download

        info = HfApi().model_info(repository, revision=revision)
        path = hf_hub_download(repository, "config.json", revision=info.sha or revision)
    config = read_json(path)
    if not isinstance(config, dict):
        raise InputError("must be a JSON object", where=f"{repository}/config.json")
    return info, config


def count_parameters(path: str | Path) -> int:
    """The numbers that a safetensors file holds, from its header alone; InputError where it has none."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER:
                raise InputError("not a safetensors file", where=path)
            header = parse_json(file.read(size).decode(), path)
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, struct.error, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise InputError("not a safetensors file", where=path) from error
