"""Texts → token ids and the tokens of each word, exactly as a Hugging Face tokenizer has them, but faster."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, count, islice, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Integers
from neuneu.losses.alignment import align_words, word_spans

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# A tokenizer's own expression → the same for the standard library's engine, the faster one, up to characters
# that the two take for different things (digits that are no decimals, for one), which are found out.
_LETTERS = r" ?[A-Za-z]++(?![^\x00-\x7f])"  # most words, and sooner than by the general way
_SIGNS = r"(?>[!-/:-@\[-`{-~]+|[^\s\w]+)+"
_GPT2_PIECES = rf"{_LETTERS}| ?[^\W\d_]+|'(?:[stmd]|re|ve|ll)| ?\d+| ?{_SIGNS}|\s+(?!\S)|\s"
_LLAMA3_PIECES = (
    rf"{_LETTERS}|(?i:'(?:[stmd]|re|ve|ll))|(?:[^\w\r\n]|_)?[^\W\d_]+|\d{{1,3}}| ?{_SIGNS}[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s"
)
_PIECES = {
    _GPT2: _GPT2_PIECES,
    _LLAMA3: _LLAMA3_PIECES,
    _LLAMA3.replace("{1,3}", ""): _LLAMA3_PIECES.replace("{1,3}", ""),  # Qwen
}
_BETWEEN = " \n"
"""White space that every expression above splits off, from a word before and a word after it."""
_MAX_PIECES = 1_000_000
_GROUP = 64


class Encoded(NamedTuple):
    """Tokens of one text: ids (n_tokens,); words (n_words, 2), the tokens of each word (`align_words`)."""

    ids: NDArray[Any]
    words: NDArray[Any]


class Encoder:
    """Encodes texts; the ids are those of `tokenizer.encode(text, add_special_tokens=False)`.

    Byte-level BPE tokenizers (GPT-2, GPT-NeoX, OLMo, Llama 3, Qwen, …) split a text by a regular expression
    and encode each piece alone, so a piece that was seen before need not be encoded again. A text takes that
    way only where it is sure to give the same: the tokenizer is of this kind, normalising would not change
    the text, it holds no added token but white space, and each of its characters is split the same by the
    library's regular expressions and the standard ones (tried once a character). Any other text goes to the
    library.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        form = json.loads(tokenizer.to_str())
        expression = _piece_expression(form)
        added = _AddedTokens(form["added_tokens"])
        self._fast = expression is not None and added.simple
        self._cut = re.compile(expression or "").findall
        self._blanks, self._others, self._starts = added.blanks, added.others, added.starts
        self._normal = (form["normalizer"] or {"type": None})["type"]
        self._tried: dict[str, bool] = {}
        self._known = _Table()

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text; fastest with many at once."""
        if not self._fast:
            return self._library(texts)
        if len(self._known.numbers) > _MAX_PIECES:
            self._known = _Table()
        plain = list(map(self._is_plain, texts))
        split = [self._split(text) if ours else [] for text, ours in zip(texts, plain, strict=True)]
        counts = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
        number_of, n_pieces = self._known.numbers.__getitem__, int(counts.sum())
        numbers = np.fromiter(map(number_of, chain.from_iterable(split)), np.int64, n_pieces)
        self._learn(list(islice(self._known.numbers, len(self._known.unsure), None)))
        found = self._known.join(numbers, counts)
        unsure = np.repeat(np.arange(len(texts)), counts)[self._known.unsure[numbers]]
        unsplit = np.union1d(unsure, np.flatnonzero(~np.array(plain, dtype=bool))).tolist()
        for index, encoded in zip(unsplit, self._library([texts[i] for i in unsplit]), strict=True):
            found[index] = encoded
        return found

    def _split(self, text: str) -> list[str]:
        if self._blanks is None:
            return self._cut(text)
        parts = self._blanks.split(text)  # what is between added tokens, and at odd places these themselves
        return [piece for i, part in enumerate(parts) for piece in ((part,) if i % 2 else self._cut(part))]

    def _learn(self, new: list[str]) -> None:
        """Encode pieces that were not seen before and add them to the tables."""
        if not new:
            return
        sure = self._are_sure(new)
        known = [number for number, good in enumerate(sure) if good]
        # The library takes long texts sooner than many short ones, so words are put together again.
        blank = [piece[-1].isspace() for piece in new]
        alone, words = [n for n in known if blank[n]], [n for n in known if not blank[n]]
        # A library that trims spans has those of white space end where what follows begins: the first piece
        # after it is set apart.
        padded = [
            new[n] if new[n][0] == " " and i % _GROUP else _BETWEEN + new[n] for i, n in enumerate(words)
        ]
        texts = [new[n] for n in alone]
        texts += ["".join(padded[i : i + _GROUP]) for i in range(0, len(padded), _GROUP)]
        order = np.array([*alone, *words], dtype=np.int64)
        ends = np.cumsum([len(new[n]) for n in alone] + [len(text) for text in padded], dtype=np.int64)
        begins = ends - np.array([len(new[n]) for n in order], dtype=np.int64)
        ids, starts, stops, edges = self._encode_flat(texts)
        first, past = np.searchsorted(starts, begins), np.searchsorted(starts, ends)
        first[: len(alone)], past[: len(alone)] = edges[: len(alone)], edges[1 : len(alone) + 1]
        spans = word_spans("".join(texts))  # one a piece, or none
        owner = np.searchsorted(begins, spans[:, 0], side="right") - 1
        parts = align_words(spans, starts, stops) - first[owner, None]
        self._known.add(new, ~np.array(sure), ids, (order, first, past), (order[owner], parts))

    def _encode_flat(self, texts: list[str]) -> tuple[NDArray[Any], Integers, Integers, Integers]:
        """Ids and character spans of texts as if they were one; where each text begins in them."""
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        ids = [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]
        spans = [np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) for encoding in encodings]
        lengths = [len(part) for part in ids]
        shift = np.repeat(np.cumsum([0, *map(len, texts)])[:-1], lengths)
        flat = np.concatenate([np.empty((0, 2), dtype=np.int64), *spans]) + shift[:, None]
        joined = np.concatenate([np.empty(0, dtype=np.uint32), *ids])
        return joined, flat[:, 0], flat[:, 1], np.cumsum([0, *lengths])

    def _are_sure(self, pieces: list[str]) -> list[bool]:
        """Whether each piece is one of the library's too."""
        unlike = [character for character in set().union(*pieces) if not self._splits_the_same(character)]
        return [not any(c in piece for c in unlike) for piece in pieces]

    def _is_plain(self, text: str) -> bool:
        """Whether normalising leaves the text as it is, and it holds no added token but white space."""
        normal = self._normal is None or text.isascii() or unicodedata.is_normalized(self._normal, text)
        hint = any(start in text for start in self._starts)  # sooner than the search
        return normal and not (hint and self._others is not None and self._others.search(text))

    def _splits_the_same(self, character: str) -> bool:
        """Whether both engines split this character the same, next to letters, digits and others."""
        if character not in self._tried:
            c = character
            text = f"a{c}a 1{c}1 .{c}. {c} {c}{c}\n{c} '{c} '{c}a '{c}{c}\n\n{c}\r{c}  {c}_{c}_"
            ends = np.cumsum(list(map(len, self._cut(text)))).tolist()
            pieces = self._tokenizer.pre_tokenizer.pre_tokenize_str(text)
            self._tried[c] = ends == [end for _, (_, end) in pieces]
        return self._tried[character]

    def _library(self, texts: Sequence[str]) -> list[Encoded]:
        found = []
        for text, encoding in zip(
            texts, self._tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True
        ):
            spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
            words = align_words(word_spans(text), spans[:, 0], spans[:, 1])
            found.append(Encoded(np.array(encoding.ids, dtype=np.uint32), words))
        return found


