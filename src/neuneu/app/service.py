"""The work of the page's requests: bodies in, tables kept, questions answered, changes followed."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from neuneu import __version__
from neuneu.app.asked import (
    OFFERED,
    Asked,
    ForecasterInfo,
    FormatInfo,
    PageInfo,
    Sent,
    Started,
    offered,
)
from neuneu.app.kept_answers import Views
from neuneu.app.kept_tables import Kept, Tables
from neuneu.app.live import Live
from neuneu.app.read_pool import Readers, ReadLimits
from neuneu.app.uploads import MAX_UPLOAD, Receiver
from neuneu.app.workers import ForecastWorkers, WorkLimits
from neuneu.errors import InputError

DEFAULT = next(iter(OFFERED))
"""The forecaster that is used where none is named; a test holds it to that of the library."""

RULES = ("none", "smaller", "finished")
"""References that are no table, as `Asked` takes them."""


@dataclass(frozen=True)
class Settings:
    """What a server is started with. place: a table or folder that it offers and follows; sent: how that is
    read; max_upload: bytes of a body.
    """

    place: Path | None = None
    started: Started = field(default_factory=Started)
    sent: Sent = field(default_factory=Sent)
    max_upload: int = MAX_UPLOAD
    reading: ReadLimits = field(default_factory=ReadLimits)
    working: WorkLimits = field(default_factory=WorkLimits)


class Service:
    """Everything behind the routes. It keeps its tables in a temporary folder, which goes with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._folder = TemporaryDirectory(prefix="neuneu-page-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self.receiver = Receiver(settings.max_upload)
        self.readers, self.workers = Readers(settings.reading), ForecastWorkers(settings.working)
        self.tables, self.views = Tables(folder), Views()
        self.live: Live | None = None
        if settings.place is not None:
            self.live = Live(settings.place, settings.sent, self.tables)
        self._numbers = itertools.count()
        self._formats: list[FormatInfo] = []

    async def check(self) -> None:
        """Raise what is wrong with what the server was started with."""
        if self.settings.started.references not in RULES:
            await self.readers.run("check_references", self.settings.started.references)
        if self.live is not None:
            await self.live.start()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the workers, follow the served files; end both with the block."""
        self.workers.start()
        following = asyncio.create_task(self.live.follow()) if self.live is not None else None
        try:
            yield
        finally:
            if following is not None:
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
            if self.live is not None:
                self.live.stop()
            self.workers.stop()
            self._folder.cleanup()

    async def receive(self, headers: Mapping[str, str], stream: AsyncIterator[bytes], sent: Sent) -> Kept:
        """Take a body and read it. Raises InputError where it is empty."""
        path = Path(self._folder.name) / f"body-{next(self._numbers)}"
        folder, table = path.with_name(path.name + "-files"), path.with_suffix(".parquet")
        size = await self.receiver.receive(headers, stream, path)
        try:
            if not size:
                raise InputError("is empty; send result files or a curve table", field="body")
            kind = headers.get("content-type", "")
            info = await self.readers.run("read_sent", path, kind, sent, table)
            return self.tables.add(table, info)
        finally:
            self.receiver.release(size)
            await asyncio.to_thread(_remove, path, folder, table)

    def served(self) -> Kept:
        """The table that the server offers, as it is now. Raises InputError where there is none."""
        if self.live is None:
            raise InputError("is empty; send result files or a curve table", field="body")
        if self.live.current is None:
            raise InputError(self.live.trouble or "nothing has been read yet", where=self.settings.place)
        return self.live.current

    def table(self, name: str) -> Kept:
        """A table by its id; the one that the server offers where that is empty."""
        return self.tables.find(name) if name else self.served()

    async def answer(self, job: str, kept: Kept, asked: Asked) -> bytes:
        """The answer to a question about a table, packed with gzip."""
        info, started = kept.info, self.settings.started
        own = asked.model_copy(update={"table": ""})
        question = f"{job} {info.id} {own.model_dump_json()}"
        extra = (info.name,) if job in ("report", "view") else ()

        async def make() -> bytes:
            with self.tables.reading(kept) as path:
                narrowed = bool(asked.run) + bool(asked.task)
                curves = info.n_curves if not narrowed else _estimate(asked, kept)
                answer: bytes = await self.workers.run(curves, job, path, own, started, *extra)
                return answer

        return await self.views.get(hashlib.sha256(question.encode()).hexdigest(), make)

    def page(self) -> PageInfo:
        """What the page starts with."""
        live = self.live
        return PageInfo(
            version=__version__,
            default=DEFAULT,
            served=live.current.info if live is not None and live.current is not None else None,
            trouble=live.trouble if live is not None else None,
            follows=live is not None,
            max_bytes=self.settings.max_upload,
            references=self.settings.started.references,
        )

    async def formats(self) -> list[FormatInfo]:
        """Formats that are read, with the names of their files."""
        if not self._formats:
            self._formats = await self.readers.run("format_infos")
        return self._formats


def forecasters() -> list[ForecasterInfo]:
    """Forecasters that answer as they ship; none is loaded."""
    return [
        ForecasterInfo(name=name, description=OFFERED[name][0], default=name == DEFAULT) for name in offered()
    ]


def _estimate(asked: Asked, kept: Kept) -> int:
    """About how many curves a question is of: each run has the same share of them, and each task."""
    info = kept.info
    runs = len(asked.run) / info.n_runs if asked.run else 1
    tasks = len(asked.task) / info.n_tasks if asked.task else 1
    return round(info.n_curves * min(1.0, runs) * min(1.0, tasks))


def _remove(*paths: Path) -> None:
    import shutil

    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
