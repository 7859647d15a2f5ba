"""Processes that can be ended: forked with the libraries loaded, bounded in memory and processor time.

They are forked from one that has the libraries loaded, so that they begin in milliseconds. What one of them
takes ends with it, and the server can say why it ended: a limit of memory, of time, or a crash.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, Literal

from neuneu.errors import MissingExtraError, NeuneuError, TooLargeError

PRELOADED = ["neuneu.app.sent_files", "neuneu.app.answering"]
"""Modules that the process that others are forked from has loaded."""

GRACE = 1.0
"""Seconds for which a killed process is waited for."""

TICK = 0.1
"""Seconds between two looks at a process that works."""

NEAR_LIMIT = 0.7
"""A process that stands still, or runs out of time, with this share of its memory taken lacks memory: Polars
waits for ever where it gets no more."""

STILL_SECONDS = 2.0
"""A process near its limit that takes no processor time for so long stands still."""

CPU_SLACK = 5
"""Seconds of processor time beyond its time that a process may take: it is ended by the system where no
server is left to end it."""

LOW = 15
"""Priority of what takes long, as `nice` counts it."""

NO_MEMORY = 66
"""How a process ends that gets no more memory, where it is not ended for it."""

Told = tuple[Literal["limit", "done", "error", "failed"], Any]
"""What a process sends: its limit of memory, its answer, an error for people, or how it failed."""


@cache
def forks() -> ForkServerContext:
    """Where processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Killable:
    """A process that runs `target(connection, *arguments)` under limits; it sends `Told`.

    memory: bytes that it may allocate beyond what it is forked with.
    """

    def __init__(
        self, target: Callable[..., None], memory: int, seconds: float | None, *arguments: Any
    ) -> None:
        self.memory, self._limit = memory, 0
        self.connection, there = forks().Pipe()
        self._process = forks().Process(
            target=_bounded, args=(there, memory, seconds, target, arguments), daemon=True
        )
        self._process.start()
        there.close()
        self._busy, self._moved = 0.0, time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    @property
    def held(self) -> int:
        """Bytes of memory that are its own, 0 where that is not known."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            resident, shared = Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1:3]
            return (int(resident) - int(shared)) * os.sysconf("SC_PAGESIZE")
        return 0

    def wait(
        self, seconds: float, watch: Callable[[], None] | None = None, busy: float = math.inf
    ) -> Told | None:
        """What it says next; None where it says nothing for so long, or takes `busy` seconds of a processor.

        watch: called at each look.
        Raises TooLargeError where it ended, or stands still, for want of memory.
        """
        end = time.monotonic() + seconds
        self._moved = time.monotonic()
        while True:
            if self.connection.poll(max(0.0, min(TICK, end - time.monotonic()))):
                told = self._receive()
                if told[0] != "limit":
                    return told
                self._limit = told[1]
                continue
            if watch is not None:
                watch()
            if self._stands_still():
                raise lacks_memory()
            if time.monotonic() >= end or self._busy >= busy:
                return None

    def _receive(self) -> Told:
        try:
            told: Told = self.connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(GRACE)
            code = self._process.exitcode
            if code in (1, -signal.SIGSEGV, -signal.SIGBUS):
                raise NeuneuError("the table: what works on it came to an unexpected end") from error
            raise lacks_memory() from error
        return told

    @property
    def lacks_memory(self) -> bool:
        """Whether most of its memory is taken."""
        return self._limit > 0 and _data(self._process.pid) > self._limit - (1 - NEAR_LIMIT) * self.memory

    def _stands_still(self) -> bool:
        busy = _processor_time(self._process.pid)
        if busy != self._busy:
            self._busy, self._moved = busy, time.monotonic()
        return time.monotonic() - self._moved > STILL_SECONDS and self.lacks_memory

    def pause(self, *, on: bool) -> None:
        """Hold it where it is, or let it go on."""
        with contextlib.suppress(OSError):
            os.kill(self._process.pid or 0, signal.SIGSTOP if on else signal.SIGCONT)

    def yield_to_others(self) -> None:
        """Let it work only where no other process would."""
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid or 0, LOW)

    def stop(self) -> None:
        """End it."""
        self.connection.close()
        self._process.kill()
        self._process.join(GRACE)


def lacks_memory() -> TooLargeError:
    """The error of a table that needs more memory than it may have."""
    return TooLargeError("needs more memory than a request may have", where="the table")


def answer_of(told: Told) -> Any:
    """The answer that a process sends; raises the error that it sends."""
    kind, value = told
    if kind == "done":
        return value
    if kind == "error":
        raise value
    raise RuntimeError(f"a job failed: {value}")


def attempt(work: Callable[[], Any]) -> Told:
    """What a process tells of a piece of work. A want of memory ends the process."""
    try:
        return "done", work()
    except NeuneuError as error:
        return "error", _portable(error)
    except MemoryError:
        os._exit(NO_MEMORY)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"[:500]


def _portable(error: NeuneuError) -> NeuneuError:
    """An error that can be sent: an InputError's values may be anything, so only its words go."""
    kinds: tuple[type[NeuneuError], ...] = (TooLargeError, MissingExtraError)
    plain = TooLargeError if isinstance(error, kinds[0]) else NeuneuError
    return plain(str(error))


def _bounded(
    connection: Connection, memory: int, seconds: float | None, target: Callable[..., None], arguments: Any
) -> None:
    """The process: works under limits."""
    import polars as pl

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its processes itself
    pl.select(pl.lit(0))  # its threads begin before the limit: without them it would wait for ever
    connection.send(("limit", _limit(memory, seconds)))
    with contextlib.suppress(OSError, EOFError):  # the server has gone
        target(connection, *arguments)


def _limit(memory: int, seconds: float | None) -> int:
    """Bound what this process may allocate from now on, and write no core file when it fails.

    Returns the bytes that it may hold in all; 0 where the system has no such limits.
    """
    try:
        import resource
    except ImportError:
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if seconds is not None:
        most = int(seconds) + CPU_SLACK
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    with contextlib.suppress(OSError, ValueError):
        limit = _data(os.getpid()) + memory
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        return limit
    return 0


def _data(pid: int | None) -> int:
    """Bytes that a process has allocated, as RLIMIT_DATA counts them; 0 where that is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[5]) * os.sysconf("SC_PAGESIZE")
    return 0


def _processor_time(pid: int | None) -> float:
    """Seconds of a processor that a process has taken; 0 where that is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        after = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (float(after[11]) + float(after[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
