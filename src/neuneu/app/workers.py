"""A process of its own for each request: what it takes in time and memory ends with it, and only it.

Processes are forked from one that has the libraries loaded, so that they begin in milliseconds; a request
that asks for too much is killed, and no other notices. So many run at once, so many wait; the rest is told
that the server is busy.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import polars as pl

from neuneu.errors import NeuneuError, TooLargeError

AT_ONCE = 3
"""Requests that are worked on at the same time: one bad file of a kind that takes its whole time to read
leaves room for two others."""

WAITING = 64
"""Requests that wait for their turn, at most."""

MEMORY = 512 * 2**20
"""Bytes that a process may allocate beyond what it is forked with: 2,400 curves, which is much for a page,
take 400 MB with the largest forecaster, an ordinary table 150. So all together stay under two gigabytes."""

READ_SECONDS = 10.0
"""Time to read a file: the largest that is taken needs two."""

WORK_SECONDS = 120.0
"""Time to forecast: 5,000 curves need forty."""

_PRELOADED = ["neuneu.app.asking"]
_GRACE = 1.0
"""Seconds between asking a process to end and killing it."""


class BusyError(NeuneuError):
    """More requests wait than the server keeps."""

    def __init__(self) -> None:
        super().__init__("the server is busy; try again in a few seconds")


Job = Callable[..., bytes]
"""Takes `done_reading`, to be called once the input is read, and the arguments; gives the answer's bytes."""


@dataclass(frozen=True)
class Limits:
    """What a request may take."""

    at_once: int = AT_ONCE
    waiting: int = WAITING
    memory: int = MEMORY
    read_seconds: float = READ_SECONDS
    work_seconds: float = WORK_SECONDS


class RequestWorkers:
    """Runs jobs in processes of their own; see the module."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)
        self._threads = ThreadPoolExecutor(self.limits.at_once, "worker")
        self._asked = 0

    async def run(self, job: Job, *arguments: Any) -> bytes:
        """What `job(done_reading, *arguments)` returns in a process of its own.

        Raises what the job raises (of NeuneuError), BusyError where too many wait, TooLargeError where it
        takes more time or memory than the limits.
        """
        if self._asked >= self.limits.at_once + self.limits.waiting:
            raise BusyError
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._run_process, job, arguments
            )
        finally:
            self._asked -= 1

    def _run_process(self, job: Job, arguments: tuple[Any, ...]) -> bytes:
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work, args=(there, self.limits.memory, job, arguments), daemon=True
        )
        process.start()
        there.close()
        try:
            return self._answer(here)
        finally:
            here.close()
            process.kill()
            process.join(_GRACE)

    def _answer(self, connection: Connection) -> bytes:
        if _receive(connection, self.limits.read_seconds, "takes too long to read") == b"read":
            rule = "takes too long; choose fewer runs or tasks"
            return _receive(connection, self.limits.work_seconds, rule)
        raise RuntimeError("a job must say when it has read its input")


def _receive(connection: Connection, seconds: float, late: str) -> bytes:
    """The next message of a job: its bytes, or the error that it raised."""
    if not connection.poll(seconds):
        raise TooLargeError(f"{late} (more than {seconds:g} s)", where="the table")
    try:
        message = connection.recv()
    except EOFError as error:
        raise TooLargeError("needs more memory than a request may have", where="the table") from error
    if isinstance(message, bytes):
        return message
    if isinstance(message, NeuneuError):
        raise message
    raise RuntimeError(f"a job failed: {message}")


def _work(connection: Connection, memory: int, job: Job, arguments: tuple[Any, ...]) -> None:
    """The process: works under limits and sends bytes or an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its processes itself
    pl.select(pl.lit(0))  # its threads begin before the limit: without them it would wait for ever
    _limit(memory)
    try:
        answer = job(lambda: connection.send(b"read"), *arguments)
        connection.send(answer)
    except NeuneuError as error:
        with contextlib.suppress(OSError):
            connection.send(_portable(error))
    except MemoryError:
        os._exit(1)  # the server says so of a connection that ends
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}"[:500])
        raise


def _portable(error: NeuneuError) -> NeuneuError:
    """An error that can be sent: an InputError's values may be anything, so only its words go."""
    plain = TooLargeError if isinstance(error, TooLargeError) else NeuneuError
    return plain(str(error))


def _limit(memory: int) -> None:
    """Bound what this process may allocate from now on, and write no core file when it fails."""
    try:
        import resource
    except ImportError:  # no such limits on this system
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  no file of a user
            held = int(file.read().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))
