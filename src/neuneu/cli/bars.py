"""Progress on stderr: count, per cent and time left of what takes longer than a second.

On a terminal one line that is drawn again and again and leaves no trace; in a pipe or a file a plain line now
and then.
"""

import math
import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neuneu.errors import one_line
from neuneu.progress import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.live import Live
    from rich.text import Text

PATIENCE = 1.0
"""Seconds after which a terminal shows how far the work is: what is done before needs no word."""

FIRST_LINE, MOST_APART = 10.0, 600.0
"""Seconds before the first line in a pipe, and between two lines at most; each wait is twice the one before,
so that a minute has three lines and a night some sixty."""

DRAWN = 4
"""Times a second that the line on a terminal is drawn: often enough to look alive."""

BAR = 10
"""Characters of the bar."""


@contextmanager
def bars() -> "Iterator[None]":
    """What is counted in the block is told on stderr; of processes that torchrun started, by the first."""
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    shown = Bars() if sys.stderr.isatty() else Lines()
    try:
        with listening(shown):
            yield
    finally:
        shown.close()


@dataclass(eq=False)
class Work:
    """One thing within another that is being counted. before: how much was done when it was first told."""

    what: str
    total: int | None
    done: int = 0
    now: str = ""
    before: int | None = None

    def at(self, done: int, now: str) -> None:
        """So much is done."""
        self.done, self.now = done, now
        if self.before is None:
            self.before = done

    def share(self, within: float) -> float:
        """How much of what this call has to do is done, 0 to 1. within: how much of the one at work."""
        rest = (self.total or 0) - (self.before or 0)
        return min(1.0, (self.done - (self.before or 0) + within) / rest) if rest > 0 else 0.0

    def __str__(self) -> str:
        count = f"{self.done:,}/{self.total:,}" if self.total is not None else f"{self.done:,}"
        return one_line(f"{self.what} {count}{f' ({self.now})' if self.now else ''}")


@dataclass
class Works:
    """All that is being counted, the outermost first. began: when that began; most: its greatest share."""

    stack: list[Work] = field(default_factory=list)
    began: float = 0.0
    most: float = 0.0

    def begin(self, what: str, total: int | None) -> Work:
        """Another work begins, within those that have not ended."""
        if not self.stack:
            self.began, self.most = time.monotonic(), 0.0
        self.stack.append(Work(what, total))
        return self.stack[-1]

    def end(self, work: Work) -> None:
        """A work has ended, and what was within it."""
        while work in self.stack:
            self.stack.pop()

    def share(self) -> float | None:
        """How much of the whole is done, 0 to 1, never less than before; None where it cannot be told."""
        if not self.stack or self.stack[0].total is None:
            return None
        within = 0.0
        for work in reversed(self.stack):
            within = work.share(within)
        self.most = max(self.most, within)
        return self.most

    def left(self) -> str:
        """The time that the rest takes at the pace so far, `1:30 left`; empty where it cannot be told."""
        share = self.share()
        if not share:
            return ""
        seconds = (time.monotonic() - self.began) * (1 - share) / share
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"

    def per_cent(self) -> str:
        """`45 %`, or nothing where it cannot be told."""
        share = self.share()
        return "" if share is None else f"{math.floor(100 * share)} %"


class Bars:
    """One line on a terminal, gone when the work is done."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.works = Works()
        self.live: Live | None = None
        self.timer: threading.Timer | None = None
        self.lock = threading.RLock()

    def begin(self, what: str, total: int | None) -> Work:
        """Another work begins, within those that have not ended."""
        with self.lock:
            if not self.works.stack:
                self.timer = threading.Timer(self.patience, self._show)
                self.timer.daemon = True
                self.timer.start()
            return self.works.begin(what, total)

    def at(self, work: Work, done: int, now: str) -> None:
        """So much of a work is done."""
        work.at(done, now)

    def end(self, work: Work) -> None:
        """A work has ended, and what was within it."""
        with self.lock:
            self.works.end(work)
            if not self.works.stack:
                self.close()

    def close(self) -> None:
        """Take the line away."""
        with self.lock:
            live, self.live = self.live, None
            if self.timer is not None:
                self.timer.cancel()
            self.timer = None
        if live is not None:  # outside the lock: the thread that draws takes it, and is waited for
            live.stop()

    def line(self, width: int) -> "Text":
        """How far the work is, in one line: names may be cut, per cent and time left are not."""
        from rich.text import Text

        with self.lock:
            counts = " · ".join(map(str, self.works.stack))
            share, left = self.works.share(), self.works.left()
        end = "" if share is None else f" {_bar(share)} {self.works.per_cent()} {left}".rstrip()
        room = max(width - 1 - len(end), BAR)
        return Text((counts if len(counts) <= room else f"{counts[: room - 1]}…") + end, no_wrap=True)

    def _show(self) -> None:
        from rich.console import Console
        from rich.live import Live

        with self.lock:
            if not self.works.stack or self.live is not None:
                return
            console = Console(stderr=True)
            self.live = Live(
                get_renderable=lambda: self.line(console.width),
                console=console,
                transient=True,
                refresh_per_second=DRAWN,
                redirect_stdout=False,
            )
            self.live.start(refresh=True)


def _bar(share: float) -> str:
    filled = round(share * BAR)
    return "━" * filled + "─" * (BAR - filled)


class Lines:
    """A plain line now and then, for a pipe or a file: nothing for what is done in seconds."""

    def __init__(self, first: float = FIRST_LINE) -> None:
        self.works, self.first = Works(), first
        self.wait, self.last = first, 0.0

    def begin(self, what: str, total: int | None) -> Work:
        """Another work begins, within those that have not ended."""
        if not self.works.stack:
            self.wait, self.last = self.first, time.monotonic()
        return self.works.begin(what, total)

    def at(self, work: Work, done: int, now: str) -> None:
        """So much of a work is done."""
        work.at(done, now)
        if time.monotonic() - self.last < self.wait:
            return
        self.last, self.wait = time.monotonic(), min(2 * self.wait, MOST_APART)
        told = [", ".join(map(str, self.works.stack)), self.works.per_cent(), self.works.left()]
        sys.stderr.write(", ".join(filter(None, told)) + "\n")

    def end(self, work: Work) -> None:
        """A work has ended, and what was within it."""
        self.works.end(work)

    def close(self) -> None:
        """Nothing is open."""
