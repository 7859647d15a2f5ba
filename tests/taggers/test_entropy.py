"""Entropies of the next token: the plain definition, at any size, and the same after any interruption."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma
from tests.watching import paths_now

from neuneu.errors import InputError
from neuneu.taggers import corpus_files as corpus
from neuneu.taggers import entropy
from neuneu.taggers.corpus_files import tag_entropy
from neuneu.taggers.document_features import read_blocks
from neuneu.taggers.entropy import corpus_entropy


def _write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def _zipf_texts(documents: int, *, longest: int = 200, words: int = 40) -> list[list[str]]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, longest, documents)
    return [[f"w{i}" for i in np.minimum(rng.zipf(1.3, size), words)] for size in sizes]


def _plain_entropy(documents: list[list[int]], order: int) -> dict[str, float]:
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for tokens in documents:
        for i in range(len(tokens) - order):
            counts[tuple(tokens[i : i + order])][tokens[i + order]] += 1
    totals = [sum(w.values()) for w in counts.values()]
    entropies = [
        -sum(k / total * math.log2(k / total) for k in w.values())
        for w, total in zip(counts.values(), totals, strict=True)
    ]
    grown = [
        (math.log(total) - sum(k * _grassberger(k) for k in w.values()) / total) / math.log(2)
        for w, total in zip(counts.values(), totals, strict=True)
    ]
    return {
        "mean_corpus_entropy": sum(entropies) / len(entropies),
        "median_corpus_entropy": float(np.median(entropies)),
        "p10": float(np.percentile(entropies, 10)),
        "p90": float(np.percentile(entropies, 90)),
        "weighted_entropy": float(np.dot(entropies, totals)) / sum(totals),
        "corrected_entropy": float(np.dot(grown, totals)) / sum(totals),
        "num_unique_contexts": len(counts),
        "total_contexts": sum(totals),
    }


def _grassberger(n: int) -> float:
    """Grassberger 2003, eq. 28, as it is written."""
    return float(digamma(n) + 0.5 * (-1) ** n * (digamma((n + 1) / 2) - digamma(n / 2)))


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=4, max_size=40), min_size=1, max_size=8),
    st.sampled_from([1, 2, 3]),
)
def test_entropy_is_the_plain_definition(documents: list[list[int]], order: int) -> None:
    found = corpus_entropy([np.array(tokens) for tokens in documents], order=order)
    for name, value in _plain_entropy(documents, order).items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("order", [1, 3])
def test_entropy_does_not_depend_on_parts_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    texts = [" ".join(words) for words in _zipf_texts(300)]
    source = _write(tmp_path / "t.jsonl", texts)
    whole = tag_entropy(source, tmp_path / "whole.json", order=order)
    monkeypatch.setattr(corpus, "read_blocks", lambda *args, **more: read_blocks(*args, **more, size=7))
    monkeypatch.setattr(entropy, "_GROUP", 1)
    parts = tag_entropy(source, tmp_path / "parts.json", order=order)
    assert parts == pytest.approx(whole, abs=1e-9)
    assert json.loads((tmp_path / "parts.json").read_text()) == parts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts.json", "t.jsonl", "whole.json"]


@pytest.mark.parametrize("group", [2**16, 16])
def test_documents_have_the_entropies_of_their_contexts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    words = _zipf_texts(60)
    source = _write(tmp_path / "t.jsonl", [" ".join(document) for document in words])
    monkeypatch.setattr(entropy, "_GROUP", group)
    tag_entropy(source, tmp_path / "e.json", order=2, documents=tmp_path / "d.parquet")
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for document in words:
        for i in range(2, len(document)):
            counts[tuple(document[i - 2 : i])][document[i]] += 1
    plain = {
        context: -sum(k / w.total() * math.log2(k / w.total()) for k in w.values())
        for context, w in counts.items()
    }
    rows = {row["id"]: row for row in pl.read_parquet(tmp_path / "d.parquet").to_dicts()}
    assert list(rows) == [str(i) for i, document in enumerate(words) if len(document) > 2]
    for name, row in rows.items():
        document = words[int(name)]
        values = [plain[tuple(document[i - 2 : i])] for i in range(2, len(document))]
        assert row["entropy_mean"] == pytest.approx(np.mean(values))
        assert row["entropy_max"] == pytest.approx(max(values))
        assert row["entropy_min"] == pytest.approx(min(values))
        assert row["entropy_p25"] == pytest.approx(np.percentile(values, 25))
        assert row["entropy_p75"] == pytest.approx(np.percentile(values, 75))


def test_frequent_pairs_are_corrected_like_rare_ones() -> None:
    tokens = [0, 1] * 20_000 + [0, 0]
    found, plain = corpus_entropy([np.array(tokens)]), _plain_entropy([tokens], 1)
    assert found["corrected_entropy"] == pytest.approx(plain["corrected_entropy"], abs=1e-12)


def test_entropy_of_four_tokens(tmp_path: Path) -> None:
    found = corpus_entropy([np.array([0, 1, 0, 2])])
    assert found["mean_corpus_entropy"] == pytest.approx(0.5)
    assert found["weighted_entropy"] == pytest.approx(2 / 3)
    assert tag_entropy(_write(tmp_path / "t.jsonl", ["a b a c"]), tmp_path / "e.json") == found
    with pytest.raises(InputError, match="more than 3 tokens"):
        corpus_entropy([np.array([0, 1])], order=3)
    with pytest.raises(InputError, match="more than 4 tokens"):
        tag_entropy(tmp_path / "t.jsonl", tmp_path / "e.json", order=4)
    assert not (tmp_path / "e.json.parts").exists()


def test_the_corrected_entropy_stays_where_the_published_one_grows() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.full(60, 0.3), size=60)
    tokens = [0]
    for uniform in rng.random(120_000):
        tokens.append(int(np.searchsorted(np.cumsum(chances[tokens[-1]]), uniform)) % 60)
    small, large = (corpus_entropy([np.array(tokens[:n])]) for n in (6_000, 120_000))
    assert large["weighted_entropy"] > small["weighted_entropy"] * 1.03
    assert large["corrected_entropy"] == pytest.approx(small["corrected_entropy"], rel=0.015)


def test_killed_at_random_moments_the_bytes_are_the_same(tmp_path: Path) -> None:
    source = _write(tmp_path / "t.jsonl", [" ".join(words) for words in _zipf_texts(9_000, longest=60)])

    def command(name: str, workers: int) -> list[str]:
        files = ["-o", tmp_path / f"{name}.json", "--documents", tmp_path / f"{name}.parquet"]
        more = ["--order", "2", "--workers", str(workers)]
        words = ["-m", "neuneu", "designs", "tag", "entropy", "-i", source, *files, *more]
        return [sys.executable, *map(str, words)]

    subprocess.run(command("whole", 1), check=True, capture_output=True)
    parts, rng, kept = tmp_path / "killed.json.parts", random.Random(0), 0
    for wanted in (1, 3, 6, 9):  # of five blocks counted, five looked up, and what is between
        process = subprocess.Popen(command("killed", 2), stderr=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and len(_finished(parts)) < wanted:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        before = _finished(parts)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept += bool(before) and not (tmp_path / "killed.json").exists()
    assert kept
    before = _finished(parts)
    subprocess.run(command("killed", 2), check=True, capture_output=True)
    assert not parts.exists()
    for suffix in (".json", ".parquet"):
        whole, killed = (tmp_path / f"{name}{suffix}" for name in ("whole", "killed"))
        assert killed.read_bytes() == whole.read_bytes()


def _finished(parts: Path) -> list[Path]:
    return [*paths_now(parts, "pairs-*"), *paths_now(parts, "documents-*")]


def test_finished_parts_are_not_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _write(tmp_path / "t.jsonl", ["a b a c"] * 4_500)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(corpus, "_merge", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tag_entropy(source, tmp_path / "e.json")
    monkeypatch.setattr(corpus, "_count", interrupt)
    assert tag_entropy(source, tmp_path / "e.json")["total_contexts"] == 3 * 4_500
    with pytest.raises(KeyboardInterrupt):  # another order: what is there is of no use
        tag_entropy(source, tmp_path / "e.json", order=2)
