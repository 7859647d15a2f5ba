"""Measures of syntax from parses: distances in dependency trees, depths in constituency trees."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from neuneu.errors import InputError, MissingExtraError
from neuneu.taggers.counts import Tagger

CONTENT = frozenset({"NOUN", "VERB", "ADJ", "ADV"})


def dependency_distances(heads: Sequence[int]) -> tuple[list[int], list[int]]:
    """(distance of each word to its head, distance to the root), in words; heads count from 1, 0 is the
    root."""
    roots = [i for i, head in enumerate(heads, 1) if head == 0]
    if len(roots) != 1 or not all(0 <= head <= len(heads) for head in heads):
        raise InputError("must have one root and heads inside the sentence", field="heads", value=list(heads))
    to_head = [0 if head == 0 else abs(i - head) for i, head in enumerate(heads, 1)]
    return to_head, [abs(i - roots[0]) for i in range(1, len(heads) + 1)]


def constituency_depths(tree: str) -> tuple[list[str], list[int], int]:
    """(words, depth of each below the child of ROOT, greatest depth) of a tree: (ROOT (S (NP (DT a)) …))."""
    words, depths, depth, label = [], [], 0, False
    for token in re.findall(r"\(|\)|[^\s()]+", tree):
        if token == "(":
            depth += 1
        elif depth == 0:
            raise InputError("brackets must match, around words", field="tree", value=tree)
        elif token == ")":
            depth -= 1
        elif not label:
            words.append(token)
            depths.append(depth - 1)
        label = token == "("
    if depth != 0 or not words:
        raise InputError("brackets must match, around words", field="tree", value=tree)
    return words, depths, max(depths)


def content_ratio(tags: Sequence[str]) -> float:
    """Share of words that are nouns, verbs, adjectives or adverbs by universal part of speech; 0 without
    words."""
    return sum(tag in CONTENT for tag in tags) / len(tags) if tags else 0.0


FEATURES = ("content_function_ratio", "dep_parse", "const_parse")
_PROCESSORS = {
    "content_function_ratio": "tokenize,pos",
    "dep_parse": "tokenize,pos,lemma,depparse",
    "const_parse": "tokenize,pos,constituency",
}
Pipeline = Callable[[str], Any]
"""Text → a document with sentences of words (head, upos), as Stanza's pipelines give it."""


def stanza_tagger(feature: str, language: str = "en") -> Tagger:
    """One of FEATURES as a tagger, by a Stanza pipeline of one language whose models are at hand.

    Nothing is downloaded: `stanza.download("en")` does that once, into STANZA_RESOURCES_DIR. Raises
    InputError where they are not there.
    """
    try:
        import stanza
    except ImportError as error:
        raise MissingExtraError("stanza", "stanza") from error
    try:
        pipeline = stanza.Pipeline(
            language, processors=_PROCESSORS[feature], download_method=None, verbose=False
        )
    except Exception as error:  # the library raises many kinds where files are missing
        raise InputError(
            f"Stanza has no models here (stanza.download({language!r}) fetches them): {error}",
            field="language",
            value=language,
        ) from error
    return lambda block: parse_block(feature, block, pipeline)


def parse_block(feature: str, block: pl.DataFrame, pipeline: Pipeline) -> pl.DataFrame:
    """Columns of a feature for a block: content_function_ratio; or lists over words, dist_to_head and
    dist_to_root; or const_word_depth, const_tree_depth and num_words_sentence, and the numbers
    num_words_input and num_sentences_input."""
    rows = [_MEASURES[feature](list(pipeline(text).sentences)) for text in block["text"]]
    return block.select("id").hstack(pl.DataFrame(rows, schema=_SCHEMAS[feature]))


def _content(sentences: list[Any]) -> dict[str, Any]:
    tags = [word.upos for sentence in sentences for word in sentence.words]
    return {"content_function_ratio": content_ratio(tags)}


def _dependencies(sentences: list[Any]) -> dict[str, Any]:
    pairs = [dependency_distances([word.head for word in sentence.words]) for sentence in sentences]
    return {
        "dist_to_head": [d for pair in pairs for d in pair[0]],
        "dist_to_root": [d for pair in pairs for d in pair[1]],
    }


def _constituents(sentences: list[Any]) -> dict[str, Any]:
    trees = [constituency_depths(str(sentence.constituency)) for sentence in sentences]
    sizes = [len(tree[0]) for tree in trees]
    return {
        "const_word_depth": [d for tree in trees for d in tree[1]],
        "const_tree_depth": [tree[2] for tree in trees for _ in tree[0]],
        "num_words_sentence": [size for size in sizes for _ in range(size)],
        "num_words_input": sum(sizes),
        "num_sentences_input": len(sizes),
    }


_MEASURES: dict[str, Callable[[list[Any]], dict[str, Any]]] = {
    "content_function_ratio": _content,
    "dep_parse": _dependencies,
    "const_parse": _constituents,
}
_LISTS = pl.List(pl.Int64)
_SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "content_function_ratio": {"content_function_ratio": pl.Float64()},
    "dep_parse": dict.fromkeys(("dist_to_head", "dist_to_root"), _LISTS),
    "const_parse": {
        **dict.fromkeys(("const_word_depth", "const_tree_depth", "num_words_sentence"), _LISTS),
        **dict.fromkeys(("num_words_input", "num_sentences_input"), pl.Int64()),
    },
}
