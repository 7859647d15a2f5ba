"""Word losses and summaries follow the token losses that are there."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.watching import paths_now

from neuneu.errors import InputError
from neuneu.losses.corpus import read_corpus
from neuneu.losses.loss_store import MemoryLossStore
from neuneu.losses.words import WordLosses, histograms, summarise, word_losses
from neuneu.losses.zarr_store import ZarrLossStore


@pytest.fixture
def store(tmp_path: Path, corpus: Path) -> ZarrLossStore:
    text = read_corpus(corpus)
    made = ZarrLossStore.create(
        tmp_path / "tokens", fingerprint=text.fingerprint, n_positions=len(text.tokens), dtype="float32"
    )
    rng = np.random.default_rng(0)
    for run in ("a", "b"):
        for step in (1, 2):
            losses = rng.gamma(2, size=len(text.tokens))
            losses[text.bounds[text.bounds[:, 1] > text.bounds[:, 0], 0]] = np.nan
            made.write(run, step, losses, {"model": "m"})
    return made


def test_a_word_is_the_sum_of_its_tokens(store: ZarrLossStore, corpus: Path, tmp_path: Path) -> None:
    text, tokens = read_corpus(corpus), store.read("b", 2)
    expected = [tokens[a:b].sum() if b > a else np.nan for a, b in text.words]
    view = WordLosses(store, text)
    np.testing.assert_allclose(view.read("b", 2), expected)
    written = word_losses(store.path, corpus, tmp_path / "words", dtype="float32")
    assert (written.runs, written.unit, written.fingerprint) == (["a", "b"], "word", text.word_fingerprint)
    np.testing.assert_allclose(written.read("b", 2), expected, rtol=1e-6)
    assert written.facts("b", 2) == {
        "run": "b",
        "step": 2,
        "model": "m",
        "token_losses": store.digest("b", 2),
    }
    first_words = text.word_bounds[text.word_bounds[:, 1] > text.word_bounds[:, 0], 0]
    assert np.isnan(view.read("b", 2)[first_words]).sum() >= len(first_words) - 2


def test_new_checkpoints_are_added_and_old_ones_left(
    store: ZarrLossStore, corpus: Path, tmp_path: Path
) -> None:
    word_losses(store.path, corpus, tmp_path / "words")
    before = (tmp_path / "words/a/step1/zarr.json").stat().st_mtime_ns
    store.write("a", 9, np.ones(store.n_positions))
    written = word_losses(store.path, corpus, tmp_path / "words")
    assert written.steps("a").tolist() == [1, 2, 9]
    assert (tmp_path / "words/a/step1/zarr.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("facts", [[{"weights": "w0"}, {"weights": "w1"}], [{}, {}], [{}, {"weights": "w1"}]])
def test_words_of_token_losses_that_were_made_anew_are_made_anew(
    store: ZarrLossStore, corpus: Path, tmp_path: Path, facts: list[dict[str, str]]
) -> None:
    for number, said in enumerate(facts):
        shutil.rmtree(store.path / "a/step1")
        losses = np.random.default_rng(number).gamma(2, size=store.n_positions)
        store.write("a", 1, losses, said)
        written = word_losses(store.path, corpus, tmp_path / "words", dtype="float32")
        expected = WordLosses(store, read_corpus(corpus)).read("a", 1)
        np.testing.assert_allclose(written.read("a", 1), expected, rtol=1e-6)
    whole = word_losses(store.path, corpus, tmp_path / "whole", dtype="float32")
    for file in written.path.rglob("*"):
        assert (
            file.is_dir() or file.read_bytes() == (whole.path / file.relative_to(written.path)).read_bytes()
        )


def test_killed_at_random_moments_it_ends_in_the_same_bytes(
    store: ZarrLossStore, corpus: Path, tmp_path: Path
) -> None:
    """Forty checkpoints through the real command, killed while it writes; none is written twice."""
    for step in range(10, 30):
        for run in ("a", "b"):
            store.write(run, step, np.random.default_rng(step).gamma(2, size=store.n_positions))
    word_losses(store.path, corpus, tmp_path / "whole")
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "neuneu", "words", str(store.path), "-c", str(corpus), "-o", str(killed)]
    source, kills, written = random.Random(3), 0, {}
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(paths_now(killed, "*/step*"))
        while process.poll() is None and len(paths_now(killed, "*/step*")) <= before:
            time.sleep(0.001)
        time.sleep(source.uniform(0, 0.03))
        kills += process.poll() is None
        process.kill()
        process.wait()
        found = {path: path.stat().st_mtime_ns for path in killed.glob("[!.]*/step*/zarr.json")}
        assert written.items() <= found.items()
        written = found
    subprocess.run(command, check=True, capture_output=True)
    assert kills
    assert contents(killed) == contents(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == time_of for path, time_of in written.items())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_losses_of_another_text_are_refused(
    store: ZarrLossStore, tmp_path: Path, text_file: Path, tokenizer: Path
) -> None:
    from neuneu.losses.corpus import tokenize_corpus

    other = tokenize_corpus([text_file], tmp_path / "other", str(tokenizer), max_documents=3)
    with pytest.raises(InputError, match="no token losses of this corpus"):
        WordLosses(store, other)


def test_histograms_and_summaries_leave_missing_losses_out() -> None:
    losses = np.array([[0.0, 0.5, np.nan, 3.0], [np.nan, 20.0, 1.0, 1.0]])
    store = MemoryLossStore({"run": (np.array([5, 9]), losses)}, "abc")
    found = histograms(store, "run", 4, 4.0)
    np.testing.assert_allclose(found, [[2 / 3, 0, 0, 1 / 3], [0, 2 / 3, 0, 1 / 3]])
    found = histograms(store, "run", 2, 1.0, probabilities=True)
    np.testing.assert_allclose(found, [[1 / 3, 2 / 3], [1, 0]])
    table = summarise(store)
    assert table["n"].to_list() == [3, 3]
    np.testing.assert_allclose(table["mean"], [3.5 / 3, 22 / 3])
    np.testing.assert_allclose(table["q50"], [0.5, 1.0])
    np.testing.assert_allclose(table["mean_probability"][0], np.exp([0.0, -0.5, -3]).mean())
    empty = MemoryLossStore({"run": (np.empty(0, dtype=int), np.empty((0, 4)))}, "abc")
    assert histograms(empty, "run", 4, 4.0).shape == (0, 4)
    with pytest.raises(InputError, match="no checkpoint"):
        summarise(empty)
