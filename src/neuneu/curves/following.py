"""A folder or a file that grows, read again whenever it changes: the one owner of following results.

```python
followed = FollowedCurves(folder, given=Given(tokens_per_step=1000))
while True:
    news = followed.read()  # None where nothing has changed
    if news is not None and news.table is not None:
        ...  # news.table, news.changed (runs), news.problems (lines)
    time.sleep(followed.pause)
```

A file that has not changed is not parsed again, and what is kept of a file goes when it is gone, so that
memory is bounded by what the folder holds. A change is told by the file itself, never by its being newer:
device, inode, size, times of writing and of change, and for files of the last moments, whose times a coarse
clock does not tell apart, a checksum. So clocks may go back, and a file may be replaced by another of its
size and date. Nothing is written: after a kill a new one reads the same.
"""

import fnmatch
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from neuneu.curves.readers.finishing import ReadResult, finish
from neuneu.curves.readers.formats import AUTO, is_curve_table, patterns_of, recognise, rows_of
from neuneu.curves.readers.memory import FileMemory
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given, walk
from neuneu.curves.readers.report import ReadReport
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.files import check_file, open_file

PAUSE = 0.25
"""Seconds between two looks at what is followed."""

SHARE = 4.0
"""The pause is at least so many times as long as the last look or reading took: following takes at most a
fifth of a core, however large the folder."""

YOUNG = 2.0
"""Seconds for which a file's times do not tell that it has not changed since: the coarsest clock of a common
file system (FAT)."""

MAX_CHECKED = 16 * 2**20
"""Bytes up to which a young file is told by its checksum too."""

LINES = (".csv", ".tsv", ".jsonl", ".log", ".out", ".err", ".txt", ".md")
"""Endings of files that are written line by line: a last line without its end may be half a line."""

WRITING = "its last line has no end: read once it has one, or has not changed for two seconds"

Stamp = tuple[int, ...]
"""What tells that a file is the one that was read: device, inode, size, time of writing, of change."""


@dataclass(frozen=True)
class News:
    """What is there now. table: None where nothing can be read, problems say why.

    problems: a line for each thing that was skipped, or that the user should know; changed: runs whose rows
    are others than at the last reading, or that are new or gone; waiting: whether files are still written.
    """

    table: CurveTable | None
    problems: list[str]
    changed: frozenset[str]
    waiting: bool


