"""What a reading understood: the runs it found, what it skipped and why, what the user should know."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from neuneu.errors import how_many, some_of

RUNS_SHOWN = 100
"""Lines of runs; what is beyond is counted."""


@dataclass
class RunSeen:
    """Files of a run that were read, and from where its name and its steps were told."""

    files: set[str] = field(default_factory=set)
    name_from: Counter[str] = field(default_factory=Counter)
    step_from: Counter[str] = field(default_factory=Counter)


@dataclass
class ReadReport:
    """What a reader read, what it skipped and why, and what the user should know.

    read: file → values. skipped: (what, why) → times; run_of: what was skipped → its run, where one is known.
    notes: sentences; counted: sentences of one kind → what each is about. summary: a row a run, once all is
    read.
    """

    read: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    run_of: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counted: dict[str, dict[str, None]] = field(default_factory=dict)
    runs: dict[str, RunSeen] = field(default_factory=dict)
    summary: pl.DataFrame | None = None

    def skip(self, what: str | Path, why: str, times: int = 1, *, run: str | None = None) -> None:
        """Count something that was left out, with the reason; run: whose it is, where that is known."""
        self.skipped[str(what), why] += times
        if run:
            self.run_of[str(what)] = run

    def add(self, other: "ReadReport") -> None:
        """Take up what the report of one file says: what was read and skipped of it, and its notes."""
        self.read.update(other.read)
        self.skipped.update(other.skipped)
        self.run_of.update(other.run_of)
        self.notes += other.notes
        for kind, about in other.counted.items():
            self.counted.setdefault(kind, {}).update(about)

    def seen(self, run: str, file: str, *, name_from: str, step_from: str) -> None:
        """A file of a run is read: from where its name and step were told."""
        known = self.runs.setdefault(run, RunSeen())
        known.files.add(file)
        known.name_from[name_from] += 1
        known.step_from[step_from] += 1

    def count_note(self, kind: str, about: str) -> None:
        """A note of a kind, and what it is about; notes of one kind are shown together."""
        self.counted.setdefault(kind, {})[about] = None

    def all_notes(self) -> list[str]:
        """Every note as a sentence; those of one kind in one."""
        together = [
            f"{some_of(about, whole=True)}: {kind}" if about != {"": None} else kind
            for kind, about in self.counted.items()
        ]
        return self.notes + together

    def lines(self) -> list[str]:
        """The report for people: runs of which nothing was read, a line a run, what was skipped, notes."""
        return [*self._unread(), *self._run_lines(), *self._skip_lines(), *self._note_lines()]

    def warnings(self) -> list[str]:
        """The lines of the report that ask for attention: all but those on runs that were read."""
        return [*self._unread(), *self._skip_lines(), *self._note_lines()]

    def to_frame(self) -> pl.DataFrame:
        """A row a fact: kind (read, skipped, note), what, why, count, run."""
        rows: list[tuple[str, str, str | None, int, str | None]]
        rows = [("read", what, None, count, None) for what, count in self.read.items()]
        rows += [
            ("skipped", what, why, count, self.run_of.get(what))
            for (what, why), count in self.skipped.items()
        ]
        rows += [("note", note, None, 1, None) for note in self.all_notes()]
        schema = {
            "kind": pl.String, "what": pl.String, "why": pl.String, "count": pl.Int64, "run": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def unread_runs(self) -> list[str]:
        """Runs of which files were found and none was read."""
        read = set(self.runs) if self.summary is None else {*self.runs, *self.summary["run"]}
        return [run for run in dict.fromkeys(self.run_of.values()) if run not in read]

    def _unread(self) -> list[str]:
        lines = []
        for run in self.unread_runs():
            whys: dict[str, list[str]] = {}
            for (what, why), _ in self.skipped.items():
                if self.run_of.get(what) == run:
                    whys.setdefault(why, []).append(what)
            total = sum(map(len, whys.values()))
            reasons = "; ".join(f"{why} ({some_of(whats, whole=True)})" for why, whats in whys.items())
            lines.append(f"nothing read of run {run}: all {_count(total, 'file')} skipped: {reasons}")
        return lines

    def _run_lines(self) -> list[str]:
        if self.summary is None:
            return []
        lines = []
        for row in self.summary.head(RUNS_SHOWN).iter_rows(named=True):
            known = self.runs.get(row["run"], RunSeen())
            parts = [_count(row["files"], "file")] if row["files"] else []
            parts.append(_count(row["checkpoints"], "checkpoint"))
            first, last = row["first_step"], row["last_step"]
            parts.append(f"step {first:,}" if first == last else f"steps {first:,} to {last:,}")
            parts += [f"clock in {row['clock']}", _count(row["tasks"], "task")]
            told = [
                f"{word} from {' and '.join(sources)}"
                for word, sources in (("name", known.name_from), ("steps", known.step_from)) if sources
            ]  # fmt: skip
            lines.append(f"run {row['run']}: {', '.join(parts)}" + (f"; {', '.join(told)}" if told else ""))
        more = len(self.summary) - RUNS_SHOWN
        return [*lines, f"and {how_many(more, 'more run')}"] if more > 0 else lines

    def _skip_lines(self) -> list[str]:
        unread = set(self.unread_runs())
        reasons: dict[tuple[str, str], list[str]] = {}
        for (what, why), count in self.skipped.items():
            run = self.run_of.get(what, "")
            if run not in unread:
                reasons.setdefault((run, why), []).append(what if count == 1 else f"{what} ({count} times)")
        return [
            f"skipped {_of_run(run, len(names))}{some_of(names, whole=True)}: {why}"
            for (run, why), names in reasons.items()
        ]

    def _note_lines(self) -> list[str]:
        return [f"note: {line}" for line in self.all_notes()]


def _of_run(run: str, number: int) -> str:
    return f"{_count(number, 'file')} of run {run}: " if run else ""


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + "s" * (number != 1)
