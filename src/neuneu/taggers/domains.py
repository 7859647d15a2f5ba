"""What a document is about, and in what language: a cascade of questions to any OpenAI-compatible endpoint,
or a local classifier."""

import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from neuneu.errors import InputError, MissingExtraError
from neuneu.taggers.counts import Tagger
from neuneu.taggers.document_features import read_blocks

SHORTEST = 50
"""Characters; shorter documents are incoherent and of unknown language."""
LONGEST = 448_000
"""Characters of a document that are sent: 128,000 tokens of 3.5."""
AT_ONCE = 8
"""Documents that an endpoint is asked about at the same time."""
DOMAINS = (
    "incoherent",
    "code",
    "web",
    "academic",
    "books",
    "reference",
    "specific_datasets",
    "media",
    "unknown",
)
"""What a document can be; media is counted as reference when documents are added up."""

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Is this document incoherent: extreme repetition, nonsensical mixtures of code, gibberish, or "
        "several documents glued together? Wrong facts or logic do not count.",
        ("not_incoherent", "incoherent"),
    ),
    (
        "Does this document hold programming content: source code, code blocks, questions and answers "
        "about programming, file names of programs, documentation of code or configuration?",
        ("not_code", "code"),
    ),
    (
        "Is this document, which is not code, from the web: an article, social media, forum, blog or "
        "shop? Look for addresses, @ and #, interface text, comment threads, prices, bylines.",
        ("not_web", "web"),
    ),
    (
        "Is this document, which is not code, academic: a paper, patent or student essay, with citations, "
        "formulas, formal language for specialists? Popular science and general education are not.",
        ("not_academic", "academic"),
    ),
    (
        "Which is this document? books: chapters, characters, narrative. reference: definitions, "
        "encyclopedias, textbooks, instructions, dialogues, court documents, captions. specific_datasets: "
        "identifiers, special formats. web: none of these but from the web. unknown: none.",
        ("books", "reference", "specific_datasets", "web", "unknown"),
    ),
)
"""Question and the answers allowed; the second answer of the first four ends the cascade."""

Ask = Callable[[str, str], str]
"""(instruction, document) → the model's answer."""


def classify(text: str, ask: Ask) -> str:
    """The domain of one document: incoherent, code, web, academic, books, reference, specific_datasets,
    unknown.

    Documents below 50 characters are incoherent without a question. An answer that is not allowed counts
    as the first answer of its step (no), and as unknown in the last.
    """
    if len(text) < SHORTEST:
        return "incoherent"
    for question, answers in STEPS[:-1]:
        if _answer(ask(_instruction(question, answers), text), answers) == answers[1]:
            return answers[1]
    question, answers = STEPS[-1]
    return _answer(ask(_instruction(question, answers), text), answers, default="unknown")


def _instruction(question: str, answers: tuple[str, ...]) -> str:
    return f"{question} Answer with one word: {' or '.join(answers)}."


def _answer(reply: str, answers: tuple[str, ...], default: str | None = None) -> str:
    words = [word.strip(" .,:;!?\"'`*") for word in reply.lower().replace("not ", "not_").split()]
    return next((word for word in words if word in answers), default or answers[0])


class Endpoint:
    """An OpenAI-compatible chat endpoint: temperature 0, at most 10 tokens, timeouts, retries with back-off.

    The key is read from NEUNEU_API_KEY, if set, at each call.
    """

    def __init__(
        self, address: str, model: str, *, timeout: float = 60.0, retries: int = 4, pause: float = 1.0
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise InputError("must start with http:// or https://", field="endpoint", value=address)
        self.address = f"{address.rstrip('/')}/chat/completions"
        self.model, self.timeout, self.retries, self.pause = model, timeout, retries, pause
        self.calls = 0

    def __call__(self, instruction: str, document: str) -> str:
        """The answer to one question about one document; InputError where the endpoint keeps failing."""
        messages = [
            {"role": "system", "content": instruction},
            {"role": "user", "content": f"Document: {document[:LONGEST]}"},
        ]
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": 10}
        headers = {"Content-Type": "application/json"}
        if os.environ.get("NEUNEU_API_KEY"):
            headers["Authorization"] = f"Bearer {os.environ['NEUNEU_API_KEY']}"
        request = urllib.request.Request(self.address, json.dumps(body).encode(), headers)
        problem = ""
        for attempt in range(self.retries):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            self.calls += 1
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                    return str(json.loads(reply.read(1_000_000))["choices"][0]["message"]["content"])
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code}"
                if error.code not in (408, 409, 429) and error.code < 500:
                    break
            except (
                urllib.error.URLError,
                TimeoutError,
                ValueError,
                KeyError,
                IndexError,
                TypeError,
            ) as error:
                problem = str(error) or type(error).__name__
        raise InputError(f"does not answer: {problem}", field="endpoint", value=self.address)


