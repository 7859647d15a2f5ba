"""Small inputs that pages find in their folder: made, or taken from the packaged runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
from tests.conftest import ROOT

from neuneu.curves.table import CurveTable
from neuneu.suite.home import read_home_curves

KITS: dict[str, Callable[[Path], None]] = {}


def kit(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Register a kit under its function's name."""
    KITS[function.__name__] = function
    return function


def make(names: str, folder: Path) -> None:
    """Put kits into a folder."""
    for name in names.split(","):
        KITS[name.strip()](folder)


@kit
def results(folder: Path) -> None:
    """results/: one run's lm-evaluation-harness results, six checkpoints."""
    shutil.copytree(ROOT / "examples/results/mix-a", folder / "results")


@kit
def runs(folder: Path) -> None:
    """runs.parquet: two runs in flight, of those results."""
    import neuneu as nn

    table = nn.read_lm_eval(ROOT / "examples/results", tokens_per_step=2_097_152, planned_tokens=4e10)
    table.write(folder / "runs.parquet")


@kit
def old_runs(folder: Path) -> None:
    """old-runs.parquet: four finished packaged runs on three tasks."""
    _packaged(lambda run: "llama-50k" in run and run.endswith("seed0"), 4).write(folder / "old-runs.parquet")


@kit
def curves(folder: Path) -> None:
    """curves.parquet: three finished packaged runs on three tasks."""
    _packaged(lambda run: "llama-800k" in run and run.endswith("seed0"), 3).write(folder / "curves.parquet")


def _packaged(wanted: Callable[[str], bool], most: int) -> CurveTable:
    table = read_home_curves()
    names = [run for run in table.runs if wanted(run)][:most]
    return table.filter(run=names, task=["text_prose", "text_code", "piqa"])


@kit
def in_flight(folder: Path) -> None:
    """in-flight.parquet: packaged runs of one size, as they stood at half of their training."""
    table = _packaged(lambda run: "llama-800k" in run and run.endswith("seed0"), 3)
    half = table.frame.filter(pl.col("tokens") < pl.col("planned_tokens") / 2)
    CurveTable.from_frame(half).write(folder / "in-flight.parquet")
