"""MLflow's file stores: mlruns/<experiment>/<run>/meta.yaml and metrics/<name>, lines "time value step"."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.history import COLUMNS, History, Moments
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.errors import InputError
from neuneu.files import read_lines, read_yaml

META = "meta.yaml"
FIELDS = (2, 3, 5)
"""Parts of a line: time and value; and the step; and name and digest of a data set (mlflow's FileStore)."""


def _recognise(look: Look) -> Fit:
    known = look.path.name == META and "run_id:" in look.text and "experiment_id:" in look.text
    return Fit.MARK if known else Fit.NO


@reader(
    "mlflow",
    "MLflow's file stores (mlruns folders)",
    names=[META],
    recognise=_recognise,
    options={name: text for name, text in COLUMNS.items() if name == "tokens_column"},
)
def read_mlflow(files: Sequence[Path], given: Given, report: ReadReport, **asked: Any) -> pl.DataFrame:
    """Read runs by their meta.yaml. Deleted runs are skipped; values are in the order of their times.

    A run has the name that MLflow gave it, and the start of its id where another has it too.
    """
    runs = [(path, meta) for path in files if (meta := _meta(path, report)) is not None]
    names = [_name(meta) for _, meta in runs]
    parts = []
    for (path, meta), name in zip(runs, names, strict=True):
        told = name if names.count(name) == 1 else f"{name}-{str(meta.get('run_id'))[:8]}"
        moments = Moments(asked)
        for _, step, tag, value in sorted(_values(path.parent / "metrics", moments, report)):
            moments.add(step, tag, value)
        part = History(moments.frame(), path.parent, told, "mlflow", asked, given=given).rows(report)
        report.read[str(path.parent)] += len(part)
        parts.append(part)
    return stack(parts)


def _meta(path: Path, report: ReadReport) -> dict[str, Any] | None:
    """What a run's meta.yaml says; None of an experiment's and of a deleted run."""
    meta = read_yaml(path)
    if not isinstance(meta, dict) or "run_id" not in meta:
        return None
    if meta.get("lifecycle_stage") == "deleted":
        report.skip(path, "a deleted run")
        return None
    return meta


def _name(meta: dict[str, Any]) -> str:
    return str(meta.get("run_name") or meta["run_id"])


def _values(folder: Path, moments: Moments, report: ReadReport) -> Iterator[tuple[int, int, str, float]]:
    """(time, step, metric, value) of the metrics that are tasks or clocks."""
    for path in sorted(folder.rglob("*")):
        tag = path.relative_to(folder).as_posix()
        if not path.is_file() or path.is_symlink() or not moments.wanted(tag):
            if path.is_file():
                report.skip(tag, "no task and known metric in its name")
            continue
        for number, line in read_lines(path):
            parts = line.split()
            try:
                if len(parts) not in FIELDS:
                    raise ValueError
                time, value, step = int(parts[0]), float(parts[1]), int(parts[2]) if len(parts) > 2 else 0
            except ValueError as error:
                raise InputError(
                    "must be a time, a value and a step", where=path, field=f"line {number}", value=line
                ) from error
            if value - value == 0:
                yield time, step, tag, value
            else:
                report.skip(path, f"{tag} is {parts[1]}, no finite number")
