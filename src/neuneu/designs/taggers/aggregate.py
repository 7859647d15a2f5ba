"""Features of a model's generations → one row a model, under the published column names."""

from collections.abc import Mapping

import polars as pl

from neuneu.designs.taggers.counts import KEYWORDS, PER
from neuneu.errors import InputError

DOMAINS = ("academic", "books", "code", "reference", "specific_datasets", "web")
LEAST_SHARE = 0.5


def domain_shares(labels: pl.DataFrame) -> dict[str, float]:
    """`domain_<d>_pct_mean` from a column `prediction`: %, unknown and incoherent left out, media as
    reference.

    With a column `language`, also pct_english_mean: % of the documents left whose language is en.
    """
    kept = labels.filter(~pl.col("prediction").is_in(["unknown", "incoherent"])).with_columns(
        pl.col("prediction").replace("media", "reference")
    )
    if kept.is_empty():
        raise InputError("all documents are unknown or incoherent", field="prediction")
    shares = {f"domain_{d}_pct_mean": len(kept.filter(prediction=d)) / len(kept) * 100 for d in DOMAINS}
    if "language" in kept.columns:
        shares["pct_english_mean"] = len(kept.filter(language="en")) / len(kept) * 100
    return shares


def model_row(tagged: Mapping[str, pl.DataFrame], *, kept_ids: set[str] | None = None) -> dict[str, float]:
    """One model's features from its tagged documents: feature → frame as `tag` writes it.

    Scalars give `<f>_mean` and `<f>_std` (n − 1); keyword counts give ratios of corpus totals; dependency and
    constituency measures are taken a document first, then mean and std (n) over documents; domains as
    `domain_shares`. kept_ids: only these documents (those that the repetition filter left); a feature that
    keeps fewer than half of its rows is left out.
    """
    row: dict[str, float] = {}
    for feature, given in tagged.items():
        frame = given
        if kept_ids is not None:
            frame = given.filter(pl.col("id").is_in(list(kept_ids)))
            if len(frame) < LEAST_SHARE * len(given):
                continue
        if feature == "keyword_counts":
            row |= _ratios(frame)
        elif feature == "domain":
            row |= domain_shares(frame)
        elif feature == "dep_parse":
            row |= _moments("dep_parse", _dependencies(frame))
        elif feature == "const_parse":
            row |= _moments("const_parse", _constituents(frame))
        else:
            column = "raw_score" if feature == "edu_classifier" else feature
            if column not in frame.columns:
                raise InputError("not in the tagged file", field="column", value=column)
            values = frame[column].drop_nulls()
            row[f"{feature}_mean"] = float(values.mean())  # type: ignore[arg-type]
            if len(values) > 1:
                row[f"{feature}_std"] = float(values.std())  # type: ignore[arg-type]
    return row


def _ratios(counts: pl.DataFrame) -> dict[str, float]:
    size = float(counts["characters"].sum())
    return {f"{name}_ratio": float(counts[name].sum()) * PER / size if size else 0.0 for name in KEYWORDS}


def _dependencies(frame: pl.DataFrame) -> pl.DataFrame:
    head, root = (
        pl.col(name).list.eval(pl.element().cast(pl.Float64)) for name in ("dist_to_head", "dist_to_root")
    )
    return frame.select(
        head.list.median().alias("dep_head_dist_median"),
        pl.col("dist_to_head")
        .list.eval(pl.element().quantile(0.9, "linear"))
        .list.first()
        .alias("dep_head_dist_90p"),
        head.list.max().alias("dep_head_dist_max"),
        root.list.median().alias("dep_root_dist_median"),
        root.list.mean().alias("dep_root_dist_mean"),
        root.list.max().alias("dep_root_dist_max"),
    )


def _constituents(frame: pl.DataFrame) -> pl.DataFrame:
    tree, word, size = pl.col("const_tree_depth"), pl.col("const_word_depth"), pl.col("num_words_sentence")
    return frame.select(
        tree.list.max().alias("const_tree_depth_max"),
        tree.list.mean().alias("const_tree_depth_mean"),
        word.list.mean().alias("const_word_depth_mean"),
        word.list.std(ddof=0).alias("const_word_depth_std"),
        size.list.mean().alias("words_per_sent_mean"),
        size.list.std(ddof=0).alias("words_per_sent_std"),
        pl.col("num_words_input").alias("num_words"),
        pl.col("num_sentences_input").alias("num_sentences"),
    )


def _moments(prefix: str, documents: pl.DataFrame) -> dict[str, float]:
    row = {}
    for name in documents.columns:
        values = documents[name].drop_nulls().cast(pl.Float64)
        if len(values):
            row[f"{prefix}_{name}_mean"] = float(values.mean())  # type: ignore[arg-type]
            row[f"{prefix}_{name}_std"] = float(values.std(ddof=0))  # type: ignore[arg-type]
    return row
