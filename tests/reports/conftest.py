"""Small real tables for the reports: packaged runs, and an evaluation of them."""

from pathlib import Path

import pytest
from tests.canvas import on_canvas

from neuneu.curves.table import CurveTable

TASKS = 3


__all__ = ["on_canvas"]


@pytest.fixture(autouse=True)
def whole_figures(on_canvas: list[object]) -> None:
    """Nothing of a figure that is saved is cut."""


@pytest.fixture(scope="session")
def small(home: CurveTable) -> CurveTable:
    """Two packaged runs on three tasks in one accuracy metric."""
    curves = home.one_metric()
    runs = [run for run in curves.runs if len(curves.filter(run=run)) > 0][:2]
    shared = sorted(set.intersection(*(set(curves.filter(run=run).tasks) for run in runs)))
    return curves.filter(run=runs, task=shared[:TASKS])


@pytest.fixture(scope="session")
def small_file(small: CurveTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small table as a file."""
    path = tmp_path_factory.mktemp("curves") / "small.parquet"
    small.write(path)
    return path
