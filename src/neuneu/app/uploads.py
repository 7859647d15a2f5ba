"""Curve tables that come over the wire: how large they may be and how they are read."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, NeuneuError

MAX_UPLOAD = 32 * 2**20
MAX_ROWS = 2_000_000
ENDINGS = (".parquet", ".csv", ".json")


class TooLargeError(NeuneuError):
    """More than the server takes."""


async def read_body(stream: AsyncIterator[bytes], limit: int) -> bytes:
    """The body of a request. Raises TooLargeError as soon as it is longer than `limit` bytes."""
    parts, size = [], 0
    async for part in stream:
        size += len(part)
        if size > limit:
            raise TooLargeError(f"the upload is larger than {limit / 2**20:g} MB")
        parts.append(part)
    return b"".join(parts)


def read_upload(data: bytes, name: str) -> CurveTable:
    """The curve table in an upload, read by the ending of its name; errors speak of that name.

    The bytes rest in a temporary folder while they are read; nothing is kept.
    Raises InputError on anything that is not a curve table, TooLargeError on too many rows.
    """
    shown = Path(name.replace("\\", "/")).name or "upload"
    ending = Path(shown).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"must end in {', '.join(ENDINGS)}", field="name", value=shown)
    with TemporaryDirectory(prefix="neuneu-") as folder:
        path = Path(folder) / f"upload{ending}"
        path.write_bytes(data)
        try:
            _check_rows(path)
            table = CurveTable.read(path)
        except InputError as error:
            where = shown if error.where == path else error.where
            raise InputError(error.rule, where=where, field=error.field, value=error.value) from error
    if len(table) > MAX_ROWS:
        raise TooLargeError(f"the table has more than {MAX_ROWS:,} rows")
    return table


def _check_rows(path: Path) -> None:
    """Refuse a small Parquet file that unpacks into a huge table before it is unpacked."""
    if path.suffix != ".parquet":
        return
    try:
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError):
        return  # the reader of curve tables will say what is wrong with it
    if rows > MAX_ROWS:
        raise TooLargeError(f"the table has more than {MAX_ROWS:,} rows")
