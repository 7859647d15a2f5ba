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
