"""Everything a checkpoint of a suite is asked, made once from held-out pieces and question folders."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError, how_many
from neuneu.files import read_json
from neuneu.suite.multiple_choice import Choice, Encode, Item, make_question, read_blimp, read_requests
from neuneu.suite.prepare import END, suite_tokenizer
from neuneu.suite.suite_config import SuiteConfig

SEED = 20_010


@dataclass(frozen=True)
class Exam:
    """What a checkpoint is asked.

    windows: source → (n_windows, length) token ids, each begins with END, which is not scored;
    bytes_of: (vocabulary,) bytes of UTF-8 that each token stands for, None without windows;
    tasks: name → questions; fingerprint: identifies all of it.
    """

    windows: dict[str, NDArray[np.int64]]
    bytes_of: NDArray[np.int64] | None
    tasks: dict[str, list[Item]]
    fingerprint: str


def make_exam(config: SuiteConfig, folder: Path, blimp: Path | None, requests: Path | None) -> Exam:
    """The exam of a suite whose texts are prepared in `folder`.

    blimp: folder of BLiMP's JSONL; requests: folder of multiple-choice request files; None leaves those
    tasks out. Raises InputError on bad files and where a source has too little held-out text.
    """
    tokenizer = suite_tokenizer(folder)
    settings = config.evaluation

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    start = tokenizer.token_to_id(END)
    longest = config.schedule.sequence
    windows: dict[str, NDArray[np.int64]] = {}
    tasks: dict[str, list[Item]] = {}
    for name in config.sources:
        pieces = read_json(folder / "text" / f"{name}.held_out.json")
        encoded = [encode(piece) for piece in pieces]
        windows[name] = _windows(name, encoded, start, longest, settings.windows)
        tasks[f"continuation_{name}"] = _continuations(name, encoded, start, settings.items, tokenizer)
        tasks[f"word_order_{name}"] = _word_orders(pieces, encode, start, settings.items)
    if blimp is not None:
        tasks |= read_blimp(blimp, settings.blimp_pairs, encode, start)
    if requests is not None:
        for path in settings.request_tasks:
            tasks[path.split("/")[0]] = read_requests(
                requests, path, settings.request_items, encode, start=start, longest=longest
            )
    return Exam(windows, _bytes_of(tokenizer), tasks, fingerprint(windows, tasks))


def _windows(name: str, encoded: list[list[int]], start: int, length: int, count: int) -> NDArray[np.int64]:
    """The first `count` windows of held-out text, in a fixed random order of pieces, none across pieces."""
    order = np.random.default_rng(SEED).permutation(len(encoded))
    rows = [
        [start, *encoded[index][begin : begin + length - 1]]
        for index in order
        for begin in range(0, len(encoded[index]) - length + 2, length - 1)
    ]
    if len(rows) < count:
        rule = f"held-out text has {how_many(len(rows), 'window')} of {length} tokens, {count} are wanted"
        raise InputError(rule, field="evaluation.windows", value=name)
    return np.array(rows[:count], dtype=np.int64)


def _continuations(name: str, encoded: list[list[int]], start: int, items: int, tokenizer: Any) -> list[Item]:
    """After 24 tokens of a held-out piece: its own next 12, or 12 of three other pieces of the source?"""
    context, length = 24, 12
    order = np.random.default_rng(SEED + 1).permutation(len(encoded))
    usable = [encoded[i] for i in order if len(encoded[i]) >= 2 * (context + length)]
    if len(usable) < 4:
        raise InputError("too few long held-out pieces for continuations", field="sources", value=name)
    generator = np.random.default_rng(SEED + 2)
    questions = []
    for number in range(items):
        piece = number % len(usable)
        others = generator.choice([i for i in range(len(usable)) if i != piece], 3, replace=False)
        begin = int(generator.integers(0, len(usable[piece]) - context - length + 1))
        ways = [usable[piece][begin + context : begin + context + length]]
        for other in others:
            at = int(generator.integers(0, len(usable[other]) - length + 1))
            ways.append(usable[other][at : at + length])
        gold = int(generator.integers(4))
        ways[0], ways[gold] = ways[gold], ways[0]
        prefix = tokenizer.decode([start, *usable[piece][begin : begin + context]], skip_special_tokens=False)
        texts = [(prefix.removeprefix(END), tokenizer.decode(way)) for way in ways]
        questions.append(_from_tokens([start, *usable[piece][begin : begin + context]], ways, texts, gold))
    return questions


def _from_tokens(prefix: list[int], ways: list[list[int]], texts: list[tuple[str, str]], gold: int) -> Item:
    sizes = [max(1, len(text.encode())) for _, text in texts]
    choices = tuple(Choice(tuple(way), 0, size) for way, size in zip(ways, sizes, strict=True))
    return Item(tuple(prefix), choices, gold)


def _word_orders(pieces: Sequence[str], encode: Encode, start: int, items: int) -> list[Item]:
    """Which of two is the text: eight words of a held-out piece in order, or shuffled after the first."""
    generator = np.random.default_rng(SEED + 3)
    order = generator.permutation(len(pieces))
    questions: list[Item] = []
    for index in np.concatenate([order] * 4):
        words = pieces[index].split()
        if len(words) < 16 or len(questions) == items:
            continue
        begin = int(generator.integers(0, len(words) - 8))
        part = words[begin : begin + 8]
        shuffled = [part[0], *(part[1 + i] for i in generator.permutation(7))]
        if shuffled != part:
            texts = [("", " ".join(part)), ("", " ".join(shuffled))]
            questions.append(make_question(texts, 0, encode, start=start))
    return questions


def _bytes_of(tokenizer: Any) -> NDArray[np.int64]:
    """Bytes of text that each token stands for; END has none.

    A byte-level vocabulary writes a byte as one character; SentencePiece's writes a blank as ▁ and a lone
    byte as <0x0A>.
    """
    byte_level = '"ByteLevel"' in json.dumps(json.loads(tokenizer.to_str())["decoder"])
    sizes = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for token, index in tokenizer.get_vocab().items():
        lone = re.fullmatch("<0x[0-9A-F]{2}>", token)
        plain = len(token) if byte_level else 1 if lone else len(token.replace("▁", " ").encode())
        sizes[index] = 0 if token == END else plain
    return sizes


def fingerprint(windows: dict[str, NDArray[np.int64]], tasks: dict[str, list[Item]]) -> str:
    """Identifies everything that is asked, in order."""
    digest = hashlib.sha256()
    for name, array in windows.items():
        digest.update(name.encode() + array.tobytes())
    for name, questions in tasks.items():
        digest.update(name.encode() + repr(questions).encode())
    return digest.hexdigest()[:16]
