"""Taggers agree with the plain definition, on any text, and take up where they stopped."""

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from tests.hearing import Ear

from neuneu.errors import InputError
from neuneu.progress import listening
from neuneu.taggers import cleaning, repetition
from neuneu.taggers.corpus_files import tag_entropy
from neuneu.taggers.counts import (
    KEYWORDS,
    all_counts,
    keyword_counts,
    keyword_ratios,
    token_feature,
    token_features,
)
from neuneu.taggers.document_features import read_blocks
from neuneu.taggers.run import TaggerOptions, tag
from neuneu.taggers.scan import lowered
from neuneu.taggers.tokens import count_distinct, hashes_of_ids, ngrams, tokenize

LETTERS = st.characters(exclude_categories=["Cs"])
ODD = ["ſ", "K", "İ", "ı", "\u0301", "²", "٣", "_", "\x85", "\x1c", "\u2028", "\r\n", "\n \n", "😀", "न", "%"]
WORDS = ["How", "WHO", "therefore", "xtherefore", "THEREFORE", "ſo", "maKe", "FAQ:", "anſwer:", "a:", "Q:"]
WORDS += ["Instruction:", "Assistant :", "3.5%", "12", "1_2", "x1", "however", "instructıon:", "12345678901"]
TEXT = st.one_of(
    st.text(LETTERS, max_size=80),
    st.lists(st.one_of(st.sampled_from([*ODD, *WORDS, " ", " ", "\n"]), st.text(LETTERS, max_size=3))).map(
        "".join
    ),
)


def _block(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [str(i) for i in range(len(texts))], "text": list(texts)})


def _write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@given(TEXT, TEXT)
@example("Therefore ſo", "12:%a: ANſWER:")
def test_counts_are_those_of_the_regular_expressions(one: str, two: str) -> None:
    found = all_counts(_block(one, two)).rows(named=True)
    for text, row in zip((one, two), found, strict=True):
        for name, pattern in KEYWORDS.items():
            assert row[name] == len(re.findall(pattern, text)), name
        tokens = re.findall(r"\w+|[^\w\s]", text)
        assert (row["char_len"], row["num_tokens"], row["unique_tokens"]) == (
            len(text),
            len(tokens),
            len(set(tokens)),
        )
        assert row["ttr"] == (len(set(tokens)) / len(tokens) if tokens else 0.0)


@given(st.lists(TEXT, max_size=3))
def test_texts_are_cut_as_python_cuts(texts: list[str]) -> None:
    patterns = {"signs": r"\w+|[^\w\s]", "words": r"[^\W_]+", "split": r"\S+"}
    for kind, pattern in patterns.items():
        tokens = tokenize(pl.Series(texts, dtype=pl.String), kind)
        plain = [word for text in texts for word in re.findall(pattern, text)]
        assert tokens.counts.tolist() == [len(re.findall(pattern, text)) for text in texts]
        first = {word: plain.index(word) for word in plain}
        assert [tokens.hashes[first[word]] for word in plain] == tokens.hashes.tolist()
        assert len(set(tokens.hashes.tolist())) == len(set(plain))


@given(st.integers(0, 70), TEXT, st.sampled_from(["", "a ", "!", "é", "😀 ", "\n\n", "ABC", "a\u2028"]))
def test_nothing_depends_on_where_the_blocks_of_64_bytes_lie(before: int, text: str, filler: str) -> None:
    whole = "x" * before + text + filler * 40 + text
    words = re.findall(r"\w+|[^\w\s]", whole)
    block = _block(whole, text)
    assert token_feature("num_tokens")(block)["num_tokens"][0] == len(words)
    assert token_features(block)["unique_tokens"][0] == len(set(words))
    data, offsets = lowered(block["text"])
    assert bytes(data[: offsets[1]]).decode() == whole.lower()
    assert bytes(data[offsets[1] : offsets[2]]).decode() == text.lower()
    for limits in (repetition.RepetitionLimits(), repetition.RepetitionLimits(3, 0.3, 0.3, 0.3, 1)):
        assert repetition.removal_reason(whole, limits) == _plain_reason(whole, limits)


