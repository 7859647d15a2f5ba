import pytest
from tests.steady import Steady, two_in_flight

from neuneu.curves.table import CurveTable


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def decliner() -> Steady:
    return Steady("piqa")


@pytest.fixture(scope="session")
def table() -> CurveTable:
    return two_in_flight()


@pytest.fixture(scope="session")
def small(home: CurveTable) -> CurveTable:
    """Two packaged runs on three tasks in one accuracy metric."""
    curves = home.one_metric()
    return curves.filter(run=curves.runs[:2], task=curves.tasks[:3])
