"""The whole chain from real files: pretrain two runs, score a text, evaluate, train NeuNeu, forecast."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from neuneu.losses.store import open_losses

from .tiny import TINY, write_tiny

Run = Callable[..., "subprocess.CompletedProcess[str]"]
RUNS = ("llama-s-even-seed0", "llama-s-even-seed1")


def test_from_text_to_forecast(tmp_path: Path, neuneu: Run) -> None:
    def call(*arguments: object) -> str:
        done = neuneu(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    write_tiny(tmp_path)
    suite = {**TINY, "checkpoints": {"count": 10, "first_tokens": 512, "keep_weights": "all"}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")
    home, curves = tmp_path / "home", tmp_path / "out" / "curves.parquet"
    questions = ("--blimp", tmp_path / "blimp", "--requests", tmp_path / "requests", "--root", tmp_path)
    call("suite", "run", tmp_path / "tiny.yaml", "--output", home, *questions)
    call("suite", "package", home, "--output", tmp_path / "out")

    corpus, losses = tmp_path / "corpus", tmp_path / "losses.zarr"
    call("tokenize", tmp_path / "prose", "-t", home / "text" / "tokenizer.json", "-o", corpus,
         "--max-documents", 4, "--max-tokens", 60)  # fmt: skip
    for run in RUNS:
        call("score", home / "runs" / run / "weights", "--run", f"tiny/{run}", "-c", corpus, "-o", losses,
             "--window", 64)  # fmt: skip
    store = open_losses(losses)
    assert store.runs == [f"tiny/{run}" for run in RUNS]
    steps = store.steps(store.runs[0]).tolist()
    assert len(steps) == 10
    assert store.mean(store.runs[0])[-1] < store.mean(store.runs[0])[0]

    config = {
        "data": {"curves": [str(curves)], "losses": str(losses)},
        "model": {"width": 16, "n_layers": 1, "n_heads": 2, "feed_forward": 32},
        "samples": {"validation_share": 0.0},
        "training": {"max_steps": 5, "batch_size": 16},
    }
    (tmp_path / "neuneu.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    call("train", tmp_path / "neuneu.yaml", "-o", tmp_path / "model")
    printed = call("forecast", curves, "-f", tmp_path / "model", "--losses", losses, "--context", 0.5,
                   "--run", f"tiny/{RUNS[1]}", "--task", "word_order_prose", "--json")  # fmt: skip
    rows = json.loads(printed)
    assert rows
    assert {row["task"] for row in rows} == {"word_order_prose"}
    assert all(0 <= row["q10"] <= row["q50"] <= row["q90"] <= 1 for row in rows)
