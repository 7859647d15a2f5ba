"""Measures of syntax from parses: distances in dependency trees, depths in constituency trees."""

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from neuneu.errors import InputError, MissingExtraError

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
    """(words, depth of each below the child of ROOT, greatest depth) of a bracketed tree, (ROOT (S (NP (DT
    a)) …))."""
    words, depths, depth = [], [], 0
    for token in re.findall(r"\(|\)|[^\s()]+", tree):
        if token == "(":
            depth += 1
            label = True
        elif token == ")":
            depth -= 1
        elif label:
            label = False
        else:
            words.append(token)
            depths.append(depth - 1)
    if depth != 0 or not words:
        raise InputError("brackets must match, around words", field="tree", value=tree)
    return words, depths, max(depths)


def content_ratio(tags: Sequence[str]) -> float:
    """Share of words that are nouns, verbs, adjectives or adverbs by universal part of speech; 0 without
    words."""
    return sum(tag in CONTENT for tag in tags) / len(tags) if tags else 0.0


def stanza_tagger(feature: str, language: str = "en") -> Any:
    """dep_parse, const_parse or content_function_ratio as a tagger, by a Stanza pipeline whose models are
    local."""
    try:
        import stanza  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("stanza", "designs") from error
    parts = {"dep_parse": "tokenize,pos,lemma,depparse", "const_parse": "tokenize,pos,constituency"}
    pipeline = stanza.Pipeline(
        language, processors=parts.get(feature, "tokenize,pos"), download_method=None, verbose=False
    )
    return lambda block: parse_block(feature, block, pipeline)


def parse_block(feature: str, block: pl.DataFrame, pipeline: Any) -> pl.DataFrame:
    """Columns of a feature for a block, from any pipeline that gives sentences as Stanza does."""
    rows: list[dict[str, Any]] = []
    for name, text in block.select("id", "text").iter_rows():
        sentences = pipeline(text).sentences
        words = [word for sentence in sentences for word in sentence.words]
        if feature == "content_function_ratio":
            rows.append({"id": name, feature: content_ratio([word.upos for word in words])})
        elif feature == "dep_parse":
            pairs = [dependency_distances([word.head for word in sentence.words]) for sentence in sentences]
            rows.append(
                {
                    "id": name,
                    "dist_to_head": [d for pair in pairs for d in pair[0]],
                    "dist_to_root": [d for pair in pairs for d in pair[1]],
                }
            )
        else:
            trees = [constituency_depths(str(sentence.constituency)) for sentence in sentences]
            sizes = [len(tree[0]) for tree in trees]
            rows.append(
                {
                    "id": name,
                    "const_word_depth": [d for tree in trees for d in tree[1]],
                    "const_tree_depth": [tree[2] for tree in trees for _ in tree[0]],
                    "num_words_sentence": [size for size in sizes for _ in range(size)],
                    "num_words_input": sum(sizes),
                    "num_sentences_input": len(sizes),
                }
            )
    return pl.DataFrame(rows)
