"""A corpus holds what the tokenizer says, and the same bytes however often it was interrupted."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.watching import written_at
from tokenizers import Tokenizer

from neuneu.errors import InputError
from neuneu.losses import corpus as module
from neuneu.losses.corpus import CorpusWriter, read_corpus, tokenize_corpus


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_tokens_bounds_and_words_are_those_of_the_texts(
    corpus: Path, texts: list[str], tokenizer: Path
) -> None:
    text = read_corpus(corpus)
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    assert len(text.bounds) == len(texts)
    assert text.tokens.dtype == np.uint16
    for document, (begin, end), (first, past) in zip(texts, text.bounds, text.word_bounds, strict=True):
        encoding = library.encode(document, add_special_tokens=False)
        assert text.tokens[begin:end].tolist() == encoding.ids
        found = []
        for a, b in text.words[first:past].astype(int) - begin:
            found.append(document[encoding.offsets[a][0] : encoding.offsets[b - 1][1]].strip())
        assert found == document.split()
    assert text.bounds[-1, 1] == len(text.tokens)
    assert text.word_bounds[-1, 1] == len(text.words)


def test_fingerprints_know_text_order_and_tokenizer(
    tmp_path: Path, text_file: Path, texts: list[str], tokenizer: Path, corpus: Path
) -> None:
    turned = tmp_path / "turned.jsonl"
    turned.write_text("".join(json.dumps({"text": text}) + "\n" for text in reversed(texts)))
    other = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    other.add_tokens(["naïve café"])
    other.save(str(tmp_path / "other.json"))
    base = read_corpus(corpus)
    made = tokenize_corpus([text_file], tmp_path / "a", str(tokenizer), max_documents=5)
    order = tokenize_corpus([turned], tmp_path / "b", str(tokenizer))
    another = tokenize_corpus([text_file], tmp_path / "c", str(tmp_path / "other.json"))
    cut = tokenize_corpus([text_file], tmp_path / "d", str(tokenizer), max_tokens=20)
    assert len({text.fingerprint for text in (base, made, order, another, cut)}) == 5
    assert len({text.word_fingerprint for text in (base, made, order, cut)}) == 4
    assert another.word_fingerprint == base.word_fingerprint  # the same words under another tokenizer


def test_documents_are_cut_to_whole_words(
    tmp_path: Path, text_file: Path, tokenizer: Path, corpus: Path
) -> None:
    whole, cut = (
        read_corpus(corpus),
        tokenize_corpus([text_file], tmp_path / "c", str(tokenizer), max_tokens=7),
    )
    for (a, b), (c, d), (e, f) in zip(whole.bounds, cut.bounds, cut.word_bounds, strict=True):
        assert d - c == min(7, b - a)
        np.testing.assert_array_equal(whole.tokens[a : a + d - c], cut.tokens[c:d])
        assert (cut.words[e:f, 1] <= d).all()
        assert (cut.words[e:f, 0] >= c).all()


@pytest.mark.parametrize("size", [1, 300, 10**9])
def test_batches_do_not_show(
    size: int, tmp_path: Path, text_file: Path, tokenizer: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", size)
    tokenize_corpus([text_file], tmp_path / "corpus", str(tokenizer), workers=2 if size == 300 else 1)
    assert contents(tmp_path / "corpus") == contents(corpus)


def stop_after_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C right after a batch of documents is sure."""
    append = CorpusWriter.append

    def stopping(*arguments: Any) -> None:
        append(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(CorpusWriter, "append", stopping)


def test_an_interruption_does_not_show(
    tmp_path: Path, text_file: Path, tokenizer: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop after every batch; leave half-written rows behind the sure state as a kill would."""
    monkeypatch.setattr(module, "_BATCH", 300)
    partial = tmp_path / ".corpus.partial"
    stops = 0

    stop_after_each_batch(monkeypatch)
    while not (tmp_path / "corpus").exists():
        try:
            tokenize_corpus([text_file], tmp_path / "corpus", str(tokenizer))
        except KeyboardInterrupt:
            stops += 1
            with (partial / "tokens.npy").open("ab") as stream:
                stream.write(b"torn")
    assert stops > 3
    assert contents(tmp_path / "corpus") == contents(corpus)
    assert not partial.exists()


def test_text_that_changed_since_the_interruption_is_refused(
    tmp_path: Path, texts: list[str], tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 300)
    file = tmp_path / "text.jsonl"
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    file.write_text("".join(lines))

    with monkeypatch.context() as patch:
        stop_after_each_batch(patch)
        with pytest.raises(KeyboardInterrupt):
            tokenize_corpus([file], tmp_path / "corpus", str(tokenizer))
    file.write_text("".join(lines).replace("the", "thy"))
    with pytest.raises(InputError, match="changed since the interruption"):
        tokenize_corpus([file], tmp_path / "corpus", str(tokenizer))


def test_another_corpus_is_not_overwritten(tmp_path: Path, text_file: Path, tokenizer: Path) -> None:
    made = tokenize_corpus([text_file], tmp_path / "corpus", str(tokenizer))
    again = tokenize_corpus([text_file], tmp_path / "corpus", str(tokenizer))
    assert again.fingerprint == made.fingerprint
    with pytest.raises(InputError, match="max_tokens = 5: the corpus there has None"):
        tokenize_corpus([text_file], tmp_path / "corpus", str(tokenizer), max_tokens=5)


def test_another_text_of_the_same_length_is_told(tmp_path: Path, text_file: Path, tokenizer: Path) -> None:
    file = tmp_path / text_file.name
    file.write_bytes(text_file.read_bytes())
    tokenize_corpus([file], tmp_path / "corpus", str(tokenizer))
    before = contents(tmp_path / "corpus")
    text = file.read_text()
    file.write_text(text.replace('"end"', '"and"'))
    assert file.stat().st_size == len(text.encode())
    with pytest.raises(InputError, match="the corpus there is of another text; choose another folder"):
        tokenize_corpus([file], tmp_path / "corpus", str(tokenizer))
    file.write_text(text)
    tokenize_corpus([file], tmp_path / "corpus", str(tokenizer))
    assert contents(tmp_path / "corpus") == before


def test_a_damaged_or_missing_corpus_is_refused(tmp_path: Path, text_file: Path, tokenizer: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.json is missing"):
        read_corpus(tmp_path)
    tokenize_corpus([text_file], tmp_path / "corpus", str(tokenizer))
    np.save(tmp_path / "corpus/tokens.npy", np.zeros(3, dtype=np.uint16))
    with pytest.raises(InputError, match="tokens = 3: must be"):
        read_corpus(tmp_path / "corpus")
    (tmp_path / "corpus/tokens.npy").write_bytes(b"x")
    with pytest.raises(InputError, match=r"not a \.npy array"):
        read_corpus(tmp_path / "corpus")


def test_bad_text_leaves_nothing_behind(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "text.jsonl").write_text("no json\n")
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')
    for name, message in [("text.jsonl", "not JSON"), ("empty.jsonl", "at least one token")]:
        with pytest.raises(InputError, match=message):
            tokenize_corpus([tmp_path / name], tmp_path / "corpus", str(tokenizer))
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.endswith(".partial")) == [
        "empty.jsonl", "text.jsonl",
    ]  # fmt: skip


def test_killed_at_random_moments_the_bytes_are_the_same(tmp_path: Path, tokenizer: Path) -> None:
    lines = [json.dumps({"text": f"document {i} of many, don't skip it\n" * (i % 7)}) for i in range(4000)]
    (tmp_path / "text.jsonl").write_text("\n".join(lines))
    code = (
        "import sys; from neuneu.losses import corpus; corpus._BATCH = 4000;"
        "corpus.tokenize_corpus([sys.argv[1]], sys.argv[2], sys.argv[3]); print('done')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "text.jsonl")]
    subprocess.run([*command, str(tmp_path / "whole"), str(tokenizer)], check=True, capture_output=True)
    rng, kills = random.Random(0), 0
    state = tmp_path / ".killed.partial/state.json"
    while not (tmp_path / "killed").exists():
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed"), str(tokenizer)], stdout=subprocess.DEVNULL
        )
        before = written_at(state)
        while process.poll() is None and written_at(state) in (0, before):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.08) if kills < 4 else 60 * (process.poll() is None and kills > 30))
        if process.poll() is None and kills < 4:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