class FollowedCurves:
    """A folder of results, or one file, followed; see the module.

    path: a folder, a curve table, or any file that a format reads; format, options: as in `read_format`;
    given: facts that the user adds; without: files that are not looked at, such as what is written from the
    results.
    Raises InputError where there is no such path or format.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str = AUTO,  # noqa: A002
        given: Given = NOTHING_GIVEN,
        without: Iterable[str | Path] = (),
        options: Mapping[str, str | None] | None = None,
    ) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise InputError("no such file or folder", where=self.path)
        if not self.path.is_dir():
            check_file(self.path, empty=True)
        self.format, self.options = format, dict(options or {})
        self.memory = FileMemory()
        self._given = replace(given, memory=self.memory)
        self._plain = given == NOTHING_GIVEN and format == AUTO and not self.options
        self._patterns = patterns_of(format) if self.path.is_dir() else ["*"]
        self._without = {Path(each).resolve() for each in without}
        self._looks = _Looks(re.compile("|".join(map(fnmatch.translate, self._patterns))))
        self._runs: dict[str, object] = {}
        self._told: list[str] | None = None
        self._took = 0.0

    @property
    def pause(self) -> float:
        """Seconds to wait before the next reading."""
        return max(PAUSE, SHARE * self._took)

    @property
    def waiting(self) -> bool:
        """Whether files are still written, and read once they are whole."""
        return bool(self._looks.held)

    def read(self) -> News | None:
        """What is there now; None where nothing has changed since the last call."""
        began = time.perf_counter()
        try:
            return self._read()
        finally:
            self._took = time.perf_counter() - began

    def updates(self) -> Iterator[News]:
        """News for ever, as they come."""
        while True:
            news = self.read()
            if news is not None:
                yield news
            time.sleep(self.pause)

    def _read(self) -> News | None:
        stamps = dict(_stamps(self.path, self._without))
        held = set(self._looks.held)
        changed = self._looks.changed(stamps)
        if not changed and self._looks.held == held and self._told is not None:
            return None
        self.memory.forget(changed)
        report = ReadReport()
        table: CurveTable | None = None
        try:
            result = self._result(report)
            table, problems = result.table, result.report.warnings()
        except InputError as error:
            problems = [*report.warnings(), str(error)]
        problems += [f"{path}: {WRITING}" for path in sorted(self._looks.held)]
        runs = {} if table is None else _fingerprints(table)
        news = frozenset(run for run in {*runs, *self._runs} if runs.get(run) != self._runs.get(run))
        if self._told == problems and not news:
            return None
        self._told, self._runs = problems, runs
        return News(table, problems, news, self.waiting)

    def _result(self, report: ReadReport) -> ReadResult:
        if not self.path.is_dir():
            return self._of_file(report)
        files = [
            path
            for path in walk([self.path], self._patterns, report)
            if not _among(path, self._without) and self._readable(str(path))
        ]
        place = str(self.path)
        rows = rows_of(self.format, files, report, given=self._given, place=place, **self.options)
        return self._finished(rows, report)

    def _of_file(self, report: ReadReport) -> ReadResult:
        """A curve table as it is, where nothing is said of it; any other file as its format has it."""
        if str(self.path) in self._looks.held:
            raise InputError("is being written", where=self.path)
        check_file(self.path, empty=True)
        if self._plain and (is_curve_table(self.path) or not self._has_format()):
            return ReadResult(CurveTable.read(self.path), report)
        place = str(self.path)
        rows = rows_of(self.format, [self.path], report, given=self._given, place=place, **self.options)
        return self._finished(rows, report)

    def _has_format(self) -> bool:
        try:
            return recognise(self.path, ReadReport()) is not None
        except InputError:
            return False  # what is wrong with it, the reader of tables says

    def _readable(self, path: str) -> bool:
        """Whether a file is whole, or what it was before is known still."""
        return path not in self._looks.held or self.memory.knows(path)

    def _finished(self, rows: pl.DataFrame, report: ReadReport) -> ReadResult:
        """The table; where some runs break its rules, that of the others, and what those break is named."""
        place = str(self.path)
        try:
            return finish(rows, self._given, report, place)
        except InputError:
            if not len(rows):
                raise
        sound: list[pl.DataFrame] = []
        broken: list[InputError] = []
        for own in rows.partition_by("run", maintain_order=True):
            try:
                finish(own, self._given, ReadReport(), place)
                sound.append(own)
            except InputError as error:
                broken.append(error)
                report.skip(f"run {own['run'][0]}", error.rule)
        if not sound:
            raise broken[0]
        return finish(pl.concat(sound), self._given, report, place)


@dataclass
class _Looks:
    """What the files looked like when they were read last.

    named: names of files that are read, or may be; of others the stamp alone counts. stamps: of each file;
    young: when each young file was first seen as it is, by a clock that never goes
    back, with its checksum; held: files of lines that are still written; looked: whether this is not the
    first look, at which the wall clock has to tell which files are young.
    """

    named: re.Pattern[str]
    stamps: dict[str, Stamp] = field(default_factory=dict)
    young: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    looked: bool = False

    def changed(self, now: Mapping[str, Stamp]) -> set[str]:
        """Files that are new, gone or other than when they were last named here."""
        gone = set(self.stamps) - set(now)
        found = {path for path, stamp in now.items() if self._is_new(path, stamp)}
        for path in gone:
            self._drop(path)
        self.held &= set(now)
        self.looked = True
        return found | gone

    def _is_new(self, path: str, stamp: Stamp) -> bool:
        known = self.stamps.get(path) == stamp
        if known and path not in self.young:
            return False
        old = not self.looked and _long_ago(stamp)
        if old or not self.named.match(os.path.basename(path)):  # noqa: PTH119
            self.stamps[path] = stamp
            return True
        moment = time.monotonic()
        since, checksum = self.young.get(path, (moment, b""))
        fresh = _checksum(path, stamp)
        if not known or fresh != checksum:
            since = moment
            self.young[path] = (since, fresh)
        if moment - since >= YOUNG:
            self.young.pop(path, None)
        elif Path(path).suffix.lower() in LINES and not _ends_a_line(path):
            self.held.add(path)
            self.stamps[path] = stamp
            return False
        was_held = path in self.held
        self.held.discard(path)
        self.stamps[path] = stamp
        return was_held or not known or fresh != checksum

    def _drop(self, path: str) -> None:
        del self.stamps[path]
        self.young.pop(path, None)


def _stamps(path: Path, without: set[Path]) -> Iterator[tuple[str, Stamp]]:
    """Every file at or below a path but hidden ones and `without`."""
    listed: Iterable[tuple[str, list[str]]] = (
        ((root, sorted(names)) for root, _, names in os.walk(path))
        if path.is_dir()
        else [(str(path.parent), [path.name])]
    )
    for root, names in listed:
        for name in names:
            place = os.path.join(root, name)  # noqa: PTH118  a tenth of the time for many files
            if name.startswith(".") or _among(place, without):
                continue
            try:
                info = os.stat(place)  # noqa: PTH116
            except OSError:
                continue  # gone since it was listed
            yield place, (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _among(path: str | Path, without: set[Path]) -> bool:
    name = os.path.basename(path)  # noqa: PTH119
    return any(each.name == name for each in without) and Path(path).resolve() in without


def _long_ago(stamp: Stamp) -> bool:
    """Whether a file changed last before the last moments; a time to come tells nothing."""
    return max(stamp[-2:]) < time.time_ns() - int(YOUNG * 1e9)


def _checksum(path: str, stamp: Stamp) -> bytes:
    """Of what is in a file now; of none that is large or cannot be read, which its stamp alone tells."""
    if stamp[2] > MAX_CHECKED:
        return b""
    try:
        with open_file(path) as stream:
            return hashlib.blake2b(stream.read(), digest_size=16).digest()
    except InputError:
        return b""


def _ends_a_line(path: str) -> bool:
    """Whether a file is empty or its last line has its end."""
    try:
        with open_file(path) as stream:
            if not stream.seek(0, os.SEEK_END):
                return True
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) in b"\r\n"
    except InputError:
        return True


def _fingerprints(table: CurveTable) -> dict[str, object]:
    """Run → what changes with its rows."""
    frame = table.frame.select("run", pl.struct(pl.all()).hash().alias("_hash"))
    found = frame.group_by("run").agg(pl.len(), pl.col("_hash").sum())
    return {run: (n, total) for run, n, total in found.iter_rows()}
