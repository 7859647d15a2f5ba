"""Choices score as a plain loop over sentences does, in batches, with and without a shared prefix."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.suite.multiple_choice import (
    Choice,
    Item,
    make_question,
    read_blimp,
    read_requests,
    score_questions,
)
from neuneu.suite.small_models import build_model
from neuneu.suite.suite_config import Run, Schedule, Size

FAMILIES = ("llama", "gptneox", "mixtral", "mamba")
VOCABULARY = 300
SCHEDULE = Schedule(tokens=1, sequence=64, learning_rate=1, initializer_range=0.3)
SIZE = Size(layers=2, hidden=16, heads=2, intermediate=32, state=4)


def make_model(family: Any) -> Any:
    torch.set_num_threads(1)
    return build_model(Run(family=family, size="s", recipe="r", seed=1), SIZE, SCHEDULE, VOCABULARY).eval()


MODELS = {family: make_model(family) for family in FAMILIES}
DOUBLES = {family: make_model(family).double() for family in FAMILIES}
DOUBLES["mixtral"].set_experts_implementation("eager")  # the grouped one has no float64


def encode(text: str) -> list[int]:
    """A byte a token, but for a pair that merges, as in a BPE."""
    return list(text.replace("ab", "\x01").encode())


tokens = st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=8)


@st.composite
def questions(draw: st.DrawFn) -> list[Item]:
    made = []
    for _ in range(draw(st.integers(1, 4))):
        ways = draw(st.lists(tokens, min_size=2, max_size=4))
        choices = [Choice(tuple(way), draw(st.integers(0, len(way) - 1)), 1) for way in ways]
        made.append(Item((0, *draw(st.lists(st.integers(1, 299), max_size=9))), tuple(choices), 0))
    return made


def plain_scores(model: Any, question: Item) -> list[float]:
    """One choice at a time, one token after another, in float64."""
    scores = []
    for choice in question.choices:
        ids = [*question.prefix, *choice.tokens]
        with torch.no_grad():
            log = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        first = len(question.prefix) + choice.context
        scores.append(sum(float(log[i - 1, ids[i]]) for i in range(first, len(ids))))
    return scores


@pytest.mark.parametrize("family", FAMILIES)
@examples(max_examples=8)
@given(asked=questions(), batch_tokens=st.integers(1, 80))
def test_batches_equal_a_plain_loop_in_float64(family: str, asked: list[Item], batch_tokens: int) -> None:
    scores = score_questions(MODELS[family], asked, batch_tokens=batch_tokens)
    for score, question in zip(scores, asked, strict=True):
        np.testing.assert_allclose(score, plain_scores(DOUBLES[family], question), atol=2e-4, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@examples(max_examples=8)
@given(asked=questions())
def test_sharing_the_prefix_changes_nothing(family: str, asked: list[Item]) -> None:
    shared = score_questions(MODELS[family], asked, share=True)
    alone = score_questions(MODELS[family], asked, share=False, batch_tokens=1)
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4, rtol=1e-5)


words = st.text("abc ", min_size=1, max_size=12)


@given(good=words, bad=words)
def test_a_pair_differs_as_whole_sentences_do(good: str, bad: str) -> None:
    question = make_question([("", good), ("", bad)], 0, encode, start=0)
    model = DOUBLES["llama"]
    ours = score_questions(model, [question])[0]
    whole = [
        plain_scores(model, Item((0,), (Choice(tuple(encode(text)), 0, 1),), 0))[0] for text in (good, bad)
    ]
    np.testing.assert_allclose(ours[0] - ours[1], whole[0] - whole[1], atol=1e-4)


@given(context=words, ways=st.lists(words, min_size=2, max_size=4))
def test_a_continuation_scores_from_where_its_context_ends(context: str, ways: list[str]) -> None:
    question = make_question([(context, way) for way in ways], 0, encode, start=0)
    for choice, way in zip(question.choices, ways, strict=True):
        whole = encode(context + way)
        assert [*question.prefix[1:], *choice.tokens] == whole
        scored = len(choice.tokens) - choice.context
        # A token that spans the border belongs to the continuation.
        assert len(encode(way)) - 1 <= scored <= len(encode(way)) + 1
        assert scored >= 1


@given(st.text("abc", min_size=30, max_size=60), st.text("xyz", min_size=1, max_size=30))
def test_long_contexts_are_cut_on_the_left(context: str, way: str) -> None:
    question = make_question([(context, way), (context, "q")], 0, encode, start=0, longest=32)
    for choice in question.choices:
        assert len(question.prefix) + len(choice.tokens) <= 32
    text = [*question.prefix[1:], *question.choices[0].tokens]
    assert encode(context + way)[-len(text) :] == text


def test_choices_with_contexts_of_their_own_score_the_same_ending() -> None:
    texts = [("Ann beat Eve so Ann", " won."), ("Ann beat Eve so Eve", " won.")]
    question = make_question(texts, 0, encode, start=0)
    assert bytes(question.prefix[1:]).decode() == "Ann beat Eve so "
    for choice in question.choices:
        assert bytes(choice.tokens[choice.context :]).decode() == " won."


def test_options_given_twice_count_once(tmp_path: Path) -> None:
    folder = tmp_path / "toy" / "rc"
    folder.mkdir(parents=True)
    rows = [
        {
            "doc_id": document,
            "label": 1,
            "doc": {"choices": ["x", "y"]},
            "request": {"context": context, "continuation": way},
        }
        for document in range(3)
        for context in ("Which?", "Answer:")
        for way in (" x", " y")
    ]
    lines = "\n".join(map(json.dumps, rows))
    (folder / "requests.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    questions = read_requests(tmp_path, "toy/rc", 2, encode, start=0, longest=50)
    assert len(questions) == 2
    assert all(len(question.choices) == 2 and question.gold == 1 for question in questions)
    assert bytes(questions[0].prefix[1:]).decode() == "Which? "[: len(questions[0].prefix) - 1]


def test_bad_question_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="blimp"):
        read_blimp(tmp_path, 5, encode, 0)
    (tmp_path / "a.jsonl").write_text('{"sentence_good": "x"}\n')
    with pytest.raises(InputError, match="sentence_bad"):
        read_blimp(tmp_path, 5, encode, 0)
    (tmp_path / "a.jsonl").write_text("nonsense\n")
    with pytest.raises(InputError, match=r"a\.jsonl:1: not JSON"):
        read_blimp(tmp_path, 5, encode, 0)
    with pytest.raises(InputError, match="requests"):
        read_requests(tmp_path, "none/rc", 5, encode, start=0, longest=50)


def test_blimp_as_published(shared: Path) -> None:
    tasks = read_blimp(shared / "data" / "blimp", 3, encode, 0)
    assert len(tasks) == 67
    assert all(len(questions) == 3 for questions in tasks.values())
    assert all(len(question.choices) == 2 for questions in tasks.values() for question in questions)
