"""What the readers share: their result, their report, facts that the user adds, walking folders."""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from neuneu.curves.frames import check_file
from neuneu.curves.table import KEY, SCHEMA, CurveTable
from neuneu.errors import InputError

Keep = Literal["first", "last"]

STEP = re.compile(
    r"(?:^|[^a-z0-9])(?:global[-_]?step|iteration|checkpoint|ckpt|iter|step)[-_=]?(\d+)(?![0-9a-z])",
    re.IGNORECASE,
)
"""step1000, global_step1000, checkpoint-1000, iter_0001000 and the like, as whole words."""

MAX_STEP_DIGITS = 18
"""Digits of a step: more do not fit the 64 bits of the table."""


@dataclass
class ReadReport:
    """What a reader read, what it skipped and why, and what the user should know."""

    read: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def skip(self, what: str | Path, why: str, times: int = 1) -> None:
        """Count something that was left out, with the reason."""
        self.skipped[str(what), why] += times

    def lines(self, most: int = 20) -> list[str]:
        """The report for people, a line a fact; of many files only the first few."""
        lines = [f"read {what}: {count} values" for what, count in list(self.read.items())[:most]]
        if len(self.read) > most:
            lines.append(f"read {len(self.read) - most} more files: {sum(self.read.values())} values in all")
        reasons: dict[str, list[str]] = {}
        for (what, why), count in self.skipped.items():
            reasons.setdefault(why, []).append(what if count == 1 else f"{what} ({count} times)")
        for why, names in reasons.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            lines.append(f"skipped {', '.join(names[:3])}{more}: {why}")
        return lines + [f"note: {line}" for line in self.notes]

    def to_frame(self) -> pl.DataFrame:
        """A row a fact: kind (read, skipped, note), what, why, count."""
        rows: list[tuple[str, str, str | None, int]]
        rows = [("read", what, None, count) for what, count in self.read.items()]
        rows += [("skipped", what, why, count) for (what, why), count in self.skipped.items()]
        rows += [("note", note, None, 1) for note in self.notes]
        return pl.DataFrame(
            rows,
            schema={"kind": pl.String, "what": pl.String, "why": pl.String, "count": pl.Int64},
            orient="row",
        )


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A curve table and the report of how it was read."""

    table: CurveTable
    report: ReadReport


@dataclass(frozen=True, slots=True)
class Given:
    """Facts that the files do not know and the user says; each wins over what the files say.

    tokens_per_step fills tokens where the files have none. keep: which of two different values of one step
    stays, in the order in which the files give them; None refuses them. metrics: those to keep, all if empty.
    """

    run: str | None = None
    source: str | None = None
    family: str | None = None
    params: int | None = None
    recipe: str | None = None
    seed: str | None = None
    planned_tokens: int | None = None
    tokens_per_step: int | None = None
    keep: Keep | None = None
    metrics: frozenset[str] = frozenset()


NOTHING_GIVEN = Given()


def finish(rows: pl.DataFrame, given: Given, report: ReadReport, where: str | Path) -> ReadResult:
    """Add what the user says, settle repeated steps, and check everything as a curve table.

    rows: columns of SCHEMA, any subset with the required ones, in the order read.
    Raises InputError where nothing is left, and whatever CurveTable.from_frame refuses.
    """
    if len(rows) and given.metrics:
        others = rows.filter(~pl.col("metric").is_in(list(given.metrics)))
        for name, count in others["metric"].value_counts(sort=True).iter_rows():
            report.skip(f"metric {name}", "not asked for", count)
        rows = rows.filter(pl.col("metric").is_in(list(given.metrics)))
    if len(rows) == 0:
        reasons = "; ".join(f"{what}: {why}" for what, why in list(report.skipped)[:3])
        raise InputError(f"nothing to read ({reasons or 'no values'})", where=where)
    if given.run is not None and rows["run"].n_unique() > 1:
        names = ", ".join(rows["run"].unique().sort()[:3])
        raise InputError(
            f"names one run, but there are several here: {names}", field="run", value=given.run, where=where
        )
    missing = [
        pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in rows.columns
    ]
    rows = rows.with_columns(missing)
    facts = ("run", "source", "family", "params", "recipe", "seed", "planned_tokens")
    said = {name: getattr(given, name) for name in facts if getattr(given, name) is not None}
    rows = rows.with_columns(pl.lit(value).cast(SCHEMA[name]).alias(name) for name, value in said.items())
    if given.tokens_per_step is not None:
        if given.tokens_per_step <= 0:
            raise InputError("must be positive", field="tokens-per-step", value=given.tokens_per_step)
        rows = rows.with_columns(pl.col("tokens").fill_null(pl.col("step") * given.tokens_per_step))
    rows = _settle_repeats(rows, given.keep, report, where)
    if rows["tokens"].null_count() and rows["flops"].null_count():
        report.notes.append("the clock is steps where tokens are not known; --tokens-per-step gives them")
    return ReadResult(CurveTable.from_frame(rows, where), report)


def _settle_repeats(
    rows: pl.DataFrame, keep: Keep | None, report: ReadReport, where: str | Path
) -> pl.DataFrame:
    """One value a step: the same value twice is one; two values are refused unless `keep` picks one."""
    key = [*KEY, "step"]
    unique = rows.unique([*key, "value"], keep="first", maintain_order=True)
    if len(unique) < len(rows):
        report.skip("values", "the same value of the same step again", len(rows) - len(unique))
    clash = unique.filter(unique.select(key).is_duplicated())
    if len(clash) == 0:
        return unique
    if keep is None:
        row = clash.row(0, named=True)
        raise InputError(
            f"two different values in run {row['run']!r}, task {row['task']!r}, metric {row['metric']!r}: a "
            "restarted or merged run? --keep first or --keep last picks one",
            where=where, field="step", value=row["step"],
        )  # fmt: skip
    kept = unique.unique(key, keep=keep, maintain_order=True)
    other = "later" if keep == "first" else "earlier"
    report.skip("values", f"a step given twice: the {other} value left out", len(unique) - len(kept))
    return kept


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
        root = path.resolve()
        for folder, folders, names in os.walk(path, followlinks=False):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if not named.match(name) or name.startswith("."):
                    continue
                if file.is_symlink() and not file.resolve().is_relative_to(root):
                    report.skip(file, "a link out of the folder; name the file itself to read it")
                else:
                    found.append(file)
    if not found:
        skipped = "; ".join(f"{what}: {why}" for what, why in list(report.skipped)[:3])
        rule = f"no {' or '.join(pattern.strip('*') for pattern in patterns)} file here" + (
            f" ({skipped})" if skipped else ""
        )
        raise InputError(rule, where=", ".join(map(str, paths)))
    return list(dict.fromkeys(found))


def find_step(texts: Iterable[str], pattern: re.Pattern[str] | None = None) -> int | None:
    """The step named in the first text that names one; the last match in it. None if none does."""
    for text in texts:
        matches = list((pattern or STEP).finditer(text))
        if matches:
            return _bounded(matches[-1].group(1))
    return None


def _bounded(digits: str) -> int:
    if len(digits) > MAX_STEP_DIGITS:
        raise InputError("must be a whole number below 10^18", field="step", value=digits)
    return int(digits)


def compile_step_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """A regular expression with one group of digits, as --step-pattern gives it."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"not a regular expression: {error}", field="step-pattern", value=pattern) from error
    if compiled.groups != 1:
        raise InputError(
            r"must have one group for the digits, like step(\d+)", field="step-pattern", value=pattern
        )
    return compiled
