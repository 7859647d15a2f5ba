"""Corpus: the token ids of a validation text, where its documents and words begin and end."""

import functools
import hashlib
import itertools
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, NonNegativeInt

from neuneu.curves.curve import Integers
from neuneu.errors import InputError
from neuneu.files import (
    check_document,
    read_json,
    read_object,
    refusing_place,
    remove_leftovers,
    try_lock,
    write_json,
)
from neuneu.files.arrays import load_array
from neuneu.files.writing import parents_of
from neuneu.losses.fast_tokenizer import Encoded, Encoder
from neuneu.losses.text_files import find_files, read_documents
from neuneu.losses.tokenizer import load_tokenizer, tokenizer_digest, vocabulary_digest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = "neuneu-corpus"
VERSION = 1
_BATCH = 2_000_000
_ARRAYS = ("tokens", "bounds", "words", "word_bounds")
_HEADER = 128


@dataclass(frozen=True)
class Corpus:
    """Documents of a validation text as tokens and words, memory-mapped from a folder.

    tokens: (n_tokens,) ids; bounds: (n_documents, 2) first token of each document and past its last;
    words: (n_words, 2) token range of each word, empty where a word has no token; word_bounds:
    (n_documents, 2) first word of each document and past its last. facts: tokenizer, sources, counts.
    """

    tokens: NDArray[Any]
    bounds: Integers
    words: NDArray[Any]
    word_bounds: Integers
    facts: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Identifies text, order, tokenizer and truncation: losses of it share their positions."""
        return str(self.facts["fingerprint"])

    @property
    def word_fingerprint(self) -> str:
        """Identifies text, order and truncation, not the tokenizer: whole texts share it under any."""
        return str(self.facts["word_fingerprint"])


class _Facts(BaseModel):
    """What corpus.json must say, beside the settings that it was made with."""

    format: Literal["neuneu-corpus"]
    version: Literal[1]
    fingerprint: str
    word_fingerprint: str
    documents: NonNegativeInt
    tokens: NonNegativeInt
    words: NonNegativeInt
    tokenizer: str
    vocabulary_sha256: str
    vocabulary_size: NonNegativeInt


def read_corpus(path: str | Path) -> Corpus:
    """Open the folder that `tokenize_corpus` made. Raises InputError where it is none, or is damaged."""
    path = Path(path)
    if not (path / "corpus.json").is_file():
        raise InputError(
            "no corpus is here (corpus.json is missing); `neuneu tokenize` makes one", where=path
        )
    facts = read_object(path / "corpus.json")
    check_document(_Facts, facts, path / "corpus.json")
    arrays = {
        name: load_array(path / f"{name}.npy", kinds="iu", n_dim=1 if name == "tokens" else 2)
        for name in _ARRAYS
    }
    corpus = Corpus(**arrays, facts=facts)
    counts = {"tokens": len(corpus.tokens), "documents": len(corpus.bounds), "words": len(corpus.words)}
    for name, count in counts.items():
        if facts[name] != count:
            raise InputError(
                f"must be {facts[name]}, as corpus.json says", where=path, field=name, value=count
            )
    return corpus


def tokenize_corpus(
    sources: Iterable[str | Path],
    output: str | Path,
    tokenizer: str,
    *,
    field: str = "text",
    split: str = "file",
    max_tokens: int | None = None,
    max_documents: int | None = None,
    hub: bool = False,
    revision: str | None = None,
    workers: int = 1,
) -> Corpus:
    """Tokenize text files into a corpus folder; in constant memory, and resumed where it was killed.

    sources: files or folders (`documents.find_files`), their documents in order; tokenizer: a folder, a
    tokenizer.json, or with `hub` a hub repository; max_tokens: keep no more of a document (whole words
    only count); max_documents: stop after so many; workers: processes (with more than one, call this under
    `if __name__ == "__main__"` as multiprocessing asks). No special
    token is added. The same input gives the same bytes, however often it was interrupted. Raises InputError
    on bad input, and where the folder holds a corpus of something else.
    """
    files = find_files(sources)
    if max_tokens is not None and max_tokens < 1:
        raise InputError("must be at least 1", field="max_tokens", value=max_tokens)
    encoder = load_tokenizer(tokenizer, hub=hub, revision=revision)
    settings = {
        "format": FORMAT,
        "version": VERSION,
        "sources": [{"name": file.name, "bytes": file.stat().st_size} for file in files],
        "field": field,
        "split": split,
        "max_tokens": max_tokens,
        "max_documents": max_documents,
        **describe_tokenizer(tokenizer, encoder),
    }
    documents = itertools.islice(read_documents(files, field, split), max_documents)
    return write_corpus(
        output,
        settings,
        documents,
        lambda writer: encode_documents(writer.skip(documents), encoder, max_tokens, workers),
    )


def describe_tokenizer(name: str, tokenizer: "Tokenizer") -> dict[str, Any]:
    """What corpus.json says of the tokenizer."""
    return {
        "tokenizer": Path(name).name if Path(name).exists() else name,
        "tokenizer_sha256": tokenizer_digest(tokenizer),
        "vocabulary_sha256": vocabulary_digest(tokenizer),
        "vocabulary_size": max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
    }


def write_corpus(
    output: str | Path,
    settings: dict[str, Any],
    documents: Iterator[str],
    batches: "Callable[[CorpusWriter], Iterable[tuple[list[str], dict[str, Integers]]]]",
) -> Corpus:
    """Write a corpus folder, whole or not at all; one that is there already is opened if it is the same.

    settings: what makes the corpus what it is, kept in corpus.json; documents: the texts; batches: gives
    texts and what `CorpusWriter.append` takes of them, after those that the writer has already. Raises
    InputError where the folder holds a corpus of something else, or there is no token.
    """
    output = Path(output)
    if output.exists():
        return _same_corpus(output, settings, documents)
    partial = output.with_name(f".{output.name}.partial")
    with refusing_place(output), _locked(partial):
        with CorpusWriter(partial, settings) as writer:
            for texts, encoded in batches(writer):
                writer.append(texts, encoded)
            if not writer.state["tokens"]:
                raise InputError("must hold at least one token", field="sources")
            writer.finish()
        (partial / "lock").unlink(missing_ok=True)
        _move(partial, output)
    return read_corpus(output)


def _move(partial: Path, output: Path) -> None:
    """Move a whole corpus to its place. Raises InputError where another process was first."""
    try:
        partial.rename(output)
    except OSError as error:
        if not output.is_dir():
            raise
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError("another process has written here meanwhile: run it again", where=output) from error


def _same_corpus(path: Path, settings: dict[str, Any], documents: Iterable[str]) -> Corpus:
    """The corpus there. Raises InputError where it tells other settings, or has another text."""
    corpus = read_corpus(path)
    for name, value in settings.items():
        if corpus.facts.get(name, value) != value:
            rule = f"the corpus there has {corpus.facts[name]!r}; choose another folder"
            raise InputError(rule, where=path, field=name, value=value)
    text = functools.reduce(_chain, documents, "")
    if corpus.facts.get("text_sha256", text) != text:
        rule = "the corpus there is of another text; choose another folder"
        raise InputError(rule, where=path, field="text_sha256", value=text)
    return corpus


class CorpusWriter:
    """Appends documents to the arrays of a partial folder; `state.json` says how much of them is sure."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path, self._settings = path, settings
        self._id_type = np.uint16 if settings["vocabulary_size"] <= 2**16 else np.uint32
        self._files: dict[str, IO[bytes]] = {}
        state_file = path / "state.json"
        self.state: dict[str, Any] = read_json(state_file) if state_file.is_file() else {}
        if self.state.get("settings") != settings:
            self.state = {"settings": settings, "documents": 0, "tokens": 0, "words": 0, "digest": ""}

    def __enter__(self) -> "CorpusWriter":
        """Open the arrays and cut off what had been written after the last sure state."""
        remove_leftovers(self.path)
        for name in _ARRAYS:
            file = self.path / f"{name}.npy"
            file.touch()
            self._files[name] = file.open("r+b")
            self._files[name].truncate(_HEADER + self._rows(name) * self._row_bytes(name))
            self._files[name].seek(0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the arrays."""
        for stream in self._files.values():
            stream.close()

    def skip(self, documents: Iterator[str]) -> Iterator[str]:
        """The documents after those written before. Raises InputError where these have changed since."""
        digest = ""
        for text in itertools.islice(documents, self.state["documents"]):
            digest = _chain(digest, text)
        if digest != self.state["digest"]:
            rule = "the text has changed since the interruption: remove this folder to begin anew"
            raise InputError(rule, where=self.path)
        return documents

    def append(self, texts: Sequence[str], encoded: dict[str, Integers]) -> None:
        """Write a batch of documents: lengths in tokens and words, token ids, token ranges of words."""
        tokens, words = self.state["tokens"], self.state["words"]
        state = dict(self.state)
        for text in texts:
            state["digest"] = _chain(state["digest"], text)
        token_ends = tokens + np.cumsum(encoded["lengths"])
        word_ends = words + np.cumsum(encoded["word_counts"])
        shift = np.repeat(token_ends - encoded["lengths"], encoded["word_counts"])
        state["documents"] += len(texts)
        state["tokens"] += len(encoded["ids"])
        state["words"] += len(encoded["words"])
        if state["tokens"] >= 2**32:
            raise InputError("must be less than 4 billion: split the text", field="tokens")
        parts = {
            "tokens": encoded["ids"].astype(self._id_type),
            "bounds": np.stack([token_ends - encoded["lengths"], token_ends], axis=1),
            "words": (encoded["words"] + shift[:, None]).astype(np.uint32),
            "word_bounds": np.stack([word_ends - encoded["word_counts"], word_ends], axis=1),
        }
        for name, part in parts.items():
            self._files[name].write(np.ascontiguousarray(part).tobytes())
            self._files[name].flush()
        self.state = state
        write_json(self.path / "state.json", state)

    def finish(self) -> None:
        """Write the arrays' headers and corpus.json; what is left is to rename the folder."""
        for name in _ARRAYS:
            shape = (self._rows(name),) if name == "tokens" else (self._rows(name), 2)
            header = {"descr": np.dtype(self._type(name)).str, "fortran_order": False, "shape": shape}
            self._files[name].seek(0)
            np.lib.format.write_array_header_1_0(self._files[name], header)
            if self._files[name].tell() != _HEADER:
                raise RuntimeError("NumPy writes headers of another size")
        text = self.state["digest"]
        shared = {"text": text, "max_tokens": self._settings["max_tokens"]}
        tokens = {"tokenizer": self._settings["tokenizer_sha256"]}
        if "ids_sha256" in self._settings:  # of a corpus that came as token ids
            tokens["ids"] = self._settings["ids_sha256"]
        facts = {
            "fingerprint": _digest({**shared, **tokens}),
            "word_fingerprint": _digest({**shared, "unit": "word", "words": self.state["words"]}),
            **{name: self.state[name] for name in ("documents", "tokens", "words")},
            "text_sha256": text,
            **self._settings,
        }
        write_json(self.path / "corpus.json", facts)
        (self.path / "state.json").unlink()

    def _rows(self, name: str) -> int:
        counts = {"tokens": "tokens", "words": "words", "bounds": "documents", "word_bounds": "documents"}
        return int(self.state[counts[name]])

    def _type(self, name: str) -> type[np.generic]:
        return self._id_type if name == "tokens" else np.uint32 if name == "words" else np.int64

    def _row_bytes(self, name: str) -> int:
        return np.dtype(self._type(name)).itemsize * (1 if name == "tokens" else 2)


def encode_documents(
    documents: Iterator[str], tokenizer: "Tokenizer", max_tokens: int | None, workers: int
) -> Iterator[tuple[list[str], dict[str, Integers]]]:
    """Documents in batches, with what `CorpusWriter.append` takes of each."""
    return _encode(_batches(documents), tokenizer, max_tokens, workers)


def _encode(
    batches: Iterator[list[str]], tokenizer: "Tokenizer", max_tokens: int | None, workers: int
) -> Iterator[tuple[list[str], dict[str, Integers]]]:
    """Encode batches in order, in several processes where there are several batches."""
    head = list(itertools.islice(batches, 2))
    if workers == 1 or len(head) < 2:
        encoder = Encoder(tokenizer)
        for texts in itertools.chain(head, batches):
            yield texts, _encode_batch(encoder, texts, max_tokens)
        return
    context = get_context("forkserver")
    with ProcessPoolExecutor(workers, context, _start_worker, (tokenizer.to_str(), max_tokens)) as pool:
        waiting: deque[tuple[list[str], Future[dict[str, Integers]]]] = deque()
        for texts in itertools.chain(head, batches):
            waiting.append((texts, pool.submit(_work, texts)))
            if len(waiting) > workers + 1:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _start_worker(form: str, max_tokens: int | None) -> None:
    from tokenizers import Tokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker.update(encoder=Encoder(Tokenizer.from_str(form)), max_tokens=max_tokens)


_worker: dict[str, Any] = {}


def _work(texts: list[str]) -> dict[str, Integers]:
    return _encode_batch(_worker["encoder"], texts, _worker["max_tokens"])


def _encode_batch(encoder: Encoder, texts: list[str], max_tokens: int | None) -> dict[str, NDArray[Any]]:
    found = encoder.encode(texts)
    if max_tokens is not None:
        found = [Encoded(ids[:max_tokens], words[words[:, 1] <= max_tokens]) for ids, words in found]
    return {
        "ids": np.concatenate([ids for ids, _ in found]),
        "lengths": np.array([len(ids) for ids, _ in found]),
        "words": np.concatenate([words for _, words in found]),
        "word_counts": np.array([len(words) for _, words in found]),
    }


def _batches(documents: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in documents:
        batch.append(text)
        size += len(text) + 100
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Keep a second process from writing to the same partial folder; the lock goes with its process."""
    with parents_of(partial):
        partial.mkdir(exist_ok=True)
        try:
            lock = try_lock(partial / "lock")
        except OSError:
            with suppress(OSError):
                partial.rmdir()
            raise
        if lock is None:
            raise InputError("another process is writing here", where=partial)
        try:
            yield
        except BaseException:
            if not (partial / "state.json").exists():
                shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            lock.release()


def _chain(digest: str, text: str) -> str:
    """SHA-256 of all texts so far, each a link: goes on from where an interruption left it."""
    return hashlib.sha256(digest.encode() + hashlib.sha256(text.encode()).digest()).hexdigest()


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
