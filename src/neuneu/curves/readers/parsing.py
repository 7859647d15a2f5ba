"""What the readers share: facts that the user adds, walking folders."""

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from neuneu.curves.curve import Facts
from neuneu.curves.frames import check_file, read_frame
from neuneu.curves.readers.memory import FileMemory
from neuneu.curves.readers.report import ReadReport
from neuneu.errors import InputError

__all__ = ["NOTHING_GIVEN", "Given", "Keep", "ReadReport", "read_batches", "walk"]

Keep = Literal["first", "last"]


@dataclass(frozen=True, slots=True)
class Given(Facts):
    """Facts that the files do not know and the user says; each wins over what the files say.

    run: its name. tokens_per_step fills tokens where the files have none. keep: which of two different values
    of one step stays, in the order in which the files give them; None refuses them. metrics: those to keep,
    all if empty.
    batches: a schedule of batch sizes, (first step, tokens a step) by step, in place of tokens_per_step.
    tell: told a line now and then while a long reading goes on. memory: what was made of the files before,
    where a folder is read again and again.
    """

    run: str | None = None
    tokens_per_step: int | None = None
    keep: Keep | None = None
    metrics: frozenset[str] = frozenset()
    batches: tuple[tuple[int, int], ...] = ()
    tell: Callable[[str], None] | None = None
    memory: FileMemory | None = None

    def tokens_of(self, step: pl.Expr) -> pl.Expr:
        """Tokens seen at a step by what the user says of the batch size; null where nothing is said."""
        if self.batches:
            return _tokens_by_schedule(step, self.batches)
        if self.tokens_per_step is None:
            return pl.lit(None, pl.Int64)
        if self.tokens_per_step <= 0:
            raise InputError("must be positive", field="tokens-per-step", value=self.tokens_per_step)
        return step * self.tokens_per_step

    def step_at(self, tokens: int) -> int | None:
        """The step nearest to an amount of tokens; None where nothing is said of the batch size."""
        if self.batches:
            return _step_by_schedule(tokens, self.batches)
        return None if not self.tokens_per_step else round(tokens / self.tokens_per_step)


NOTHING_GIVEN = Given()


def _tokens_by_schedule(step: pl.Expr, batches: Sequence[tuple[int, int]]) -> pl.Expr:
    """Tokens seen at a step: each stage of the schedule adds its tokens a step until the next begins."""
    ends = [start for start, _ in batches[1:]]
    total = pl.lit(0, pl.Int64)
    for (start, size), end in zip(batches, [*ends, None], strict=True):
        total = total + (step.clip(start, end) - start).cast(pl.Int64) * size
    return total


def _step_by_schedule(tokens: int, batches: Sequence[tuple[int, int]]) -> int:
    seen = 0
    ends: list[int | None] = [*(start for start, _ in batches[1:]), None]
    for (start, size), end in zip(batches, ends, strict=True):
        if end is None or seen + (end - start) * size >= tokens:
            return start + round((tokens - seen) / size)
        seen += (end - start) * size
    return 0


def read_batches(path: str | Path) -> tuple[tuple[int, int], ...]:
    """A schedule of batch sizes: a table with the columns step and tokens_per_step, the first step 0.

    From each step on, a step takes that many tokens. Raises InputError on other columns and values.
    """
    frame = read_frame(path)
    for name in ("step", "tokens_per_step"):
        if name not in frame.columns:
            raise InputError("the column is missing", where=path, field=name)
    numbers = frame.select(
        pl.col(name).cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        for name in ("step", "tokens_per_step")
    )
    rows = sorted(numbers.drop_nulls().iter_rows())
    steps = [step for step, _ in rows]
    if len(rows) < len(frame) or not rows or rows[0][0] != 0 or len(set(steps)) < len(steps):
        raise InputError("must be whole numbers, each step once, the first 0", where=path, field="step")
    if min(size for _, size in rows) <= 0:
        raise InputError("must be positive", where=path, field="tokens_per_step")
    return tuple(rows)


def _search(folder: str, root: Path, named: re.Pattern[str], found: list[Path], report: ReadReport) -> None:
    """Add the files of a folder, by name, then those of its folders."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if not named.match(entry.name) or entry.name.startswith(".") or entry.is_dir(follow_symlinks=False):
            continue
        link = entry.is_symlink()
        if link and Path(entry.path).is_dir():
            continue
        if link and not Path(entry.path).resolve().is_relative_to(root):
            report.skip(entry.path, "a link out of the folder; name the file itself to read it")
        else:
            found.append(Path(entry.path))
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            _search(entry.path, root, named, found, report)


FEW_PATTERNS = 4
"""Kinds of files that a message still lists."""


def walk(paths: Sequence[str | Path], patterns: Iterable[str], report: ReadReport) -> list[Path]:
    """The files named like these patterns at and below the paths, sorted; no others below a folder.

    Folders that are symbolic links are not entered; a link out of the folder it lies in is skipped.
    Raises InputError where a path does not exist or no file is found.
    """
    patterns = tuple(patterns)
    named = re.compile("|".join(map(fnmatch.translate, patterns)))
    if not paths:
        raise InputError("at least one file or folder is needed", field="paths")
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(check_file(path))
            continue
        _search(str(path), path.resolve(), named, found, report)
    if not found:
        skipped = "; ".join(f"{what}: {why}" for what, why in list(report.skipped)[:3])
        names = " or ".join(pattern.strip("*") for pattern in patterns[:FEW_PATTERNS])
        what = f"no {names} file here" if len(patterns) <= FEW_PATTERNS else "no file of a known format here"
        rule = f"{what}{f' ({skipped})' if skipped else ''}; `neuneu import --help` lists the formats"
        raise InputError(rule, where=", ".join(map(str, paths)))
    return list(dict.fromkeys(found))
