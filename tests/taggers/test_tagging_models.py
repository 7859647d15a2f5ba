"""Features that need a model: against local stand-ins over real HTTP, and tiny models made here."""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from stanza.models.constituency.tree_reader import read_trees
from stanza.utils.conll import CoNLL

from neuneu.errors import InputError
from neuneu.progress import listening
from neuneu.taggers.aggregate import domain_shares, model_row, read_tagged
from neuneu.taggers.counts import KEYWORDS
from neuneu.taggers.domains import Endpoint, classify, language_tagger
from neuneu.taggers.generate import generate
from neuneu.taggers.parses import (
    constituency_depths,
    content_ratio,
    dependency_distances,
    parse_block,
    stanza_tagger,
)
from neuneu.taggers.run import TaggerOptions, tag

LONG = "This text is long enough to be asked about, so that it is: "


def _block(*texts: str) -> pl.DataFrame:
    return pl.DataFrame({"id": [str(i) for i in range(len(texts))], "text": list(texts)})


def _write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


# Parses


def test_the_published_vectors_of_dependencies() -> None:
    first = dependency_distances([4, 4, 4, 5, 0, 9, 9, 9, 5, 5])
    assert first == ([3, 2, 1, 1, 0, 3, 2, 1, 4, 5], [4, 3, 2, 1, 0, 1, 2, 3, 4, 5])
    assert dependency_distances([3, 3, 0, 6, 6, 3, 3]) == ([2, 1, 0, 2, 1, 3, 4], [2, 1, 0, 1, 2, 3, 4])
    for bad in ([0, 0], [5], []):
        with pytest.raises(InputError):
            dependency_distances(bad)


# Three trees of the published shapes: 20 words, with the depths of the published vector.
TREES = [
    "(ROOT (S (NP (DT The) (NN cat)) (VP (SBAR (S (WP what) (PRP it) (VB saw) (NP (DT the) (NN mat)))))))",
    "(ROOT (S (NP (DT A) (NN dog)) (VP (VP (VBZ runs) (RB very) (RB fast))) (. .)))",
    "(ROOT (S (NP (PRP We) (NN all)) (VP (VP (VBP like) (RB so) (RB much) (NP (NNS walks)))) (. .)))",
]
DEPTHS = [[3, 3, 5, 5, 5, 6, 6], [3, 3, 4, 4, 4, 2], [3, 3, 4, 4, 4, 5, 2]]


def test_constituency_depths_of_given_trees() -> None:
    assert [constituency_depths(tree)[1] for tree in TREES] == DEPTHS
    assert [constituency_depths(tree)[2] for tree in TREES] == [6, 4, 5]
    words, depths, deepest = constituency_depths("(ROOT (S (NP (DT The) (NN dog)) (VP (VBZ runs)) (. .)))")
    assert (words, depths, deepest) == (["The", "dog", "runs", "."], [3, 3, 3, 2], 3)
    assert content_ratio(["NOUN", "DET"]) == 0.5
    for bad in ("(ROOT (S dog)", "", "dog", ")dog("):
        with pytest.raises(InputError):
            constituency_depths(bad)


CONLL = """1\tThe\tthe\tDET\tDT\t_\t4\tdet\t_\t_
2\tquick\tquick\tADJ\tJJ\t_\t4\tamod\t_\t_
3\tbrown\tbrown\tADJ\tJJ\t_\t4\tamod\t_\t_
4\tfox\tfox\tNOUN\tNN\t_\t5\tnsubj\t_\t_
5\tjumped\tjump\tVERB\tVBD\t_\t0\troot\t_\t_

1\tIt\tit\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2\truns\trun\tVERB\tVBZ\t_\t0\troot\t_\t_

"""


def test_documents_of_stanza_become_columns_and_model_features() -> None:
    def pipeline(text: str) -> Any:
        document = CoNLL.conll2doc(input_str=CONLL)
        for sentence, tree in zip(document.sentences, read_trees("".join(TREES[1:])), strict=True):
            sentence.constituency = tree
        return document

    block = _block("any", "text")
    dependencies = parse_block("dep_parse", block, pipeline)
    assert dependencies["dist_to_head"].to_list() == [[3, 2, 1, 1, 0, 1, 0]] * 2
    assert dependencies["dist_to_root"].to_list() == [[4, 3, 2, 1, 0, 1, 0]] * 2
    constituents = parse_block("const_parse", block, pipeline)
    assert constituents["const_word_depth"].to_list() == [DEPTHS[1] + DEPTHS[2]] * 2
    assert constituents["const_tree_depth"][0].to_list() == [4] * 6 + [5] * 7
    assert constituents["num_words_input"].to_list() == [13, 13]
    content = parse_block("content_function_ratio", block, pipeline)
    assert content["content_function_ratio"].to_list() == [5 / 7] * 2
    row, _ = model_row({"dep_parse": dependencies, "const_parse": constituents})
    assert row["dep_parse_dep_head_dist_max_mean"] == 3
    assert row["const_parse_words_per_sent_mean_mean"] == pytest.approx((36 + 49) / 13)
    assert row["const_parse_num_words_std"] == 0


