"""Curve tables that were sent, on disk while there is room: the one that was longest not asked goes first."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from neuneu.app.asked import TableInfo
from neuneu.errors import NeuneuError

AT_REST = 512 * 2**20
"""Bytes of all tables."""

MOST_TABLES = 500


class GoneError(NeuneuError):
    """A table that is not here, or no longer."""

    def __init__(self) -> None:
        super().__init__("table: no such table is here any more; send its files again")


@dataclass
class Kept:
    """A table on disk. info: what it holds; users: requests that read it now; drop: it goes with the last."""

    path: Path
    info: TableInfo
    size: int
    users: int = field(default=0)
    dropped: bool = field(default=False)


class Tables:
    """Tables by id, which is made of their bytes: the same files are the same table."""

    def __init__(self, folder: Path, at_rest: int = AT_REST) -> None:
        self.folder, self.at_rest = folder, at_rest
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def add(self, path: Path, info: TableInfo) -> Kept:
        """Keep a table that a reader wrote; the file is moved."""
        if info.id in self._kept:
            path.unlink()
            self._kept[info.id].info = info
            return self.find(info.id)
        own = self.folder / f"{info.id}.parquet"
        path.replace(own)
        self._kept[info.id] = Kept(own, info, own.stat().st_size)
        self._make_room(info.id)
        return self._kept[info.id]

    def _make_room(self, newest: str) -> None:
        for name in list(self._kept):
            total = sum(kept.size for kept in self._kept.values())
            if total <= self.at_rest and len(self._kept) <= MOST_TABLES:
                return
            if name != newest:
                self.drop(name)

    def drop(self, name: str) -> None:
        """Let a table go, once nobody reads it."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.dropped = True
            self._remove(kept)

    def _remove(self, kept: Kept) -> None:
        if kept.dropped and not kept.users and all(other.path != kept.path for other in self._kept.values()):
            with suppress(OSError):
                kept.path.unlink()

    def find(self, name: str) -> Kept:
        """A table by its id. Raises GoneError where it is not here."""
        if name not in self._kept:
            raise GoneError
        self._kept.move_to_end(name)
        return self._kept[name]

    @contextmanager
    def reading(self, kept: Kept) -> Iterator[Path]:
        """The table's file, which stays while the block lasts."""
        kept.users += 1
        try:
            yield kept.path
        finally:
            kept.users -= 1
            self._remove(kept)
