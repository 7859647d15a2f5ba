"""Educational quality by a local regression model in Hugging Face form."""

import polars as pl

from neuneu.designs.taggers.counts import Tagger
from neuneu.errors import InputError, MissingExtraError

BATCH = 16


def educational_tagger(folder: str) -> Tagger:
    """raw_score (the regression head's output) and int_score (rounded, 0 to 5), by a checkpoint folder.

    The published feature uses a classifier such as fineweb-edu-classifier; documents are cut at its length.
    """
    try:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "lm") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise InputError("not a checkpoint of a sequence classifier", field="model", value=folder) from error
    if model.config.num_labels != 1:
        raise InputError("must have one output (regression)", field="model", value=folder)
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512), 4096)

    def tag(block: pl.DataFrame) -> pl.DataFrame:
        texts = block["text"].to_list()
        scores: list[float] = []
        for start in range(0, len(texts), BATCH):
            batch = tokenizer(
                texts[start : start + BATCH],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            with torch.inference_mode():
                scores += model(**batch).logits[:, 0].float().tolist()
        raw = pl.Series("raw_score", scores, dtype=pl.Float64)
        return block.select("id", raw, raw.clip(0, 5).round().cast(pl.Int64).alias("int_score"))

    return tag
