"""Questions with choices, scored by any causal language model: minimal pairs, multiple choice.

A question is a text that its choices begin with in common, and what each goes on with. The common part is
run once (models with attention see all choices of a question in one row, each blind to the others), and
only logits of scored tokens are made.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from neuneu.curves.curve import Floats
from neuneu.errors import InputError, offered
from neuneu.files import check_document, read_json_lines
from neuneu.progress import counting
from neuneu.suite.small_models import make_logits

Encode = Callable[[str], list[int]]
RECURRENT = ("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma")


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to go on: token ids after the common prefix, how many of them are context, bytes scored."""

    tokens: tuple[int, ...]
    context: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Item:
    """A question: common prefix (token ids, not empty), choices, index of the right one."""

    prefix: tuple[int, ...]
    choices: tuple[Choice, ...]
    gold: int


def make_question(
    texts: Sequence[tuple[str, str]], gold: int, encode: Encode, *, start: int, longest: int | None = None
) -> Item:
    """A question from (context, continuation) texts, one a choice.

    Texts are encoded whole, so that tokens may span the border; a continuation begins where the encoding
    of its context ends, or at the first token that differs. `start` is put before everything; contexts are
    cut on the left to fit `longest` tokens. Raises InputError where a continuation has no token.
    """
    encoded = []
    for context, continuation in texts:
        whole = encode(context + continuation)
        begin = _common([whole, encode(context)]) if context else 0
        encoded.append((whole, min(begin, len(whole) - 1)))
    if longest is not None:
        encoded = [_cut(whole, begin, longest - 1) for whole, begin in encoded]
    shared = min(_common([whole for whole, _ in encoded]), *(begin for _, begin in encoded))
    if all(not context for context, _ in texts):
        # Sentences as a whole: what they share adds the same to each score, and is left out.
        shared = min(_common([whole for whole, _ in encoded]), *(len(whole) - 1 for whole, _ in encoded))
    choices = tuple(
        Choice(tuple(whole[shared:]), max(0, begin - shared), max(1, len(continuation.encode())))
        for (whole, begin), (_, continuation) in zip(encoded, texts, strict=True)
    )
    if any(len(choice.tokens) <= choice.context for choice in choices):
        raise InputError("has no token to score", field="continuation", value=texts[0][1])
    return Item((start, *encoded[0][0][:shared]), choices, gold)


def score_questions(
    model: Any, questions: Sequence[Item], *, batch_tokens: int = 3072, share: bool = True
) -> list[Floats]:
    """Log-probability (nats) of each choice of each question given what comes before it.

    For whole sentences the common beginning is left out of every choice's score. Questions are run
    in batches of similar length, at most `batch_tokens` padded tokens each; `share=False` (and a recurrent
    model) runs every choice in a row of its own. Returns an array (n_choices,) per question.
    """
    import torch

    share = share and model.config.model_type not in RECURRENT
    rows = [row for index, question in enumerate(questions) for row in _rows(index, question, share)]
    rows.sort(key=lambda row: len(row.ids))
    scores = [np.zeros(len(question.choices)) for question in questions]
    was_training = model.training
    model.eval()
    done = 0
    with torch.no_grad(), counting("rows of questions", len(rows)) as tell:
        for batch in _batches(rows, batch_tokens):
            tell(done, "")
            _score_batch(model, batch, scores, share)
            done += len(batch)
    model.train(was_training)
    return scores


@dataclass(frozen=True, slots=True)
class _Row:
    """A row to run: question, ids, positions, choice of each token (-1: prefix), scored tokens.

    scored: (index whose logits are used, token predicted, choice).
    """

    question: int
    ids: list[int]
    positions: list[int]
    choice: list[int]
    scored: list[tuple[int, int, int]]


def _rows(index: int, question: Item, share: bool) -> Iterator[_Row]:
    groups = [range(len(question.choices))] if share else [[i] for i in range(len(question.choices))]
    prefix = list(question.prefix)
    for group in groups:
        row = _Row(index, list(prefix), list(range(len(prefix))), [-1] * len(prefix), [])
        for number in group:
            choice = question.choices[number]
            # The last token of a choice predicts nothing that is scored, so it is never run.
            start = len(row.ids)
            for offset, token in enumerate(choice.tokens):
                if offset >= choice.context:
                    before = len(prefix) - 1 if offset == 0 else start + offset - 1
                    row.scored.append((before, token, number))
                if offset < len(choice.tokens) - 1:
                    row.ids.append(token)
                    row.positions.append(len(prefix) + offset)
                    row.choice.append(number)
        yield row


