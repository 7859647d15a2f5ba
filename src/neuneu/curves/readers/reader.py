"""What a reader is: a function that turns files of one format into rows, and registers itself.

A format is one module of this package. It decorates its function with `@reader(...)`, which says the format's
name, what it is, the names of its files, its options, and how it recognises a file by what is in it. Nothing
else needs to know of it: `import NAME`, `import auto` and `import --help` look here.
"""

import csv
import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.frames import check_file
from neuneu.curves.readers.finishing import ReadResult, finish, numbers_that_fit
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given, ReadReport, walk
from neuneu.errors import InputError, naming
from neuneu.files import NOT_JSON, open_file, parse_json, read_json, refuse_library_errors
from neuneu.files.reading import NOT_TEXT
from neuneu.files.tables import SEPARATORS, parquet_columns

START = 65_536
"""Bytes of a file that `Look.start` gives: the head of any log, and the header of any table."""

HANDED = 32 * 2**20
"""Bytes of JSON that are kept parsed between telling formats and reading, some 200 MB of memory: twice what
multisynt's 6,600 files of one language hold."""

_handed: ContextVar[dict[Path, Any] | None] = ContextVar("handed", default=None)


class Fit(IntEnum):
    """How well a file fits a format; of several formats the best fit reads it."""

    NO = 0
    SHAPE = 1
    """It has the shape, which other formats share: any table of evaluations, any harness results."""
    MARK = 2
    """It has a mark that only this format has."""
    PLACE = 3
    """It lies where one public collection has it, whose rules say more than the format's own."""