def test_stanza_without_models_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANZA_RESOURCES_DIR", str(tmp_path))
    with pytest.raises(InputError, match="no models here"):
        stanza_tagger("dep_parse", "xx-none")


# Domains, languages, quality


class _Chat(BaseHTTPRequestHandler):
    failures = 0

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        assert (body["temperature"], body["max_tokens"]) == (0, 10)
        if _Chat.failures > 0:
            _Chat.failures -= 1
            self.send_error(503)
            return
        question, text = (message["content"] for message in body["messages"])
        answer = "unknown"
        for word in ("incoherent", "code", "web", "academic"):
            if f"or {word}." in question:
                answer = word.capitalize() + "." if word in text else f"Not {word}"
        if "books or" in question:
            answer = "Media" if "film" in text else "reference"
        reply = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    server.server_close()


def test_the_domain_cascade_over_the_real_protocol(tmp_path: Path, address: str) -> None:
    _Chat.failures = 2
    ask = Endpoint(address, "any", pause=0.01)
    assert classify(LONG + "code", ask) == "code"
    assert ask.calls == 4
    assert classify("tiny", ask) == "incoherent"
    assert classify(LONG + "film", ask) == "unknown"
    assert ask.calls == 9
    source = _write(tmp_path / "t.jsonl", [LONG + "web", LONG, "no"])
    tag("domain", source, tmp_path / "d.parquet", options=TaggerOptions(endpoint=address, model="any"))
    found = pl.read_parquet(tmp_path / "d.parquet")
    assert found["prediction"].to_list() == ["web", "reference", "incoherent"]
    assert found["language"].to_list() == ["en", "en", "unknown"]
    with pytest.raises(InputError, match="http"):
        Endpoint("file:///etc/passwd", "any")


def test_an_endpoint_that_does_not_answer_is_named(tmp_path: Path) -> None:
    ask = Endpoint("http://127.0.0.1:9/v1", "any", pause=0.01, retries=2)
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9.*does not answer"):
        classify(LONG, ask)
    assert ask.calls == 2


