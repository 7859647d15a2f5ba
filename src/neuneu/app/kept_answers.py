"""Answers that were given, kept for those who ask the same of the same table: the same bytes."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable

AT_REST = 64 * 2**20
"""Bytes of all answers that are kept, packed."""

LARGEST = 0.25
"""Share of them that one answer may take; a larger one is not kept."""

LEVEL = 5
"""Of gzip: a report of 600 kB in 20 ms, to a fifth."""


class Views:
    """Answers by question, packed with gzip. One that is being made is made once for all who ask."""

    def __init__(self, at_rest: int = AT_REST) -> None:
        self.at_rest = at_rest
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._making: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, question: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The packed answer to a question; `make` gives its bytes where it is not kept, or raises.

        Who asks may leave: the answer is made for the others, and for the next.
        """
        if question in self._kept:
            self._kept.move_to_end(question)
            return self._kept[question]
        if question not in self._making:
            task = asyncio.create_task(self._make(question, make))
            self._making[question] = task
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._making[question])

    async def _make(self, question: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            packed = await asyncio.to_thread(_pack, await make())
        finally:
            del self._making[question]
        if len(packed) <= LARGEST * self.at_rest:
            self._kept[question] = packed
            self._size += len(packed)
            while self._size > self.at_rest:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped)
        return packed


def _pack(answer: bytes) -> bytes:
    return gzip.compress(answer, LEVEL, mtime=0)


def unpack(packed: bytes) -> bytes:
    """The answer itself, for those who do not take gzip."""
    return gzip.decompress(packed)
