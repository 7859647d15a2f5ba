"""What the names of checkpoints say: steps, tokens, and what is left of a name without them.

Every rule is written down in docs/curves.md; `identity.py` puts what several names say together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from neuneu.errors import InputError

MAX_AMOUNT = 10**18
"""Steps and tokens stay below: more do not fit the 64 bits of the table."""

MAX_DIGITS = 100
"""Digits of a number in a name; converting more takes time."""

UNITS = {"k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
"""240k, 1.5M, 2B and 1.3T are numbers."""

_AMOUNT = r"\d+(?:\.\d+(?=[kmbt]))?"
_PLANS = r"max|total|warm[-_]?up|num|save|per|log|every|accum(?:ulation)?|grad|inner|planned|n|from|since"
"""Before a word for steps or tokens: a setting of the run, or where it began, not a place in it."""

_STEP = re.compile(
    rf"(?<![a-z0-9])(?:(?P<plan>{_PLANS})[-_ ]?)?"
    r"(?P<word>global[-_]?step|iteration|iter|step|(?:steps|iters|iterations)(?=[-_=: ])|updates?"
    r"|checkpoint|chkpt|ckpt|chck|ba)"
    rf"[-_=: ]{{0,2}}(?P<number>{_AMOUNT})(?P<unit>[km])?(?![0-9a-z])",
    re.IGNORECASE,
)
_STEP_AFTER = re.compile(
    rf"(?<![a-z0-9.])(?P<number>{_AMOUNT})(?P<unit>[km])?[-_ ]?"
    r"(?:global[-_]?)?(?:steps?|iters?|iterations?|updates?)(?![a-z0-9])(?![-_=: ]\d)",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    rf"(?<![a-z0-9])(?:(?P<plan>{_PLANS})[-_ ]?)?tok(?:en)?s?[-_=: ]?(?P<number>{_AMOUNT})(?P<unit>[kmbt])?"
    rf"(?![0-9a-z])|(?<![a-z0-9.])(?P<number2>{_AMOUNT})(?P<unit2>[kmbt])?[-_ ]?tok(?:en)?s?(?![a-z])",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    rf"[-_ ](?P<number>{_AMOUNT})(?P<unit>[mbt])(?:t|tok(?:en)?s?)?(?![0-9a-z])", re.IGNORECASE
)
"""Tokens right behind a step: step-240k-503b."""

_AMOUNT_ALONE = re.compile(
    rf"(?:[a-z]+[-_])?(?P<number>{_AMOUNT})(?P<unit>[mbt])(?:t|[-_ ]?tok(?:en)?s?)?", re.IGNORECASE
)
"""A whole revision that is an amount of tokens: 2B, 40BT, train_00220B, 1.3T."""

_PAIR = re.compile(
    r"(?<![a-z0-9])(?:checkpoint|ckpt)[-_](?P<epoch>\d{1,3})[-_](?P<number>\d+)(?![0-9a-z])", re.IGNORECASE
)
"""fairseq's checkpoint_EPOCH_UPDATE."""

_NOISE = re.compile(
    r"(?<![a-z0-9])(?:ep(?:och)?[-_=]?\d+|(?:mp_)?rank[-_]?\d+|(?:val[-_]?|train[-_]?|eval[-_]?)?loss[-_=][\d.]+\d"
    r"|(?:consumed[-_]?)?samples[-_=][\d.]+|epoch|hf|unsharded|last|final)(?![a-z0-9])",
    re.IGNORECASE,
)
"""What else tells a checkpoint: epochs, losses, samples seen."""

ENDINGS = re.compile(
    r"(?:\.(?:pt|pth|bin|safetensors|ckpt|nemo|gguf|msgpack|index|tar|distcp|json|jsonl|csv|tsv|parquet|yaml|yml|txt|log|gz|zst|npy))+$",
    re.IGNORECASE,
)
"""Endings of files; none is part of a name."""

PLAIN_WORDS = """
    actor backup bf16 ckpt ckpts checkpoint checkpoints consolidated convert converted critic data default
    dist eval evals evaluation evaluations exp experiment experiments export exported final fp16 fp32 global
    hf hfmodel home huggingface items iter iters last latest lmeval log logs lustre main master mnt model
    models mp opt optim out output outputs policy pretrain pretrained pytorch result results rng root run runs
    safetensors save saved saves scratch sharded snapshot snapshots states step steps storage temp tmp torch
    train trainer training unsharded users weights work workspace
"""
"""Words that name no run, whatever stands between them."""

