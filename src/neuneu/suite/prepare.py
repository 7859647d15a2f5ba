"""Texts → tokenizer, token files to train on and held-out pieces, once per suite."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import atomic_path, read_json, write_json
from neuneu.suite.config import SuiteConfig, TokenizerSettings
from neuneu.suite.texts import read_pieces

END = "<|endoftext|>"
Tokens = NDArray[np.uint16] | NDArray[np.uint32]


def prepare_texts(config: SuiteConfig, folder: Path, root: Path) -> None:
    """Write `folder`/text: tokenizer, a token file and held-out pieces per source, and what they are.

    Does nothing where that is there already; raises InputError where it was made with other settings.
    """
    text = folder / "text"
    facts = text / "facts.json"
    settings = config.model_dump(mode="json", include={"sources", "tokenizer", "held_out"})
    if facts.exists():
        if read_json(facts)["settings"] != settings:
            raise InputError(
                "made with other sources, tokenizer or held_out; choose another folder", where=text
            )
        return
    train: dict[str, list[str]] = {}
    sources: dict[str, Any] = {}
    for name, parts in config.sources.items():
        pieces = [piece for part in parts for piece in read_pieces(part, root)]
        held = [piece for piece in pieces if _is_held_out(piece, config.held_out)]
        train[name] = [piece for piece in pieces if not _is_held_out(piece, config.held_out)]
        if not held or not train[name]:
            raise InputError("too little text to hold a part out", field="sources", value=name)
        write_json(text / f"{name}.held_out.json", held)
        digest = hashlib.sha256("\0".join(pieces).encode()).hexdigest()
        sources[name] = {"pieces": len(pieces), "held_out": len(held), "sha256": digest}
    tokenizer = _make_tokenizer(config.tokenizer, train)
    with atomic_path(text / "tokenizer.json") as path:
        tokenizer.save(str(path))
    for name, pieces in train.items():
        tokens = encode_pieces(tokenizer, pieces)
        with atomic_path(text / f"{name}.npy") as path:
            np.save(path, tokens)
        sources[name]["tokens"] = len(tokens)
    write_json(facts, {"settings": settings, "sources": sources})


def load_tokenizer(folder: Path) -> Any:
    """The suite's `tokenizers.Tokenizer`."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    return Tokenizer.from_file(str(folder / "text" / "tokenizer.json"))


def encode_pieces(tokenizer: Any, pieces: list[str]) -> Tokens:
    """One stream of token ids, an END before every piece."""
    end = tokenizer.token_to_id(END)
    wide = tokenizer.get_vocab_size() > 2**16
    ids: list[int] = []
    for encoding in tokenizer.encode_batch(pieces, add_special_tokens=False):
        ids.append(end)
        ids.extend(encoding.ids)
    return np.array(ids, dtype=np.uint32) if wide else np.array(ids, dtype=np.uint16)


def _is_held_out(piece: str, share: float) -> bool:
    """By a hash of the text, so that it does not depend on order, other sources or limits."""
    number = int.from_bytes(hashlib.sha256(b"held out" + piece.encode()).digest()[:8], "big")
    return number < share * 2**64


def _make_tokenizer(settings: TokenizerSettings, train: dict[str, list[str]]) -> Any:
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    if settings.name is not None:
        tokenizer = Tokenizer.from_pretrained(settings.name)
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
    sample: list[str] = []
    for pieces in train.values():
        room = settings.sample_bytes // len(train)
        for piece in sorted(pieces, key=lambda text: hashlib.sha256(text.encode()).digest()):
            room -= len(piece.encode())
            if room < 0:
                break
            sample.append(piece)
    tokenizer.train_from_iterator(sample, trainer=trainer)
    return tokenizer
