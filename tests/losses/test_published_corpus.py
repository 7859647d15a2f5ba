"""NeuNeu's token files: what goes out comes in again, and what contradicts itself is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from neuneu.errors import InputError
from neuneu.losses.corpus import Corpus, read_corpus, tokenize_corpus
from neuneu.losses.fast_tokenizer import Encoder
from neuneu.losses.published_corpus import Speller, export_corpus, import_token_files


def test_a_corpus_goes_out_and_comes_in_again(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    text = read_corpus(corpus)
    files = export_corpus(corpus, tmp_path / "val", split="val", shard="00000141")
    assert [file.name for file in files] == ["val_00000141_tokens.npy", "val_00000141_boundaries.npy"]
    tokens, starts = map(np.load, files)
    assert tokens.dtype == starts.dtype == np.int64
    assert starts.tolist() == text.bounds[:, 0].tolist()
    again = import_token_files([tmp_path / "val"], tmp_path / "again", str(tokenizer))
    for name in ("tokens", "bounds", "words", "word_bounds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(text, name), err_msg=name)
    assert again.word_fingerprint == text.word_fingerprint
    assert import_token_files([files[0]], tmp_path / "again", str(tokenizer)).fingerprint == again.fingerprint
    with pytest.raises(InputError, match="exists already"):
        export_corpus(corpus, tmp_path / "val", split="val", shard="00000141")
    with pytest.raises(InputError, match="without _"):
        export_corpus(corpus, tmp_path / "val", shard="a_b")


def test_ids_of_one_tokenizer_are_encoded_anew_with_another(
    corpus: Path, tokenizer: Path, tmp_path: Path
) -> None:
    """As for a model of another family, whose words are then the same."""
    export_corpus(corpus, tmp_path / "val")
    form = json.loads((tokenizer / "tokenizer.json").read_text())
    form["model"]["merges"] = form["model"]["merges"][:40]
    (tmp_path / "other.json").write_text(json.dumps(form))
    made = import_token_files(
        [tmp_path / "val"], tmp_path / "c", str(tmp_path / "other.json"), source_tokenizer=str(tokenizer)
    )
    whole = read_corpus(corpus)
    assert len(made.tokens) > len(whole.tokens)
    assert made.word_fingerprint == whole.word_fingerprint
    assert made.facts["text_sha256"] == whole.facts["text_sha256"]
    assert made.fingerprint != whole.fingerprint


def test_another_tokenizer_of_the_ids_is_told(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    """Its words for two ids are exchanged, or it has a word more, which spells the same text."""
    export_corpus(corpus, tmp_path / "val")
    form = json.loads((tokenizer / "tokenizer.json").read_text())
    vocabulary = form["model"]["vocab"]
    vocabulary["e"], vocabulary["a"] = vocabulary["a"], vocabulary["e"]
    (tmp_path / "turned.json").write_text(json.dumps(form))
    longer = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    longer.add_tokens(["naïve café"])
    longer.save(str(tmp_path / "longer.json"))

    def made(source: Path) -> Corpus:
        return import_token_files(
            [tmp_path / "val"], tmp_path / "c", str(tokenizer), source_tokenizer=str(source)
        )

    before = made(tokenizer)
    for other in ("turned.json", "longer.json"):
        with pytest.raises(InputError, match=r"source_tokenizer_sha256 = .*; choose another folder"):
            made(tmp_path / other)
    with pytest.raises(InputError, match="source_tokenizer_sha256: the corpus there has"):
        import_token_files([tmp_path / "val"], tmp_path / "c", str(tokenizer))
    facts = json.loads((tmp_path / "c/corpus.json").read_text())
    del facts["source_tokenizer_sha256"]  # as corpora of before
    (tmp_path / "c/corpus.json").write_text(json.dumps(facts))
    assert made(tokenizer).fingerprint == before.fingerprint
    with pytest.raises(InputError, match="is of another text"):
        made(tmp_path / "turned.json")


def test_documents_are_cut_as_tokenize_cuts_them(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    export_corpus(corpus, tmp_path / "val")
    made = import_token_files(
        [tmp_path / "val"], tmp_path / "c", str(tokenizer), max_tokens=7, max_documents=4
    )
    whole = read_corpus(corpus)
    assert (np.diff(made.bounds, axis=1).ravel()).tolist() == [
        min(7, end - begin) for begin, end in whole.bounds[:4].tolist()
    ]


@given(text=st.text(max_size=60))
def test_words_of_ids_are_the_words_of_their_text(text: str, tokenizer: Path) -> None:
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    (encoded,) = Encoder(library).encode([text])
    spelt = Speller(library).spell(encoded.ids)
    assert spelt.text == text
    np.testing.assert_array_equal(spelt.words, encoded.words)


def test_a_document_cut_within_a_character_keeps_its_words(tokenizer: Path) -> None:
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    ids = np.array(library.encode("ab 東京", add_special_tokens=False).ids)
    parts = [Speller(library).spell(ids[:n]) for n in range(1, len(ids) + 1)]
    assert parts[-1].text == "ab 東京"
    assert all("�" in part.text for part in parts[:-1] if part.text not in ("a", "ab", "ab ", "ab 東"))
    assert [len(part.words) for part in parts] == [1 + (len(part.text.split()) > 1) for part in parts]
    for n, part in enumerate(parts, 1):
        assert part.words[-1, 1] == n or part.text.endswith(" ")


def test_words_after_bytes_that_are_no_text_keep_their_tokens(tokenizer: Path) -> None:
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    byte = library.token_to_id("æ")  # 0xE6, which begins a character of three bytes
    ids = [byte, *library.encode(" the of", add_special_tokens=False).ids, byte, byte]
    ids += library.encode(" and", add_special_tokens=False).ids
    spelt = Speller(library).spell(np.array(ids))
    assert spelt.text == "� the of�� and"
    parts = [library.decode(ids[a:b]).strip(" ") for a, b in spelt.words]
    assert parts == ["�", "the", "of��", "and"]


@pytest.mark.parametrize(
    ("tokens", "starts", "message"),
    [
        ([1, 2, 3], [1], "begin at 0"),
        ([1, 2, 3], [0, 2, 1], "begin at 0 and rise"),
        ([1, 2, 3], [0, 4], "at most 3"),
        ([1, 400], [0], r"token id = 400: must be ids of the tokenizer"),
        ([-1, 4], [0], "token id = -1"),
        ([1.0, 2.0], [0], "whole numbers"),
        ([[1, 2]], [0], "whole numbers"),
        ([1, 2], np.empty(0, dtype=np.int64), "whole numbers"),
        ([1, 2], None, "is missing beside the tokens"),
    ],
)
def test_contradictory_files_are_refused(
    tokens: Any, starts: Any, message: str, tokenizer: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "val_0_tokens.npy", np.array(tokens))
    if starts is not None:
        np.save(tmp_path / "val_0_boundaries.npy", np.array(starts))
    with pytest.raises(InputError, match=message):
        import_token_files([tmp_path], tmp_path / "corpus", str(tokenizer))
    assert not (tmp_path / "corpus").exists()


def test_pointers_pickles_and_other_tokenizers_are_refused(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "val_0_tokens.npy").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    np.save(tmp_path / "val_0_boundaries.npy", np.array([0]))
    with pytest.raises(InputError, match="git lfs pull"):
        import_token_files([tmp_path], tmp_path / "c", str(tokenizer))
    np.save(tmp_path / "val_0_tokens.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="must be an array of numbers"):
        import_token_files([tmp_path], tmp_path / "c", str(tokenizer))
    form = json.loads((tokenizer / "tokenizer.json").read_text())
    form["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    (tmp_path / "other.json").write_text(json.dumps(form))
    with pytest.raises(InputError, match="byte-level"):
        import_token_files([tmp_path], tmp_path / "c", str(tmp_path / "other.json"))
    assert not (tmp_path / "c").exists()


def test_the_same_ids_of_another_order_have_another_fingerprint(tokenizer: Path, tmp_path: Path) -> None:
    found = []
    for name, ids in (("a", [5, 6, 7]), ("b", [7, 6, 5])):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "val_0_tokens.npy", np.array(ids))
        np.save(tmp_path / name / "val_0_boundaries.npy", np.array([0]))
        corpus = import_token_files([tmp_path / name], tmp_path / f"c{name}", str(tokenizer))
        found.append(corpus.fingerprint)
    assert found[0] != found[1]


def test_a_text_is_no_token_file(text_file: Path, tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*_tokens\.npy"):
        import_token_files([text_file], tmp_path / "c", str(tokenizer))
    assert tokenize_corpus([text_file], tmp_path / "c", str(tokenizer)).facts["documents"] == 15
