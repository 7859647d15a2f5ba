"""NeuNeu's own layout: a folder a model, in it <task>.npy, float64 of shape (2, n): steps, accuracies.

Reading and writing. Models are named DataDecide-<recipe>-<size> or <owner>--<model>.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.curves.curve import Curve
from neuneu.curves.readers.history import name_folders
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.pythia_models import known_facts
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.files import atomic_path
from neuneu.files.arrays import load_array as load_file_array

AVERAGES = "avg_losses_by_step"
"""Name of the file of a model's mean losses."""

NOT_TASKS = (AVERAGES, "eval_losses", "word_losses", "histograms", "tokens", "boundaries")
"""Beginnings or ends of the names of other .npy files in the layout."""

MAX_POINTS = 10_000_000
_MODEL = re.compile(r"DataDecide-(?P<recipe>.+)-(?P<size>\d+)(?P<unit>[MB])")


def _recognise(look: Look) -> Fit:
    return Fit.MARK if look.start.startswith(np.lib.format.MAGIC_PREFIX) else Fit.NO


@reader(
    "neuneu-npy",
    "NeuNeu's folders of <task>.npy",
    names=["*.npy"],
    recognise=_recognise,
    options={
        "values_are": "the metric of the values; primary_metric if not said.",
        "losses_as": "task that avg_losses_by_step.npy is read as, with metric loss; not read if not said.",
    },
)
def read_neuneu_npy(
    files: Sequence[Path],
    given: Given,
    report: ReadReport,
    *,
    values_are: str = "primary_metric",
    losses_as: str | None = None,
) -> pl.DataFrame:
    """Read task files, model folders, and folders of model folders; the folder names the run.

    values_are: their metric, which the files do not say; losses_as: the task that a model's mean losses are
    read as, which a network can be trained to predict (samples.target: loss). Raises InputError on Git LFS
    pointers, pickled arrays, other shapes and types, fractional or negative steps, values outside the
    metric's range.
    """
    frames, names = [], name_folders([path.absolute().parent for path in files])
    for path in files:
        losses = losses_as is not None and path.stem == AVERAGES
        if not losses and (path.stem.startswith(NOT_TASKS) or path.stem.endswith(NOT_TASKS)):
            report.skip(path, "losses or tokens, not a task")
            continue
        array = load_array(path)
        report.read[str(path)] += array.shape[1]
        model = path.absolute().parent.name
        tokens = [known_facts(model, int(step)).get("tokens") for step in array[0]]
        frame = pl.DataFrame(
            {"step": array[0], "value": array[1], "tokens": pl.Series(tokens, dtype=pl.Int64)}
        )
        task, metric = (losses_as, "loss") if losses else (path.stem, values_are)
        facts = {"run": names[path.absolute().parent], "task": task, "metric": metric}
        facts |= _facts_of(model)
        frames.append(frame.with_columns(pl.lit(value).alias(name) for name, value in facts.items()))
    return stack(frames)


def load_array(path: str | Path) -> NDArray[np.float64]:
    """A float64 array of shape (2, n), n ≥ 1: whole steps ≥ 0 and values. Checked before it is loaded."""
    array: NDArray[np.float64] = load_file_array(path, kinds="f", n_dim=2)
    if array.shape[0] != 2 or not 1 <= array.shape[1] <= MAX_POINTS:
        raise InputError("must be (2, n): steps and accuracies", where=path, field="shape", value=array.shape)
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError("must be finite", where=path, field="value", value="NaN or infinity")
    return array


def write_neuneu_npy(
    table: CurveTable, folder: str | Path, *, metric: str | None = None, overwrite: bool = False
) -> list[Path]:
    """Write one accuracy metric of every curve as <folder>/<run>/<task>.npy; the files written.

    metric: by default the preferred accuracy of each curve (CurveTable.one_metric). / in a run's name becomes
    --. Raises InputError where two curves would be one file, where a name is no file name, and, unless
    `overwrite`, where a file exists; then nothing has been written.
    """
    files: dict[Path, Curve] = {}
    for curve in table.one_metric(metric).curves:
        path = Path(folder, _file_name(curve.key.run), _file_name(curve.key.task) + ".npy")
        if path in files:
            raise InputError(
                f"{curve.key} and {files[path].key} would be one file; choose by `n_shot` and `variant`",
                field="task", value=curve.key.task,
            )  # fmt: skip
        if path.exists() and not overwrite:
            raise InputError("exists already; `overwrite` replaces it", where=path)
        files[path] = curve
    if not files:
        raise InputError("no curve of this metric", field="metric", value=metric)
    for path, curve in files.items():
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, np.vstack([curve.steps.astype(np.float64), curve.values]), allow_pickle=False)
    return list(files)


def _facts_of(model: str) -> dict[str, Any]:
    found = _MODEL.fullmatch(model)
    facts: dict[str, Any] = {"source": "neuneu-npy"}
    if found:
        params = int(found["size"]) * (10**6 if found["unit"] == "M" else 10**9)
        facts |= {"family": "datadecide", "recipe": found["recipe"], "params": params}
    known = known_facts(model, 0)
    return facts | {name: value for name, value in known.items() if name != "tokens"}


def _file_name(name: str) -> str:
    file = name.replace("/", "--").replace("\\", "--")
    if file.strip(". ") == "" or len(file.encode()) > 240 or "\0" in file:
        raise InputError("cannot be a file name", field="name", value=name)
    return file
