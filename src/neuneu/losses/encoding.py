"""Texts → token ids and their character spans, exactly as a Hugging Face tokenizer gives them, but faster."""

import hashlib
import json
import re
import unicodedata
from array import array
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neuneu.curves.curve import Integers
from neuneu.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BYTE_LEVEL = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # GPT-2's own expression
)
_ASCII_CLASSES = {
    r"\p{L}": "A-Za-z", r"\p{N}": "0-9", r"\p{Lu}": "A-Z", r"\p{Ll}": "a-z",
    r"\p{Lt}": "", r"\p{Lm}": "", r"\p{Lo}": "", r"\p{M}": "",
}  # fmt: skip
_MAX_PIECES = 1_000_000


class Encoded(NamedTuple):
    """Tokens of one text: ids, starts and ends (character spans), each (n_tokens,)."""

    ids: Integers
    starts: Integers
    ends: Integers


def load_tokenizer(name: str, *, hub: bool = False, revision: str | None = None) -> "Tokenizer":
    """The tokenizer of a folder, of a tokenizer.json, or (only where `hub` is set) of a hub repository.

    Nothing but data is read. Raises InputError where there is none or it has no fast form.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    path = Path(name)
    if hub and not path.exists():
        path = _download(name, revision)
    if not path.exists():
        raise InputError("no such folder (a hub repository needs --hub)", field="tokenizer", value=name)
    file = path if path.is_file() else path / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else _from_transformers(path)
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"is no fast tokenizer: {error}", where=path, field="tokenizer") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_digest(tokenizer: "Tokenizer") -> str:
    """SHA-256 of all that makes the tokenizer what it is."""
    return hashlib.sha256(_canonical(json.loads(tokenizer.to_str()))).hexdigest()


def vocabulary_digest(tokenizer: "Tokenizer") -> str:
    """SHA-256 of the vocabulary: token → id."""
    return hashlib.sha256(_canonical(tokenizer.get_vocab(with_added_tokens=True))).hexdigest()


class Encoder:
    """Encodes texts; equal to `tokenizer.encode(text, add_special_tokens=False)`, several times as fast.

    Byte-level BPE tokenizers (GPT-2, GPT-NeoX, OLMo, Llama 3, Qwen, …) split a text by a regular expression
    and encode each piece alone, so a piece that was seen before need not be encoded again. A text takes that
    way only if the pieces are sure to be the library's: the tokenizer is of this kind, the text holds no
    added token, normalising would not change it, and each of its characters is split alike by both regular
    expression engines (tried once a character). Any other text is encoded by the library.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        self._alike: set[str] = set()
        self._unlike: set[str] = set()
        self._forget()
        form = json.loads(tokenizer.to_str())
        self._pattern, self._ascii = _split_patterns(form)
        self._normal = (form["normalizer"] or {"type": None})["type"]
        added = [re.escape(token.content) for token in tokenizer.get_added_tokens_decoder().values()]
        self._added = re.compile("|".join(added)) if added else None

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Tokens of each text; fastest with many at once."""
        pieces = [self._pieces(text) for text in texts]
        ours = [index for index, found in enumerate(pieces) if found is not None]
        theirs = [index for index, found in enumerate(pieces) if found is None]
        encoded = dict(zip(ours, self._join([pieces[i] or [] for i in ours]), strict=True))
        encodings = self._tokenizer.encode_batch([texts[i] for i in theirs], add_special_tokens=False)
        encoded.update(zip(theirs, map(_from_encoding, encodings), strict=True))
        return [encoded[index] for index in range(len(texts))]

    def _pieces(self, text: str) -> list[str] | None:
        """The pieces that the library would encode one by one; None where that is not sure."""
        if self._pattern is None or not text or (self._added is not None and self._added.search(text)):
            return None
        new = set(text) - self._alike
        if new and not (new.isdisjoint(self._unlike) and self._learn(new)):
            return None
        if self._normal is not None and not (text.isascii() or unicodedata.is_normalized(self._normal, text)):
            return None
        pieces: list[str] = (self._ascii if text.isascii() else self._pattern).findall(text)
        return pieces if sum(map(len, pieces)) == len(text) else None

    def _learn(self, characters: set[str]) -> bool:
        """Whether both engines split these characters alike, in the company of letters, digits and others."""
        for character in characters:
            c = character
            probe = f"a{c}a 1{c}1 .{c}. {c} {c}{c}\n{c} '{c} '{c}a '{c}{c}\n\n{c}\r{c}  {c}"
            theirs = [span for _, span in self._tokenizer.pre_tokenizer.pre_tokenize_str(probe)]
            patterns = [self._pattern, *([self._ascii] if character.isascii() else [])]
            alike = all(theirs == [match.span() for match in pattern.finditer(probe)] for pattern in patterns)
            (self._alike if alike else self._unlike).add(character)
        return self._unlike.isdisjoint(characters)

    def _join(self, texts: list[list[str]]) -> list[Encoded]:
        """Tokens of each text from its pieces."""
        if len(self._first) > _MAX_PIECES:
            self._forget()
        pieces = list(chain.from_iterable(texts))
        self._add(sorted(set(pieces) - self._first.keys()))
        first = np.fromiter(map(self._first.__getitem__, pieces), dtype=np.int64, count=len(pieces))
        bounds, table = np.array(self._bounds), np.array(self._table).reshape(-1, 3)
        counts = bounds[first + 1] - bounds[first]
        past = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(bounds[first] - past[:-1], counts) + np.arange(past[-1])
        ids, starts, ends = table[rows].T
        lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
        place = np.concatenate([[0], np.cumsum(lengths)])
        cuts = np.concatenate([[0], np.cumsum(list(map(len, texts)), dtype=np.int64)])
        shift = np.repeat(place[:-1] - np.repeat(place[cuts[:-1]], np.diff(cuts)), counts)
        starts, ends = starts + shift, ends + shift
        parts = [slice(past[a], past[b]) for a, b in pairwise(cuts)]
        return [Encoded(ids[part], starts[part], ends[part]) for part in parts]

    def _add(self, pieces: list[str]) -> None:
        encodings = self._tokenizer.encode_batch(pieces, add_special_tokens=False)
        for piece, encoding in zip(pieces, encodings, strict=True):
            self._first[piece] = len(self._bounds) - 1
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                self._table.extend((token, start, end))
            self._bounds.append(len(self._table) // 3)

    def _forget(self) -> None:
        """Begin with an empty table: piece → row of bounds; rows of (id, start, end)."""
        self._first: dict[str, int] = {}
        self._bounds, self._table = array("q", [0]), array("q")


def _split_patterns(form: dict[str, Any]) -> tuple[Any, Any]:
    """Expressions that split any text and ASCII text; (None, None) for another kind of tokenizer."""
    normalizer, model = form["normalizer"] or {"type": None}, form["model"]
    steps = form["pre_tokenizer"] or {"type": None}
    steps = steps["pretokenizers"] if steps["type"] == "Sequence" else [steps]
    byte_level = steps[-1]
    if (
        normalizer["type"] not in (None, "NFC")
        or model["type"] != "BPE"
        or model.get("dropout")
        or byte_level["type"] != "ByteLevel"
        or byte_level["add_prefix_space"]
    ):
        return None, None
    own = byte_level.get("use_regex", True)
    if len(steps) == 1 and own:
        expression = _BYTE_LEVEL
    elif len(steps) == 2 and not own and _is_plain_split(steps[0]):
        expression = steps[0]["pattern"]["Regex"]
    else:
        return None, None
    import regex  # type: ignore[import-untyped]

    try:
        pattern = regex.compile(expression)
    except regex.error:
        return None, None
    if pattern.groups:
        return None, None
    try:
        return pattern, re.compile(_for_ascii(expression), re.ASCII)
    except re.error:
        return pattern, pattern


def _for_ascii(expression: str) -> str:
    """The expression for ASCII text, where the standard library's engine, the faster one, can take it."""
    parts, inside = [], False
    for part in re.findall(r"\\p\{\w+\}|\\.|.", expression, re.DOTALL):
        inside = part == "[" or (inside and part != "]")
        members = _ASCII_CLASSES.get(part)
        parts.append(part if members is None else members if inside else f"[{members or chr(255)}]")
    return "".join(parts)


def _is_plain_split(step: dict[str, Any]) -> bool:
    return (
        step["type"] == "Split"
        and "Regex" in step["pattern"]
        and step["behavior"] == "Isolated"
        and not step["invert"]
    )


def _from_encoding(encoding: Any) -> Encoded:
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    return Encoded(np.array(encoding.ids, dtype=np.int64), offsets[:, 0], offsets[:, 1])


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _from_transformers(path: Path) -> "Tokenizer":
    """The fast form that transformers makes of older tokenizer files."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast:
        raise InputError("has no fast form", where=path, field="tokenizer")
    backend: Tokenizer = tokenizer.backend_tokenizer
    return backend


def _download(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    files = ["tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "config.json", "spiece.model"]
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=files))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(f"cannot be fetched: {error}", field="tokenizer", value=repository) from error
