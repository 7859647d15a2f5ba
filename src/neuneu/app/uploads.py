"""Bodies that come over the wire: how large and how slow they may be."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from neuneu.errors import InputError, NeuneuError, TooLargeError

MAX_UPLOAD = 64 * 2**20
"""Bytes of a body: a folder of two thousand result files."""

BODY_SECONDS = 30.0
"""Time for a whole body: at the limit of size, 2.1 MB a second."""

AT_REST = 512 * 2**20
"""Bytes of all bodies that are on their way or wait, on disk."""

DISCARD_SECONDS = 1.0
"""Time for which a body that is refused is still taken and thrown away, so that its sender hears why."""


class SlowError(NeuneuError):
    """A body that takes too long to come."""


class Receiver:
    """Takes bodies to disk: each within a size and a time, all together within a size."""

    def __init__(
        self, limit: int = MAX_UPLOAD, *, seconds: float = BODY_SECONDS, at_rest: int = AT_REST
    ) -> None:
        self.limit, self.seconds, self.at_rest = limit, seconds, at_rest
        self._held = 0

    async def receive(self, headers: Mapping[str, str], stream: AsyncIterator[bytes], path: Path) -> int:
        """Write a body to `path`; the bytes it has. `release` them once the file is gone.

        Raises TooLargeError by the header, before a byte is read, and as soon as more has come than may;
        SlowError where it takes too long; InputError where its length is no number.
        """
        end = time.monotonic() + self.seconds
        declared = headers.get("content-length", "0")
        if not (declared.isdecimal() and declared.isascii()):
            raise InputError("must be a whole number", field="Content-Length", value=declared)
        size = 0
        try:
            if len(declared) > _DIGITS or int(declared) > self.limit:
                raise self._too_large()
            with path.open("wb") as file:
                async for part in _until(stream, end):
                    size += len(part)
                    self._held += len(part)
                    if size > self.limit:
                        raise self._too_large()
                    if self._held > self.at_rest:
                        raise TooLargeError("the server holds too many uploads now; try again later")
                    file.write(part)
        except NeuneuError as error:
            self.release(size)
            if isinstance(error, TooLargeError):
                await _discard(stream)
            raise
        except BaseException:
            self.release(size)
            raise
        return size

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"the upload is larger than {self.limit / 2**20:g} MB")

    def release(self, size: int) -> None:
        """Say that so many bytes are gone from disk."""
        self._held -= size


_DIGITS = 18
"""Digits of a length that can be: Python takes its time to read thousands."""


async def _until(stream: AsyncIterator[bytes], end: float) -> AsyncIterator[bytes]:
    """The parts of a body until a time of the monotonic clock; then SlowError."""
    parts = aiter(stream)
    while True:
        try:
            yield await asyncio.wait_for(anext(parts), end - time.monotonic())
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise SlowError("the upload takes too long to come") from error


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Throw away what comes, for a moment: a sender that is cut off does not hear why."""
    try:
        async for _ in _until(stream, time.monotonic() + DISCARD_SECONDS):
            pass
    except SlowError:
        return
