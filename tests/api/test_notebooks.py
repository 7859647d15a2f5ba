"""What Python functions return shows itself in a notebook, with names from outside escaped."""

import numpy as np
import polars as pl
import pytest

import neuneu as nn


@pytest.fixture(scope="module")
def curves() -> nn.CurveTable:
    rows = [
        {"run": run, "task": "<b>piqa", "metric": "acc", "step": k, "tokens": 1000 * k, "params": 10**6,
         "planned_tokens": 40_000, "value": top - 0.3 * (1 + k) ** -0.5}
        for run, top in (("<i>better", 0.8), ("worse", 0.6)) for k in range(20)
    ]  # fmt: skip
    return nn.CurveTable.from_frame(pl.DataFrame(rows))


def test_a_verdict_shows_what_to_do_and_why(curves: nn.CurveTable) -> None:
    shown = nn.should_stop(curves, "<i>better", target=0.1, forecaster="power-law")._repr_html_()
    assert shown.startswith("<p><b>Go on</b>: ")
    assert "<i>" not in shown


def test_tables_forecasts_and_inspections_show_themselves(curves: nn.CurveTable) -> None:
    forecast = nn.Forecast(np.array([1e9]), np.linspace(0.1, 0.9, 7)[None, :])
    for thing in (
        curves, nn.forecast(curves, forecasters="power-law"), forecast, nn.inspect(curves),
        nn.rank(curves, forecaster="power-law"), nn.advise(curves, target=0.5, forecaster="power-law"),
    ):  # fmt: skip
        assert "<i>better" not in thing._repr_html_()
        assert thing._repr_html_().startswith("<")
    assert "q50" in forecast._repr_html_()


def test_every_public_name_is_listed_and_there() -> None:
    assert set(nn.__all__) <= set(dir(nn))
    assert {"read_curves", "load_forecaster", "atlas"} <= set(dir(nn))
    for name in nn.__all__:
        assert getattr(nn, name) is not None