def _batches(rows: list[_Row], batch_tokens: int) -> Iterator[list[_Row]]:
    batch: list[_Row] = []
    for row in rows:
        if batch and len(row.ids) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _score_batch(model: Any, batch: list[_Row], scores: list[Floats], share: bool) -> None:
    import torch

    length = max(len(row.ids) for row in batch)
    ids = torch.tensor([row.ids + [0] * (length - len(row.ids)) for row in batch])
    inputs: dict[str, Any] = {"input_ids": ids.to(model.device)}
    if share:
        positions = torch.tensor([row.positions + [0] * (length - len(row.ids)) for row in batch])
        choice = torch.tensor([row.choice + [-2] * (length - len(row.ids)) for row in batch])
        # A token sees the tokens before it that are prefix or of its own choice.
        seen = (choice.unsqueeze(1) == -1) | (choice.unsqueeze(1) == choice.unsqueeze(2))
        seen &= torch.ones(length, length, dtype=torch.bool).tril()
        mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~seen, torch.finfo(model.dtype).min)
        inputs["position_ids"] = positions.to(model.device)
        inputs["attention_mask"] = mask.unsqueeze(1).to(model.device)
    hidden = model.base_model(**inputs, use_cache=False)[0]
    at = [(number, before) for number, row in enumerate(batch) for before, _, _ in row.scored]
    targets = torch.tensor([token for row in batch for _, token, _ in row.scored], device=model.device)
    row_index, column = torch.tensor(at, device=model.device).T
    values = []
    for part in torch.split(torch.arange(len(targets), device=model.device), 128):
        logits = make_logits(model, hidden[row_index[part], column[part]])
        values.append(-torch.nn.functional.cross_entropy(logits, targets[part], reduction="none"))
    gained = iter(torch.cat(values).double().tolist())
    for row in batch:
        for _, _, number in row.scored:
            scores[row.question][number] += next(gained)


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the common beginning."""
    count = 0
    for column in zip(*sequences, strict=False):
        if len(set(column)) > 1:
            break
        count += 1
    return count


def _cut(whole: list[int], begin: int, longest: int) -> tuple[list[int], int]:
    excess = min(max(0, len(whole) - longest), begin)
    whole, begin = whole[excess:], begin - excess
    return whole[:longest], min(begin, max(0, min(len(whole), longest) - 1))


def read_blimp(folder: str | Path, pairs: int, encode: Encode, start: int) -> dict[str, list[Item]]:
    """BLiMP's paradigms from a folder of JSONL: task blimp_<paradigm> → the `pairs` with the fewest tokens.

    Of pairs equally long the first are taken; short pairs cost least and hold least that is beside the point.
    Raises InputError on a folder without JSONL files or a line without the two sentences.
    """
    files = sorted(Path(folder).glob("*.jsonl"))
    if not files:
        raise InputError("no .jsonl files here", where=folder, field="blimp")
    tasks = {}
    for file in files:
        questions = []
        for where, document in read_json_lines(file):
            pair = _fields(document, where, ("sentence_good", "sentence_bad"))
            texts = [("", str(pair["sentence_good"])), ("", str(pair["sentence_bad"]))]
            questions.append(make_question(texts, 0, encode, start=start))
        questions.sort(key=_n_tokens)
        tasks[f"blimp_{file.stem}"] = questions[:pairs]
    return tasks


def _n_tokens(question: Item) -> int:
    return len(question.prefix) + sum(len(choice.tokens) for choice in question.choices)


def read_requests(
    folder: str | Path, task: str, items: int, encode: Encode, *, start: int, longest: int
) -> list[Item]:
    """Multiple-choice questions from `folder`/`task`/requests.jsonl[.gz], as OLMES has them.

    The first `items` questions; a question is the lines with one doc_id. Raises InputError on a missing
    file or field.
    """
    path = Path(folder) / task / "requests.jsonl.gz"
    if not path.exists():
        path = path.with_suffix("")
    if not path.exists() and Path(folder).is_dir():
        asked = {str(file.parent.relative_to(folder)) for file in Path(folder).glob("*/*/requests.jsonl*")}
        raise InputError("has no requests here" + offered(task, sorted(asked)), where=folder, field="task",
                         value=task)  # fmt: skip
    documents: dict[Any, tuple[list[tuple[str, str]], int]] = {}
    for where, document in read_json_lines(path):
        row = _fields(document, where, ("doc_id", "request", "label", "doc"))
        check_document(_Request, row, where)
        if row["doc_id"] not in documents and len(documents) == items:
            break
        texts, _ = documents.setdefault(row["doc_id"], ([], int(row["label"])))
        if len(texts) < _n_choices(row["doc"]):
            texts.append((row["request"]["context"], row["request"]["continuation"]))
    return [
        make_question(texts, gold, encode, start=start, longest=longest)
        for texts, gold in documents.values()
        if len(texts) > gold
    ]


class _Text(BaseModel):
    context: str
    continuation: str


class _Request(BaseModel):
    """A line of requests: one choice of a question."""

    doc_id: int | str
    request: _Text
    label: int = Field(ge=0, le=1000)
    doc: dict[str, Any]


def _n_choices(document: dict[str, Any]) -> int:
    return len(document["choices"]) if "choices" in document else 2


def _fields(document: Any, where: str, names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        if not isinstance(document, dict) or name not in document:
            raise InputError("is missing", where=where, field=name)
    row: dict[str, Any] = document
    return row