def domain_tagger(endpoint: str | None, model: str) -> Tagger:
    """prediction and language of each document; by an endpoint's model, else by a local classifier's folder.

    A local classifier's labels must be among DOMAINS. Documents below 50 characters are incoherent, of
    unknown language. Equal documents of a block are asked about once.
    """
    classify_all = _by_endpoint(Endpoint(endpoint, model)) if endpoint is not None else _by_classifier(model)

    def tag(block: pl.DataFrame) -> pl.DataFrame:
        texts = block["text"].unique(maintain_order=True).to_list()
        known = dict(zip(texts, classify_all(texts), strict=True))
        predictions = pl.Series("prediction", [known[text] for text in block["text"]], dtype=pl.String)
        return language_tagger()(block).with_columns(predictions)

    return tag


def _by_endpoint(ask: Ask) -> Callable[[list[str]], list[str]]:
    def classify_all(texts: list[str]) -> list[str]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda text: classify(text, ask), texts))

    return classify_all


def _by_classifier(folder: str) -> Callable[[list[str]], list[str]]:
    from neuneu.taggers.classifiers import Classifier

    classifier = Classifier(folder)
    odd = [label for label in classifier.labels if label not in DOMAINS]
    if odd:
        rule = f"no domain; the labels must be among {', '.join(DOMAINS)}"
        raise InputError(rule, where=folder, field="label", value=odd[0])

    def classify_all(texts: list[str]) -> list[str]:
        long = [text for text in texts if len(text) >= SHORTEST]
        best = iter(classifier.scores(long).argmax(1).tolist() if long else [])
        return [classifier.labels[next(best)] if len(text) >= SHORTEST else "incoherent" for text in texts]

    return classify_all


def language_tagger() -> Tagger:
    """language: the likeliest code (en, zh, …) by CLD2 on the first 10,000 characters; unknown if it finds
    none, and for documents below 50 characters."""
    try:
        import pycld2
    except ImportError as error:
        raise MissingExtraError("pycld2", "taggers") from error

    def language(text: str) -> str:
        if len(text) < SHORTEST:
            return "unknown"
        printable = "".join(c if c.isprintable() or c.isspace() else " " for c in text[:10_000])
        try:
            code = pycld2.detect(printable)[2][0][1]
        except pycld2.error:
            return "unknown"
        return "unknown" if code == "un" else str(code)

    return lambda block: block.select(
        "id", pl.Series("language", [language(text) for text in block["text"]], dtype=pl.String)
    )


CHARACTERS_A_TOKEN = 3.5
"""Of the published estimate of tokens from characters."""


def estimate_cost(source: str | Path, price: float, *, limit: int | None = None) -> pl.DataFrame:
    """What tagging domains by an endpoint would cost: documents, asked (distinct, from 50 characters), and
    for the fewest (1 a document) and the most (5) questions: calls, tokens (in), dollars.

    price: dollars for a million tokens in; the answers, at most ten tokens each, are not counted. Nothing is
    sent.
    """
    if not 0 <= price < math.inf:
        raise InputError("must be a finite number from 0", field="price", value=price)
    documents, seen = 0, set()
    least = most = 0.0
    questions = [len(_instruction(question, answers)) for question, answers in STEPS]
    for block in read_blocks(source, limit=limit):
        documents += len(block)
        for text in block["text"]:
            if len(text) < SHORTEST or (mark := hash(text)) in seen:
                continue
            seen.add(mark)
            sent = min(len(text), LONGEST)
            least += (sent + questions[0]) / CHARACTERS_A_TOKEN
            most += (len(STEPS) * sent + sum(questions)) / CHARACTERS_A_TOKEN
    rows = [
        (name, documents, len(seen), calls * len(seen), round(tokens), tokens * price / 1e6)
        for name, calls, tokens in (("fewest", 1, least), ("most", len(STEPS), most))
    ]
    columns = ("questions", "documents", "asked", "calls", "tokens", "dollars")
    return pl.DataFrame(rows, schema=columns, orient="row")
