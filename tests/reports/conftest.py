"""Small real tables for the reports: packaged runs, and an evaluation of them."""

from pathlib import Path

import pytest

from neuneu.curves.table import CurveTable
from neuneu.evaluation.report import evaluate_files

TASKS = 3


@pytest.fixture(scope="session")
def home() -> CurveTable:
    """All packaged home-made runs."""
    from neuneu.suite.home import read_home_curves

    return read_home_curves()


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


@pytest.fixture(scope="session")
def evaluation(home: CurveTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of some packaged runs at rolling origins."""
    folder = tmp_path_factory.mktemp("evaluation")
    curves = home.one_metric()
    curves.filter(task=curves.tasks[:6]).write(folder / "home.parquet")
    names = ["last-value", "power-law", "log-linear"]
    evaluate_files([folder / "home.parquet"], names, protocol="rolling", fit=False, output=folder / "results")
    return folder / "results"