_FINAL = re.compile(
    r"(?:(?:checkpoint|ckpt|model|step|iter)[-_]?)?(?:final|last|latest|main|master)", re.IGNORECASE
)
"""Revisions and names of a final checkpoint."""

_EDGES = "-_.=,+ "
_NUMBER = re.compile(rf"(?<![a-z0-9.])(?P<number>{_AMOUNT})(?P<unit>[kmbt])?(?![a-z0-9])", re.IGNORECASE)
_WHERE_STEPS_LIE = re.compile(r"(?:.*[-_.])?(?:checkpoints?|ckpts?|steps?|iters?)", re.IGNORECASE)
_QUALIFIER = re.compile(
    r"(?:(?:stage|phase|part|ingredient|seed|s|v|trial|fold|rank|round|cycle)[-_=]?\d*|\d+)"
    r"(?:[-_](?:stage|phase|part|ingredient|seed|soup)[-_]?\d*)*",
    re.IGNORECASE,
)
"""Names that say which part or repetition of a run: they stand behind the run's own."""


REMEMBERED = 2**14
"""Names whose reading is kept: the folders of a tree stand in the paths of all its files."""

MATCHED = "\ue000"
"""Stands in a name for what a pattern of the user matched there."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name (a folder, a file, a revision): the step and tokens it states, and the rest of it.

    own: whether it is the name of a checkpoint; rest: the name without steps, tokens and what else tells a
    checkpoint, "" where nothing telling is left.
    """

    own: bool
    step: int | None
    tokens: int | None
    rest: str


@lru_cache(REMEMBERED)
def read_name(text: str, *, revision: bool = False, words: bool = True) -> Name:
    """What a name says.

    revision: a whole revision may be an amount of tokens. words: whether words for steps count; where the
    user gives a pattern only MATCHED does.
    """
    text = ENDINGS.sub("", text)
    alone = _AMOUNT_ALONE.fullmatch(text) if revision else None
    if alone is not None:
        return Name(True, None, number(alone["number"], alone["unit"]), "")
    matched = re.search(MATCHED, text)
    steps = [found for found in _STEP.finditer(text) if not found["plan"]] if words else []
    found = matched or (_found_step(text, steps) if words else None)
    tokens, spans = _found_tokens(text, found)
    spans += [one.span() for one in (*steps, found) if one is not None]
    rest = _NOISE.sub(" ", _without(text, spans)) if spans else text
    rest = re.sub(r"[-_.=,+ ]*\s+[-_.=,+ ]*", "-", rest.strip(_EDGES)).strip(_EDGES)
    rest = "" if is_plain(rest) else rest
    if found is None:
        own = tokens is not None and (revision or not rest)
        return Name(own, None, tokens, rest) if own else Name(False, None, None, text)
    said = found.groupdict()
    return Name(True, number(said["number"], said.get("unit")) if said else None, tokens, rest)


@lru_cache(REMEMBERED)
def without_number(text: str, amounts: frozenset[int]) -> str:
    """A name without a number that is one of these: runA_1000 at step 1000 is runA."""
    if not amounts or _NUMBER.search(text) is None:
        return text
    for found in reversed(list(_NUMBER.finditer(text))):
        if number(found["number"], found["unit"]) in amounts:
            text = text[: found.start()] + " " + text[found.end() :]
    return re.sub(r"[-_.=,+ ]*\s+[-_.=,+ ]*", "-", text.strip(_EDGES)).strip(_EDGES)


