"""What a document is about: a cascade of yes-or-no questions to any OpenAI-compatible endpoint."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import polars as pl

from neuneu.designs.taggers.counts import Tagger
from neuneu.errors import InputError

SHORTEST = 50
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
    words = [word.strip(" .,:;!?\"'`*").lower() for word in reply.split()]
    return next((word for word in words if word in answers), default or answers[0])


class Endpoint:
    """An OpenAI-compatible chat endpoint: temperature 0, at most 10 tokens, timeouts, retries with back-off.

    The key is read from NEUNEU_API_KEY, if set, at each call. Same questions are asked once.
    """

    def __init__(
        self, address: str, model: str, *, timeout: float = 60.0, retries: int = 4, pause: float = 1.0
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise InputError("must start with http:// or https://", field="endpoint", value=address)
        self.address = f"{address.rstrip('/')}/chat/completions"
        self.model, self.timeout, self.retries, self.pause = model, timeout, retries, pause
        self.calls = 0
        self._known: dict[tuple[str, str], str] = {}

    def __call__(self, instruction: str, document: str) -> str:
        """The answer to one question about one document; InputError where the endpoint keeps failing."""
        key = (instruction, document)
        if key not in self._known:
            self._known[key] = self._post(instruction, document)
        return self._known[key]

    def _post(self, instruction: str, document: str) -> str:
        messages = [
            {"role": "system", "content": instruction},
            {"role": "user", "content": f"Document: {document}"},
        ]
        body = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": 10}
        headers = {"Content-Type": "application/json"}
        if os.environ.get("NEUNEU_API_KEY"):
            headers["Authorization"] = f"Bearer {os.environ['NEUNEU_API_KEY']}"
        request = urllib.request.Request(self.address, json.dumps(body).encode(), headers)
        problem = ""
        for attempt in range(self.retries):
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
            time.sleep(self.pause * 2**attempt)
        raise InputError(f"does not answer: {problem}", field="endpoint", value=self.address)


def domain_tagger(endpoint: str, model: str) -> Tagger:
    """`prediction` a document, by an endpoint."""
    ask = Endpoint(endpoint, model)
    return lambda block: block.select(
        "id", pl.Series("prediction", [classify(text, ask) for text in block["text"]], dtype=pl.String)
    )
