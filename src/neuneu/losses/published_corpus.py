"""NeuNeu's corpus files: `<split>_<shard>_tokens.npy` and `<split>_<shard>_boundaries.npy`, read and written.

Tokens are the ids of all documents, one after the other; boundaries the index of each document's first token.
Both are int64; the last document ends where the tokens end.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Integers
from neuneu.errors import InputError
from neuneu.files import atomic_path
from neuneu.files.arrays import load_array
from neuneu.losses.alignment import align_words, word_spans
from neuneu.losses.corpus import (
    FORMAT,
    VERSION,
    Corpus,
    CorpusWriter,
    describe_tokenizer,
    encode_documents,
    read_corpus,
    write_corpus,
)
from neuneu.losses.tokenizer import load_tokenizer, tokenizer_digest
from neuneu.progress import counted, counting

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS, BOUNDARIES = "_tokens.npy", "_boundaries.npy"
_DOCUMENTS = 2_000
"""Documents that are decoded at once."""

_PRINTABLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
_BYTE_OF = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(256 + number): byte
    for number, byte in enumerate(byte for byte in range(256) if byte not in set(_PRINTABLE))
}
"""The letter that stands for each byte in the vocabulary of a byte-level tokenizer (Radford et al. 2019)."""


class Words(NamedTuple):
    """What token ids spell: the text, and the tokens of each of its words, (n_words, 2)."""

    text: str
    words: Integers


def find_token_files(sources: Iterable[str | Path]) -> list[Path]:
    """The `*_tokens.npy` among these files and in these folders, a folder's sorted by name."""
    found: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            found += sorted(source.glob(f"*{TOKENS}"))
        elif source.name.endswith(TOKENS):
            found.append(source)
    return found


def import_token_files(
    sources: Iterable[str | Path],
    output: str | Path,
    tokenizer: str,
    *,
    source_tokenizer: str | None = None,
    max_tokens: int | None = None,
    max_documents: int | None = None,
    hub: bool = False,
    revision: str | None = None,
) -> Corpus:
    """Make a corpus folder of published token files, whose ids stay as they are.

    sources: `*_tokens.npy` or folders of them, each with its `*_boundaries.npy`; tokenizer: the byte-level
    one that made the ids, from which the words are found. source_tokenizer: if that was another, which
    spells them; their text is then encoded anew with `tokenizer`. max_tokens, max_documents as in
    `tokenize_corpus`; revision: of `tokenizer`. Raises InputError on damaged or contradictory files and on
    ids that the tokenizer does not have.
    """
    given = list(map(Path, sources))
    files = find_token_files(given)
    strange = [source for source in given if not find_token_files([source])]
    if strange or not files:
        raise InputError(f"no *{TOKENS} is here", where=strange[0] if strange else None, field="sources")
    if max_tokens is not None and max_tokens < 1:
        raise InputError("must be at least 1", field="max_tokens", value=max_tokens)
    encoder = load_tokenizer(tokenizer, hub=hub, revision=revision)
    source = load_tokenizer(source_tokenizer, hub=hub) if source_tokenizer else None
    speller = Speller(source or encoder)
    shards = [(file, *_read_shard(file, speller)) for file in files]
    digest = hashlib.sha256()
    for _, tokens, bounds in shards:
        digest.update(np.ascontiguousarray(tokens, dtype=np.int64).tobytes() + bounds.tobytes())
    settings = {
        "format": FORMAT,
        "version": VERSION,
        "sources": [{"name": file.name, "bytes": file.stat().st_size} for file in files],
        "ids_sha256": digest.hexdigest(),
        "max_tokens": max_tokens,
        "max_documents": max_documents,
        "source_tokenizer_sha256": tokenizer_digest(source) if source else None,
        **describe_tokenizer(tokenizer, encoder),
    }
    keep = max_tokens if source_tokenizer is None else None
    documents = [
        tokens[begin : end if keep is None else min(end, begin + keep)]
        for _, tokens, bounds in shards
        for begin, end in bounds.tolist()
    ][:max_documents]

    spelt = (speller.spell(ids).text for ids in counted(documents, "documents"))

    def batches(writer: CorpusWriter) -> Iterator[tuple[list[str], dict[str, Integers]]]:
        texts = writer.skip(spelt)
        if source_tokenizer is not None:
            yield from encode_documents(texts, encoder, max_tokens, workers=1)
            return
        with counting("documents", len(documents)) as tell:
            for first in range(writer.state["documents"], len(documents), _DOCUMENTS):
                tell(first, "")
                yield _encoded(documents[first : first + _DOCUMENTS], speller)

    return write_corpus(output, settings, spelt, batches)


