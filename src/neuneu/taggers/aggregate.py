"""Features of a model's generations → one row a model, under the published column names."""

from collections.abc import Mapping, Sequence

import polars as pl

from neuneu.errors import InputError
from neuneu.files import read_object, refuse_library_errors
from neuneu.files.parquet import read_note
from neuneu.files.tables import read_parquet
from neuneu.taggers.counts import KEYWORDS, PER
from neuneu.taggers.document_features import SOURCE

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


_SCALARS = ("char_len", "num_tokens", "unique_tokens", "ttr", "content_function_ratio", "contamination")
FEATURES = (
    *_SCALARS,
    "counts",
    "keyword_counts",
    "edu_classifier",
    "domain",
    "dep_parse",
    "const_parse",
    "code_features",
    "entropy",
)
"""What `model_row` can add up; `repetition` says which documents count."""


def read_tagged(entries: Sequence[str]) -> dict[str, pl.DataFrame]:
    """FEATURE=FILE, … → feature → the tagged documents; of entropy the numbers of its JSON, in one row.

    Raises InputError where files tell that they are of different documents.
    """
    frames: dict[str, pl.DataFrame] = {}
    sources: dict[str, str] = {}
    for entry in entries:
        feature, _, path = entry.partition("=")
        if feature not in (*FEATURES, "repetition"):
            rule = f"must read FEATURE=FILE, of {', '.join([*FEATURES, 'repetition'])}"
            raise InputError(rule, field="tagged", value=entry)
        if feature in frames:
            raise InputError("must not be given twice", field="tagged", value=feature)
        with refuse_library_errors(path, "a file that tag wrote"):
            frames[feature] = (
                pl.DataFrame([read_object(path)]) if feature == "entropy" else read_parquet(path)
            )
            source = None if feature == "entropy" else read_note(path, SOURCE)
        if source is not None:
            sources.setdefault(source, path)
        if len(sources) > 1:
            rule = f"was tagged of other documents than {next(iter(sources.values()))}; tag both of one file"
            raise InputError(rule, where=path, field="tagged", value=feature)
    return frames


def model_row(
    tagged: Mapping[str, pl.DataFrame], *, kept_ids: set[str] | None = None
) -> tuple[dict[str, float], list[str]]:
    """(one model's features, the features left out) from its tagged documents: feature → frame of `tag`.

    Scalars give `<f>_mean` and `<f>_std` (n − 1); keyword counts give ratios of corpus totals; dependency,
    constituency and code measures are taken a document first, then mean and std (n) over documents; domains
    as `domain_shares`; entropy gives entropy_mean, the published estimate, and entropy_corrected.
    kept_ids: only these documents (those that the repetition filter left); a feature that keeps fewer than
    half of its rows is left out.
    """
    row: dict[str, float] = {}
    left_out = []
    for feature, given in tagged.items():
        frame = given
        if kept_ids is not None and feature != "entropy":
            frame = given.filter(_column(given, "id", feature).is_in(list(kept_ids)))
            if len(frame) < LEAST_SHARE * len(given):
                left_out.append(feature)
                continue
        row |= _features(feature, frame)
    return row, left_out


def kept_documents(tagged: pl.DataFrame) -> set[str]:
    """The ids of the documents that the repetition filter, whose file this is, does not drop."""
    removed = _column(tagged, "removed_because", "repetition")
    return set(_column(tagged, "id", "repetition").filter(removed.is_null()))


def _features(feature: str, frame: pl.DataFrame) -> dict[str, float]:
    if feature == "counts":
        sizes = [_scalar(name, frame, name) for name in ("char_len", "num_tokens", "unique_tokens", "ttr")]
        return {k: v for size in sizes for k, v in size.items()} | _ratios(frame, "char_len")
    if feature == "keyword_counts":
        return _ratios(frame, "characters")
    if feature == "domain":
        return domain_shares(frame)
    if feature == "entropy":
        names = {"entropy_mean": "mean_corpus_entropy", "entropy_corrected": "corrected_entropy"}
        numbers = {name: _column(frame, column, feature)[0] for name, column in names.items()}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError("must be a number", where="tagged entropy", field=names[name], value=value)
        return {name: float(value) for name, value in numbers.items()}
    measures = {"dep_parse": _dependencies, "const_parse": _constituents, "code_features": _code}
    if feature in measures:
        return _moments(feature, measures[feature](frame))
    return _scalar(feature, frame, "raw_score" if feature == "edu_classifier" else feature)


def _column(frame: pl.DataFrame, name: str, feature: str) -> pl.Series:
    if name not in frame.columns:
        raise InputError("not in the file", where=f"tagged {feature}", field="column", value=name)
    return frame[name]


def _scalar(feature: str, frame: pl.DataFrame, column: str) -> dict[str, float]:
    values = _column(frame, column, feature).drop_nulls().cast(pl.Float64)
    if values.is_empty():
        raise InputError("holds no value", where=f"tagged {feature}", field="column", value=column)
    row = {f"{feature}_mean": float(values.to_numpy().mean())}
    if len(values) > 1:
        row[f"{feature}_std"] = float(values.to_numpy().std(ddof=1))
    return row


def _ratios(counts: pl.DataFrame, characters: str) -> dict[str, float]:
    size = float(_column(counts, characters, "counts").sum())
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


def _code(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop_nulls("num_nodes_input").select(
        pl.col("tree_depth").list.max().alias("tree_depth_max"),
        pl.col("node_depth").list.mean().alias("node_depth_mean"),
        pl.col("dist_to_def").list.drop_nulls().list.median().alias("dist_to_def_median"),
        pl.col("num_nodes_input").alias("num_nodes"),
    )


def _moments(prefix: str, documents: pl.DataFrame) -> dict[str, float]:
    row = {}
    for name in documents.columns:
        values = documents[name].drop_nulls().cast(pl.Float64)
        if len(values):
            row[f"{prefix}_{name}_mean"] = float(values.mean())  # type: ignore[arg-type]
            row[f"{prefix}_{name}_std"] = float(values.std(ddof=0))  # type: ignore[arg-type]
    return row
