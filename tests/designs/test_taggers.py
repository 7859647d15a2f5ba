"""Taggers agree with the plain definition, on any text, and take up where they stopped."""

import json
import math
import re
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.designs.taggers import cleaning
from neuneu.designs.taggers.aggregate import domain_shares, model_row
from neuneu.designs.taggers.counts import KEYWORDS, keyword_counts, keyword_ratios, token_feature
from neuneu.designs.taggers.documents import read_blocks
from neuneu.designs.taggers.domains import Endpoint, classify
from neuneu.designs.taggers.entropy import corpus_entropy
from neuneu.designs.taggers.parses import (
    constituency_depths,
    content_ratio,
    dependency_distances,
    parse_block,
)
from neuneu.designs.taggers.run import Options, entropy_of_file, tag
from neuneu.errors import InputError

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80)


def _block(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [str(i) for i in range(len(texts))], "text": list(texts)})


def _write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


@given(TEXT, st.sampled_from(["How and 3.5% so", "FAQ: use", "a: WHO but 12"]))
def test_keywords_are_counted_like_python_counts(text: str, known: str) -> None:
    text = f"{text} {known}"
    found = keyword_counts(_block(text)).row(0, named=True)
    for name, pattern in KEYWORDS.items():
        assert found[name] == len(re.findall(pattern, text)), name


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


def test_token_counts_and_type_token_ratio() -> None:
    block = _block("a b a, c", "")
    assert token_feature("num_tokens")(block)["num_tokens"].to_list() == [5, 0]
    assert token_feature("unique_tokens")(block)["unique_tokens"].to_list() == [4, 0]
    assert token_feature("ttr")(block)["ttr"].to_list() == [0.8, 0.0]


def _plain_entropy(documents: list[list[int]], order: int) -> tuple[float, float, int]:
    counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for tokens in documents:
        for i in range(len(tokens) - order):
            counts[tuple(tokens[i : i + order])][tokens[i + order]] += 1
    entropies = {
        c: -sum(k / sum(w.values()) * math.log2(k / sum(w.values())) for k in w.values())
        for c, w in counts.items()
    }
    totals = {c: sum(w.values()) for c, w in counts.items()}
    weighted = sum(entropies[c] * totals[c] for c in counts) / sum(totals.values())
    return sum(entropies.values()) / len(entropies), weighted, len(counts)


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=4, max_size=40), min_size=1, max_size=8),
    st.sampled_from([1, 2, 3]),
)
def test_entropy_is_the_plain_definition(documents: list[list[int]], order: int) -> None:
    found = corpus_entropy([np.array(tokens) for tokens in documents], order=order)
    mean, weighted, contexts = _plain_entropy(documents, order)
    assert found["mean_corpus_entropy"] == pytest.approx(mean, abs=1e-9)
    assert found["weighted_entropy"] == pytest.approx(weighted, abs=1e-9)
    assert found["num_unique_contexts"] == contexts


def test_entropy_of_four_tokens() -> None:
    found = corpus_entropy([np.array([0, 1, 0, 2])])
    assert found["mean_corpus_entropy"] == pytest.approx(0.5)
    assert found["weighted_entropy"] == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="more than 3 tokens"):
        corpus_entropy([np.array([0, 1])], order=3)


def test_the_corrected_entropy_stays_where_the_published_one_grows() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.full(60, 0.3), size=60)
    tokens = [0]
    for uniform in rng.random(120_000):
        tokens.append(int(np.searchsorted(np.cumsum(chances[tokens[-1]]), uniform)) % 60)
    small, large = (corpus_entropy([np.array(tokens[:n])]) for n in (6_000, 120_000))
    assert large["weighted_entropy"] > small["weighted_entropy"] * 1.03
    assert large["corrected_entropy"] == pytest.approx(small["corrected_entropy"], rel=0.015)