@given(st.lists(st.lists(st.integers(0, 2), max_size=12), min_size=1, max_size=4), st.integers(1, 5))
def test_ngrams_are_equal_where_their_tokens_are(documents: list[list[int]], n: int) -> None:
    hashes = hashes_of_ids(np.array([t for tokens in documents for t in tokens], np.int64))
    found, bounds = ngrams(hashes, np.cumsum([0, *map(len, documents)]), n)
    plain = [[tuple(d[i : i + n]) for i in range(len(d) - n + 1)] for d in documents]
    assert np.diff(bounds).tolist() == [len(grams) for grams in plain]
    every = [gram for grams in plain for gram in grams]
    assert len(set(zip(every, found.tolist(), strict=True))) == len(set(every)) == len(set(found.tolist()))
    assert count_distinct(found, bounds).tolist() == [len(set(grams)) for grams in plain]


def test_keyword_ratios_of_a_fixed_text() -> None:
    text = "How do you use 3.14 and 50%? Question: why"
    row = keyword_ratios(_block(text, "")).rows(named=True)
    scale = 100_000 / len(text)
    assert row[0]["question_words_ratio"] == pytest.approx(2 * scale)
    assert row[0]["imperative_verbs_ratio"] == pytest.approx(2 * scale)
    assert row[0]["conjunctions_ratio"] == pytest.approx(scale)
    assert row[0]["instructions_words_ratio"] == pytest.approx(scale)
    assert row[0]["numbers_ratio"] == pytest.approx(3 * scale)
    assert row[1]["numbers_ratio"] == 0
    assert keyword_counts(_block(text))["characters"].to_list() == [len(text)]


def _plain_reason(text: str, limits: repetition.RepetitionLimits) -> str | None:
    def duplicates(parts: list[str]) -> float:
        kept = [part.strip() for part in parts if part.strip()]
        return 1 - len(set(kept)) / len(kept) if kept else 0.0

    words = re.findall(r"\w+|[^\w\s]", text.lower())
    run, longest, last = 0, 0, None
    for word in text.lower().split():
        run, last = run + 1 if word == last else 1, word
        longest = max(longest, run)
    grams = {n: list(zip(*(words[i:] for i in range(n)), strict=False)) for n in (2, 3)}
    repeated = {n: sum(c - 1 for c in Counter(g).values()) / len(g) if g else 0.0 for n, g in grams.items()}
    for reason, holds in (
        ("too_short", len(text) < limits.least_length),
        ("pathological_repetition", longest > limits.run),
        ("repeated_lines", duplicates(text.split("\n")) > limits.lines),
        ("repeated_paragraphs", duplicates(re.split(r"\n\s*\n", text)) > limits.paragraphs),
        ("repeated_2grams", repeated[2] > limits.ngrams),
        ("repeated_3grams", repeated[3] > limits.ngrams),
    ):
        if holds:
            return reason
    return None


@given(
    st.lists(st.sampled_from(["a", "A", "b c", "\n", "\n\n", " ", " \n\t\n", "x.", "\x85", "é"])).map(
        "".join
    ),
    st.sampled_from([0.1, 0.3, 0.6]),
    st.sampled_from([1, 3]),
)
def test_repetition_is_found_as_python_finds_it(text: str, share: float, run: int) -> None:
    limits = repetition.RepetitionLimits(3, share, share, share, run)
    assert repetition.removal_reason(text, limits) == _plain_reason(text, limits)


