"""Entropy by a language model: the surprisal of each token of its corpus to a scored checkpoint, in bits.

It needs no logits: the mean surprisal is the model's cross-entropy on the text, which is what the softmax's
own entropy estimates where the model is calibrated, and `neuneu score` keeps the losses.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats
from neuneu.errors import InputError, offered
from neuneu.files import write_json, write_table
from neuneu.losses.corpus import read_corpus
from neuneu.losses.open import open_losses


def lm_entropy(
    losses: str | Path,
    corpus: str | Path,
    output: str | Path,
    *,
    run: str | None = None,
    step: int | None = None,
    documents: str | Path | None = None,
) -> dict[str, Any]:
    """Bits a token of a scored checkpoint over its corpus, into a JSON file; documents: a row each, Parquet.

    run, step: by default the only run, and its last step. JSON: mean_bits, median_bits, p10 to p90 and tokens
    that have a loss. A document's row: id (its place), tokens, entropy_mean, _max, _min, _p25, _p75. Raises
    InputError where the losses are of another corpus, or not of tokens.
    """
    store, texts = open_losses(losses), read_corpus(corpus)
    if store.fingerprint != texts.fingerprint:
        raise InputError("are of another corpus, or not of its tokens", where=losses, field="fingerprint")
    if run is None and len(store.runs) > 1:
        raise InputError(f"name one of {', '.join(store.runs)}", field="run")
    chosen = store.runs[0] if run is None else run
    steps = store.steps(chosen)
    if not len(steps):
        raise InputError("has no losses" + offered(chosen, store.runs), field="run", value=chosen)
    at = int(steps[-1]) if step is None else step
    bits = store.read(chosen, at) / math.log(2)
    known = bits[~np.isnan(bits)]
    if not len(known):
        raise InputError("no token has a loss", where=losses)
    result = {"method": "lm", "run": chosen, "step": at, "tokens": len(known), **_summary(known)}
    if documents is not None:
        rows = [
            {"id": str(place), "tokens": len(part), **_row(part)}
            for place, (first, last) in enumerate(np.asarray(texts.bounds))
            if len(part := bits[first:last][~np.isnan(bits[first:last])])
        ]
        write_table(documents, pl.DataFrame(rows))
    write_json(output, result)
    return result


def _summary(bits: Floats) -> dict[str, float]:
    places = {f"p{q}_bits": float(np.percentile(bits, q)) for q in (10, 25, 75, 90)}
    return {"mean_bits": float(bits.mean()), "median_bits": float(np.median(bits)), **places}


def _row(bits: Floats) -> Mapping[str, float]:
    return {
        "entropy_mean": float(bits.mean()),
        "entropy_max": float(bits.max()),
        "entropy_min": float(bits.min()),
        "entropy_p25": float(np.percentile(bits, 25)),
        "entropy_p75": float(np.percentile(bits, 75)),
    }
