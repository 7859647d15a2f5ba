"""What ships forecasts what it did when it was released, to 1e-6, and covers home runs as often.

`golden_cases` says how the numbers are made again.
"""

import json

import numpy as np
import pytest
from tests.forecasters.neuneu2.golden_cases import GOLDEN, RULES, coverage, forecasts

from neuneu.forecasters.base import load_forecaster

SHIPPED = load_forecaster("neuneu-2")
WRITTEN = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cells() -> list[dict[str, object]]:
    return list(forecasts(SHIPPED))


@pytest.mark.parametrize("rule", RULES)
def test_shipped_weights_forecast_what_they_did(cells: list[dict[str, object]], rule: str) -> None:
    now = {cell_name(cell): cell["quantiles"] for cell in cells if cell["references"] == rule}
    then = {cell_name(cell): cell["quantiles"] for cell in WRITTEN["cells"] if cell["references"] == rule}
    assert now.keys() == then.keys()
    for name, quantiles in then.items():
        np.testing.assert_allclose(now[name], quantiles, rtol=0, atol=1e-6, err_msg=name)


def test_references_are_pinned_where_they_matter(cells: list[dict[str, object]]) -> None:
    """Of a curve with references the pinned forecasts differ from those without."""
    alone, finished = (
        np.array([cell["quantiles"] for cell in cells if cell["references"] == rule])
        for rule in ("alone", "finished")
    )
    assert (np.abs(alone - finished).max(axis=1) > 1e-3).mean() > 0.7


def test_intervals_cover_home_runs_as_often_as_they_did() -> None:
    share = coverage(SHIPPED)
    assert share == pytest.approx(WRITTEN["coverage80"], abs=1e-3)
    assert 0.72 < share < 0.88


def cell_name(cell: dict[str, object]) -> str:
    return f"{cell['run']} on {cell['task']} from checkpoint {cell['context']} at {cell['horizon']:g}"
