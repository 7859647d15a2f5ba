"""Words against a brute-force aligner."""

import json
import re
import time
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from neuneu.losses.alignment import align_words, sum_words, word_spans

UNICODE = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]), st.sampled_from(list(" \n\t\u00a0\u3000\x1fab'é️👩\u200d"))
    ),
    max_size=80,
)


def brute_force(text: str, offsets: list[tuple[int, int]], losses: np.ndarray) -> list[float]:
    """Sum over every token whose span overlaps the word's; NaN without any."""
    sums = []
    for match in re.finditer(r"\S+", text):
        own = [
            loss
            for (start, end), loss in zip(offsets, losses, strict=True)
            if start < match.end() and end > match.start() and end > start
        ]
        sums.append(sum(own) if own else float("nan"))
    return sums


@given(text=UNICODE, seed=st.integers(0, 9))
def test_words_equal_a_brute_force_aligner(text: str, seed: int, tokenizer: Path) -> None:
    encoding = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).encode(text, add_special_tokens=False)
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    losses = np.random.default_rng(seed).gamma(2, size=len(offsets))
    losses[seed::7] = np.nan
    ranges = align_words(word_spans(text), offsets[:, 0], offsets[:, 1])
    np.testing.assert_allclose(sum_words(losses, ranges), brute_force(text, encoding.offsets, losses))


@given(text=UNICODE)
def test_words_are_runs_of_what_is_no_white_space(text: str) -> None:
    assert word_spans(text).tolist() == [list(match.span()) for match in re.finditer(r"\S+", text)]


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20),
    words=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=10),
)
def test_tokens_that_overlap_skip_or_have_no_width(
    steps: list[tuple[int, int]], words: list[tuple[int, int]]
) -> None:
    """Spans as no tokenizer need make them: in order, but with gaps, overlaps and zero width."""
    starts = np.cumsum([0, *(a for a, _ in steps)])[1:]
    ends = np.maximum.accumulate(
        np.array([s + w for s, (_, w) in zip(starts, steps, strict=True)], dtype=int)
    )
    ends = np.where([w == 0 for _, w in steps], starts, ends)
    edges = np.cumsum([0, *(x for pair in words for x in pair)])[1:].reshape(-1, 2)
    ranges = align_words(edges, starts, ends)
    for (begin, end), (first, past) in zip(edges, ranges, strict=True):
        own = [i for i in range(len(starts)) if starts[i] < end and ends[i] > begin and ends[i] > starts[i]]
        assert (own[0], own[-1] + 1) == (first, past) if own else first == past


def test_the_published_example(shared: Path) -> None:
    golden = json.loads((shared / "goldens/neuneu.json").read_text())["words"]
    offsets = np.array(golden["token_offsets"])
    ranges = align_words(word_spans(golden["text"]), offsets[:, 0], offsets[:, 1])
    assert (
        sum_words(np.array(golden["losses"], dtype=float), ranges).tolist()
        == golden["word_losses"]
        == [3, 24, 192]
    )


def test_a_hundred_thousand_words_a_second() -> None:
    ranges = np.stack([np.arange(0, 1_500_000, 3), np.arange(2, 1_500_002, 3)], axis=1)
    losses = np.random.default_rng(0).gamma(2, size=1_500_000)
    begin = time.process_time()
    sum_words(losses, ranges)
    assert len(ranges) / (time.process_time() - begin) > 100_000
