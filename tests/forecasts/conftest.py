import pytest

from neuneu.curves.table import CurveTable


@pytest.fixture(scope="session")
def small(home: CurveTable) -> CurveTable:
    """Two packaged runs on three tasks in one accuracy metric."""
    curves = home.one_metric()
    return curves.filter(run=curves.runs[:2], task=curves.tasks[:3])
