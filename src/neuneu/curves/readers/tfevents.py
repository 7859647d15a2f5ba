"""TensorBoard's event files, read without TensorFlow: records with checksums, in each a protocol buffer.

A record is its length (8 bytes), the masked CRC-32C of these, the event, and the masked CRC-32C of it
(tensorflow/core/lib/io/record_writer.h). Of an event its step (field 2) and its summary (field 5) are read,
of a summary the values with a tag and one number: simple_value, or a tensor of one float or double.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from neuneu.errors import InputError
from neuneu.files import open_file

HEAD = struct.Struct("<QI")
CHECK = struct.Struct("<I")
MASK_DELTA = 0xA282EAD8
"""Added to a rotated checksum, so that the checksum of data that hold one is not itself."""

POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), reflected."""

MAX_EVENT = 2**20
"""Bytes of an event that may hold numbers: larger ones are images and histograms, and are passed over."""

VERSION = b"brain.Event:"
"""What the first event of a file says, before the number of its version."""

FLOAT, DOUBLE = 1, 2
"""Numbers of tensors: DT_FLOAT and DT_DOUBLE."""

STEP, SUMMARY, VALUE = 2, 5, 1
"""Fields of an event, and the values of its summary."""

TAG, SIMPLE_VALUE, TENSOR = 1, 2, 8
"""Fields of a value."""

KIND, CONTENT, FLOATS, DOUBLES = 1, 4, 5, 6
"""Fields of a tensor."""


class Scalar(NamedTuple):
    """A number that was logged under a tag at a step."""

    step: int
    tag: str
    value: float


def read_scalars(path: Path) -> Iterator[Scalar]:
    """The numbers of an event file, in the order logged.

    A last record that is cut short, as of a run that was killed or goes on, ends the file. Raises InputError
    where a checksum is wrong and where an event is no protocol buffer.
    """
    for number, event in enumerate(_records(path)):
        try:
            yield from _scalars(event)
        except (IndexError, ValueError, struct.error) as error:
            raise InputError("is no event", where=path, field=f"record {number}") from error


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as records keep it."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def _records(path: Path) -> Iterator[bytes]:
    with open_file(path) as stream:
        number = 0
        while len(head := stream.read(HEAD.size)) == HEAD.size:
            length, check = HEAD.unpack(head)
            if masked(crc32c(head[:8])) != check:
                raise InputError("the checksum of its length is wrong", where=path, field=f"record {number}")
            if length > MAX_EVENT:
                stream.seek(length + CHECK.size, 1)
            else:
                data = stream.read(length)
                tail = stream.read(CHECK.size)
                if len(tail) < CHECK.size:
                    return
                if masked(crc32c(data)) != CHECK.unpack(tail)[0]:
                    raise InputError("its checksum is wrong", where=path, field=f"record {number}")
                yield data
            number += 1


def _scalars(event: bytes) -> Iterator[Scalar]:
    step, summary = 0, b""
    for field, value in _fields(event):
        if field == STEP and isinstance(value, int):
            step = value
        elif field == SUMMARY and isinstance(value, bytes):
            summary = value
    for field, value in _fields(summary):
        if field != VALUE or not isinstance(value, bytes):
            continue
        parts = dict(_fields(value))
        tag, simple, tensor = parts.get(TAG), parts.get(SIMPLE_VALUE), parts.get(TENSOR)
        number = _number(simple, FLOAT) if isinstance(simple, bytes) else None
        if isinstance(tensor, bytes):
            number = _tensor_number(tensor)
        if isinstance(tag, bytes) and number is not None:
            yield Scalar(step, tag.decode("utf-8"), number)


def _tensor_number(tensor: bytes) -> float | None:
    """The one number of a tensor of floats or doubles; None of another."""
    parts = dict(_fields(tensor))
    kind = parts.get(KIND)
    if kind not in (FLOAT, DOUBLE):
        return None
    content = parts.get(CONTENT) or parts.get(FLOATS if kind == FLOAT else DOUBLES)
    return _number(content, kind) if isinstance(content, bytes) else None


def _number(data: bytes, kind: int) -> float | None:
    layout = "<f" if kind == FLOAT else "<d"
    return float(struct.unpack(layout, data)[0]) if len(data) == struct.calcsize(layout) else None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers of varints, bytes of everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            number, at = _varint(data, at)
            yield field, number
            continue
        size = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            size, at = _varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError("no such field")
        yield field, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")