def number(digits: str, unit: str | None = None) -> int:
    """240 and k → 240000; 1.3 and T → 1300000000000. Raises InputError beyond the table's 64 bits."""
    rule = "must be a whole number below 10^18"
    if len(digits) > MAX_DIGITS:
        raise InputError(rule, field="step", value=digits + (unit or ""))
    whole, _, part = digits.partition(".")
    scale = UNITS[unit.casefold()] if unit else 1
    found = int(whole) * scale + (int(part) * scale // 10 ** len(part) if part else 0)
    if found >= MAX_AMOUNT:
        raise InputError(rule, field="step", value=digits + (unit or ""))
    return found


@cache
def _plain_words() -> frozenset[str]:
    return frozenset(PLAIN_WORDS.split())


@lru_cache(REMEMBERED)
@lru_cache(REMEMBERED)
def is_plain(text: str) -> bool:
    """Whether a name tells no run: nothing but words like checkpoints, hf, output, actor."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"lm[-_]?(?:eval|harness)", "eval", text.casefold()))
    return all(word in _plain_words() or not word for word in words)


def is_final(text: str) -> bool:
    """Whether a revision or name says nothing but that the checkpoint is the final one."""
    return _FINAL.fullmatch(ENDINGS.sub("", text)) is not None


def only_noise(text: str) -> bool:
    """Whether a name says nothing of a run but what else tells a checkpoint: epoch3."""
    return not _NOISE.sub("", text).strip(_EDGES)


def is_qualifier(text: str) -> bool:
    """Whether a name only tells a part or repetition of a run: stage2, seed1, a bare number."""
    return _QUALIFIER.fullmatch(text) is not None


def holds_checkpoints(folder: str) -> bool:
    """Whether a folder is named for the checkpoints in it, so that a bare number below it is a step."""
    return _WHERE_STEPS_LIE.fullmatch(folder) is not None


def _found_step(text: str, found: Sequence[re.Match[str]]) -> re.Match[str] | None:
    """The last word for steps, else the last for checkpoints: ckpt-3-step-1000 is step 1000."""
    pairs = list(_PAIR.finditer(text))
    named = [one for one in found if re.match("global|iter|step|update|ba", one["word"], re.IGNORECASE)]
    best = pairs or named or list(found) or list(_STEP_AFTER.finditer(text))[:1]
    return best[-1] if best else None


def _found_tokens(text: str, step: re.Match[str] | None) -> tuple[int | None, list[tuple[int, int]]]:
    """Tokens by their word, or right behind the step."""
    for found in _TOKENS.finditer(text):
        digits, unit = found["number"] or found["number2"], found["unit"] or found["unit2"]
        if not found["plan"]:
            return number(digits, unit), [found.span()]
    behind = _BEHIND.match(text, step.end()) if step is not None else None
    if behind is not None:
        return number(behind["number"], behind["unit"]), [behind.span()]
    return None, []


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with a space for each span."""
    for start, stop in sorted(set(spans), reverse=True):
        text = text[:start] + " " + text[stop:]
    return text


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that the user gives for runs, steps or tokens.

    It has one group, or groups named run, step and tokens. Numbers may have a unit, in the group or right
    behind it: (\\d+)k on 240k is 240000. Raises InputError where it is none such.
    """

    option: str
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, option: str, text: str) -> "Pattern":
        """Compile what an option (run, step or tokens, each --…-pattern) gives."""
        field = f"{option}-pattern"
        try:
            compiled = re.compile(text)
        except re.error as error:
            raise InputError(f"not a regular expression: {error}", field=field, value=text) from error
        names = set(compiled.groupindex)
        if not (names and names <= {"run", "step", "tokens"}) and compiled.groups != 1:
            example = {"run": r"([^/]+)/step", "step": r"step(\d+)", "tokens": r"(\d+B)"}[option]
            rule = f"must have one group, like {example}, or groups named run, step or tokens"
            raise InputError(rule, field=field, value=text)
        return cls(option, compiled)

    def last(self, text: str) -> tuple[dict[str, str], tuple[int, int]] | None:
        """The last match: what its groups hold, units included, and its span with the unit."""
        every = list(self.pattern.finditer(text))
        if not every:
            return None
        found = every[-1]
        groups: list[str | int] = [*self.pattern.groupindex] or [1]
        said: dict[str, str] = {}
        end = found.end()
        for group in groups:
            value = found[group]
            if value is None:
                continue
            name = group if isinstance(group, str) else self.option
            behind = re.match(
                r"[kKmM](?![0-9A-Za-z])" if name == "step" else r"[kKmMbBtT](?![0-9A-Za-z])",
                text[found.end(group) :],
            )
            if name != "run" and behind and value[-1:].isdigit():
                value += behind[0]
                end = max(end, found.end(group) + 1)
            said[name] = value
        return said, (found.start(), end)

    def amount(self, text: str) -> int:
        """A matched number with or without a unit. Raises InputError where it is none."""
        found = re.fullmatch(
            r"(\d+)(?:\.0*)?|(\d+(?:\.\d+)?)([kmbgt])t?", text.strip().replace(",", ""), re.IGNORECASE
        )
        if found is None:
            field = f"{self.option}-pattern"
            raise InputError(f"matches {text!r}, which is no number", field=field, value=self.pattern.pattern)
        return int(found[1]) if found[1] else number(found[2], found[3])
