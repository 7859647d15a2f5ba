"""The whole chain through the real command line: pretrain, tokenize, score, evaluate, train, forecast."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from neuneu.losses.open import open_losses

PEOPLE, VERBS = ["Ann", "Bob", "the cat", "a child", "my aunt"], ["sees", "likes", "follows", "finds"]

SUITE = {
    "name": "chain",
    "sources": {"prose": [{"kind": "text", "paths": ["/prose/*.txt"], "licence": "made up"}]},
    "recipes": {"prose": {"prose": 1}},
    "sizes": {"s": {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32}},
    "grids": [{"sizes": ["s"], "recipes": ["prose"], "seeds": [0, 1]}],
    "tokenizer": {"vocabulary": 400, "sample_bytes": 100_000},
    "schedule": {"tokens": 8_192, "sequence": 64, "batch": 4, "learning_rate": 0.01, "warmup_steps": 4},
    "checkpoints": {"count": 8, "first_tokens": 512, "keep_weights": "all"},
    "evaluation": {"blimp_pairs": 5, "windows": 4, "items": 5},
    "held_out": 0.1,
}
TRAINING = {
    "forecaster": "neuneu",
    "model": {
        "width": 16, "n_layers": 1, "n_heads": 2, "feed_forward": 32, "channels": [4, 8], "kernel": 16,
        "stride": 4,
    },
    "samples": {"validation_share": 0.5},
    "training": {
        "batch_size": 16, "epochs": 1, "max_steps": 4, "learning_rate": 1e-2, "checkpoints_per_group": 4,
        "device": "cpu",
    },
}  # fmt: skip


def sentence(number: int) -> str:
    return (
        f"In the year {1000 + 7 * number}, {PEOPLE[number % 5]} {VERBS[number * number % 4]} "
        f"{PEOPLE[3 * number % 5]} near house {number % 83}."
    )


def write_inputs(root: Path) -> None:
    """Texts to train on, a validation text, minimal pairs, and the suite's configuration."""
    for name in ("prose", "blimp"):
        (root / name).mkdir()
    for number in range(40):
        lines = [sentence(40 * number + i) for i in range(40)]
        (root / "prose" / f"{number:02d}.txt").write_text("\n".join(lines))
    documents = [" ".join(sentence(9000 + 5 * i + j) for j in range(5)) for i in range(12)]
    (root / "validation.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    pair = {"sentence_good": "Ann sees Bob near house 3.", "sentence_bad": "Ann see Bob near house 3."}
    (root / "blimp" / "agreement.jsonl").write_text((json.dumps(pair) + "\n") * 5)
    (root / "suite.yaml").write_text(yaml.safe_dump(SUITE))


@pytest.mark.slow
def test_from_texts_to_a_forecast(tmp_path: Path, neuneu: Callable[..., Any]) -> None:
    def run(*arguments: object) -> Any:
        done = neuneu(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    write_inputs(tmp_path)
    run("suite", "run", "suite.yaml", "-o", "home", "--blimp", "blimp", "--root", tmp_path)
    runs = sorted((tmp_path / "home/runs").glob("llama*"))
    run("tokenize", "validation.jsonl", "-t", "home/text/tokenizer.json", "-o", "corpus")
    for folder in runs:
        run("score", folder / "weights", "-c", "corpus", "-o", "losses", "--run", folder.name)
    run("words", "losses", "-c", "corpus", "-o", "words")
    steps = open_losses(tmp_path / "words").steps(runs[0].name).tolist()
    models = [f"{folder.name}={path}" for folder in runs for path in sorted((folder / "weights").iterdir())]
    table = ["-o", "curves.parquet", "--tokenizer", "home/text/tokenizer.json"]
    run("suite", "evaluate", *models, "--blimp", "blimp", *table)
    curves = pl.read_parquet(tmp_path / "curves.parquet")
    assert curves.filter(pl.col("metric") == "acc").group_by("run").len()["len"].to_list() == [len(steps)] * 2
    data = {"curves": ["curves.parquet"], "losses": "words"}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({**TRAINING, "data": data, "output": "model"}))
    run("train", "train.yaml")
    asked = ["--context", "0.3", "-f", "model", "--losses", "words", "--run", runs[0].name, "--json"]
    rows = json.loads(run("forecast", "curves.parquet", *asked).stdout)
    later = sum(step > 0.3 * steps[-1] for step in steps)
    assert len(rows) == later > 2
    assert {row["forecaster"] for row in rows} == {"model"}
