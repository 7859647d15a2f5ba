"""JSON lines as a frame of text, so that they go the same way as CSV."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError
from neuneu.files import read_json_lines

DEPTH = 4
"""How deep objects in objects are taken apart: an evaluation's own are two or three deep."""


def read_lines(path: Path) -> pl.DataFrame:
    """A row a line, a column a name; objects in objects are taken apart, their names joined by /.

    Raises InputError where the file is no UTF-8 and where a line is no JSON object.
    """
    return text_frame([flat(row) for row in parse_lines(path)])


def text_frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """A row an object, a column a name, every cell as text; what an object lacks is null."""
    names: Iterable[str] = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame({name: [_text(row.get(name)) for row in rows] for name in names})


def parse_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; empty lines are none."""
    rows = []
    for where, row in read_json_lines(path):
        if not isinstance(row, dict):
            raise InputError("each line must be an object", where=where)
        rows.append(row)
    return rows


def flat(row: dict[str, Any], depth: int = DEPTH) -> dict[str, Any]:
    """An object whose values are no objects: {"hellaswag": {"acc": 1}} → {"hellaswag/acc": 1}."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and depth:
            found |= {f"{name}/{inner}": item for inner, item in flat(value, depth - 1).items()}
        else:
            found[name] = value
    return found


def _text(value: object) -> str | None:
    """A number as text that reads back as the same number; anything else as it is."""
    return None if value is None else value if isinstance(value, str) else repr(value)
