"""Texts → tokenizer, token files to train on and held-out pieces, once per suite."""

import hashlib
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import atomic_path, read_json, refusing_place, sha256_of_all, write_json
from neuneu.losses.tokenizer import load_tokenizer
from neuneu.suite.suite_config import SuiteConfig
from neuneu.suite.texts import draw_pieces, files_below, read_pieces

END = "<|endoftext|>"
Tokens = NDArray[np.uint16] | NDArray[np.uint32]


TEXT_FACTS = "text/facts.json"
"""Written when all texts of a suite are."""


def prepare_texts(config: SuiteConfig, folder: Path, root: Path) -> None:
    """Write `folder`/text: tokenizer, a token file and held-out pieces per source, and what they are.

    Does nothing where that is there already; raises InputError where it was made with other settings, or
    the files below `root` are others now. Where none of a source is there, what was made of them serves.
    """
    text = folder / "text"
    facts = folder / TEXT_FACTS
    settings = config.model_dump(mode="json", include={"sources", "tokenizer", "held_out"})
    if facts.exists():
        if read_json(facts)["settings"] != settings:
            raise InputError(
                "made with other sources, tokenizer or held_out; choose another folder", where=text
            )
        _check_files(config, folder, root)
        return
    files = _digests(config, root)
    tokenizer = _make_tokenizer(config, root)
    with atomic_path(text / "tokenizer.json") as path:
        tokenizer.save(str(path))
    sources = {name: _write_source(config, name, root, tokenizer, text) for name in config.sources}
    write_json(facts, {"settings": settings, "sources": sources, "files": files})


def _digests(config: SuiteConfig, root: Path) -> dict[str, str]:
    """What tells each source's files from others, where there are any."""
    found = {name: files_below(root, parts) for name, parts in config.sources.items()}
    return {name: sha256_of_all(files) for name, files in found.items() if files}


def _check_files(config: SuiteConfig, folder: Path, root: Path) -> None:
    """InputError where a source has other files than the texts were made of; texts of before do not say."""
    known = read_json(folder / TEXT_FACTS).get("files", {})
    for name, digest in _digests(config, root).items():
        if known.get(name, digest) != digest:
            rule = (
                f"has other files below {root} than when the suite was begun; give `root` as then, one "
                f"without them to go on with the texts as they were, or choose another folder"
            )
            raise InputError(rule, where=folder, field="sources", value=name)


def _write_source(config: SuiteConfig, name: str, root: Path, tokenizer: Any, text: Path) -> dict[str, Any]:
    """One source's held-out pieces and token file, written as they are read; returns their numbers."""
    held: list[str] = []
    digest, pieces = hashlib.sha256(), 0
    with refusing_place(tempfile.gettempdir()), tempfile.TemporaryFile() as raw:
        for batch in _batches(_pieces(config, name, root)):
            for piece in batch:
                digest.update(piece.encode() if not pieces else b"\0" + piece.encode())
                pieces += 1
            held += [piece for piece in batch if _is_held_out(piece, config.held_out)]
            rest = [piece for piece in batch if not _is_held_out(piece, config.held_out)]
            encode_pieces(tokenizer, rest).tofile(raw)
        raw.flush()
        kind = _kind(tokenizer)
        n_tokens = raw.tell() // kind.itemsize
        if not held or not n_tokens:
            raise InputError("too little text to hold a part out", field="sources", value=name)
        with atomic_path(text / f"{name}.npy") as path:
            np.save(path, np.memmap(raw, dtype=kind, mode="r", shape=(n_tokens,)))
    write_json(text / f"{name}.held_out.json", held)
    return {"pieces": pieces, "held_out": len(held), "sha256": digest.hexdigest(), "tokens": n_tokens}


def _pieces(config: SuiteConfig, name: str, root: Path) -> Iterator[str]:
    for part in config.sources[name]:
        yield from read_pieces(part, root)


def _batches(pieces: Iterator[str], size: int = 1000) -> Iterator[list[str]]:
    while batch := list(islice(pieces, size)):
        yield batch


def suite_tokenizer(folder: Path) -> Any:
    """The suite's `tokenizers.Tokenizer`."""
    return load_tokenizer(str(folder / "text" / "tokenizer.json"))


def encode_pieces(tokenizer: Any, pieces: list[str]) -> Tokens:
    """One stream of token ids, an END before every piece."""
    end = tokenizer.token_to_id(END)
    ids: list[int] = []
    for encoding in tokenizer.encode_batch(pieces, add_special_tokens=False):
        ids.append(end)
        ids.extend(encoding.ids)
    return np.array(ids, dtype=_kind(tokenizer))


def _kind(tokenizer: Any) -> "np.dtype[Any]":
    return np.dtype(np.uint32 if tokenizer.get_vocab_size() > 2**16 else np.uint16)


def _is_held_out(piece: str, share: float) -> bool:
    """By a hash of the text, so that it does not depend on order, other sources or limits."""
    number = int.from_bytes(hashlib.sha256(b"held out" + piece.encode()).digest()[:8], "big")
    return number < share * 2**64


def _make_tokenizer(config: SuiteConfig, root: Path) -> Any:
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    settings = config.tokenizer
    if settings.name is not None:
        tokenizer: Any = load_tokenizer(settings.name, hub=True)
        tokenizer.add_special_tokens([END])
        return tokenizer
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    room = settings.sample_bytes // len(config.sources)
    sample: list[str] = []
    for name in config.sources:
        train = (piece for piece in _pieces(config, name, root) if not _is_held_out(piece, config.held_out))
        sample += sorted(draw_pieces(train, room), key=lambda piece: hashlib.sha256(piece.encode()).digest())
    tokenizer.train_from_iterator(sample, trainer=trainer)
    return tokenizer
