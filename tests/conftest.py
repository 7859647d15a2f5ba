"""Fixtures that every test may use."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from tests.durations import mark
from tests.hub import Served, serve

if TYPE_CHECKING:
    from tests.steady import Steady

    from neuneu.curves.table import CurveTable

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("NEUNEU_SHARED", ROOT.parent / "shared"))

settings.register_profile(
    "house", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long."""
    mark(items)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real curves, goldens and raw files."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"real data is not here: {SHARED} (set NEUNEU_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def published(shared: Path) -> Path:
    """The folder with the published design data."""
    return shared / "data" / "designs"


@pytest.fixture(scope="session")
def neuneu() -> Run:
    """Run the real command line: neuneu("inspect", path) → completed process with text output."""

    def run(*arguments: object, **options: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "neuneu", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]

    return run


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    """A stand-in for the hub and GitHub that serves the folder `hub.root`, empty at first."""
    (tmp_path / "served").mkdir()
    with serve(tmp_path / "served") as served:
        yield served


@pytest.fixture(scope="session")
def home() -> "CurveTable":
    """All packaged home-made runs."""
    from neuneu.suite.home import read_home_curves

    return read_home_curves()


@pytest.fixture
def steady() -> "Steady":
    """A forecaster whose answers are known beforehand."""
    from tests.steady import Steady

    return Steady()


@pytest.fixture
def decliner() -> "Steady":
    """The same, which declines one task."""
    from tests.steady import Steady

    return Steady("piqa")


@pytest.fixture(scope="session")
def table() -> "CurveTable":
    """Two runs in flight and a finished smaller one."""
    from tests.steady import two_in_flight

    return two_in_flight()


@pytest.fixture(scope="session")
def evaluation(home: "CurveTable", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of some packaged runs at rolling origins."""
    from neuneu.evaluation.comparison import evaluate, write_results

    folder = tmp_path_factory.mktemp("evaluation")
    curves = home.one_metric()
    curves.filter(task=curves.tasks[:6]).write(folder / "home.parquet")
    names = ["last-value", "power-law", "log-linear"]
    write_results(
        evaluate([folder / "home.parquet"], names, protocol="rolling", fit=False), folder / "results"
    )
    return folder / "results"
