"""The fast encoder against the library, text by text; tokenizers are loaded and told apart."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)  # fmt: skip

from neuneu.errors import InputError
from neuneu.losses import fast_tokenizer as encoder_module
from neuneu.losses.alignment import align_words, word_spans
from neuneu.losses.fast_tokenizer import Encoder
from neuneu.losses.tokenizer import load_hf_tokenizer, load_tokenizer, tokenizer_digest, vocabulary_digest

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
SAMPLE = ["the cat's 1234 mats, don't\n\n  sit. Où est-il? x=1;", "naïve café 東京 мир 🙂 x²½ Ⅷ"] * 20


def byte_level(split: str | None, normal: bool, spaces: bool = False) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC() if normal else None
    steps = [pre_tokenizers.Split(Regex(split), "isolated")] if split else []
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None))
    made.pre_tokenizer = pre_tokenizers.Sequence(steps) if split else steps[0]
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(SAMPLE, trainer)
    if spaces:  # as GPT-NeoX has them
        made.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
        made.post_processor = processors.ByteLevel(trim_offsets=True)
    return made


def word_level() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False)
    made.train_from_iterator(SAMPLE, trainer)
    return made


KINDS = {
    "gpt2": byte_level(None, False),
    "neox": byte_level(None, True, spaces=True),
    "llama3": byte_level(LLAMA3, False),
    "qwen": byte_level(QWEN, True),
    "bert": word_level(),
}
FAST = {name: Encoder(made) for name, made in KINDS.items()}

TEXT = st.text(
    st.one_of(
        st.sampled_from(list("aZ'sS19  \n\t.,_\r\x0b\x1c\x85\xa0é")),
        st.sampled_from(list("\u0301\u2028\u180e\u0130ſK½Ⅷ東мิ🙂\u200d")),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


def check(kind: str, texts: list[str], encoder: Encoder) -> None:
    for text, found in zip(texts, encoder.encode(texts), strict=True):
        expected = KINDS[kind].encode(text, add_special_tokens=False)
        assert found.ids.tolist() == expected.ids
        spans = np.array(expected.offsets, dtype=np.int64).reshape(-1, 2)
        words = align_words(word_spans(text), spans[:, 0], spans[:, 1])
        np.testing.assert_array_equal(found.words, words)


@given(texts=st.lists(st.one_of(TEXT, TEXT.map(lambda t: t + "<|end|>" + t)), min_size=1, max_size=6))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_library_on_any_text(kind: str, texts: list[str]) -> None:
    """With what it learned from the texts before, and with nothing learned."""
    check(kind, texts, FAST[kind])
    check(kind, texts, Encoder(KINDS[kind]))


@pytest.mark.parametrize("kind", ["neox", "llama3", "qwen"])
def test_every_pair_of_ascii_characters_between_letters_and_spaces(kind: str) -> None:
    pairs = ["".join(pair) for pair in itertools.product(map(chr, range(128)), repeat=2)]
    check(kind, [f"a{pair}b {pair} 1{pair}2  {pair}" for pair in pairs], FAST[kind])


def test_it_forgets_when_it_has_learned_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_MAX_PIECES", 3)
    encoder = Encoder(KINDS["llama3"])
    for text in (*SAMPLE[:2], "one two three four", *SAMPLE[:2]):
        check("llama3", [text, text], encoder)


def test_byte_level_tokenizers_take_the_fast_way_and_others_do_not() -> None:
    """A piece that is known goes on being used when the tokenizer behind is gone."""
    text = "Plain words, 12 of them."
    fast = []
    for kind, made in KINDS.items():
        encoder = Encoder(made)
        encoder.encode([text])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder, "_tokenizer", NoTokenizer())
            try:
                encoder.encode([text])
            except AssertionError:
                continue
        fast.append(kind)
    assert fast == ["gpt2", "neox", "llama3", "qwen"]


class NoTokenizer:
    """A tokenizer that is not to be asked for any text."""

    def encode_batch(self, texts: list[str], **_: object) -> list[object]:
        assert not texts
        return []


def test_digests_tell_tokenizers_apart(tokenizer: Path) -> None:
    digests = [tokenizer_digest(made) for made in KINDS.values()]
    assert len(set(digests)) == len(digests)
    assert tokenizer_digest(load_tokenizer(str(tokenizer))) == tokenizer_digest(
        load_tokenizer(str(tokenizer))
    )
    other = Tokenizer.from_str(KINDS["gpt2"].to_str())
    other.add_tokens(["brandnew"])
    assert vocabulary_digest(other) != vocabulary_digest(KINDS["gpt2"])


def test_padding_and_truncation_of_a_saved_tokenizer_do_not_count(tmp_path: Path) -> None:
    made = Tokenizer.from_str(KINDS["gpt2"].to_str())
    made.enable_truncation(4)
    made.enable_padding()
    made.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(str(tmp_path))
    assert tokenizer_digest(loaded) == tokenizer_digest(KINDS["gpt2"])
    assert len(loaded.encode("a b c d e f g").ids) > 4


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`hub`"):
        load_tokenizer("gpt2")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    for load in (load_tokenizer, load_hf_tokenizer):
        with pytest.raises(InputError, match=f"^{tmp_path}: has no tokenizer.json: copy the files"):
            load(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="no fast tokenizer"):
        load_tokenizer(str(tmp_path))