def test_repetition_reasons_on_fixed_texts() -> None:
    words = " ".join(f"word{i}" for i in range(200))
    assert cleaning.removal_reason("short") == "too_short"
    assert cleaning.removal_reason("spam " * 60) == "pathological_repetition"
    assert cleaning.removal_reason("the same line again\n" * 10) == "repeated_lines"
    lines = "\n".join(f"{c} x y" for c in "abc")
    assert cleaning.removal_reason("\n\n".join([lines.replace("\n", " ")] * 5)) == "repeated_lines"
    assert cleaning.removal_reason("one two three four " * 30) == "repeated_2grams"
    assert cleaning.removal_reason(words) is None


@given(TEXT)
def test_repair_never_fails_and_undoes_mojibake(text: str) -> None:
    assert "\0" not in cleaning.repair_encoding(text)
    assert cleaning.repair_encoding("cafÃ© â€œquotedâ€\x9d"[:5]) == "café"


def test_decontamination_finds_shared_ngrams() -> None:
    question = "Which of these thirteen or more words would a careful student choose as the answer here"
    finder = cleaning.Decontaminator([question])
    assert finder.share(f"Before. {question.upper()}! After.") > 0.3
    assert (
        finder.share("Nothing of that kind is here, only other words that nobody asked about at all today")
        == 0
    )


def test_dependency_and_constituency_measures() -> None:
    first = dependency_distances([4, 4, 4, 5, 0, 9, 9, 9, 5, 5])
    assert first == ([3, 2, 1, 1, 0, 3, 2, 1, 4, 5], [4, 3, 2, 1, 0, 1, 2, 3, 4, 5])
    assert dependency_distances([3, 3, 0, 6, 6, 3, 3]) == ([2, 1, 0, 2, 1, 3, 4], [2, 1, 0, 1, 2, 3, 4])
    words, depths, deepest = constituency_depths("(ROOT (S (NP (DT The) (NN dog)) (VP (VBZ runs)) (. .)))")
    assert (words, depths, deepest) == (["The", "dog", "runs", "."], [3, 3, 3, 2], 3)
    assert content_ratio(["NOUN", "DET"]) == 0.5
    for bad in ([0, 0], [5], []):
        with pytest.raises(InputError):
            dependency_distances(bad)
    with pytest.raises(InputError):
        constituency_depths("(ROOT (S dog)")


def test_documents_of_every_form_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"doc_id": 7, "resps": [["written"]]}\n\n{"id": "b", "content": "c"}\n{"text": "d"}\n')
    rows = [row for block in read_blocks(path, size=2) for row in block.select("id", "text").iter_rows()]
    assert rows == [("7", "written"), ("b", "c"), ("2", "d")]
    pl.DataFrame({"text": ["x", "y"]}).write_parquet(tmp_path / "p.parquet")
    assert [len(block) for block in read_blocks(tmp_path / "p.parquet", size=1)] == [1, 1]
    path.write_text('{"text": "good"}\n{"text": 5}\n')
    with pytest.raises(InputError, match="document 2"):
        list(read_blocks(path))
    path.write_text("nothing of the kind\n")
    with pytest.raises(InputError, match="line 1"):
        list(read_blocks(path))