def test_repetition_reasons_on_fixed_texts() -> None:
    words = " ".join(f"word{i}" for i in range(200))
    assert repetition.removal_reason("short") == "too_short"
    long = " ".join(f"word{i}" for i in range(40))
    for texts, reasons in (([long, "short"], [None, "too_short"]), ([long] * 2, [None] * 2), ([], [])):
        found = repetition.removal_reasons(pl.Series(texts, dtype=pl.String))
        assert (found.dtype, found.to_list()) == (pl.String, reasons)
    assert repetition.removal_reason("spam " * 60) == "pathological_repetition"
    assert repetition.removal_reason("the same line again\n" * 10) == "repeated_lines"
    unique = "\n".join(words.split()[:10])
    assert repetition.removal_reason("again and again\n\n" * 5 + unique) == "repeated_paragraphs"
    assert repetition.removal_reason("one two three four " * 30) == "repeated_2grams"
    assert repetition.removal_reason(words) is None


@given(TEXT)
def test_repair_never_fails_and_undoes_mojibake(text: str) -> None:
    assert "\0" not in cleaning.repair_encoding(text)
    assert cleaning.repair_encoding("cafÃ© â€œquotedâ€\x9d ﬁne") == 'café "quoted" fine'


@given(
    st.lists(st.lists(st.sampled_from("abcA._ "), max_size=12).map("".join), max_size=4),
    st.lists(st.sampled_from("abcA._ "), max_size=20).map("".join),
    st.integers(1, 4),
)
def test_contamination_is_the_share_of_known_ngrams(tests: list[str], text: str, n: int) -> None:
    def grams(text: str) -> list[tuple[str, ...]]:
        words = re.findall(r"[^\W_]+", text.lower())
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)] or (
            [tuple(words)] if words else []
        )

    known = {gram for test in tests for gram in grams(test)}
    own = grams(text)
    share = sum(gram in known for gram in own) / len(own) if own else 0.0
    finder = cleaning.Decontaminator([pl.Series(tests, dtype=pl.String)], n=n)
    assert finder.share(text) == pytest.approx(share)


def test_contaminated_documents_of_a_file_are_found(tmp_path: Path) -> None:
    question = "Which of these thirteen or more words would a careful student choose as the answer here"
    clean = "Nothing of that kind is here, only other words that nobody asked about at all today"
    source = _write(tmp_path / "t.jsonl", [f"Before. {question.upper()}! After.", clean])
    against = _write(tmp_path / "tests.jsonl", [question])
    tag("contamination", source, tmp_path / "c.parquet", options=TaggerOptions(against=str(against)))
    shares = pl.read_parquet(tmp_path / "c.parquet")["contamination"].to_list()
    assert shares == [pytest.approx(4 / 6), 0]
    with pytest.raises(InputError, match="against"):
        tag("contamination", source, tmp_path / "c.parquet")


