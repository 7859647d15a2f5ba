"""Hugging Face tokenizers: loaded, fetched, told apart."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuneu.curves.readers.datadecide_models import TOKENIZER as DATADECIDE
from neuneu.errors import InputError, MissingExtraError
from neuneu.hub import fetch_files

if TYPE_CHECKING:
    from tokenizers import Tokenizer


ALIASES = {"datadecide": DATADECIDE}
"""Names that published commands use → the hub repositories that hold these tokenizers."""

_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "config.json", "spiece.model")

_VOCABULARIES = ("tokenizer*", "*vocab*", "*bpe*", "*.model", "*.tiktoken")
"""Patterns of files that hold a vocabulary: a folder without any has no tokenizer."""


def load_tokenizer(name: str, *, hub: bool = False, revision: str | None = None) -> "Tokenizer":
    """The tokenizer of a folder, of a tokenizer.json, or (only where `hub` is set) of a hub repository.

    "datadecide" is the name of the one that NeuNeu's corpus was made with.
    Nothing but data is read. Raises InputError where there is none or it has no fast form.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    path = Path(name)
    repository = ALIASES.get(name, name)
    if hub and not path.exists():
        path = fetch_files(repository, _FILES, revision=revision)
    if not path.exists():
        rule = "no such folder (a hub repository needs `hub`)"
        if name in ALIASES:
            rule = f"is the tokenizer of {repository}: `hub` fetches it, or name a folder that holds it"
        raise InputError(rule, field="tokenizer", value=name)
    file = path if path.is_file() else path / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else _from_transformers(path)
    except InputError:
        raise
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"is no fast tokenizer: {error}", where=path, field="tokenizer") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_hf_tokenizer(path: str | Path) -> Any:
    """transformers' tokenizer of a folder or a tokenizer.json, which also knows the special tokens' roles.

    Nothing but data is read, from this machine. Raises InputError where there is none,
    MissingExtraError without transformers.
    """
    try:
        from transformers import AutoTokenizer, PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingExtraError("transformers", "lm") from error
    _check_files(Path(path))
    try:
        if Path(path).is_file():
            return PreTrainedTokenizerFast(tokenizer_file=str(path))
        return AutoTokenizer.from_pretrained(path, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the libraries raise many kinds, and plain Exception
        raise InputError(f"its tokenizer cannot be loaded: {error}", where=path) from error


def _check_files(path: Path) -> None:
    """InputError where a folder has none of the files that a tokenizer may be kept in."""
    if path.is_dir() and not any(file for pattern in _VOCABULARIES for file in path.glob(pattern)):
        rule = "has no tokenizer.json: copy the files of its tokenizer there, or name a folder that has them"
        raise InputError(rule, where=path)


def tokenizer_digest(tokenizer: "Tokenizer") -> str:
    """SHA-256 of all that makes the tokenizer what it is."""
    return hashlib.sha256(_canonical(json.loads(tokenizer.to_str()))).hexdigest()


def vocabulary_digest(tokenizer: "Tokenizer") -> str:
    """SHA-256 of the vocabulary: token → id."""
    return hashlib.sha256(_canonical(tokenizer.get_vocab(with_added_tokens=True))).hexdigest()


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _from_transformers(path: Path) -> "Tokenizer":
    """The fast form that transformers makes of older tokenizer files."""
    tokenizer = load_hf_tokenizer(path)
    if not tokenizer.is_fast:
        raise InputError("has no fast form", where=path, field="tokenizer")
    backend: Tokenizer = tokenizer.backend_tokenizer
    return backend
