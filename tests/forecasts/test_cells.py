from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.forecasters.base import Forecast, Refusal
from neuneu.forecasts.cells import (
    CELLS,
    CurveForecast,
    check_cells,
    from_cells,
    on_levels,
    read_cells,
    to_cells,
)
from neuneu.forecasts.forecast import forecast
from neuneu.forecasts.horizons import drawn
from neuneu.reports.panels import in_flops

LAST = ["last-value"]


def forecast_panels(
    table: CurveTable, forecasters: list[str], context: float | None = 0.2, beyond: float | None = None
) -> list[CurveForecast]:
    """Forecasts as charts draw them."""
    return list(forecast(table, forecasters, context=context, plan=drawn(beyond)).curves)


@given(st.one_of(st.floats(0.15, 0.99), st.just(1.0)), st.one_of(st.none(), st.floats(1.1, 50)))
def test_everything_asked_lies_after_the_context(
    small: CurveTable, context: float, beyond: float | None
) -> None:
    if context == 1 and beyond is None:
        with pytest.raises(InputError, match="has reached its planned end; look back"):
            forecast_panels(small, LAST, context, beyond)
        return
    for panel in forecast_panels(small, LAST, context, beyond):
        clock = panel.curve.clock
        assert panel.end <= context * clock[-1] * (1 + 1e-9)
        assert panel.context.clock[-1] == panel.end
        horizons = panel.answered["last-value"].horizons
        assert (np.diff(horizons) > 0).all()
        assert horizons[0] > panel.end
        assert set(panel.truth.clock) <= set(horizons)
        if beyond is not None:
            assert horizons[-1] == pytest.approx(beyond * clock[-1])


def test_where_all_is_seen_the_planned_end_is_asked(small: CurveTable) -> None:
    frame = small.frame.with_columns(planned_tokens=pl.col("tokens").max().over("run") * 3)
    for panel in forecast_panels(CurveTable(frame), LAST, context=1.0):
        assert not len(panel.truth)
        assert panel.answered["last-value"].horizons[-1] == pytest.approx(3 * panel.end)


@pytest.mark.parametrize("context", [0.0, -1.0, 1.01, float("nan")])
def test_a_context_outside_the_run_is_refused(small: CurveTable, context: float) -> None:
    with pytest.raises(InputError, match="context"):
        forecast_panels(small, LAST, context)


def test_cells_give_the_panels_back(small: CurveTable) -> None:
    panels = forecast_panels(small, [*LAST, "power-law"], 0.5)
    cells = to_cells(panels)
    assert dict(cells.schema) == CELLS
    again = from_cells(check_cells(cells), small)
    assert {p.curve.key: p.end for p in again} == {p.curve.key: p.end for p in panels}
    before = {p.curve.key: p.answered for p in panels}
    for panel in again:
        for name, answer in panel.answered.items():
            assert np.array_equal(answer.values, before[panel.curve.key][name].values)


def test_cells_without_their_curves_still_show_what_came_true(small: CurveTable) -> None:
    panels = {p.curve.key: p for p in forecast_panels(small, LAST, 0.5)}
    for panel in from_cells(check_cells(to_cells(panels.values()))):
        assert np.array_equal(panel.truth.values, panels[panel.curve.key].truth.values)
        assert not len(panel.context)


def test_a_refusal_is_a_refusal_again_and_last_value_stands_in(small: CurveTable) -> None:
    panel = forecast_panels(small, LAST, 0.5)[0]
    declined = replace(panel, forecasts={**panel.forecasts, "picky": Refusal("too little")})
    cells = to_cells([declined])
    stood_in = cells.filter(forecaster="picky")
    assert stood_in["refused"].all()
    assert stood_in["q50"].to_list() == cells.filter(forecaster="last-value")["q50"].to_list()
    again = from_cells(check_cells(cells))[0]
    assert set(again.answered) == {"last-value"}
    assert isinstance(again.forecasts["picky"], Refusal)


def test_methods_that_give_fewer_quantiles_are_drawn_with_those(small: CurveTable) -> None:
    cells = to_cells(forecast_panels(small, LAST, 0.5)).drop("q05", "q95")
    for panel in from_cells(check_cells(cells)):
        assert panel.answered["last-value"].levels == (0.1, 0.25, 0.5, 0.75, 0.9)


def test_compute_is_six_times_parameters_times_tokens(small: CurveTable) -> None:
    panel = forecast_panels(small, LAST, 0.5)[0]
    moved = in_flops(panel)
    assert panel.curve.facts.params is not None
    factor = 6 * panel.curve.facts.params
    assert moved.end == pytest.approx(panel.end * factor)
    assert moved.curve.clock == pytest.approx(panel.curve.clock * factor)
    forecast = moved.forecasts["last-value"]
    assert isinstance(forecast, Forecast)
    assert forecast.horizons == pytest.approx(panel.answered["last-value"].horizons * factor)


def test_compute_of_a_run_of_unknown_size_is_refused(small: CurveTable) -> None:
    frame = small.frame.with_columns(params=pl.lit(None, pl.Int64))
    with pytest.raises(InputError, match="params"):
        in_flops(forecast_panels(CurveTable(frame), LAST, 0.5)[0])


def test_files_that_are_not_cells_are_refused(tmp_path: Path, small: CurveTable) -> None:
    small.write(tmp_path / "small.parquet")
    with pytest.raises(InputError, match="no such file"):
        read_cells(tmp_path)
    with pytest.raises(InputError, match="forecaster: this column is missing"):
        read_cells(tmp_path / "small.parquet")
    (tmp_path / "cells.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="cannot be read"):
        read_cells(tmp_path)


def test_published_methods_without_outer_levels_leave_them_empty():
    five = Forecast(np.array([1.0]), np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]), (0.1, 0.25, 0.5, 0.75, 0.9))
    np.testing.assert_array_equal(on_levels(five), [[np.nan, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan]])
