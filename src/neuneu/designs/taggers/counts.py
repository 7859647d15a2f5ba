"""Counts and ratios of one document: characters, tokens, keywords; whole blocks at once, in compiled code."""

from collections.abc import Callable, Mapping

import polars as pl

from neuneu.errors import InputError, MissingExtraError

Tagger = Callable[[pl.DataFrame], pl.DataFrame]
"""A block with id and text → a frame with id and the feature's columns, a row a document."""

_VERBS = (
    "Do|Make|Consider|Take|Use|Ensure|Check|Build|Apply|Run|Create|Find|Go|Try|Turn"
    "|Start|Stop|Put|Keep|Leave|Get|Move"
)
KEYWORDS: Mapping[str, str] = {
    "question_words": r"\b(?i:How|What|Why|When|Where|Who|Which|Whose)\b",
    "imperative_verbs": rf"\b(?i:{_VERBS})\b",
    "conjunctions": r"\b(?i:and|but|or|so|because|although|however|therefore|yet)\b",
    "instructions_words": r"(?i:Question:|Answer:|Instruction:|User:|Assistant:|Q:|A:)",
    "numbers": r"\b\d+\b|\b\d+\.\d+\b|\b\d+%\b",
}
"""Kind → pattern, as published: instruction words match inside words, and a decimal counts twice."""

PER = 100_000
"""Keyword ratios are occurrences a hundred thousand characters."""


def character_length(block: pl.DataFrame) -> pl.DataFrame:
    """char_len: Unicode characters."""
    return block.select("id", pl.col("text").str.len_chars().cast(pl.Int64).alias("char_len"))


def keyword_counts(block: pl.DataFrame) -> pl.DataFrame:
    """One count a kind of keyword, and characters."""
    counts = [pl.col("text").str.count_matches(pattern).alias(name) for name, pattern in KEYWORDS.items()]
    return block.select("id", pl.col("text").str.len_chars().alias("characters"), *counts)


def keyword_ratios(block: pl.DataFrame) -> pl.DataFrame:
    """`<kind>_ratio`: occurrences of each kind of keyword a hundred thousand characters, 0 for empty text."""
    size = pl.col("characters")
    return keyword_counts(block).select(
        "id",
        *(
            pl.when(size > 0).then(pl.col(name) * PER / size).otherwise(0.0).alias(f"{name}_ratio")
            for name in KEYWORDS
        ),
    )


def token_lists(block: pl.DataFrame, tokenizer: str | None) -> pl.Series:
    """The tokens of each document: ids by a tokenizer.json, else words and single signs."""
    if tokenizer is None:
        return block["text"].str.extract_all(r"\w+|[^\w\s]")
    return pl.Series(
        [e.ids for e in _load(tokenizer).encode_batch(block["text"].to_list(), add_special_tokens=False)],
        dtype=pl.List(pl.UInt32),
    )


def token_feature(name: str, tokenizer: str | None = None) -> Tagger:
    """num_tokens, unique_tokens, or ttr (unique ÷ all, 0 if there are none) as a tagger."""

    def tag(block: pl.DataFrame) -> pl.DataFrame:
        tokens = pl.DataFrame({"id": block["id"], "tokens": token_lists(block, tokenizer)})
        count, unique = (
            pl.col("tokens").list.len().cast(pl.Int64),
            pl.col("tokens").list.n_unique().cast(pl.Int64),
        )
        value = {
            "num_tokens": count,
            "unique_tokens": unique,
            "ttr": pl.when(count > 0).then(unique / count).otherwise(0.0),
        }[name]
        return tokens.select("id", value.alias(name))

    return tag


def _load(path: str) -> "Tokenizer":  # type: ignore[name-defined]  # noqa: F821
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError("tokenizers", "lm") from error
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # the library raises bare Exception
        raise InputError("not a tokenizer.json", where=path) from error
