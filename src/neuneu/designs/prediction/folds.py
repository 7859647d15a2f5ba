"""Which models are trained on and which are tested: folds that keep families, organisations or twins
whole."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError

Indices = NDArray[np.int64]


def organisation(name: str) -> str:
    """The part of an id before the slash; models without one are one organisation."""
    return name.split("/", 1)[0] if "/" in name else "(none)"


def family(name: str) -> str:
    """Organisation and the start of the name up to its first digit: EleutherAI/pythia, Qwen/Qwen."""
    start = re.split(r"\d", name.rsplit("/", 1)[-1], maxsplit=1)[0]
    return f"{organisation(name)}/{start.rstrip('-_. ').lower()}"


def twins(features: NDArray[np.float64]) -> Indices:
    """One label a row of features (rows, columns); rows that are equal in every column, NaN included,
    share it."""
    filled = np.where(np.isnan(features), -1e300, features)
    _, labels = np.unique(filled, axis=0, return_inverse=True)
    return np.asarray(labels.reshape(-1), np.int64)


def joined(*labels: Sequence[object] | Indices) -> Indices:
    """One label a row such that rows that share a label of any kind share this one (connected components)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(labels[0])
    edges = []
    for kind in labels:
        _, codes = np.unique(np.array([str(label) for label in kind]), return_inverse=True)
        _, first = np.unique(codes, return_index=True)
        edges.append(np.stack([np.arange(n), first[codes]]))
    rows, columns = np.concatenate(edges, axis=1)
    return np.asarray(
        connected_components(coo_array((np.ones(len(rows)), (rows, columns)), (n, n)))[1], np.int64
    )


def folds(groups: Indices, count: int, seed: int) -> list[tuple[Indices, Indices]]:
    """`count` (train, test) pairs over shuffled whole groups, test sets of about equal size.

    Raises InputError where there are fewer groups than folds.
    """
    labels, sizes = np.unique(groups, return_counts=True)
    if len(labels) < count:
        raise InputError(f"only {len(labels)} groups for {count} folds", field="split")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]  # large groups first, so that sizes come out even
    load, home = np.zeros(count), np.zeros(len(labels), np.int64)
    for label in order:
        lightest = np.flatnonzero(load == load.min())
        home[label] = rng.choice(lightest)
        load[home[label]] += sizes[label]
    where = home[np.searchsorted(labels, groups)]
    return [(np.flatnonzero(where != k), np.flatnonzero(where == k)) for k in range(count)]


LARGEST = "largest-"
"""Split that holds out the K models of most parameters: largest-K."""


def count_of(split: str) -> int:
    """K of largest-K; InputError where it is no whole number from 1."""
    text = split.removeprefix(LARGEST)
    if not text.isdecimal() or int(text) < 1:
        raise InputError("must read like largest-5", field="split", value=split)
    return int(text)


def largest_fold(size: NDArray[np.float64], groups: Indices, count: int) -> tuple[Indices, Indices]:
    """(train, test): the `count` largest models are tested; their groups leave training with them.

    size: (models,). Raises InputError where fewer than ten models are left to train on.
    """
    test = np.sort(np.argsort(-size, kind="stable")[:count])
    train = np.flatnonzero(~np.isin(groups, groups[test]))
    if len(train) < FEWEST:
        rule = f"leaves {len(train)} models to train on; needs {FEWEST}"
        raise InputError(rule, field="split", value=f"{LARGEST}{count}")
    return train, test


FEWEST = 10
"""Models that a fold must at least train on."""


def time_folds(dates: Sequence[str | None], groups: Indices, count: int) -> list[tuple[Indices, Indices]]:
    """`count` (train, test) pairs in order of release: all older models train, the next block tests.

    dates: ISO, None unknown (such models only ever train with the first block); groups: a group that
    begins to be tested leaves training. The first block, of 1/(count + 1) of the dated models, only trains.
    """
    dated = [i for i, date in enumerate(dates) if date]
    if len(dated) < 2 * (count + 1):
        raise InputError(f"only {len(dated)} models have a release date", field="split", value="time")
    dated.sort(key=lambda i: (str(dates[i]), i))
    blocks = np.array_split(np.array(dated, np.int64), count + 1)
    unknown = np.array([i for i, date in enumerate(dates) if not date], np.int64)
    pairs = []
    for k in range(1, count + 1):
        test = blocks[k]
        train = np.concatenate([unknown, *blocks[:k]])
        pairs.append((np.sort(train[~np.isin(groups[train], groups[test])]), np.sort(test)))
    return pairs
