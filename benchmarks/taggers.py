"""Features of documents and n-gram entropy against the straight Python way, on one core, with the same
results; and peak memory on files of growing size: `python -m benchmarks.taggers [--megabytes 256 1024]`."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.taggers import cleaning, counts, repetition
from neuneu.taggers.entropy import BUCKETS, PairCounter, groups, merge, summarize, where
from neuneu.taggers.tokens import tokenize

WORD = re.compile(r"\w+|[^\w\s]")
PLAIN = re.compile(r"[^\W_]+")
KEYWORDS = [re.compile(pattern) for pattern in counts.KEYWORDS.values()]
COMMON = (
    *("the", "of", "and", "to", "a", "in", "how", "what", "you", "make", "so", "because", "use", "but"),
    *("is", "Question:", "Answer:", "7", "3.5", "2026", "check"),
)
REPEATS = 5


def main() -> None:
    """Print one JSON document: processor seconds the straight way and ours, ratios, peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--megabytes", type=int, nargs="*", default=[], help="Also measure memory on such files."
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only-memory", action="store_true")
    options = parser.parse_args()
    texts = [] if options.only_memory else list(make_texts(2_000, seed=0))
    result: dict[str, Any] = {"memory": memory(options.megabytes)}
    if texts:
        result |= {
            "megabytes": sum(map(len, texts)) / 1e6,
            "features": features(texts),
            "entropy": {order: entropy(texts, order) for order in (1, 2, 3)},
        }
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


