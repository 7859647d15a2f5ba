"""What the footer of a Parquet file says of its columns, read without unpacking any of them.

The footer is a struct in Thrift's compact protocol, whose layout parquet-format (Apache) publishes. Only the
three numbers that tell how much the file unpacks to are read, and what its writer noted.
"""

import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuneu.errors import InputError, TooLargeError
from neuneu.files.reading import open_file

MAX_FOOTER = 16 * 2**20
"""Bytes of a footer: one of 10,000 row groups of ten columns has 10 MB, and reading it takes seconds."""

_MAGIC = b"PAR1"
_TAIL = 8
_MAX_DEPTH = 16
_ROWS, _GROUPS, _NOTES = 3, 4, 5
_CHUNKS = 1
_METADATA = 3
_PATH, _UNPACKED = 3, 6
"""Field numbers of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData."""


def read_footer(path: str | Path) -> tuple[int, dict[str, int]]:
    """Rows, and column → bytes of its pages once unpacked, of a Parquet file.

    Raises InputError where it is none.
    """
    with _facts_of(path) as facts:
        sizes: defaultdict[str, int] = defaultdict(int)
        for group in facts.get(_GROUPS, []):
            for chunk in group[_CHUNKS]:
                about = chunk[_METADATA]
                sizes[about[_PATH][0].decode()] += abs(about[_UNPACKED])
        return int(facts[_ROWS]), dict(sizes)


def read_note(path: str | Path, name: str) -> str | None:
    """What a Parquet file's own metadata say under this name; None where nothing. Raises as `read_footer`."""
    with _facts_of(path) as facts:
        notes = {note[1]: note.get(2, b"") for note in facts.get(_NOTES, [])}
        found = notes.get(name.encode())
        return None if found is None else found.decode()


@contextmanager
def _facts_of(path: str | Path) -> Iterator[dict[int, Any]]:
    """The fields of a footer; what goes wrong in the block is damage of it."""
    with open_file(path) as stream:
        size = stream.seek(0, 2)
        if size < _TAIL + len(_MAGIC):
            raise InputError("cannot be read as parquet: it is too short", where=path)
        stream.seek(size - _TAIL)
        length, magic = struct.unpack("<I4s", stream.read(_TAIL))
        if magic != _MAGIC or length > size - _TAIL:
            raise InputError("cannot be read as parquet: it does not end as one", where=path)
        if length > MAX_FOOTER:
            raise TooLargeError("has a footer of more than 16 MB", where=path)
        stream.seek(size - _TAIL - length)
        footer = stream.read(length)
    try:
        yield _read_struct(footer, 0, 0)[0]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError("cannot be read as parquet: its footer is damaged", where=path) from error


def _read_struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Field number → value of a struct that starts at `at`, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_int(data, at)
        fields[number], at = _read_value(data, at, head & 15, depth)
    return fields, at + 1


def _read_value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """A value of one of the protocol's types, and where it ends."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(f"type {kind} is not used in footers")
    return reader(data, at, depth + 1)


def _read_bytes(data: bytes, at: int, _depth: int) -> tuple[bytes, int]:
    length, at = _read_varint(data, at)
    if length > len(data) - at:
        raise ValueError("cut off")
    return data[at : at + length], at + length


def _read_list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = _read_varint(data, at)
    if count > len(data):
        raise ValueError("cut off")
    items = []
    for _ in range(count):
        if kind in (1, 2):
            item, at = data[at] == 1, at + 1
        else:
            item, at = _read_value(data, at, kind, depth)
        items.append(item)
    return items, at


def _read_int(data: bytes, at: int, _depth: int = 0) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


_READERS: dict[int, Callable[[bytes, int, int], tuple[Any, int]]] = {
    1: lambda _, at, __: (True, at),
    2: lambda _, at, __: (False, at),
    3: lambda data, at, _: (data[at], at + 1),
    **dict.fromkeys((4, 5, 6), _read_int),
    7: lambda data, at, _: (data[at : at + 8], at + 8),
    8: _read_bytes,
    **dict.fromkeys((9, 10), _read_list),
    12: _read_struct,
}
"""Type → reader: true, false, byte, whole numbers of 16, 32 and 64 bits, double, bytes, list, set, struct."""
