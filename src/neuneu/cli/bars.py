"""Progress bars on stderr: count and time left of what takes longer than a second, where it is a terminal."""

import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuneu.progress import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

PATIENCE = 1.0
"""Seconds after which bars are shown: what is done before needs none."""


@contextmanager
def bars() -> "Iterator[None]":
    """Bars for all that is counted in the block, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    shown = Bars()
    try:
        with listening(shown):
            yield
    finally:
        shown.close()


@dataclass(eq=False)
class Work:
    """One thing within another that is being counted; bar: once it is shown."""

    what: str
    total: int | None
    done: int = 0
    now: str = ""
    began: float = field(default_factory=time.monotonic)
    bar: "TaskID | None" = None

    @property
    def left(self) -> str:
        """The time that the rest takes at the pace so far, `1:30 left`; empty where it cannot be told."""
        if not self.done or self.total is None:
            return ""
        seconds = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"


class Bars:
    """A bar for each thing that is being counted, the outermost first; gone when that ends."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.works: list[Work] = []
        self.progress: Progress | None = None
        self.timer: threading.Timer | None = None
        self.lock = threading.RLock()

    def begin(self, what: str, total: int | None) -> Work:
        """Another work begins, within those that have not ended."""
        work = Work(what, total)
        with self.lock:
            self.works.append(work)
            if len(self.works) == 1:
                self.timer = threading.Timer(self.patience, self._show)
                self.timer.daemon = True
                self.timer.start()
            self._draw(work)
        return work

    def at(self, work: Work, done: int, now: str) -> None:
        """So much of a work is done."""
        with self.lock:
            work.done, work.now = done, now
            self._draw(work)

    def end(self, work: Work) -> None:
        """A work has ended, and what was within it."""
        with self.lock:
            while work in self.works:
                last = self.works.pop()
                if self.progress is not None and last.bar is not None:
                    self.progress.remove_task(last.bar)
            if not self.works:
                self.close()

    def close(self) -> None:
        """Take the bars away."""
        with self.lock:
            if self.timer is not None:
                self.timer.cancel()
            if self.progress is not None:
                self.progress.stop()
            self.timer = self.progress = None

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        with self.lock:
            if not self.works:
                return
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[now]}"),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
            )
            self.progress.start()
            for work in self.works:
                self._draw(work)

    def _draw(self, work: Work) -> None:
        if self.progress is None:
            return
        if work.bar is None:
            work.bar = self.progress.add_task(work.what, total=work.total, now="", left="")
        self.progress.update(work.bar, completed=work.done, now=work.now, left=work.left)
