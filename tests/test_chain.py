"""The whole chain through the real command line: pretrain, tokenize, score, evaluate, train, forecast."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import ROOT

from neuneu.losses.open import open_losses

TINY = ROOT / "examples/tiny"


def test_the_texts_can_be_made_again(tmp_path: Path) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, TINY / "make.py", tmp_path], check=True)
    assert len(list((tmp_path / "prose").iterdir())) == 40


@pytest.mark.slow
def test_from_texts_to_a_forecast(tmp_path: Path, neuneu: Callable[..., Any]) -> None:
    def run(*arguments: object) -> Any:
        done = neuneu(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    subprocess.run([sys.executable, TINY / "make.py", tmp_path], check=True)
    run("suite", "run", TINY / "suite.yaml", "-o", "home", "--blimp", "blimp", "--root", tmp_path)
    runs = sorted((tmp_path / "home/runs").glob("llama*"))
    run("tokenize", "validation.jsonl", "-t", "home/text/tokenizer.json", "-o", "corpus")
    for folder in runs:
        run("score", folder / "weights", "-c", "corpus", "-o", "losses", "--run", folder.name)
    run("words", "losses", "-c", "corpus", "-o", "words.zarr")
    steps = open_losses(tmp_path / "words.zarr").steps(runs[0].name).tolist()
    models = [f"{folder.name}={path}" for folder in runs for path in sorted((folder / "weights").iterdir())]
    table = ["-o", "curves.parquet", "--tokenizer", "home/text/tokenizer.json"]
    run("suite", "evaluate", *models, "--blimp", "blimp", *table)
    curves = pl.read_parquet(tmp_path / "curves.parquet")
    assert curves.filter(pl.col("metric") == "acc").group_by("run").len()["len"].to_list() == [len(steps)] * 2
    run("train", TINY / "train.yaml")
    asked = ["--context", "0.3", "-f", "model", "--losses", "words.zarr", "--run", runs[0].name, "--json"]
    rows = json.loads(run("forecast", "curves.parquet", *asked).stdout)
    later = sum(step > 0.3 * steps[-1] for step in steps)
    assert len(rows) == later > 2
    assert {row["forecaster"] for row in rows} == {"model"}
