"""How far long work has come: told by whoever does it, heard by whoever asked for it.

Rooms wrap what takes long in `counted`, or tell `counting` where they are; nothing is printed and nothing is
passed along. The command line listens (`neuneu.cli.bars`); where nobody does, this costs nothing.
"""

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Tell(Protocol):
    """Takes how many are done, and a word on the one that is worked on."""

    def __call__(self, done: int, now: str = "") -> None:
        """done: how many of all, not since the last call."""


class Listener(Protocol):
    """Hears of work within work."""

    def begin(self, what: str, total: int | None) -> Any:
        """Work begins; returns what it is called from now on.

        what: the things that are counted, `curves`; total: how many, where that is known.
        """

    def at(self, work: Any, done: int, now: str) -> None:
        """So many things of a work are done. now: the one that is worked on, empty where it has no name.

        What is done when this is first told was done before: of an earlier call that was interrupted.
        """

    def end(self, work: Any) -> None:
        """A work has ended, and with it what is within it."""


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """What is counted in the block is told to this listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def heard() -> bool:
    """Whether anybody listens."""
    return _listener.get() is not None


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Tell]:
    """Work that tells by itself how much of it is done: the call that takes it.

    what: the plural of what is counted, `tokens`; total: how many, where that is known.
    """
    listener = _listener.get()
    if listener is None:
        yield _nobody
        return
    work = listener.begin(what, total)

    def tell(done: int, now: str = "") -> None:
        listener.at(work, done, now)

    try:
        yield tell
    finally:
        listener.end(work)


def _nobody(done: int, now: str = "") -> None:
    """Where nobody listens."""


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items one by one; whoever listens is told how many of how many are done.

    what: their plural, `curves`; total: how many, where the items do not know. Items that are texts, or have
    a `name`, are told by it.
    """
    if not heard():
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    with counting(what, total) as tell:
        done = 0
        for item in items:
            tell(done, _name(item))
            yield item
            done += 1
        tell(done, "")


def _name(item: object) -> str:
    name = item if isinstance(item, str) else getattr(item, "name", "")
    return name if isinstance(name, str) else ""
