"""Forecasts for several clients at once: processes that keep their forecasters loaded.

They read only tables that a reader has written. A question about many curves never takes the last of them, so
that a small one need not wait for it. One that takes too much time or memory is replaced.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from neuneu.app.processes import Killable, Told, answer_of, attempt
from neuneu.app.read_pool import BusyError
from neuneu.errors import TooLargeError


def _processes() -> int:
    return max(2, min(4, os.cpu_count() or 2))


@dataclass(frozen=True)
class WorkLimits:
    """What forecasting may take. processes: how many work at once; waiting: questions that wait for one."""

    processes: int = field(default_factory=_processes)
    waiting: int = 64
    seconds: float = 120.0
    """Time for an answer: 6,600 curves need twenty."""
    memory: int = 640 * 2**20
    """Bytes that one may allocate beyond what it is forked with: 6,600 curves take 400 MB."""
    kept: int = 300 * 2**20
    """Bytes that one may hold when it has answered; beyond them a new one takes its place."""
    many: int = 600
    """Curves of a question that counts as large: a second's work."""


class ForecastWorkers:
    """Runs the jobs of `answering` in a few processes; see the module."""

    def __init__(self, limits: WorkLimits | None = None) -> None:
        self.limits = limits or WorkLimits()
        self._threads = ThreadPoolExecutor(self.limits.processes + 1, "worker")
        self._free: asyncio.Queue[Killable | None] = asyncio.Queue()
        for _ in range(self.limits.processes):
            self._free.put_nowait(None)  # begun when it is first asked
        self._large = asyncio.Semaphore(max(1, self.limits.processes - 1))
        self._asked = 0
        self._all: set[Killable] = set()
        self._starting: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin the processes before they are asked, each with the default forecaster loaded."""
        self._starting = [asyncio.create_task(self._warm()) for _ in range(self.limits.processes)]

    async def _warm(self) -> None:
        worker = await self._free.get()
        self._free.put_nowait(worker or await self._thread(self._begin))

    def stop(self) -> None:
        """End the processes."""
        for worker in self._all:
            worker.stop()
        self._all.clear()

    async def run(self, curves: int, job: str, *arguments: Any) -> Any:
        """What a job, by its name, returns; curves: how many it is about.

        Raises what the job raises (of NeuneuError), BusyError where too many wait, TooLargeError where it
        takes more time or memory than the limits.
        """
        if self._asked >= self.limits.processes + self.limits.waiting:
            raise BusyError
        self._asked += 1
        try:
            if curves <= self.limits.many:
                return await self._answer(job, arguments)
            async with self._large:
                return await self._answer(job, arguments)
        finally:
            self._asked -= 1

    async def _answer(self, job: str, arguments: Any) -> Any:
        worker = await self._free.get()
        try:
            worker, told = await asyncio.shield(self._thread(self._work, worker, job, arguments))
        except BaseException:
            worker = None  # it has been ended, or works on; the next question begins another
            raise
        finally:
            self._free.put_nowait(worker)
        return answer_of(told)

    async def _thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _begin(self) -> Killable:
        worker = Killable(_serve, self.limits.memory, None)
        self._all.add(worker)
        return worker

    def _end(self, worker: Killable) -> None:
        self._all.discard(worker)
        worker.stop()

    def _work(self, worker: Killable | None, job: str, arguments: Any) -> tuple[Killable | None, Told]:
        if worker is None or not worker.alive:
            worker = self._begin()
        try:
            worker.connection.send((job, arguments))
            told = worker.wait(self.limits.seconds)
            if told is None:
                rule = f"takes too long (more than {self.limits.seconds:g} s); choose fewer runs or tasks"
                raise TooLargeError(rule, where="the table")
        except BaseException:
            self._end(worker)
            raise
        if worker.held > self.limits.kept:
            self._end(worker)
            return None, told
        return worker, told


def _serve(connection: Connection) -> None:
    """A worker: answers what comes until the server has gone."""
    from neuneu.app.answering import JOBS, load_default
    from neuneu.files.apart import unpack_here

    unpack_here()  # what a reader has written
    load_default()
    while True:
        job, arguments = connection.recv()
        connection.send(attempt(partial(JOBS[job], *arguments)))
