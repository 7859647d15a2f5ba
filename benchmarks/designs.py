"""Taggers and the small-table booster against the straight way, one core: `python -m benchmarks designs`."""

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from math import log2

import numpy as np
import polars as pl

from neuneu.designs.boosting import bin_table, fit
from neuneu.designs.taggers.counts import KEYWORDS, keyword_counts, token_feature
from neuneu.designs.taggers.entropy import corpus_entropy


def _seconds(call: Callable[[], object], least: int = 1) -> float:
    best = float("inf")
    for _ in range(least):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def _plain_entropy(documents: list[list[int]]) -> float:
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for tokens in documents:
        for i in range(len(tokens) - 1):
            counts[tokens[i]][tokens[i + 1]] += 1
    total = 0.0
    for words in counts.values():
        size = sum(words.values())
        total -= sum(k / size * log2(k / size) for k in words.values())
    return total / len(counts)


def entropy() -> dict[str, float]:
    rng = np.random.default_rng(0)
    tokens = np.minimum(rng.zipf(1.3, 2_000_000), 50_000)
    arrays = np.array_split(tokens, 2_000)
    lists = [array.tolist() for array in arrays]
    assert abs(_plain_entropy(lists[:50]) - corpus_entropy(arrays[:50])["mean_corpus_entropy"]) < 1e-9
    plain, ours = _seconds(lambda: _plain_entropy(lists)), _seconds(lambda: corpus_entropy(arrays), 2)
    return {"straight": plain, "ours": ours, "times": plain / ours}


def _texts() -> list[str]:
    rng = np.random.default_rng(0)
    words = np.array(
        ["the", "so", "how", "make", "value", "because", "Answer:", "7", "3.5", "garden", "question"]
    )
    return [" ".join(words[rng.integers(0, len(words), 400)]) for _ in range(2_000)]


def keywords() -> dict[str, float]:
    texts = _texts()
    block = pl.DataFrame({"id": [str(i) for i in range(len(texts))], "text": texts})
    patterns = [re.compile(pattern) for pattern in KEYWORDS.values()]
    plain = _seconds(lambda: [[len(p.findall(text)) for p in patterns] for text in texts])
    ours = _seconds(lambda: keyword_counts(block), 2)
    return {"straight": plain, "ours": ours, "times": plain / ours}


def types() -> dict[str, float]:
    texts = _texts()
    block = pl.DataFrame({"id": [str(i) for i in range(len(texts))], "text": texts})
    word = re.compile(r"\w+|[^\w\s]")
    plain = _seconds(lambda: [len(set(found)) / len(found) for found in map(word.findall, texts)])
    ours = _seconds(lambda: token_feature("ttr")(block), 2)
    return {"straight": plain, "ours": ours, "times": plain / ours}


def boosting() -> dict[str, float]:
    import xgboost

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.random(40)
    settings = {"max_depth": 3, "learning_rate": 0.1, "nthread": 1}
    fit(bin_table(X), y, depth=3, learning_rate=0.1, rounds=1)
    plain = _seconds(lambda: xgboost.train(settings, xgboost.QuantileDMatrix(X, y, nthread=1), 100), 5)
    ours = _seconds(lambda: fit(bin_table(X), y, depth=3, learning_rate=0.1, rounds=100), 5)
    return {"straight": plain, "ours": ours, "times": plain / ours}


def main() -> None:
    """Print seconds of CPU the straight way and ours, and how many times faster."""
    print(json.dumps({task.__name__: task() for task in (entropy, keywords, types, boosting)}, indent=2))
