"""Local classifiers in Hugging Face form; educational quality by one."""

from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError
from neuneu.losses.models import load_model
from neuneu.losses.tokenizer import load_hf_tokenizer
from neuneu.taggers.counts import Tagger

BATCH = 16


class Classifier:
    """A sequence classifier or regressor from a checkpoint folder; only safetensors, and no network.

    labels: the names of its outputs. Texts are cut at the length that the model takes.
    """

    def __init__(self, folder: str) -> None:
        try:
            self._tokenizer = load_hf_tokenizer(folder)
            self._model = load_model(Path(folder), classifier=True)
        except InputError as error:
            rule = f"not a checkpoint of a sequence classifier: {error.rule}"
            raise InputError(rule, where=folder, field=error.field, value=error.value) from error
        config = self._model.config
        self.labels = [str(config.id2label[i]) for i in range(config.num_labels)]
        own = getattr(config, "max_position_embeddings", 512)
        self._longest = min(self._tokenizer.model_max_length, own, 4096)

    def scores(self, texts: list[str]) -> Any:
        """The model's outputs before any softmax, (texts, labels)."""
        import torch

        rows = []
        for start in range(0, len(texts), BATCH):
            batch = self._tokenizer(
                texts[start : start + BATCH],
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            )
            with torch.inference_mode():
                rows.append(self._model(**batch).logits.float())
        return torch.cat(rows).numpy()


def educational_tagger(folder: str) -> Tagger:
    """raw_score (the regression head's output) and int_score (rounded, 0 to 5), by a checkpoint folder.

    The published feature uses a classifier such as fineweb-edu-classifier.
    """
    classifier = Classifier(folder)
    if len(classifier.labels) != 1:
        raise InputError("must have one output (regression)", where=folder)

    def tag(block: pl.DataFrame) -> pl.DataFrame:
        raw = pl.Series("raw_score", classifier.scores(block["text"].to_list())[:, 0].astype(float))
        return block.select("id", raw, raw.clip(0, 5).round().cast(pl.Int64).alias("int_score"))

    return tag
