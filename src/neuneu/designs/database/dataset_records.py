"""What a pretraining data set is made of: domains in a taxonomy, their sizes, and what they add up to."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuneu.errors import InputError, offered
from neuneu.files import read_document

TAXONOMY: Mapping[str, Any] = {
    "web": {"social_media": {}, "news": {}, "blogs": {}, "forums": {}, "shopping": {}},
    "books": {"literary": {"fiction": {}, "nonfiction": {}}, "textbooks": {}},
    "reference": {"encyclopedic": {}, "dictionaries": {}, "textbooks": {}},
    "academic": {"sciences": {}, "humanities": {}, "patents": {}},
    "code": {"source_code": {}, "documentation": {}, "forums": {}},
    "media": {"podcasts": {}, "subtitles": {}},
    "specific_datasets": None,
}
"""The published taxonomy; below specific_datasets any topic is taken."""

SHARES = ("web", "code", "books", "reference", "academic")
"""The tops that a model's data is told by; media counts as reference, specific_datasets as none."""

_FIELDS = ("name", "doc_type", "tokens_billions", "documents", "data_size_gb")
_SIZES = _FIELDS[2:]
_PERCENT = tuple(f"percentage_{name}" for name in (*SHARES, "english"))
_KEYS = ("name", "reference", "domains", "total_tokens_billions", *_PERCENT)


@dataclass(frozen=True)
class Domain:
    """One part of a data set: its name, what it is (top/below/…, one or several), its size in tokens
    (10⁹, or any unit that all parts share)."""

    name: str
    doc_type: tuple[str, ...]
    tokens_billions: float | None = None
    documents: float | None = None
    data_size_gb: float | None = None


def check_type(path: str, where: str | Path | None = None) -> str:
    """The type itself, top/below/…; InputError where the taxonomy does not have it."""
    level: Any = TAXONOMY
    for depth, part in enumerate(path.split("/")):
        if level is None and depth == 1 and part:
            return path  # a topic
        if not level or part not in level:
            rule = "has nothing below it" if not level else "unknown" + offered(part, level)
            raise InputError(rule, where=where, field="doc_type", value=path)
        level = level[part]
    return path


def shares(domains: Sequence[Domain]) -> dict[str, float]:
    """Per cent of the tokens by SHARES; a domain of several tops counts in equal parts.

    What is in specific_datasets is of the whole, but in no share. Raises InputError where a domain's tokens
    are not known.
    """
    total = 0.0
    found = dict.fromkeys(SHARES, 0.0)
    for domain in domains:
        if domain.tokens_billions is None:
            raise InputError("needed for shares", field="tokens_billions", value=domain.name)
        total += domain.tokens_billions
        tops = list(
            dict.fromkeys(path.split("/")[0].replace("media", "reference") for path in domain.doc_type)
        )
        for top in tops:
            if top in found:
                found[top] += domain.tokens_billions / len(tops)
    return {name: round(100 * value / total, 6) for name, value in found.items()}


def record_template(name: str = "data-set") -> str:
    """A YAML file that describes a data set, to fill in, with the taxonomy beside it."""
    tree = "\n".join(f"#   {line}" for line in _tree(TAXONOMY))
    return (
        "# One data set. Leave out what you do not know; nothing is guessed.\n"
        f"name: {json.dumps(name)}\n"
        "reference:  # where this can be checked: a paper or data card\n"
        "total_tokens_billions:  # by default the sum of the domains\n"
        "percentage_english:  # of its natural language\n"
        "domains:\n"
        "  - name: pages\n"
        "    doc_type: [web/news, web/forums]  # from the taxonomy below; a top alone will do\n"
        "    tokens_billions: 100\n"
        "    documents:\n"
        "    data_size_gb:\n"
        f"# Taxonomy:\n{tree}\n"
    )


