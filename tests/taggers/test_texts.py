"""Documents kept, removed, sampled, labelled and compared by what was tagged of them."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hub import serve

from neuneu.errors import InputError
from neuneu.losses.hub_texts import fetch_texts
from neuneu.losses.zarr_store import ZarrLossStore
from neuneu.taggers.agreement import by_class, confusion, mistakes, pairs_of, read_labels
from neuneu.taggers.document_features import read_blocks
from neuneu.taggers.domains import estimate_cost
from neuneu.taggers.filtering import filter_documents
from neuneu.taggers.lm_entropy import lm_entropy
from neuneu.taggers.realism import compare, distributions, pooled, spread_table
from neuneu.taggers.run import TaggerOptions, tag
from neuneu.taggers.sampling import sample_documents
from neuneu.taggers.web_classes import web_class

GOOD = "The quick brown fox jumps over the lazy dog while seven wizards watch from a distant purple hill."
LEAKED = "what is the capital of the small island country that lies far to the south east of the continent"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    records = [
        {"id": "good", "text": GOOD, "source": "web"},
        {"id": "short", "text": "no"},
        {"id": "leaked", "text": f"Once, {LEAKED}? Nobody knew."},
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_kept_and_removed_documents_are_written_with_their_reasons(texts: Path, tmp_path: Path) -> None:
    tests = tmp_path / "tests.jsonl"
    tests.write_text(json.dumps({"text": LEAKED}) + "\n")
    repetition, shared = tmp_path / "repetition.parquet", tmp_path / "shared.parquet"
    tag("repetition", texts, repetition)
    tag("contamination", texts, shared, options=TaggerOptions(against=str(tests)))
    kept, removed = tmp_path / "kept.jsonl", tmp_path / "removed.jsonl"
    counts = filter_documents(texts, kept, removed, repetition=repetition, contamination=shared)
    assert counts == {"kept": 1, "too_short": 1, "contaminated": 1}
    assert lines(kept) == [{"id": "good", "text": GOOD, "source": "web"}]
    assert [(row["id"], row["removed_because"]) for row in lines(removed)] == [
        ("short", "too_short"),
        ("leaked", "contaminated"),
    ]
    assert filter_documents(texts, kept, contamination=shared, most=0.9)["kept"] == 3
    other = tmp_path / "other.jsonl"
    other.write_text("".join(reversed(texts.read_text().splitlines(keepends=True))))
    with pytest.raises(InputError, match=r"document 1: id = 'leaked': is not the document that was tagged"):
        filter_documents(other, kept, repetition=repetition)
    other.write_text(texts.read_text().splitlines(keepends=True)[0])
    before = kept.read_bytes()
    with pytest.raises(InputError, match="has 1 document, not the 3"):
        filter_documents(other, kept, repetition=repetition)
    assert kept.read_bytes() == before
    other.write_text(texts.read_text().replace("wizards", "witches"))
    with pytest.raises(
        InputError, match=r"repetition\.parquet: was tagged of another version of .*other\.jsonl"
    ):
        filter_documents(other, kept, repetition=repetition)
    assert kept.read_bytes() == before
    pl.read_parquet(repetition).write_parquet(repetition)  # as tag wrote it before, without a digest
    assert filter_documents(other, kept, repetition=repetition)["kept"] == 2
    with pytest.raises(InputError, match="another file"):
        filter_documents(texts, kept, kept, repetition=repetition)
    with pytest.raises(InputError, match="give repetition"):
        filter_documents(texts, kept)


@given(count=st.integers(1, 40), total=st.integers(1, 40), seed=st.integers(0, 9))
def test_a_sample_is_ordered_without_doubles_and_of_its_seed(
    tmp_path_factory: pytest.TempPathFactory, count: int, total: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("sample")
    source, output = folder / "all.jsonl", folder / "some.jsonl"
    source.write_text("".join(f'{{"id": {i}, "text": "t"}}\n' for i in range(total)))
    assert sample_documents([source], output, count=count, seed=seed) == min(count, total)
    found = [int(row["id"]) for row in lines(output)]
    assert found == sorted(set(found))
    first = output.read_bytes()
    sample_documents([source], output, count=count, seed=seed)
    assert output.read_bytes() == first


def test_every_document_is_as_likely_and_shares_are_chances(tmp_path: Path) -> None:
    source, output = tmp_path / "all.jsonl", tmp_path / "some.jsonl"
    source.write_text("".join(f'{{"id": {i}, "text": "t"}}\n' for i in range(10)))
    counts = np.zeros(10)
    for seed in range(200):
        sample_documents([source], output, count=3, seed=seed)
        counts[[int(row["id"]) for row in lines(output)]] += 1
    assert counts.min() > 35
    assert counts.max() < 90
    source.write_text("".join(f'{{"id": {i}, "text": "t"}}\n' for i in range(2_000)))
    assert 400 < sample_documents([source], output, share=0.25) < 600
    for bad in ({}, {"count": 1, "share": 0.5}, {"share": 0.0}, {"count": 0}):
        with pytest.raises(InputError):
            sample_documents([source], output, **bad)  # type: ignore[arg-type]


def test_a_hub_data_set_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "hub/datasets/org/data/main/train"
    folder.mkdir(parents=True)
    for part in range(2):
        rows = [{"id": f"{part}-{i}", "text": "t"} for i in range(5)]
        pl.DataFrame(rows).write_parquet(folder / f"{part}.parquet")
    with serve(tmp_path / "hub") as served:
        served.use(monkeypatch, tmp_path / "home")
        files = fetch_texts(["hf://org/data/train/*.parquet"], hub=True)
    assert sample_documents(files, tmp_path / "some.jsonl", count=10) == 10
    assert {row["id"][0] for row in lines(tmp_path / "some.jsonl")} == {"0", "1"}


def test_csv_documents_are_read_with_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('id,text,url\na,"one, two\nthree",https://www.reddit.com/r/x\nb,four,\n')
    (block,) = read_blocks(path)
    assert block["text"].to_list() == ["one, two\nthree", "four"]
    assert block["url"].to_list() == ["https://www.reddit.com/r/x", None]
    tag("web_class", path, tmp_path / "classes.parquet")
    assert pl.read_parquet(tmp_path / "classes.parquet")["web_class"].to_list() == ["forums", None]
    path.write_text("id,text\na\n")
    with pytest.raises(InputError, match="record 1"):
        list(read_blocks(path))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://en.wikipedia.org/wiki/Fox", "encyclopedic"),
        ("http://someone.blogspot.com/2011/01/x.html", "blogs"),
        ("https://example.org/forum/viewtopic.php?t=1", "forums"),
        ("https://shop.example.com/products/7", "shopping"),
        ("https://www.bbc.co.uk/news/world-1", "news"),
        ("example.com/about", "other"),
        ("https://notreddit.com/", "other"),
        ("http://[bad", "other"),
        (None, None),
    ],
)
def test_web_pages_are_told_by_their_address(url: str | None, name: str | None) -> None:
    assert web_class(url) == name


@given(st.text(max_size=60))
def test_any_address_has_a_class(url: str) -> None:
    assert web_class(url) is None or isinstance(web_class(url), str)


def test_a_tagger_is_held_against_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label\na,web\nb,web\nc,code\nd,unknown\ne,media\nf,\n")
    tagged = pl.DataFrame(
        {"id": list("abcdef"), "prediction": ["web", "code", "code", "web", "reference", "web"]}
    )
    pairs = pairs_of(tagged, read_labels(path, "label"))
    table = {row["class"]: row for row in by_class(pairs).to_dicts()}
    assert (table["web"]["precision"], table["web"]["recall"]) == (1.0, 0.5)
    assert (table["code"]["precision"], table["code"]["recall"]) == (0.5, 1.0)
    assert table["(all)"]["precision"] == 0.75
    assert confusion(pairs).filter(label="web").select("code", "web").row(0) == (1, 1)
    assert mistakes(pairs)["id"].to_list() == ["b"]
    with pytest.raises(InputError, match="not in this file"):
        read_labels(path, "kind")
    path.write_text("id,label\na,web\na,code\n")
    with pytest.raises(InputError, match="twice"):
        read_labels(path, "label")


def test_the_cost_of_an_endpoint_is_known_before(texts: Path) -> None:
    few, most = estimate_cost(texts, 0.15).to_dicts()
    assert (few["documents"], few["asked"], few["calls"], most["calls"]) == (3, 2, 2, 10)
    assert 0 < few["dollars"] < most["dollars"] == pytest.approx(most["tokens"] * 0.15e-6, rel=1e-3)


def test_entropy_by_a_language_model_is_its_losses_in_bits(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    from neuneu.losses.corpus import read_corpus, tokenize_corpus

    source = tmp_path / "text.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in (GOOD, LEAKED)))
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    tokenize_corpus([source], tmp_path / "corpus", str(tmp_path / "tokenizer.json"))
    corpus = read_corpus(tmp_path / "corpus")
    count = len(corpus.tokens)
    store = ZarrLossStore.create(
        tmp_path / "losses.zarr", fingerprint=corpus.fingerprint, n_positions=count, dtype="float32"
    )
    losses = np.full(count, np.log(2))
    losses[0] = np.nan
    losses[int(corpus.bounds[1][0]) :] = 2 * np.log(2)
    store.write("run", 7, losses)
    rows = tmp_path / "rows.parquet"
    found = lm_entropy(tmp_path / "losses.zarr", tmp_path / "corpus", tmp_path / "lm.json", documents=rows)
    assert (found["run"], found["step"], found["tokens"]) == ("run", 7, count - 1)
    means = pl.read_parquet(rows)["entropy_mean"].to_list()
    assert means == pytest.approx([1.0, 2.0], abs=1e-6)
    assert json.loads((tmp_path / "lm.json").read_text())["p10_bits"] == pytest.approx(1.0, abs=1e-6)


def test_real_features_are_held_against_generated_ones(tmp_path: Path) -> None:
    real = pl.DataFrame({"id": ["pile"], "domain_web_pct_mean": [40.0], "ttr_mean": [0.5], "only": [1.0]})
    written = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "domain_web_pct_mean": [50.0, 60.0, 70.0],
            "ttr_mean": [0.5, 0.5, None],
        }
    )
    frame = compare(real, written)
    assert frame["feature"].to_list() == ["domain_web_pct_mean", "ttr_mean"]
    assert frame["z"].to_list() == [2.0, None]
    assert pooled(real, written)["pairs"].to_list() == [3, 2]
    with pytest.raises(InputError, match="one row"):
        compare(written, written)
    pl.DataFrame({"id": ["x", "y"], "char_len": [1, 3]}).write_parquet(tmp_path / "a.parquet")
    values = distributions({"mine": tmp_path / "a.parquet"}, "char_len")
    assert spread_table(values).select("mean", "p50").row(0) == (2.0, 2.0)
    with pytest.raises(InputError, match="numbers here: char_len"):
        distributions({"mine": tmp_path / "a.parquet"}, "id")


def test_a_function_of_ones_own_is_a_tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_tag.py").write_text(
        "def words(block):\n"
        "    return block.select('id', block['text'].str.split(' ').list.len().alias('n_words'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "texts.jsonl").write_text('{"text": "one two"}\n{"text": "three"}\n')
    assert tag("mine_to_tag:words", tmp_path / "texts.jsonl", tmp_path / "words.parquet") == 2
    assert pl.read_parquet(tmp_path / "words.parquet")["n_words"].to_list() == [2, 1]
    with pytest.raises(InputError, match=r"feature = 'mine_to_tag:none': cannot be imported"):
        tag("mine_to_tag:none", tmp_path / "texts.jsonl", tmp_path / "none.parquet")
