"""A suite small enough to train in a test."""

from pathlib import Path

import yaml

TINY = {
    "name": "tiny",
    "sources": {
        "code": [{"kind": "python", "paths": ["stdlib:*.py"], "licence": "PSF-2.0", "max_bytes": 400_000}],
        "prose": [{"kind": "text", "paths": ["/prose/*.txt"], "licence": "made up"}],
    },
    "recipes": {"even": {"code": 1, "prose": 1}, "code": {"code": 1}},
    "sizes": {
        "s": {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "state": 4, "experts": 4},
    },
    "grids": [{"sizes": ["s"], "recipes": ["even"], "seeds": [0, 1]}],
    "tokenizer": {"vocabulary": 512, "sample_bytes": 200_000},
    "schedule": {
        "tokens": 8_192,
        "sequence": 64,
        "batch": 4,
        "micro_batch": 2,
        "learning_rate": 0.01,
        "warmup_steps": 4,
    },
    "checkpoints": {"count": 6, "first_tokens": 512, "keep_weights": "final"},
    "evaluation": {
        "blimp_pairs": 5,
        "windows": 4,
        "items": 5,
        "request_items": 4,
        "request_tasks": ["toy/rc_0shot"],
    },
    "held_out": 0.1,
}


def write_prose(root: Path) -> None:
    """Sentences of a toy grammar under root/prose."""
    people, verbs = ["Ann", "Bob", "the cat", "a child", "my aunt"], ["sees", "likes", "follows", "finds"]
    folder = root / "prose"
    folder.mkdir(parents=True)
    for number in range(60):
        lines = [
            f"In the year {number * 7 + i}, {people[(number + i) % 5]} {verbs[(i * number) % 4]} "
            f"{people[(3 * i + number) % 5]} near house {i * 13 + number}."
            for i in range(40)
        ]
        (folder / f"{number:02d}.txt").write_text("\n".join(lines), encoding="utf-8")


def write_questions(root: Path) -> None:
    """One BLiMP-like paradigm and one request task under root."""
    (root / "blimp").mkdir(parents=True)
    pair = '{"sentence_good": "Ann sees Bob near house 3.", "sentence_bad": "Ann see Bob near house 3."}\n'
    (root / "blimp" / "agreement.jsonl").write_text(pair * 6, encoding="utf-8")
    folder = root / "requests" / "toy" / "rc_0shot"
    folder.mkdir(parents=True)
    lines = [
        f'{{"doc_id": {doc}, "label": {doc % 2}, "doc": {{"choices": ["a", "b"]}}, '
        f'"request": {{"context": "Question: who follows {doc}?\\nAnswer:", "continuation": " {name}"}}}}\n'
        for doc in range(6)
        for name in ("Ann likes", "Bob")
    ]
    (folder / "requests.jsonl").write_text("".join(lines), encoding="utf-8")


def write_tiny(root: Path) -> Path:
    """Prose, blimp, requests and tiny.yaml under root; returns root."""
    write_prose(root)
    write_questions(root)
    (root / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
    return root
