"""What was made of files, for a reading that comes back: a file that has not changed is not parsed again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from neuneu.curves.readers.report import ReadReport
from neuneu.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made:
    """What an act made of a file, what it told of it, and why it failed where it did."""

    value: Any
    report: ReadReport
    failed: str | None


class FileMemory:
    """What acts made of files, until the file is forgotten. One reading's: the same format, facts, options.

    parsed: how often a file was parsed, which tells that the others were not. Where an act refuses a file,
    half-written ones among them, the file is skipped and named in the report, and the others are read.
    """

    def __init__(self) -> None:
        self._made: dict[str, dict[str, _Made]] = {}
        self.parsed = 0

    def recall(
        self, act: str, path: Path, make: Callable[[Path, ReadReport], T], report: ReadReport
    ) -> T | None:
        """What `make` gives of a file, made now or earlier, and the report of it; None where it refuses."""
        made = self._made.setdefault(str(path), {})
        known = made.get(act)
        if known is None:
            self.parsed += 1
            own = ReadReport()
            try:
                known = _Made(make(path, own), own, None)
            except InputError as error:
                known = _Made(None, own, error.rule)
            made[act] = known
        report.add(known.report)
        if known.failed is not None:
            report.skip(path, known.failed)
        return known.value  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._made)

    def knows(self, path: str) -> bool:
        """Whether something is kept of a file."""
        return path in self._made

    def forget(self, paths: Iterable[str]) -> None:
        """Files that have changed or are gone."""
        for path in paths:
            self._made.pop(path, None)