class Look:
    """A file that readers look at to say whether it is theirs; each part of it is read once, when asked."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def start(self) -> bytes:
        """The first bytes, at most START."""
        with open_file(check_file(self.path)) as stream:
            return stream.read(START)

    @cached_property
    def text(self) -> str:
        """The first bytes as text; what is no UTF-8 becomes a replacement character."""
        return self.start.decode("utf-8", errors="replace")

    @cached_property
    def document(self) -> Any:
        """The whole file as JSON, if its name ends in .json; else None.

        Raises InputError where it is no JSON.
        """
        return read_json(self.path) if self.path.suffix == ".json" else None

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of a JSON object; empty for any other file."""
        return frozenset(self.document) if isinstance(self.document, dict) else frozenset()

    @cached_property
    def line(self) -> Any:
        """The first line of a .jsonl file as JSON; None for any other file.

        Raises InputError where it is no JSON.
        """
        lines = [line for line in self.text.splitlines() if line.strip()]
        return parse_json(lines[0], f"{self.path} line 1") if self.path.suffix == ".jsonl" and lines else None

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of a .csv, .tsv or .parquet file; empty for any other file."""
        if self.path.suffix == ".parquet":
            return parquet_columns(self.path)
        if self.path.suffix in SEPARATORS:
            with refuse_library_errors(self.path, "csv"):
                lines = csv.reader(self.text.splitlines(), delimiter=SEPARATORS[self.path.suffix])
                return tuple(next(lines, ()))
        return ()


@contextmanager
def handing_over() -> Iterator[Callable[[Look], None]]:
    """In the block, what was parsed to tell a file's format is handed to whoever reads it (`document_of`).

    Gives the function that keeps what a look has parsed; beyond HANDED bytes nothing more is kept.
    """
    kept: dict[Path, Any] = {}
    size = 0

    def keep(look: Look) -> None:
        nonlocal size
        if "document" in vars(look) and look.document is not None and size < HANDED:
            size += look.path.stat().st_size
            kept[look.path] = look.document

    before = _handed.set(kept)
    try:
        yield keep
    finally:
        _handed.reset(before)


def document_of(path: Path) -> Any:
    """A file as JSON, which is not parsed again where that was just done to tell its format.

    Raises InputError where it is no JSON.
    """
    kept = _handed.get()
    return kept.pop(path) if kept and path in kept else read_json(path)


@dataclass(frozen=True)
class Reader:
    """A format: call it with paths to read them into a curve table.

    names: patterns of its files' names (fnmatch), by which folders are searched. read_rows: (files, given,
    report, **options) → columns of SCHEMA, any subset with the required ones, in the order read; it counts in
    the report what it read and skipped. options: name → help. recognise: how well a file fits. fetch: turns a
    path that is no file on this machine into one.
    """

    name: str
    about: str
    names: tuple[str, ...]
    read_rows: Callable[..., pl.DataFrame]
    recognise: Callable[[Look], Fit]
    options: Mapping[str, str] = field(default_factory=dict)
    fetch: Callable[[str | Path], str | Path] = lambda path: path

    def __call__(
        self, paths: Sequence[str | Path], *, given: Given = NOTHING_GIVEN, **options: str | None
    ) -> ReadResult:
        """Read files and folders of them. options: those of the format; None is not given.

        Raises InputError on an option that the format does not take, on files that are not of the format,
        and where nothing is left.
        """
        report = ReadReport()
        rows = self.rows([self.fetch(path) for path in paths], report, given=given, **options)
        return finish(rows, given, report, place_of(paths))

    def takes(self, path: Path) -> bool:
        """Whether a file is named like those of the format."""
        return self._named.match(path.name) is not None

    @cached_property
    def _named(self) -> re.Pattern[str]:
        return re.compile("|".join(map(fnmatch.translate, self.names)))

    def rows(
        self,
        paths: Sequence[str | Path],
        report: ReadReport,
        *,
        given: Given = NOTHING_GIVEN,
        **options: str | None,
    ) -> pl.DataFrame:
        """The rows of files and folders, not yet checked as a curve table."""
        self._said(options)
        with naming(place_of(paths)):
            files = walk(paths, self.names, report)
        return self.rows_of(files, report, given=given, place=place_of(paths), **options)

    def rows_of(
        self,
        files: Sequence[Path],
        report: ReadReport,
        *,
        given: Given = NOTHING_GIVEN,
        place: str,
        **options: str | None,
    ) -> pl.DataFrame:
        """The rows of these very files. place: names them in errors."""
        said = self._said(options)
        with naming(place), numbers_that_fit(), _of_another_kind(files):
            return self.read_rows(list(files), given, report, **said)

    def _said(self, options: Mapping[str, str | None]) -> dict[str, str]:
        """The options that are given. Raises InputError on one that the format does not take."""
        said = {option: value for option, value in options.items() if value is not None}
        for option, value in said.items():
            if option not in self.options:
                raise InputError(f"is no option of {self.name}", field=option.replace("_", "-"), value=value)
        return said


REGISTRY: dict[str, Reader] = {}
"""Format → its reader; complete once `formats` has imported the modules of this package."""


def reader(
    name: str,
    about: str,
    *,
    names: Sequence[str],
    recognise: Callable[[Look], Fit],
    options: Mapping[str, str] | None = None,
    fetch: Callable[[str | Path], str | Path] = lambda path: path,
) -> Callable[[Callable[..., pl.DataFrame]], Reader]:
    """Register a function as the reader of a format; see `Reader` for the parts."""

    def register(read_rows: Callable[..., pl.DataFrame]) -> Reader:
        made = Reader(name, about, tuple(names), read_rows, recognise, dict(options or {}), fetch)
        if REGISTRY.setdefault(name, made) is not made:
            raise ValueError(f"two readers are named {name}")
        return made

    return register


def known_as(path: Path) -> str:
    """What to do with a file that is of another format: the end of a sentence, empty where none knows it."""
    look = Look(path)
    names = [made.name for made in REGISTRY.values() if made.takes(path) and made.recognise(look) > Fit.SHAPE]
    if not names:
        return no_evaluations(look)
    return f": it is of {' or '.join(names)}; import it by that name, or all with auto"


def no_evaluations(look: Look) -> str:
    """What JSON lines are that no format reads, and what to import: the end of a sentence, mostly empty."""
    line = look.line if isinstance(look.line, dict) else {}
    if "doc_id" in line and line.keys() & {"resps", "filtered_resps", "target"}:
        return (
            ": it is lm-evaluation-harness's samples, a line a question; import the results_*.json beside it "
            "(`samples` bpb,norm_correct_prob reads finer measures from them)"
        )
    if isinstance(line.get("results"), dict):
        return ": it is a results file a line; write each line to a .json of its own, and import their folder"
    return ""


@contextmanager
def _of_another_kind(files: Sequence[Path]) -> Iterator[None]:
    """Whoever names a file that is no JSON for a format of JSON is told what it is."""
    try:
        yield
    except InputError as error:
        path = next((path for path in files if str(path) == str(error.where)), None)
        if path is None or not error.rule.startswith((NOT_JSON, NOT_TEXT)) or path.suffix == ".json":
            raise
        told = known_as(path)
        raise InputError(f"no JSON document{told}" if told else error.rule, where=path) from error


def stack(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames of rows below each other; columns that one lacks are null. No frame: no rows."""
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def place_of(paths: Sequence[str | Path]) -> str:
    """The paths for an error: the first, and how many more."""
    if not paths:
        raise InputError("at least one file or folder is needed", field="paths")
    return str(paths[0]) + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
