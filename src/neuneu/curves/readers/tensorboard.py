"""TensorBoard logs: event files of scalars, a folder a run, tags named like columns (labels.py)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.curves.readers.bulk import each_file
from neuneu.curves.readers.history import COLUMNS, History, Moments, name_folders
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.readers.tfevents import HEAD, VERSION, Scalar, read_scalars


def _recognise(look: Look) -> Fit:
    return Fit.MARK if VERSION in look.start[HEAD.size :][:64] else Fit.NO


@reader(
    "tensorboard",
    "TensorBoard event files (events.out.tfevents.*), a folder a run",
    names=["*tfevents*"],
    recognise=_recognise,
    options={name: text for name, text in COLUMNS.items() if name == "tokens_column"},
)
def read_tensorboard(files: Sequence[Path], given: Given, report: ReadReport, **asked: Any) -> pl.DataFrame:
    """Read event files and folders of them; a run is named by its folder.

    The names of its files begin with the time of their start, so a run that was restarted is read in order.
    """
    known = Moments(asked)

    def read(path: Path, own: ReadReport) -> list[Scalar]:
        wanted = [one for one in read_scalars(path) if known.wanted(one.tag)]
        for one in wanted:
            if not math.isfinite(one.value):
                own.skip(path, f"{one.tag} is {one.value}, no finite number")
        return [one for one in wanted if math.isfinite(one.value)]

    scalars = dict(each_file(files, read, given, report, "tensorboard"))
    names = name_folders([path.absolute().parent for path in scalars])
    parts = []
    for folder, name in names.items():
        moments = Moments(asked)
        its = (path for path in scalars if path.absolute().parent == folder)
        for path in sorted(its, key=lambda path: path.name):
            for step, tag, value in scalars[path]:
                moments.add(step, tag, value)
        part = History(moments.frame(), folder, name, "tensorboard", asked, given=given).rows(report)
        report.read[str(folder)] += len(part)
        parts.append(part)
    return stack(parts)
