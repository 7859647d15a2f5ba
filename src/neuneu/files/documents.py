"""Parsed documents: JSON, JSON lines and YAML, strictly, within bounds, and checked against a schema."""

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from neuneu.errors import InputError
from neuneu.files.reading import MAX_DOCUMENT, ZSTD_WINDOW, read_lines, read_text

MAX_DEPTH = 64
"""Levels of a document: the deepest harness file seen has nine, and functions that walk one recurse."""

MAX_YAML = 512 * 2**10
"""Bytes of a YAML file: they are written by hand, and parsing takes seconds a megabyte."""

NOT_JSON = "not JSON"
"""How the rule of a document begins that is no JSON at all."""

_MARK = "\ufeff"
"""The byte order mark that some editors put before a text."""

_WHOLE = 2**63
"""Whole numbers below fit the 64 bits that tables hold; a larger one is a float, as in JavaScript."""

_SAFE_DIGITS = 18
"""Characters of a whole number that cannot reach _WHOLE."""

_MAX_DIGITS = 300
"""Characters of a whole number in YAML: a float holds 308 digits."""

T = TypeVar("T")


def read_json(path: str | Path, limit: int = MAX_DOCUMENT) -> Any:
    """Parse a JSON file strictly.

    Raises InputError on syntax errors, duplicate keys, numbers that overflow a float, nesting beyond
    MAX_DEPTH and text that is not Unicode (half a surrogate pair). Whole numbers beyond 64 bits become
    floats, so that a field of whole numbers refuses them.
    """
    return parse_json(read_text(path, limit), path)


def read_object(path: str | Path) -> dict[str, Any]:
    """A JSON file that holds one object. Raises as `read_json`, and InputError on anything else."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise InputError("must be a JSON object", where=path)
    return document


def parse_json(text: str, where: str | Path) -> Any:
    """Parse JSON text strictly; `where` names it in errors, which are those of `read_json`."""
    _strict.overflows.clear()
    try:
        document = _strict.decoder.decode(text.removeprefix(_MARK))
    except InputError as error:
        raise InputError(error.rule, where=where, field=error.field, value=error.value) from error
    except RecursionError as error:
        raise InputError("nested too deep", where=where) from error
    except json.JSONDecodeError as error:
        raise InputError(f"{NOT_JSON}: {error.msg} (line {error.lineno})", where=where) from error
    except ValueError as error:
        raise InputError(f"{NOT_JSON}: {error}", where=where) from error
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(document, where)
    if _strict.overflows:
        _check_numbers(document, where)
    if "\\ud" in text or "\\uD" in text:
        _check_unicode(document, where)
    return document


def read_json_lines(
    path: str | Path, *, window: int = ZSTD_WINDOW, at: Callable[[int], None] | None = None
) -> Iterator[tuple[str, Any]]:
    """Place ("file:line") and document of each line that is not blank, as `read_lines` gives them."""
    for number, line in read_lines(path, window=window, at=at):
        where = f"{path}:{number}"
        yield where, parse_json(line, where)


def read_yaml(path: str | Path) -> Any:
    """Parse a YAML file of plain values; dates stay text.

    Raises InputError on aliases, tags, keys that are no text or are given twice, numbers that overflow,
    nesting beyond MAX_DEPTH, and TooLargeError beyond MAX_YAML bytes. The one reader of YAML.
    """
    return parse_yaml(read_text(path, MAX_YAML), path)


def parse_yaml(text: str, where: str | Path) -> Any:
    """Parse YAML text; `where` names it in errors, which are those of `read_yaml`."""
    text = text.removeprefix(_MARK)
    try:
        _check_events(text, where)
        document = yaml.load(text, Loader=_PlainLoader)
    except InputError as error:
        raise InputError(error.rule, where=where, field=error.field, value=error.value) from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = "" if line is None else f" (line {line + 1})"
        told = [getattr(error, name, None) for name in ("context", "problem")]
        reason = " ".join(filter(None, told)) or str(error).splitlines()[0]
        raise InputError(f"not YAML: {reason}{place}", where=where) from error
    _check_unicode(document, where)
    return document


def read_document(path: str | Path) -> Any:
    """Parse a file as JSON where its name ends in .json, else as YAML."""
    return read_json(path) if Path(path).suffix.lower() == ".json" else read_yaml(path)


def check_document(schema: type[T], document: Any, where: str | Path | None = None) -> T:
    """The document as `schema` (a pydantic model or any type), or InputError on the first rule it breaks."""
    try:
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            return schema.model_validate(document)
        return TypeAdapter(schema).validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        value = first["input"]
        hidden = first["type"] in ("missing", "value_error") and isinstance(value, dict)
        raise InputError(
            _RULES.get(first["type"]) or first["msg"].removeprefix("Value error, "),
            where=where,
            field=".".join(map(str, first["loc"])) or "document",
            value=None if hidden else value,
        ) from error
    except RecursionError as error:
        raise InputError("nested too deep", where=where) from error


_RULES = {
    "dict_type": "must be an object", "model_type": "must be an object", "list_type": "must be a list",
    "int_type": "must be a whole number", "float_type": "must be a number", "string_type": "must be text",
    "bool_type": "must be true or false",
}  # fmt: skip
"""pydantic's kinds of errors whose own words speak of Python."""


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML that refuses a key given twice; dates stay text, whole numbers stay within 64 bits."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise InputError("keys must be text", field="key", value=key)
        if key in found:
            raise InputError("must not be given twice", field="key", value=key)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _yaml_int(loader: Any, node: yaml.ScalarNode) -> int | float:
    if len(str(node.value)) > _MAX_DIGITS:
        raise InputError("must be a finite number", field="number", value=node.value)
    whole: int = yaml.SafeLoader.construct_yaml_int(loader, node)
    return whole if abs(whole) < _WHOLE else float(whole)


_PlainLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_PlainLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: str(node.value))
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _yaml_int)


def _check_events(text: str, where: str | Path) -> None:
    """Refuse aliases, tags and depth from the events, before anything is built of them."""
    depth = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise InputError("must not use YAML aliases (*)", where=where)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise InputError("must not use YAML tags (!)", where=where, field="tag", value=tag)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise InputError("nested too deep", where=where)


def _check_depth(document: Any, where: str | Path) -> None:
    level, depth = [document], 0
    while level:
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError("nested too deep", where=where)


def _check_unicode(document: Any, where: str | Path) -> None:
    try:
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise InputError("holds half a surrogate pair, which is no character", where=where) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [key for key, _ in pairs]
        raise InputError("must not be given twice", field="key", value=Counter(names).most_common(1)[0][0])
    return document


class _Overflow(float):
    """A number beyond what a float holds, until its field is known."""

    text: str


class _StrictParser(threading.local):
    """A thread's parser of JSON, made once, and the numbers of the last text that overflow."""

    def __init__(self) -> None:
        self.overflows: list[_Overflow] = []
        self.decoder = json.JSONDecoder(
            object_pairs_hook=_unique_keys, parse_float=self._float, parse_int=self._int
        )

    def _float(self, digits: str) -> float:
        value = _number(digits)
        if isinstance(value, _Overflow):
            self.overflows.append(value)
        return value

    def _int(self, digits: str) -> int | float:
        return int(digits) if len(digits) <= _SAFE_DIGITS else _long_whole(digits, self._float)


_strict = _StrictParser()


def _number(text: str) -> float:
    number = float(text)
    if not math.isinf(number):
        return number
    overflow = _Overflow(number)
    overflow.text = text
    return overflow


def _long_whole(text: str, number: Callable[[str], float]) -> int | float:
    """A whole number of many digits: beyond 64 bits a float."""
    value = number(text)
    return value if abs(value) >= _WHOLE else int(text)


def _check_numbers(document: Any, where: str | Path) -> None:
    """InputError naming the field of the first number that overflows."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, _Overflow):
            raise InputError("must be a finite number", where=where, field=name or "number", value=value.text)
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += reversed([(f"{name}.{key}" if name else str(key), item) for key, item in items])