def test_interrupted_tagging_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    source = _write(tmp_path / "texts.jsonl", [f"How about {i}?" for i in range(50)])
    assert tag("keyword_ratios", source, tmp_path / "whole.parquet", size=10) == 50
    stopped = tmp_path / "stopped.parquet"

    def stop(done: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag("keyword_ratios", source, stopped, size=10, progress=stop)
    assert not stopped.exists()
    part = tmp_path / "stopped.parquet.parts" / "00000000.parquet"
    before = part.stat().st_mtime_ns
    seen: list[int] = []
    tag("keyword_ratios", source, stopped, size=10, progress=seen.append)
    assert before
    assert seen[0] > 10
    assert stopped.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not part.exists()
    tag("keyword_ratios", source, tmp_path / "two.parquet", size=10, workers=2)
    assert (tmp_path / "two.parquet").read_bytes() == stopped.read_bytes()


def test_features_of_files_and_models(tmp_path: Path) -> None:
    source = _write(tmp_path / "texts.jsonl", ["How are you?", "I am well and you?", "x"])
    frames = {}
    for feature in ("char_len", "ttr", "keyword_counts", "repetition"):
        tag(feature, source, tmp_path / f"{feature}.parquet")
        frames[feature] = pl.read_parquet(tmp_path / f"{feature}.parquet")
    assert frames.pop("repetition")["removed_because"].to_list() == ["too_short"] * 3
    row = model_row(frames)
    assert row["char_len_mean"] == pytest.approx(31 / 3)
    assert row["char_len_std"] == pytest.approx(np.std([12, 18, 1], ddof=1))
    assert row["question_words_ratio"] == pytest.approx(100_000 / 31)
    assert "char_len_mean" not in model_row(frames, kept_ids={"0"})
    assert entropy_of_file(source)["total_contexts"] == 8
    with pytest.raises(InputError, match="unknown"):
        tag("colour", source, tmp_path / "c.parquet")


class _Sentence:
    def __init__(self, heads: list[int], tags: list[str]) -> None:
        self.words = [type("Word", (), {"head": h, "upos": t})() for h, t in zip(heads, tags, strict=True)]
        self.constituency = "(ROOT (S (NP (NN dog)) (VP (VBZ runs))))"


def test_parses_become_columns_and_model_features() -> None:
    def pipeline(text: str) -> object:
        return type("Document", (), {"sentences": [_Sentence([2, 0], ["NOUN", "VERB"])]})()

    block = _block("dog runs", "dog runs")
    dependencies = parse_block("dep_parse", block, pipeline)
    constituents = parse_block("const_parse", block, pipeline)
    row = model_row({"dep_parse": dependencies, "const_parse": constituents})
    assert row["dep_parse_dep_head_dist_max_mean"] == 1
    assert row["const_parse_const_tree_depth_max_mean"] == 3
    assert row["const_parse_num_words_std"] == 0
    assert parse_block("content_function_ratio", block, pipeline)["content_function_ratio"].to_list() == [
        1,
        1,
    ]


def test_published_domain_labels_give_the_published_shares(published: Path) -> None:
    labels = pl.read_csv(
        published / "domains" / "HuggingFaceFW_fineweb_sample_predicted_domains_labels_only.csv"
    )
    shares = domain_shares(labels)
    expected = {
        "web": 70.7,
        "reference": 16.0,
        "books": 9.5,
        "academic": 2.4,
        "code": 0.9,
        "specific_datasets": 0.5,
    }
    for name, value in expected.items():
        assert shares[f"domain_{name}_pct_mean"] == pytest.approx(value, abs=0.05)


def test_real_generations_are_tagged(published: Path, tmp_path: Path) -> None:
    source = published / "generations" / "olmo500.jsonl"
    assert tag("char_len", source, tmp_path / "c.parquet") == 500
    assert pl.read_parquet(tmp_path / "c.parquet")["char_len"].mean() == pytest.approx(2606, abs=5)


class _Chat(BaseHTTPRequestHandler):
    failures = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if _Chat.failures > 0:
            _Chat.failures -= 1
            self.send_error(503)
            return
        question, text = (message["content"] for message in body["messages"])
        answer = "unknown"
        for word in ("incoherent", "code", "web", "academic"):
            if f"or {word}." in question:
                answer = word.capitalize() + "." if word in text else f"not_{word}"
        if "books or" in question:
            answer = "Media" if "film" in text else "reference"
        reply = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


def test_the_domain_cascade_over_the_real_protocol(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    long = "This text is long enough to be asked about, so that it is: "
    try:
        _Chat.failures = 2
        ask = Endpoint(address, "any", pause=0.01)
        assert classify(long + "code", ask) == "code"
        assert ask.calls == 4
        assert classify("tiny", ask) == "incoherent"
        assert classify(long + "film", ask) == "unknown"
        assert ask.calls == 9
        source = _write(tmp_path / "t.jsonl", [long + "web", long, "no"])
        tag("domain", source, tmp_path / "d.parquet", options=Options(endpoint=address, model="any"))
        assert pl.read_parquet(tmp_path / "d.parquet")["prediction"].to_list() == [
            "web",
            "reference",
            "incoherent",
        ]
        with pytest.raises(InputError, match="http"):
            Endpoint("file:///etc/passwd", "any")
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(InputError, match="does not answer"):
        classify(long + "again", Endpoint(address, "any", pause=0.01, retries=2))
