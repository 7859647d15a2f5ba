"""A table or folder that grows: followed by a process of its own, and told to every open page."""

import asyncio
import json
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from neuneu.app.asked import Followed, Sent
from neuneu.app.kept_tables import Kept, Tables
from neuneu.app.processes import Killable, answer_of
from neuneu.app.read_pool import BusyError
from neuneu.errors import NeuneuError

MEMORY = 2 * 2**30
"""Bytes that following may allocate: a table of two million rows takes half of it."""

FIRST_SECONDS = 600.0
"""Time for the first reading: the largest folders hold a hundred thousand files."""

AGAIN_SECONDS = 5.0
"""Time after which following begins again where it ended."""

HEARTBEAT_SECONDS = 15.0
"""A page that hears nothing else hears this often that the server is there."""

MOST_PAGES = 64
"""Pages that are told of changes at once."""


class Live:
    """What the server offers and follows. current: the newest table; trouble: why there is no newer one."""

    def __init__(self, place: Path, sent: Sent, tables: Tables) -> None:
        self.place, self.sent = place, sent
        self.current: Kept | None = None
        self.trouble: str | None = None
        self._tables = tables
        self._process: Killable | None = None
        self._pages: set[asyncio.Queue[dict[str, Any]]] = set()

    async def start(self) -> None:
        """Read the files for the first time. Raises what is wrong with a table; a folder may be empty yet."""
        self._take(await self._hear(FIRST_SECONDS))
        if self.current is None and not self.place.is_dir():
            raise NeuneuError(self.trouble)

    async def _hear(self, seconds: float) -> Followed | None:
        """The next news, None where there is none for so long. Raises NeuneuError where following ended."""
        if self._process is None:
            self._process = Killable(_follow, MEMORY, None, self.place, self.sent, self._tables.folder)
        try:
            told = await asyncio.to_thread(self._process.wait, seconds)
        except NeuneuError:
            self.stop()
            raise
        if told is None:
            return None
        found: Followed = answer_of(told)
        return found

    def _take(self, news: Followed | None) -> bool:
        """Take a new table over; whether there is one."""
        if news is None:
            return False
        if news.info is None:
            self.trouble = "; ".join(news.problems[-1:]) or "nothing can be read"
            return False
        before, kept = self.current, self._tables.add(news.path, news.info)
        self.trouble = None
        if before is kept:
            return False
        kept.users += 1  # it stays for as long as it is the newest
        self.current = kept
        if before is not None:
            before.users -= 1
            self._tables.drop(before.info.id)
        return True

    async def follow(self) -> None:
        """Take over what is new, for ever, and tell the pages."""
        while True:
            before = self.trouble
            try:
                news = await self._hear(HEARTBEAT_SECONDS)
            except NeuneuError as error:
                self.trouble = f"{self.place.name}: {error}"
                if self.trouble != before:
                    self._tell({"id": None, "trouble": self.trouble})
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if self._take(news) and news is not None and self.current is not None:
                own = self.current.info.id
                self._tell({"id": own, "changed": news.changed, "n_changed": news.n_changed})
            elif self.trouble != before:
                self._tell({"id": self.current.info.id if self.current else None, "trouble": self.trouble})

    def stop(self) -> None:
        """End following."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _tell(self, what: dict[str, Any]) -> None:
        for page in self._pages:
            if page.full():
                page.get_nowait()  # a page that does not listen needs only the newest
            page.put_nowait(what)

    async def events(self) -> AsyncIterator[bytes]:
        """Changes as server-sent events, until the page leaves. Raises BusyError where too many listen."""
        if len(self._pages) >= MOST_PAGES:
            raise BusyError("too many pages listen")
        page: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=1)
        self._pages.add(page)
        try:
            own = self.current.info.id if self.current is not None else None
            yield _event({"id": own, "trouble": self.trouble})
            while True:
                try:
                    yield _event(await asyncio.wait_for(page.get(), HEARTBEAT_SECONDS))
                except TimeoutError:
                    yield b": here\n\n"
        finally:
            self._pages.discard(page)


def _event(what: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(what)}\n\n".encode()


def _follow(connection: Connection, place: Path, sent: Sent, folder: Path) -> None:
    """The process: the modules that read are loaded there, not in the server."""
    from neuneu.app.sent_files import follow

    follow(connection, place, sent, folder)