def export_corpus(
    corpus: str | Path, folder: str | Path, *, split: str = "val", shard: str = "0", overwrite: bool = False
) -> list[Path]:
    """Write a corpus as `<folder>/<split>_<shard>_tokens.npy` and `…_boundaries.npy`; the files written.

    Raises InputError where a file is there already (unless `overwrite`) and where the published readers,
    which cut names at `_`, would take the shard's name for another.
    """
    text = read_corpus(corpus)
    for field, value in (("split", split), ("shard", shard)):
        if not value or "_" in value or "/" in value:
            raise InputError("must be a name without _ and /", field=field, value=value)
    arrays = {TOKENS: text.tokens.astype(np.int64), BOUNDARIES: text.bounds[:, 0].astype(np.int64)}
    files = {Path(folder) / f"{split}_{shard}{ending}": array for ending, array in arrays.items()}
    for file in files:
        if file.exists() and not overwrite:
            raise InputError("exists already; `overwrite` replaces it", where=file)
    for file, array in files.items():
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
    return list(files)


class Speller:
    """Spells token ids of a byte-level tokenizer without encoding again: each token is a string of bytes."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self.tokenizer = tokenizer
        form = json.loads(tokenizer.to_str())
        decoder = form["decoder"] or {"type": None}
        steps = decoder["decoders"] if decoder["type"] == "Sequence" else [decoder]
        if not any(step["type"] == "ByteLevel" for step in steps):
            rule = "must be byte-level, as GPT-2's and OLMo's are: token files of others are not read"
            raise InputError(rule, field="tokenizer")
        added = {token["id"]: token["content"].encode() for token in form["added_tokens"]}
        self._bytes: list[bytes | None] = [None] * (
            1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
        )
        for token, number in tokenizer.get_vocab(with_added_tokens=True).items():
            self._bytes[number] = added.get(number) or bytes(map(_BYTE_OF.__getitem__, token))
        self.known = np.array([part is not None for part in self._bytes])

    def spell(self, ids: NDArray[Any]) -> Words:
        """Text and words of one document; bytes that are no UTF-8 become U+FFFD in the text."""
        parts = [self._bytes[number] or b"" for number in ids.tolist()]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        text = b"".join(parts).decode("utf-8", "surrogateescape")  # a stray byte is one character
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        width = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
        width[(codes >= 0xDC80) & (codes <= 0xDCFF)] = 1
        place = np.concatenate([[0], np.cumsum(width)])
        spans = place[word_spans(text)]
        words = align_words(spans, np.concatenate([[0], ends])[:-1], ends)
        return Words(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), words)


def _encoded(documents: Sequence[NDArray[Any]], speller: Speller) -> tuple[list[str], dict[str, Integers]]:
    """Texts of documents and what `CorpusWriter.append` takes of them."""
    spelt = [speller.spell(ids) for ids in documents]
    empty = np.empty((0, 2), dtype=np.int64)
    return [one.text for one in spelt], {
        "ids": np.concatenate([np.asarray(ids, dtype=np.int64) for ids in documents]),
        "lengths": np.array([len(ids) for ids in documents]),
        "words": np.concatenate([empty, *(one.words for one in spelt)]),
        "word_counts": np.array([len(one.words) for one in spelt]),
    }


def _read_shard(file: Path, speller: Speller) -> tuple[NDArray[Any], Integers]:
    """Token ids (n_tokens,) and bounds (n_documents, 2) of one shard, checked."""
    starts_file = file.with_name(file.name.removesuffix(TOKENS) + BOUNDARIES)
    if not starts_file.is_file():
        raise InputError("is missing beside the tokens", where=starts_file)
    if not file.is_file():
        raise InputError("no such file", where=file)
    tokens, starts = load_array(file), load_array(starts_file)
    for where, array in ((file, tokens), (starts_file, starts)):
        if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
            rule = "must be a row of whole numbers"
            raise InputError(rule, where=where, field="shape", value=(array.shape, str(array.dtype)))
    edges = np.append(starts.astype(np.int64), len(tokens))
    if edges[0] != 0 or (np.diff(edges) < 0).any():
        rule = f"must begin at 0 and rise to at most {len(tokens)}, the number of tokens"
        raise InputError(rule, where=starts_file, field="boundaries")
    lowest, highest = int(tokens.min()), int(tokens.max())
    if lowest < 0 or highest >= len(speller.known):
        rule = f"must be ids of the tokenizer, under {len(speller.known)}"
        raise InputError(rule, where=file, field="token id", value=lowest if lowest < 0 else highest)
    if not speller.known[tokens].all():
        strange = int(tokens[~speller.known[tokens]][0])
        raise InputError("the tokenizer has no such token", where=file, field="token id", value=strange)
    return tokens, np.stack([edges[:-1], edges[1:]], axis=1)
