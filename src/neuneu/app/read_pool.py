"""Reading what others send: a process for each upload, so that a bad file holds up nobody.

An upload is read in a quick place; there are a few, and each is free again after half a second of work. What
takes longer is held until one of a few slow places is free, and goes on there, after all others. So an upload
that is read fast never waits long for those that are not, however many. All readers together stay within a
size: the one that holds most is ended where it is passed.
"""

import asyncio
import math
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from neuneu.app.processes import Killable, answer_of, attempt
from neuneu.errors import NeuneuError, TooLargeError


class BusyError(NeuneuError):
    """More is asked than the server takes on."""

    def __init__(self, why: str = "the server is busy") -> None:
        super().__init__(f"{why}; try again in a few seconds")


@dataclass(frozen=True)
class ReadLimits:
    """What reading may take. quick, slow: places; waiting: uploads that wait for a quick one; held: that wait
    for a slow one; memory: bytes of one reader; together: of all.
    """

    quick: int = 4
    quick_work: float = 0.5
    """Seconds of a processor in a quick place: an ordinary table takes a tenth."""
    quick_seconds: float = 5.0
    """Time in a quick place, whatever it is spent on."""
    slow: int = 2
    seconds: float = 10.0
    """Time in a slow place: the largest file that is taken needs two."""
    waiting: int = 64
    held: int = 8
    held_seconds: float = 30.0
    memory: int = 704 * 2**20
    """A table of a million rows takes 640 MB as CSV."""
    together: int = 704 * 2**20
    """With what the server and its forecasters hold, below a gigabyte."""


class Readers:
    """Runs the functions of `sent_files` in processes of their own; see the module."""

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self.limits = limits or ReadLimits()
        self._quick = asyncio.Semaphore(self.limits.quick)
        self._slow = asyncio.Semaphore(self.limits.slow)
        self._threads = ThreadPoolExecutor(self.limits.quick + self.limits.slow, "reader")
        self._asked = self._held = 0
        self._running: list[Killable] = []
        self._lock = threading.Lock()

    async def run(self, read: str, *arguments: Any) -> Any:
        """What a function of `sent_files`, by its name, returns in a process of its own.

        Raises what it raises (of NeuneuError); BusyError where too many wait, or too many take long;
        TooLargeError where it takes more time or memory than the limits.
        """
        limits = self.limits
        if self._asked >= limits.quick + limits.waiting:
            raise BusyError
        self._asked += 1
        process: Killable | None = None
        try:
            async with self._quick:
                process = await self._thread(self._start, read, arguments)
                told = await self._thread(self._wait, process, limits.quick_seconds, limits.quick_work)
            if told is None:
                await self._slow_place(process)
                try:
                    told = await self._thread(self._wait, process, limits.seconds, math.inf)
                finally:
                    self._slow.release()
            return answer_of(told) if told is not None else self._late(process)
        finally:
            self._asked -= 1
            if process is not None:
                await asyncio.shield(self._thread(self._stop, process))

    async def _slow_place(self, process: Killable) -> None:
        """Wait for a slow place; until then the process is held. Raises BusyError where too many wait."""
        if self._held >= self.limits.held:
            raise BusyError("this takes long to read, and so do others that wait")
        self._held += 1
        process.pause(on=True)
        try:
            await asyncio.wait_for(self._slow.acquire(), self.limits.held_seconds)
        except TimeoutError as error:
            raise BusyError("this takes long to read, and so do others that are being read") from error
        finally:
            self._held -= 1
            process.yield_to_others()
            process.pause(on=False)

    async def _thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _start(self, read: str, arguments: Any) -> Killable:
        seconds = self.limits.quick_seconds + self.limits.seconds
        process = Killable(_once, self.limits.memory, seconds, read, arguments)
        with self._lock:
            self._running.append(process)
        return process

    def _wait(self, process: Killable, seconds: float, busy: float) -> Any:
        return process.wait(seconds, lambda: self._check_together(process), busy)

    def _check_together(self, process: Killable) -> None:
        with self._lock:
            held = {id(one): one.held for one in self._running}
        if sum(held.values()) > self.limits.together and held.get(id(process), 0) == max(held.values()):
            raise TooLargeError("needs more memory than the server has left", where="the table")

    def _late(self, process: Killable) -> None:
        if process.lacks_memory:
            raise TooLargeError("needs more memory than a request may have", where="the table")
        rule = f"takes too long to read (more than {self.limits.seconds:g} s)"
        raise TooLargeError(rule, where="the table")

    def _stop(self, process: Killable) -> None:
        with self._lock:
            self._running.remove(process)
        process.stop()


def _once(connection: Connection, read: str, arguments: Any) -> None:
    """The process: the modules that read are loaded there, not in the server.

    What libraries print as they give up a bad file is not for the server's terminal.
    """
    from neuneu.app import sent_files
    from neuneu.files.apart import unpack_here

    unpack_here()
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  no file of a user
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    connection.send(attempt(lambda: getattr(sent_files, read)(*arguments)))