def test_documents_of_every_form_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"doc_id": 7, "resps": [["written"]]}\n\n{"id": "b", "content": "c"}\n{"text": "d"}\n')
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    frames = [zstandard.compress(line) for line in path.read_bytes().splitlines(keepends=True)]
    (tmp_path / "log.jsonl.zst").write_bytes(b"".join(frames))  # several frames, as parallel writers make
    for name in ("log.jsonl", "log.jsonl.gz", "log.jsonl.zst"):
        blocks = list(read_blocks(tmp_path / name, size=2))
        rows = [row for block in blocks for row in block.select("id", "text").iter_rows()]
        assert rows == [("7", "written"), ("b", "c"), ("2", "d")]
        assert [len(block) for block in blocks] == [2, 1]
    pl.DataFrame({"text": ["x", "y"]}).write_parquet(tmp_path / "p.parquet")
    assert [len(block) for block in read_blocks(tmp_path / "p.parquet", size=1)] == [1, 1]
    assert [len(block) for block in read_blocks(tmp_path / "p.parquet", limit=1)] == [1]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"text": "good"}\n{"text": 5}\n', "document 2"),
        (b"nothing of the kind\n", "line 1"),
        (b'{"text": "a"}\n{"text": "\\ud800"}\n', "line 2: holds half a surrogate"),
        (b'{"text": "a", "text": "b"}\n', "twice"),
        (b'{"text": "a", "score": 1e400}\n', "finite"),
        (b'{"text": "\xff"}\n', "UTF-8"),
        (b'{"text": ' + b"[" * 100_000 + b"\n", "line 1"),
        (b'["text"]\n', "must be an object"),
    ],
)
def test_what_is_no_document_is_refused_in_one_line(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rule) as error:
        tag("counts", path, tmp_path / "c.parquet")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "c.parquet").exists()


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path: Path) -> None:
    for name in ("t.parquet", "t.jsonl.zst", "t.jsonl.gz"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(InputError, match=re.escape(name)):
            list(read_blocks(tmp_path / name))


def test_interrupted_tagging_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    source = _write(tmp_path / "texts.jsonl", [f"How about {i}?" for i in range(50)])
    assert tag("keyword_ratios", source, tmp_path / "whole.parquet", size=10) == 50
    stopped = tmp_path / "stopped.parquet"

    class Stopping(Ear):
        def at(self, work: str, done: int, now: str) -> None:
            if done >= 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listening(Stopping()):
        tag("keyword_ratios", source, stopped, size=10)
    assert not stopped.exists()
    part = tmp_path / "stopped.parquet.parts" / "00000000.parquet"
    assert part.exists()
    ear = Ear()
    with listening(ear):
        tag("keyword_ratios", source, stopped, size=10)
    assert ear.totals() == {"documents": 50}
    assert ear.told("documents")[0][0] >= 10  # not counted anew
    assert ear.told("documents")[-1][0] == 50
    assert stopped.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not part.exists()
    tag("keyword_ratios", source, tmp_path / "two.parquet", size=10, workers=2)
    assert (tmp_path / "two.parquet").read_bytes() == stopped.read_bytes()


def test_what_tagging_refuses(tmp_path: Path) -> None:
    source = _write(tmp_path / "texts.jsonl", ["How are you?"])
    for arguments, rule in (
        (("colour", source, tmp_path / "c.parquet"), "unknown; known: char_len"),
        (("ttr", tmp_path / "absent.jsonl", tmp_path / "c.parquet"), "no such file"),
        (("ttr", source, tmp_path / "c.csv"), "must end in .parquet"),
        (("domain", source, tmp_path / "c.parquet"), "model: is needed"),
    ):
        with pytest.raises(InputError, match=rule):
            tag(*arguments)
    (tmp_path / "c.parquet.parts").mkdir()
    (tmp_path / "c.parquet.parts" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="in the way"):
        tag("ttr", source, tmp_path / "c.parquet")
    (tmp_path / "c.parquet.parts" / ".lock").write_text("somebody's")
    with pytest.raises(InputError, match="in the way"):
        tag("ttr", source, tmp_path / "c.parquet")
    assert (tmp_path / "c.parquet.parts" / "mine.txt").read_text() == "keep"


def test_tokens_of_a_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    row = token_features(_block("a b a c d", ""), str(tmp_path / "tokenizer.json")).rows()
    assert row == [("0", 5, 3, 0.6), ("1", 0, 0, 0.0)]
    source = _write(tmp_path / "t.jsonl", ["a b a ?"])
    found = tag_entropy(source, tmp_path / "e.json", tokenizer=str(tmp_path / "tokenizer.json"))
    assert found["weighted_entropy"] == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="is no fast tokenizer"):
        token_features(_block("a"), str(source))


def test_real_generations_are_tagged(published: Path, tmp_path: Path) -> None:
    source = published / "generations" / "olmo500.jsonl"
    assert tag("char_len", source, tmp_path / "c.parquet") == 500
    assert pl.read_parquet(tmp_path / "c.parquet")["char_len"].mean() == pytest.approx(2606, abs=5)
    assert tag("repetition", source, tmp_path / "r.parquet") == 500
    dropped = pl.read_parquet(tmp_path / "r.parquet").drop_nulls("removed_because")
    assert 0 < len(dropped) < 250
