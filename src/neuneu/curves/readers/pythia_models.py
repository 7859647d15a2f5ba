"""What is public knowledge of model families: parameters and tokens a step."""

import re
from typing import Any

BATCH_TOKENS = 2_097_152
"""Tokens a step of every released Pythia model."""

NON_EMBEDDING = {
    "70m": 18_915_328,
    "160m": 85_056_000,
    "410m": 302_311_424,
    "1b": 805_736_448,
    "1.4b": 1_208_602_624,
    "2.8b": 2_517_652_480,
    "6.9b": 6_444_163_072,
    "12b": 11_327_027_200,
}
"""Pythia's parameters without embeddings, by size (Biderman et al. 2023, table 1)."""

_PYTHIA = re.compile(r"pythia-(?:v1\.1-)?(?P<size>\d+(?:\.\d+)?[mb])(?P<rest>(?:-.*)?)")
_BATCH = re.compile(r"-(\d+(?:\.\d+)?)MtokBS")


def pythia_model(name: str) -> dict[str, Any] | None:
    """family, params, recipe and batch tokens of a Pythia model's name (without its owner); None for others.

    The batch-size variants say their batch in the name.
    """
    found = _PYTHIA.fullmatch(name)
    if found is None:
        return None
    batch = _BATCH.search(found["rest"])
    return {
        "family": "pythia",
        "params": NON_EMBEDDING.get(found["size"]),
        "recipe": "pile-deduped" if "deduped" in found["rest"] else "pile",
        "batch_tokens": int(float(batch[1]) * 2**20) if batch else BATCH_TOKENS,
        "size": found["size"],
    }


def known_facts(run: str, step: int) -> dict[str, Any]:
    """family, params, recipe and tokens of a checkpoint named owner/model or owner--model, where known."""
    owner, _, model = run.replace("--", "/").rpartition("/")
    facts = pythia_model(model) if owner in ("EleutherAI", "") else None
    if facts is None:
        return {}
    tokens = step * facts["batch_tokens"]
    return {name: facts[name] for name in ("family", "params", "recipe")} | {"tokens": tokens}