def _tree(level: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, below in level.items():
        lines.append(f"{name}/TOPIC" if below is None else name)
        lines += [f"{name}/{line}" for line in _tree(below or {})]
    return lines


def read_record(path: str | Path) -> dict[str, Any]:
    """A filled-in record (YAML), or a published dataset_metadata JSON → the published layout, checked.

    {"name", "reference", "domains": [{name, doc_type, tokens_billions, documents, data_size_gb}], "summary":
    {"total_tokens_billions", "percentage_*"}}. What the file itself says of tokens and shares stays; what it
    does not say is added up from the domains, where all their tokens are known. A domain that is a
    file_pointer stands for the domains of that file, beside this one. Raises InputError by domain and field.
    """
    path = Path(path)
    document = read_document(path)
    if not isinstance(document, dict):
        raise InputError("must be a mapping", where=path)
    if "summary" in document:
        document = _published(document, path)
    for key in document:
        if key not in _KEYS:
            rule = "unknown" + offered(key, _KEYS)
            raise InputError(rule, where=path, field=key)
    domains = read_domains(document.get("domains"), path)
    summary: dict[str, float] = {}
    known = [domain.tokens_billions for domain in domains if domain.tokens_billions is not None]
    if len(known) == len(domains):
        summary = {f"percentage_{name}": value for name, value in shares(domains).items()}
        summary["total_tokens_billions"] = sum(known)
    for key in _KEYS[3:]:
        if document.get(key) is not None:
            summary[key] = _number(document[key], key, path)
    if not summary.get("total_tokens_billions"):
        rule = "must be given, here or of every domain"
        raise InputError(rule, where=path, field="total_tokens_billions")
    return {
        "name": document.get("name") or path.stem,
        "reference": document.get("reference"),
        "domains": [_plain(domain) for domain in domains],
        "summary": summary,
    }


def _published(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A published record in the fields of a template."""
    summary = document["summary"]
    if not isinstance(summary, dict):
        raise InputError("must be a mapping", where=path, field="summary")
    found = {key: value for key, value in document.items() if key in ("name", "reference", "domains")}
    return found | {key: summary[key] for key in _KEYS[3:] if summary.get(key) is not None}


def read_domains(entries: Any, path: Path, depth: int = 0) -> list[Domain]:
    """The domains of a record; InputError where one breaks a rule or there is none.

    depth: how many file_pointers led here.
    """
    if not isinstance(entries, list) or not entries:
        raise InputError("must be a list of domains", where=path, field="domains")
    found = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}, domain {number}"
        if not isinstance(entry, dict):
            raise InputError("must be a mapping", where=where)
        if isinstance(entry.get("file_pointer"), str):
            found += _pointed(entry["file_pointer"], path, depth)
            continue
        for key in entry:
            if key not in (*_FIELDS, "feature_statistics"):
                rule = "unknown" + offered(key, _FIELDS)
                raise InputError(rule, where=where, field=key)
        name, types = entry.get("name"), entry.get("doc_type")
        if not isinstance(name, str) or not name:
            raise InputError("must be text", where=where, field="name", value=name)
        listed = [types] if isinstance(types, str) else types
        if not isinstance(listed, list) or not listed or not all(isinstance(t, str) for t in listed):
            raise InputError("must be a list of types", where=where, field="doc_type", value=types)
        sizes = {
            key: _number(entry[key], key, where) if entry.get(key) is not None else None for key in _SIZES
        }
        found.append(Domain(name, tuple(check_type(kind, where) for kind in _paths(listed)), **sizes))
    return found


MOST_POINTERS = 8
"""file_pointers that may follow each other; more are taken for a circle."""


def _pointed(pointer: str, path: Path, depth: int) -> list[Domain]:
    target = path.parent / Path(pointer).name
    if depth >= MOST_POINTERS:
        raise InputError("point to each other", where=path, field="file_pointer", value=pointer)
    document = read_document(target)
    if not isinstance(document, dict):
        raise InputError("must be a mapping", where=target)
    return read_domains(document.get("domains"), target, depth + 1)


def _paths(listed: Sequence[str]) -> list[str]:
    """Published lists are paths ([web, forums]): what is no top of the taxonomy goes below the one before."""
    found: list[str] = []
    for kind in listed:
        plain = kind.replace("academic_papers", "academic")
        if found and plain.split("/")[0] not in TAXONOMY:
            found[-1] = f"{found[-1]}/{plain}"
        else:
            found.append(plain)
    return found


def _plain(domain: Domain) -> dict[str, Any]:
    sizes = {key: getattr(domain, key) for key in _SIZES if getattr(domain, key) is not None}
    return {"name": domain.name, "doc_type": list(domain.doc_type), **sizes}


def _number(value: Any, field: str, where: str | Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InputError("must be a finite number from 0", where=where, field=field, value=value)
    return float(value)
