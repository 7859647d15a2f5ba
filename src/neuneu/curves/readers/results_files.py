"""Results files of harnesses: what one says of its checkpoint, and its values; together rows of curves."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.bulk import FileRows, Values, each_file, pack
from neuneu.curves.readers.finishing import FILE
from neuneu.curves.readers.identity import Naming, Origin, place
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.pythia_models import known_facts


@dataclass
class ResultsFile:
    """One evaluation of one checkpoint: the file, the model as it is named there, when, and its values.

    adapter: what was trained on top of the model; step, tokens: where the file states them as numbers. rows:
    dictionaries with some of the columns of `bulk.VALUES`, task, metric and value at least, or those packed.
    """

    path: str | Path
    model: str | None = None
    revision: str | None = None
    adapter: str | None = None
    subfolder: str | None = None
    step: int | None = None
    tokens: int | None = None
    date: float = 0.0
    params: int | None = None
    rows: Values = field(default_factory=list)


class ResultsFiles:
    """Results files as they are read: their values in columns, and what each says of its checkpoint."""

    def __init__(self) -> None:
        self._rows = FileRows()
        self._origins: list[Origin] = []
        self._facts: list[dict[str, Any]] = []

    def add(self, file: ResultsFile, report: ReadReport) -> None:
        """Keep what a file says; its rows are not kept as they are."""
        report.read[str(file.path)] += len(file.rows)
        measured = self._rows.add(len(self._origins), file.rows)
        names = file.model, file.revision, file.adapter, file.subfolder
        self._origins.append(Origin(str(file.path), *names, file.step, file.tokens, measured))
        self._facts.append({"date": file.date, "params": file.params})

    def placed(
        self, source: str, given: Given, report: ReadReport, options: Mapping[str, str | None]
    ) -> pl.DataFrame:
        """The rows with their runs and steps, the older files first; files without a place are skipped."""
        naming = Naming.of(given, options)
        checkpoints = []
        for number, found in enumerate(place(self._origins, naming, given, report)):
            if found is None:
                continue
            known = known_facts(found.run, found.step)
            facts = {name: value for name, value in self._facts[number].items() if value is not None}
            said = {"tokens": found.tokens} if found.tokens is not None else {}
            where = {"number": number, FILE: self._origins[number].file, "source": source}
            checkpoints.append({"run": found.run, "step": found.step, **known, **facts, **said, **where})
        return self._rows.placed(checkpoints)


def read_results_files(
    files: Sequence[Path],
    read: Callable[[Path, ReadReport], Iterable[ResultsFile]],
    source: str,
    given: Given,
    report: ReadReport,
    options: Mapping[str, str | None],
) -> pl.DataFrame:
    """The rows of all files with their runs and steps, the older first; files without a step are skipped.

    read: the evaluations that one file holds, of the file alone; it says in the report what it skips.
    """

    def read_packed(path: Path, own: ReadReport) -> list[ResultsFile]:
        return [replace(file, rows=pack(file.rows)) for file in read(path, own)]

    found = ResultsFiles()
    reading = read if given.memory is None else read_packed
    for _, evaluations in each_file(files, reading, given, report, source):
        for file in evaluations:
            found.add(file, report)
    return found.placed(source, given, report, options)


def finite_values(
    values: Iterable[tuple[str, Any]], path: str | Path, what: str, report: ReadReport
) -> Iterable[tuple[str, float]]:
    """Names and values that are finite numbers; others are counted with their place."""
    for name, value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            report.skip(path, f"{what} {name} is {value!r}, no finite number")
        else:
            yield name, float(value)


def number(value: Any) -> float | None:
    """A finite number, else None."""
    told = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if told else None


def mapping(document: Any, *names: str) -> dict[str, Any]:
    """The object at names in objects, empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def text(value: Any) -> str | None:
    """A text that says something, else None."""
    return value if isinstance(value, str) and value else None
