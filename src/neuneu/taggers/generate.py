"""Free generations: what a checkpoint writes when it is given nothing but the sign that starts a document."""

import json
from pathlib import Path
from typing import Any

from neuneu.errors import InputError
from neuneu.files import atomic_path, write_text
from neuneu.progress import counting
from neuneu.taggers.parts import claimed, version

LONGEST = 2_047
"""Tokens of a generation at most, as published."""


def generate(
    checkpoint: str | Path,
    output: str | Path,
    *,
    documents: int = 1_000,
    tokens: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 16,
    device: str = "cpu",
) -> int:
    """Write `documents` free generations of a local checkpoint as JSONL: id, text, tokens; returns how many.

    Prompt: the token that begins a document, or where there is none the one that ends it. Drawn at
    `temperature` from the whole distribution, until a document's end or `tokens` (by default 2047, or what
    the model's context leaves). A finished batch waits in `<output>.parts`; the same call after an
    interruption goes on there. The same seed and batch size give the same bytes on the same machine.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    _check(checkpoint, output, documents=documents, batch=batch, temperature=temperature)
    model, tokenizer = _load(checkpoint, device)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise InputError("has no token that begins or ends a document", where=checkpoint, field="tokenizer")
    most = _room(model, checkpoint, tokens)
    settings = {"checkpoint": version(checkpoint), "documents": documents, "tokens": most, "seed": seed}
    settings |= {"temperature": temperature, "batch": batch, "device": device}
    paths = []
    with claimed(output, settings) as parts, counting("generations", documents) as tell:
        for number, first in enumerate(range(0, documents, batch)):
            path = parts / f"{number:08d}.jsonl"
            paths.append(path)
            count = min(batch, documents - first)
            if not path.exists():
                tell(first, "")
                drawn = _draw(model, start, tokenizer.eos_token_id, count, most, temperature, (seed, number))
                write_text(path, "".join(_line(tokenizer, ids, first + i) for i, ids in enumerate(drawn)))
        with atomic_path(output) as temporary, temporary.open("wb") as file:
            for path in paths:
                file.write(path.read_bytes())
    return documents


def _check(checkpoint: Path, output: Path, *, documents: int, batch: int, temperature: float) -> None:
    if not (checkpoint / "config.json").is_file():
        raise InputError(
            "must be the folder of a checkpoint, with config.json", field="checkpoint", value=str(checkpoint)
        )
    if output.suffix != ".jsonl":
        raise InputError("must end in .jsonl", field="output", value=str(output))
    for name, value in (("documents", documents), ("batch", batch)):
        if value < 1:
            raise InputError("must be at least 1", field=name, value=value)
    if not 0 < temperature < 100:
        raise InputError("must be above 0", field="temperature", value=temperature)


def _load(checkpoint: Path, device: str) -> tuple[Any, Any]:
    from neuneu.losses.models import load_model
    from neuneu.losses.tokenizer import load_hf_tokenizer

    return load_model(checkpoint, device=device), load_hf_tokenizer(checkpoint)


def _room(model: Any, checkpoint: Path, tokens: int | None) -> int:
    context = getattr(model.config, "max_position_embeddings", None)
    room = LONGEST if context is None else context - 1
    if tokens is None:
        return min(LONGEST, room)
    if tokens < 1 or (context is not None and tokens > room):
        raise InputError(
            f"must be from 1 to {room}, what its context holds",
            where=checkpoint,
            field="tokens",
            value=tokens,
        )
    return tokens


def _draw(
    model: Any, start: int, end: int | None, count: int, most: int, temperature: float, seed: tuple[int, int]
) -> list[list[int]]:
    """Token ids of `count` generations, without the prompt and the end."""
    import torch

    ids = torch.full((count, 1), start, device=model.device)
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(_seed_of(*seed))
        drawn = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            num_beams=1,
            max_new_tokens=most,
            eos_token_id=end,
            pad_token_id=end if end is not None else start,
        )
    rows = drawn[:, 1:].tolist()
    return [row[: row.index(end)] if end in row else row for row in rows]


def _seed_of(seed: int, batch: int) -> int:
    """One number of 63 bits for a seed and a batch; nearby ones have nothing in common."""
    import numpy as np

    return int(np.random.SeedSequence([seed, batch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _line(tokenizer: Any, ids: list[int], number: int) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return json.dumps({"id": str(number), "text": text, "tokens": len(ids)}, ensure_ascii=False) + "\n"
