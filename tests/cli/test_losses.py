"""tokenize, score and words through the real command line."""

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.terminal import check_snapshot, on_terminal

from neuneu.losses.open import open_losses

_spec = importlib.util.spec_from_file_location(
    "losses_fixtures", Path(__file__).parent.parent / "losses/conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
texts, text_file, tokenizer, save_model = (
    _fixtures.texts, _fixtures.text_file, _fixtures.tokenizer, _fixtures.save_model,
)  # fmt: skip


def test_from_text_to_word_losses(
    text_file: Path, tokenizer: Path, tmp_path: Path, save_model: Callable[..., Path], neuneu: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for step in (0, 10):
        save_model(tmp_path / f"runs/tiny/step{step}", seed=step)
    made = neuneu("tokenize", text_file, "-t", tokenizer, "-o", tmp_path / "corpus")
    assert made.returncode == 0, made.stderr
    assert "15 documents" in made.stderr
    scored = neuneu("score", tmp_path / "runs/tiny", "-c", tmp_path / "corpus", "-o", tmp_path / "losses")
    assert scored.returncode == 0, scored.stderr
    assert "2 checkpoints of 1 run" in scored.stderr
    summed = neuneu(
        "words",
        tmp_path / "losses",
        "-c",
        tmp_path / "corpus",
        "-o",
        tmp_path / "words",
        "--summary",
        tmp_path / "t.csv",
    )
    assert summed.returncode == 0, summed.stderr
    table = pl.read_csv(tmp_path / "t.csv")
    assert table["step"].to_list() == [0, 10]
    assert table["mean"].is_between(1, 100).all()
    assert open_losses(tmp_path / "words").steps("tiny").tolist() == [0, 10]
    shown = neuneu("words", tmp_path / "losses", "-c", tmp_path / "corpus", "--json")
    seen = on_terminal(monkeypatch, "words", tmp_path / "losses", "-c", tmp_path / "corpus")
    check_snapshot("words", re.sub(r"\d", "0", seen))
    narrow = on_terminal(monkeypatch, "words", tmp_path / "losses", "-c", tmp_path / "corpus", width=40)
    assert "(--summary or a pipe gets all)" in " ".join(narrow.split())
    rows = json.loads(shown.stdout)
    assert [row["run"] for row in rows] == ["tiny", "tiny"]
    assert rows[0]["mean"] == pytest.approx(table["mean"][0], abs=1e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tokenize", "{tmp}/none.txt", "-t", "{tokenizer}", "-o", "{tmp}/c"], "none.txt: no such file"),
        (["tokenize", "{text}", "-t", "gpt2", "-o", "{tmp}/c"], "tokenizer = 'gpt2'"),
        (["score", "{tmp}/none", "-c", "{tmp}/c", "-o", "{tmp}/s"], "checkpoint = "),
        (["score", "{tmp}", "-c", "{tmp}/c", "-o", "{tmp}/s", "--shard", "2"], "none was found"),
        (["words", "{tmp}/none", "-c", "{tmp}/c"], "zarr.json is missing"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, text_file: Path, tokenizer: Path, tmp_path: Path, neuneu: Any
) -> None:
    done = neuneu(*(part.format(tmp=tmp_path, tokenizer=tokenizer, text=text_file) for part in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