def test_languages() -> None:
    texts = [
        "The weather has been fine for most of this week, and nobody complained about it.",
        "Das Wetter war in dieser Woche meistens schön, und niemand hat sich darüber beklagt.",
        "今天天气很好,我们一起去公园散步吧。孩子们都很高兴,大家玩得很开心。今天天气很好,我们一起去公园散步吧。",
        "short",
        "\x00\ufffe\u200b" * 40,
    ]
    assert language_tagger()(_block(*texts))["language"].to_list() == ["en", "de", "zh", "unknown", "unknown"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({sign: i for i, sign in enumerate([*alphabet, "<|end|>"])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>")


SIZES = {
    "vocab_size": 257,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def _classifier(folder: Path, tokenizer: Any, labels: list[str]) -> str:
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    names = dict(enumerate(labels))
    config = LlamaConfig(**SIZES, max_position_embeddings=64, pad_token_id=256, id2label=names)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_educational_quality_by_a_local_model(tmp_path: Path, tokenizer: Any) -> None:
    folder = _classifier(tmp_path / "edu", tokenizer, ["score"])
    source = _write(
        tmp_path / "t.jsonl", ["one text", "another, which is longer than the model can take " * 9]
    )
    tag("edu_classifier", source, tmp_path / "e.parquet", options=TaggerOptions(model=folder))
    found = pl.read_parquet(tmp_path / "e.parquet")
    assert found["raw_score"].n_unique() == 2
    expected = found["raw_score"].clip(0, 5).round().cast(pl.Int64)
    assert found["int_score"].to_list() == expected.to_list()
    row, _ = model_row({"edu_classifier": found})
    assert row["edu_classifier_mean"] == pytest.approx(found["raw_score"].mean())
    with pytest.raises(InputError, match="not a checkpoint"):
        tag("edu_classifier", source, tmp_path / "f.parquet", options=TaggerOptions(model=str(tmp_path)))


def test_domains_by_a_local_classifier(tmp_path: Path, tokenizer: Any) -> None:
    folder = _classifier(tmp_path / "domains", tokenizer, ["web", "code", "reference"])
    source = _write(tmp_path / "t.jsonl", [LONG + word for word in ("a", "b", "a")] + ["tiny"])
    tag("domain", source, tmp_path / "d.parquet", options=TaggerOptions(model=folder))
    found = pl.read_parquet(tmp_path / "d.parquet")["prediction"].to_list()
    assert found[0] == found[2]
    assert found[3] == "incoherent"
    assert set(found[:3]) <= {"web", "code", "reference"}
    other = _classifier(tmp_path / "other", tokenizer, ["good", "bad"])
    with pytest.raises(InputError, match="no domain"):
        tag("domain", source, tmp_path / "e.parquet", options=TaggerOptions(model=other))


def test_published_domain_labels_give_the_published_shares(published: Path) -> None:
    name = "HuggingFaceFW_fineweb_sample_predicted_domains_labels_only.csv"
    shares = domain_shares(pl.read_csv(published / "domains" / name))
    expected = {"web": 70.7, "reference": 16.0, "books": 9.5, "academic": 2.4, "code": 0.9}
    for domain, value in (expected | {"specific_datasets": 0.5}).items():
        assert shares[f"domain_{domain}_pct_mean"] == pytest.approx(value, abs=0.05)


# Generations


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    config = LlamaConfig(**SIZES, max_position_embeddings=16, bos_token_id=None, eos_token_id=256)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_generations_follow_the_seed_and_the_models_distribution(tmp_path: Path, checkpoint: Path) -> None:
    def lines(name: str, **options: Any) -> list[dict[str, Any]]:
        generate(checkpoint, tmp_path / name, documents=20, batch=8, **options)
        return [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]

    one, again, other = lines("one.jsonl"), lines("again.jsonl"), lines("other.jsonl", seed=1)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert one == again
    assert [row["text"] for row in one] != [row["text"] for row in other]
    assert [row["id"] for row in one] == [str(i) for i in range(20)]
    assert len({row["text"] for row in one}) == 20
    assert max(row["tokens"] for row in one) == 15  # what the context leaves after the first
    short = lines("short.jsonl", tokens=3)
    assert max(row["tokens"] for row in short) == 3
    cold = lines("cold.jsonl", temperature=1e-6)
    assert len({row["text"] for row in cold}) == 1


def test_stopped_generation_goes_on_to_the_same_bytes(tmp_path: Path, checkpoint: Path) -> None:
    generate(checkpoint, tmp_path / "whole.jsonl", documents=10, batch=4)

    told: list[int] = []

    class Listener:
        """Hears how many documents there are, and stops the first time."""

        stops = True

        def begin(self, what: str, total: int | None) -> str:
            return what

        def at(self, work: object, done: int, now: str) -> None:
            if self.stops and done:
                raise KeyboardInterrupt
            told.append(done)

        def end(self, work: object) -> None:
            pass

    listener = Listener()
    with pytest.raises(KeyboardInterrupt), listening(listener):
        generate(checkpoint, tmp_path / "stopped.jsonl", documents=10, batch=4)
    assert not (tmp_path / "stopped.jsonl").exists()
    listener.stops = False
    told.clear()
    with listening(listener):
        generate(checkpoint, tmp_path / "stopped.jsonl", documents=10, batch=4)
    assert told == [4, 8]  # the first block was there
    assert (tmp_path / "stopped.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stopped.jsonl", "whole.jsonl"]


def test_what_generation_refuses(tmp_path: Path, checkpoint: Path) -> None:
    for folder, options, rule in (
        (tmp_path, {}, "config.json"),
        (checkpoint, {"tokens": 16}, "from 1 to 15"),
        (checkpoint, {"documents": 0}, "documents"),
        (checkpoint, {"temperature": 0.0}, "temperature"),
        (checkpoint, {"device": "cuda:99"}, "no such device here"),
    ):
        with pytest.raises(InputError, match=rule):
            generate(folder, tmp_path / "g.jsonl", **options)
    assert not (tmp_path / "g.jsonl").exists()


def test_a_checkpoint_writes_from_the_command_line(
    tmp_path: Path, checkpoint: Path, neuneu: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    output = tmp_path / "g.jsonl"
    arguments = ("designs", "generate", checkpoint, "-o", output, "--documents", "3", "--tokens", "4")
    done = neuneu(*arguments)
    assert done.returncode == 0, done.stderr
    generate(checkpoint, tmp_path / "same.jsonl", documents=3, tokens=4)
    assert output.read_bytes() == (tmp_path / "same.jsonl").read_bytes()
    bad = neuneu("designs", "generate", tmp_path, "-o", output)
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)


# Model-level features


def test_features_of_files_and_models(tmp_path: Path) -> None:
    source = _write(tmp_path / "texts.jsonl", ["How are you?", "I am well and you?", "x"])
    for feature in ("char_len", "counts", "keyword_counts", "repetition"):
        tag(feature, source, tmp_path / f"{feature}.parquet")
    (tmp_path / "entropy.json").write_text('{"mean_corpus_entropy": 1.5, "corrected_entropy": 2.0}')
    frames = read_tagged([f"{f}={tmp_path / f}.parquet" for f in ("counts", "keyword_counts", "repetition")])
    assert frames.pop("repetition")["removed_because"].to_list() == ["too_short"] * 3
    row, _ = model_row(frames | read_tagged([f"entropy={tmp_path}/entropy.json"]))
    assert row["char_len_mean"] == pytest.approx(31 / 3)
    assert row["char_len_std"] == pytest.approx(np.std([12, 18, 1], ddof=1))
    assert row["question_words_ratio"] == pytest.approx(100_000 / 31)
    assert (row["entropy_mean"], row["entropy_corrected"]) == (1.5, 2.0)
    assert model_row(frames, kept_ids={"0"}) == ({}, ["counts", "keyword_counts"])
    for bad in (f"colour={source}", "ttr", f"ttr={tmp_path}/no.parquet", f"ttr={source}"):
        with pytest.raises(InputError):
            read_tagged([bad])


def test_features_of_other_documents_are_refused(tmp_path: Path) -> None:
    source, other = (_write(tmp_path / f"{word}.jsonl", ["How are you?", word]) for word in ("one", "two"))
    tag("counts", source, tmp_path / "counts.parquet")
    tag("repetition", other, tmp_path / "repetition.parquet")
    entries = [f"{feature}={tmp_path / feature}.parquet" for feature in ("counts", "repetition")]
    with pytest.raises(InputError, match=r"repetition\.parquet: .*other documents than .*counts\.parquet"):
        read_tagged(entries)
    tag("repaired_text", source, tmp_path / "repaired.parquet")
    tag("repetition", tmp_path / "repaired.parquet", tmp_path / "repetition.parquet")
    assert set(read_tagged(entries)) == {"counts", "repetition"}


def test_the_published_column_names(published: Path) -> None:
    path = published / "performance_prediction" / "all_models_feature_stats_3_03_with_ratios.csv"
    known = pl.read_csv(path)
    filled = {name for name in known.columns if known[name].null_count() < len(known)} - {"id"}
    lists = {name: [[1, 2], [3]] for name in ("dist_to_head", "dist_to_root", "const_word_depth")}
    lists |= {name: [[1, 2], [3]] for name in ("const_tree_depth", "num_words_sentence")}
    counts = {name: [5, 6] for name in ("characters", *KEYWORDS)}
    scalars = ("char_len", "num_tokens", "unique_tokens", "ttr", "content_function_ratio")
    frames = {name: pl.DataFrame({"id": ["a", "b"], name: [1.0, 2.0]}) for name in scalars}
    frames |= {
        "keyword_counts": pl.DataFrame({"id": ["a", "b"], **counts}),
        "dep_parse": pl.DataFrame({"id": ["a", "b"], **lists}),
        "const_parse": pl.DataFrame({"id": ["a", "b"], **lists, "num_words_input": [2, 1]}).with_columns(
            num_sentences_input=1
        ),
        "edu_classifier": pl.DataFrame({"id": ["a", "b"], "raw_score": [1.0, 2.0]}),
        "domain": pl.DataFrame({"id": ["a", "b"], "prediction": ["web", "code"], "language": ["en", "de"]}),
        "entropy": pl.DataFrame({"mean_corpus_entropy": [1.5], "corrected_entropy": [2.0]}),
    }
    row, _ = model_row(frames)
    assert set(row) - {"entropy_corrected"} == filled