def make_texts(documents: int, *, seed: int, words: int = 400) -> Iterator[str]:
    """Texts whose words follow Zipf's law, with punctuation, and some that are not plain ASCII."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    sizes = np.random.default_rng(0).integers(2, 12, 60_000)
    drawn = np.random.default_rng(1).zipf(1.3, int(sizes.sum())) % 26
    cuts = np.cumsum(sizes)[:-1]
    vocabulary = [*COMMON, *("".join(letters[part]) for part in np.split(drawn, cuts))]
    marks = ["", "", "", "", ",", ".", ".\n", "\n\n", " –"]
    pieces = np.array([[word + mark for mark in marks] for word in vocabulary], object)
    for _ in range(documents):
        ranks = np.minimum(rng.zipf(1.15, words), len(vocabulary)) - 1
        yield " ".join(pieces[ranks, rng.integers(0, len(marks), words)])


def features(texts: list[str]) -> dict[str, dict[str, float]]:
    """Each feature by itself, and all counts of `designs tag counts` at once."""
    series = pl.Series(texts)
    block = pl.DataFrame({"id": [str(i) for i in range(len(texts))], "text": texts})
    tests = texts[:50]
    finder = cleaning.Decontaminator([pl.Series(tests)])
    grams = {gram for text in tests for gram in _grams(PLAIN.findall(text.lower()), 13)}

    def all_counts() -> list[tuple[int, ...]]:
        rows = []
        for text in texts:
            tokens = WORD.findall(text)
            found = (len(pattern.findall(text)) for pattern in KEYWORDS)
            rows.append((len(text), len(tokens), len(set(tokens)), *found))
        return rows

    names = ("char_len", "num_tokens", "unique_tokens", *counts.KEYWORDS)
    return {
        "counts (all at once)": _pair(all_counts, lambda: counts.all_counts(block).select(names).rows()),
        "keyword_counts": _pair(
            lambda: [tuple(len(pattern.findall(text)) for pattern in KEYWORDS) for text in texts],
            lambda: counts.keyword_counts(block).select(*counts.KEYWORDS).rows(),
        ),
        "num_tokens": _pair(
            lambda: [(str(i), len(WORD.findall(text))) for i, text in enumerate(texts)],
            lambda: counts.token_feature("num_tokens")(block).rows(),
        ),
        "ttr": _pair(
            lambda: [
                (str(i), len(set(found)) / len(found)) for i, found in enumerate(map(WORD.findall, texts))
            ],
            lambda: counts.token_feature("ttr")(block).rows(),
        ),
        "repetition": _pair(
            lambda: [_reason(text) for text in texts], lambda: repetition.removal_reasons(series).to_list()
        ),
        "contamination": _pair(
            lambda: [
                sum(gram in grams for gram in own) / len(own)
                for own in (_grams(PLAIN.findall(text.lower()), 13) for text in texts)
            ],
            lambda: finder.shares(series).tolist(),
        ),
    }


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def _reason(text: str) -> str | None:
    def duplicates(parts: list[str]) -> float:
        kept = [part.strip() for part in parts if part.strip()]
        return 1 - len(set(kept)) / len(kept) if kept else 0.0

    run = longest = 0
    last = None
    for word in text.lower().split():
        run, last = run + 1 if word == last else 1, word
        longest = max(longest, run)
    words = WORD.findall(text.lower())
    repeated = [
        sum(c - 1 for c in Counter(_grams(words, n)).values()) / max(len(words) - n + 1, 1) for n in (2, 3)
    ]
    holds = (
        len(text) < 50,
        longest > 50,
        duplicates(text.split("\n")) > 0.6,
        duplicates(re.split(r"\n\s*\n", text)) > 0.6,
        *(share > 0.5 for share in repeated),
    )
    return next((reason for reason, hold in zip(repetition.REASONS, holds, strict=True) if hold), None)


def entropy(texts: list[str], order: int) -> dict[str, float]:
    """From texts to the published number, contexts as tuples of tokens."""
    series = pl.Series(texts)
    counter = PairCounter(order)  # as a command has it for all blocks of a file

    def straight() -> float:
        found: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for text in texts:
            tokens = WORD.findall(text)
            for i in range(len(tokens) - order):
                found[tuple(tokens[i : i + order])][tokens[i + order]] += 1
        total = 0.0
        for following in found.values():
            size = sum(following.values())
            total -= sum(k / size * log2(k / size) for k in following.values())
        return total / len(found)

    def ours() -> float:
        tokens = tokenize(series)
        part = counter.count(tokens.hashes, tokens.bounds)
        together = groups([part[: BUCKETS + 1]])
        return summarize(merge([part[where(part, buckets)]]) for buckets in together)["mean_corpus_entropy"]

    return _pair(straight, ours)


def _pair(straight: Callable[[], Any], ours: Callable[[], Any]) -> dict[str, float]:
    """Least processor time of each, taken in turns; both must give the same.

    Ours is called thrice a turn: it is so short that the memory which the straight way has given back, and
    which must be had again, would take a good part of it; of block after block only the first pays that.
    """
    expected, found = straight(), ours()
    same = abs(expected - found) < 1e-9 if isinstance(expected, float) else expected == found
    assert same, "the results differ"
    best = [float("inf"), float("inf")]
    for _ in range(REPEATS):
        for i, call in ((0, straight), (1, ours), (1, ours), (1, ours)):
            start = time.process_time()
            call()
            best[i] = min(best[i], time.process_time() - start)
    return {"straight": best[0], "ours": best[1], "times": best[0] / best[1]}


def memory(megabytes: list[int]) -> dict[str, dict[str, float]]:
    """Peak memory, processor seconds and MB/s of the real commands on a JSONL of so many MB."""
    result = {}
    with tempfile.TemporaryDirectory(prefix="taggers-") as name:
        source = Path(name) / "texts.jsonl"
        for size in megabytes:
            _write(source, size)
            for command in (
                ("counts", "c.parquet"),
                ("entropy", "e.json"),
                ("entropy", "e2.json", "--order", "2"),
            ):
                feature, output, *more = command
                arguments = ["designs", "tag", feature, "-i", source, "-o", Path(name) / output, *more]
                result[" ".join([feature, *more, f"{size} MB"])] = _run([str(a) for a in arguments], size)
    return result


def _write(path: Path, megabytes: int) -> None:
    with path.open("w") as file:
        seed = 0
        while file.tell() < megabytes * 1_000_000:
            seed += 1
            file.writelines(json.dumps({"text": text}) + "\n" for text in make_texts(5_000, seed=seed))


def _run(arguments: list[str], megabytes: int) -> dict[str, float]:
    code = (
        "import json, resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'neuneu', *sys.argv[1:]], check=True, capture_output=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_maxrss / 1e3, used.ru_utime + used.ru_stime]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    peak, seconds = json.loads(done.stdout)
    return {"peak_megabytes": peak, "seconds": seconds, "megabytes_per_second": megabytes / seconds}


if __name__ == "__main__":
    main()
