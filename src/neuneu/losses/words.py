"""Word losses and summaries: computed from the losses that are there, never kept beside them."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats, Integers
from neuneu.errors import InputError
from neuneu.losses import conventions as compat
from neuneu.losses.alignment import sum_words
from neuneu.losses.corpus import Corpus, read_corpus
from neuneu.losses.loss_store import LossStore
from neuneu.losses.tokenizer import load_tokenizer
from neuneu.losses.zarr_store import ZarrLossStore
from neuneu.progress import counted

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


class _SummedLosses(LossStore):
    """A store of token losses, each checkpoint's turned into word losses as it is read."""

    groups = None
    tokens: ZarrLossStore

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted."""
        return self.tokens.runs

    def steps(self, run: str) -> Integers:
        """Steps of this run, increasing."""
        return self.tokens.steps(run)

    def read(self, run: str, step: int) -> Floats:
        """Word losses of one checkpoint in nats, (n_words,)."""
        return self._convert(self.tokens.read(run, step))

    @abstractmethod
    def _convert(self, losses: Floats) -> Floats:
        """Token losses of one checkpoint, (n_tokens,) → word losses, (n_words,)."""


class WordLosses(_SummedLosses):
    """Word losses of a store of token losses, summed as they are read.

    A word's loss is the sum over its tokens; NaN where one of them has none (a document's first word, if
    scored without a beginning-of-text token). Positions are the corpus's words, whatever the tokenizer.
    Raises InputError where the store holds losses of another corpus.
    """

    def __init__(self, tokens: ZarrLossStore, corpus: Corpus) -> None:
        if tokens.fingerprint != corpus.fingerprint or tokens.unit != "token":
            raise InputError("holds no token losses of this corpus", where=tokens.path, field="fingerprint")
        if tokens.settings.get("published"):
            raise InputError("holds losses in the published convention: use `compat`", where=tokens.path)
        self.tokens, self.corpus = tokens, corpus
        self.fingerprint, self.n_positions = corpus.word_fingerprint, len(corpus.words)
        self._words = np.asarray(corpus.words, dtype=np.int64)

    def _convert(self, losses: Floats) -> Floats:
        return sum_words(losses, self._words)


class PublishedWordLosses(_SummedLosses):
    """Word losses as in NeuNeu's published files, from token losses of the same `conventions`."""

    def __init__(self, tokens: ZarrLossStore, corpus: Corpus, tokenizer: str, *, hub: bool = False) -> None:
        if tokens.fingerprint != corpus.fingerprint or not tokens.settings.get("published"):
            rule = "holds no losses of this corpus scored with `compat`"
            raise InputError(rule, where=tokens.path, field="fingerprint")
        self.tokens, self.corpus = tokens, corpus
        self._ranges = compat.published_ranges(
            corpus.tokens, corpus.bounds, load_tokenizer(tokenizer, hub=hub)
        )
        self.fingerprint = corpus.word_fingerprint + "-published"
        self.n_positions = len(self._convert(np.zeros(tokens.n_positions)))

    def _convert(self, losses: Floats) -> Floats:
        return compat.published_words(losses, self.corpus.bounds, self._ranges)


def word_losses(
    tokens: str | Path,
    corpus: str | Path,
    output: str | Path,
    *,
    dtype: str = "float16",
    published: str | None = None,
    hub: bool = False,
) -> ZarrLossStore:
    """Write the word losses of a store of token losses to a store of their own, checkpoint by checkpoint.

    Resumable: what is there is left, unless it was made of other token losses. published: a tokenizer, to
    follow the published files' conventions; hub: it may be fetched.
    """
    token_store, text = ZarrLossStore(tokens), read_corpus(corpus)
    view = (
        PublishedWordLosses(token_store, text, published, hub=hub)
        if published
        else WordLosses(token_store, text)
    )
    store = ZarrLossStore.create(
        output,
        fingerprint=view.fingerprint,
        n_positions=view.n_positions,
        unit="word",
        settings=token_store.settings,
        dtype=dtype,
    )
    todo = [(run, step) for run, step in checkpoints(view) if not _is_made_of(store, token_store, run, step)]
    for run, step in counted(todo, "checkpoints"):
        facts = _facts_of(token_store, run, step)
        store.write(run, step, view.read(run, step), facts, replace=True)
    return store


def _facts_of(tokens: ZarrLossStore, run: str, step: int) -> dict[str, Any]:
    """What is noted of word losses: facts of the token losses, their digest where no weights are named."""
    facts = tokens.facts(run, step)
    return facts if facts.get("weights") else {**facts, "token_losses": tokens.digest(run, step)}


def _is_made_of(words: ZarrLossStore, tokens: ZarrLossStore, run: str, step: int) -> bool:
    """Whether the word losses are there, of these token losses; no where they do not say."""
    if not words.has(run, step):
        return False
    there, wanted = words.facts(run, step), _facts_of(tokens, run, step)
    return all(there.get(name) == wanted.get(name) for name in ("weights", "token_losses"))


def checkpoints(store: LossStore) -> Iterator[tuple[str, int]]:
    """All (run, step) of a store, in order."""
    return ((run, int(step)) for run in store.runs for step in store.steps(run))


def histograms(store: LossStore, run: str, bins: int, high: float, *, probabilities: bool = False) -> Floats:
    """A run's histograms (`LossStore.histogram`) of all checkpoints, (n_steps, bins)."""
    rows = [
        store.histogram(run, int(step), bins, high, probabilities=probabilities) for step in store.steps(run)
    ]
    return np.array(rows).reshape(-1, bins)


def summarise(store: LossStore) -> pl.DataFrame:
    """Moments and quantiles of each checkpoint: run, step, n, mean, std, mean_probability, q05 … q95."""
    rows = []
    for run, step in counted(list(checkpoints(store)), "checkpoints"):
        losses = store.read(run, step)
        values = losses[~np.isnan(losses)]
        quantiles = np.quantile(values, LEVELS)
        rows.append(
            {
                "run": run,
                "step": step,
                "n": len(values),
                "mean": float(values.mean()),
                "std": float(values.std()),
                "mean_probability": float(np.exp(-values).mean()),
                **{
                    f"q{round(100 * level):02d}": float(q) for level, q in zip(LEVELS, quantiles, strict=True)
                },
            }
        )
    if not rows:
        raise InputError("no checkpoint has losses", field="store")
    return pl.DataFrame(rows)