class _Table:
    """Tokens of each piece, by its number; unsure: whether a text with it must go to the library."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = defaultdict(count().__next__)  # a new piece gets the next number
        self.unsure = np.empty(0, dtype=bool)
        self._ids = np.empty(0, dtype=np.uint32)
        self._tokens = np.empty((0, 2), dtype=np.int64)  # first and past in _ids
        self._parts = np.empty((0, 2), dtype=np.int64)  # first and past of what is word; -1 where nothing is
        self._open = np.empty((0, 2), dtype=bool)  # whether it begins, whether it ends within a word

    def add(
        self,
        pieces: list[str],
        unsure: NDArray[np.bool_],
        ids: NDArray[Any],
        tokens: tuple[Integers, Integers, Integers],
        parts: tuple[Integers, Integers],
    ) -> None:
        """Append pieces; tokens: of which pieces, first and past in `ids`; parts: of which pieces, ranges."""
        of, first, past = tokens
        ranges = np.zeros((len(pieces), 2), dtype=np.int64)
        ranges[of] = len(self._ids) + np.stack([first, past], axis=1)
        inside = np.full((len(pieces), 2), -1, dtype=np.int64)
        inside[parts[0]] = parts[1]
        ends = [(not piece[0].isspace(), not piece[-1].isspace()) for piece in pieces]
        self.unsure = np.concatenate([self.unsure, unsure])
        self._ids = np.concatenate([self._ids, ids])
        self._tokens = np.concatenate([self._tokens, ranges])
        self._parts = np.concatenate([self._parts, inside])
        self._open = np.concatenate([self._open, np.array(ends, dtype=bool) & ~unsure[:, None]])

    def join(self, numbers: Integers, counts: Integers) -> list[Encoded]:
        """Tokens of each text from the numbers of its pieces; counts: (n_texts,) pieces of each."""
        first, lengths = self._tokens[numbers, 0], np.diff(self._tokens, axis=1)[numbers, 0]
        past = np.concatenate([[0], np.cumsum(lengths)])
        ids = self._ids[np.repeat(first - past[:-1], lengths) + np.arange(past[-1])]
        cuts = np.concatenate([[0], np.cumsum(counts)])
        goes_on = np.zeros(len(numbers) + 1, dtype=bool)  # the word of the piece before goes on in this one
        goes_on[1:-1] = self._open[numbers[:-1], 1] & self._open[numbers[1:], 0]
        goes_on[cuts] = False
        parts = self._parts[numbers]
        is_word = parts[:, 0] >= 0
        parts += (past[:-1] - np.repeat(past[cuts[:-1]], counts))[:, None]
        begins = is_word & ~goes_on[:-1]
        words = np.stack([parts[begins, 0], parts[is_word & ~goes_on[1:], 1]], axis=1)
        word_cuts = np.concatenate([[0], np.cumsum(begins)])[cuts]
        places = zip(pairwise(past[cuts].tolist()), pairwise(word_cuts.tolist()), strict=True)
        return [Encoded(ids[a:b], words[c:d]) for (a, b), (c, d) in places]


class _AddedTokens:
    """Tokens that the library cuts out of a text before all else.

    blanks: an expression for those of white space only; others: for the rest; starts: what these begin with;
    simple: whether that is all there is to say of them.
    """

    def __init__(self, tokens: list[dict[str, Any]]) -> None:
        blanks = [token for token in tokens if token["content"].isspace()]
        others = [token for token in tokens if not token["content"].isspace()]
        names = {form for token in others for form in _forms(token["content"])}
        self.blanks = _any_of(token["content"] for token in blanks)
        self.others, self.starts = _any_of(names), sorted({name[:2] for name in names})
        flags = [token[name] for token in blanks for name in ("lstrip", "rstrip", "single_word")]
        self.simple = (
            not any(flags)
            and len({token["normalized"] for token in blanks}) <= 1
            and all(token["content"] not in f"x{_BETWEEN}x" for token in blanks)
        )


def _forms(text: str) -> set[str]:
    return {text, unicodedata.normalize("NFC", text)}


def _any_of(texts: Any) -> "re.Pattern[str] | None":
    """An expression for any of these texts, of several at one place the longest; None for none."""
    choices = [re.escape(text) for text in sorted(texts, key=lambda text: (-len(text), text))]
    return re.compile(f"({'|'.join(choices)})") if choices else None


def _piece_expression(form: dict[str, Any]) -> str | None:
    """The expression that cuts texts for this tokenizer into pieces; None where there is none."""
    normalizer, model = form["normalizer"] or {"type": None}, form["model"]
    steps = form["pre_tokenizer"] or {"type": None}
    steps = steps["pretokenizers"] if steps["type"] == "Sequence" else [steps]
    *before, last = steps
    if (
        normalizer["type"] not in (None, "NFC")
        or model["type"] != "BPE"
        or model.get("dropout")
        or last["type"] != "ByteLevel"
        or last["add_prefix_space"]
    ):
        return None
    if last.get("use_regex", True):
        return None if before else _GPT2_PIECES
    return _PIECES.get(before[0]["pattern"]["Regex"]) if len(before) == 1 and _is_plain(before[0]) else None


def _is_plain(step: dict[str, Any]) -> bool:
    return (
        step["type"] == "Split"
        and "Regex" in step["pattern"]
        and step["behavior"] == "Isolated"
        and not step["invert"]
    )
