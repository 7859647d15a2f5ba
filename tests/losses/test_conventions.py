"""The published files' conventions: shift, placeholders, misaligned words, histograms."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from neuneu.errors import InputError
from neuneu.losses import conventions as compat
from neuneu.losses.corpus import read_corpus
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints
from neuneu.losses.words import PublishedWordLosses, WordLosses

CUT = 48


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, runs: Path, corpus: Path) -> tuple[Any, Any]:
    """The same checkpoint scored as it should be and as published, documents cut to 48 tokens."""
    folder, checkpoint = tmp_path_factory.mktemp("compat"), runs / "alpha/step5"
    right = score_checkpoints(
        [checkpoint], corpus, folder / "right", Scoring(window=CUT, stride=1, dtype="float32")
    )
    published = score_checkpoints([checkpoint], corpus, folder / "old", Scoring(window=CUT, published=True))
    return right, published


def test_entry_i_is_the_loss_of_token_i_plus_1(stores: tuple[Any, Any], corpus: Path) -> None:
    text, (right, old) = read_corpus(corpus), stores
    expected, found = right.read("alpha", 5), old.read("alpha", 5)
    lengths = compat.published_lengths(text.bounds, CUT)
    assert len(found) == lengths.sum() < len(text.tokens)
    ends = np.cumsum(lengths)
    assert 0 not in text.tokens  # a token with id 0 would be masked
    for (begin, end), length, past in zip(text.bounds, lengths, ends, strict=True):
        entries = found[past - length : past]
        np.testing.assert_allclose(entries[:-1], expected[begin + 1 : begin + length], atol=1e-4)
        if length:
            last = entries[-1]
            assert math.isnan(last) if end - begin >= CUT else last == 0.0


def test_a_token_with_id_0_gets_0_and_an_exact_0_a_trace() -> None:
    losses = np.array([np.nan, 1, 0, 3, np.nan, 5], dtype=np.float32)
    packed = compat.pack_published(losses, np.array([9, 9, 9, 0, 9, 9]), np.array([[0, 4], [4, 6]]), 4)
    np.testing.assert_array_equal(packed, np.array([1, 1e-12, 0, np.nan, 5, 0], dtype=np.float32))


def test_words_drift_after_the_first_long_document(
    stores: tuple[Any, Any], corpus: Path, tokenizer: Path
) -> None:
    """Up to the first document that was cut, words are off by one token only; then by all that was cut."""
    text, (right, old) = read_corpus(corpus), stores
    view = PublishedWordLosses(old, text, str(tokenizer))
    words = view.read("alpha", 5)
    packed = np.nan_to_num(old.read("alpha", 5))
    library = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    expected, used = [], 0
    for begin, end in text.bounds[:-1]:
        if end > len(packed):
            break
        encoded = library.decode(text.tokens[begin:end].tolist(), skip_special_tokens=False)
        offsets = library.encode(encoded, add_special_tokens=False).offsets
        for start, stop in (match for match in _words(encoded)):
            expected.append(
                sum(packed[begin + i] for i, (a, b) in enumerate(offsets) if a < stop and b > start)
            )
        used += 1
    assert 0 < used < len(text.bounds) - 1  # it stops where the losses do
    np.testing.assert_allclose(words, expected, atol=1e-4)
    assert view.n_positions == len(words) < len(text.words)
    assert not np.isnan(words).any()
    aligned = WordLosses(right, text).read("alpha", 5)
    assert np.nanmax(abs(words - aligned[: len(words)])) > 1


def _words(text: str) -> list[tuple[int, int]]:
    import re

    return [match.span() for match in re.finditer(r"\S+", text)]


def test_conventions_do_not_mix(stores: tuple[Any, Any], corpus: Path, runs: Path, tokenizer: Path) -> None:
    text, (right, old) = read_corpus(corpus), stores
    with pytest.raises(InputError, match="another validation set"):
        score_checkpoints([runs / "alpha"], corpus, right.path, Scoring(window=CUT, published=True))
    with pytest.raises(InputError, match="published convention"):
        WordLosses(old, text)
    with pytest.raises(InputError, match="`compat`"):
        PublishedWordLosses(right, text, str(tokenizer))


def test_published_histograms(shared: Path) -> None:
    golden = json.loads((shared / "goldens/neuneu.json").read_text())["hist"]
    values = np.array([np.nan if x is None else float(x) for x in golden["x"]])
    np.testing.assert_allclose(compat.published_histogram(values, 32, 15.0), golden["h32_0_15"], atol=1e-7)
    found = compat.published_histogram(values, 64, 1.0, probabilities=True)
    np.testing.assert_allclose(found, golden["h64_invp"], atol=1e-7)
