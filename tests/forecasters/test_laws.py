"""Laws find the parameters of noise-free curves, and score on real ones as the published fits do."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from tests.forecasters.forecaster_cases import make_curve

from neuneu.curves.table import CurveTable
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.laws import fit_power_law, solve_bounded

CLOCK = np.geomspace(1.0, 100.0, 25)


@given(a=st.floats(0.4, 0.95), c=st.floats(0.1, 1.5), share=st.floats(0.2, 0.9))
def test_power_law_recovers_its_parameters(a: float, c: float, share: float) -> None:
    b = share * a  # at clock 1, so that every value is in range
    curve = make_curve(CLOCK, a - b * CLOCK**-c)
    batch = make_batch([Evidence(curve)], [np.array([1e3])])
    fit = fit_power_law(batch.points, batch.low, batch.high)
    assert fit.c[0] == pytest.approx(c, rel=0.03)
    assert fit.a[0] == pytest.approx(a, abs=0.01)
    assert fit.b[0] * 100 ** fit.c[0] == pytest.approx(b, rel=0.05)


@given(a=st.floats(0.4, 0.95), c=st.floats(0.1, 1.5), share=st.floats(0.2, 0.9))
@settings(max_examples=20)
@pytest.mark.parametrize("name", ["power-law", "broken-power-law", "gaussian-process"])
def test_methods_built_on_the_power_law_continue_it(name: str, a: float, c: float, share: float) -> None:
    curve = make_curve(CLOCK, a - share * a * CLOCK**-c)
    forecast = load_forecaster(name).forecast(Evidence(curve), [200.0, 500.0])
    np.testing.assert_allclose(forecast.median, a - share * a * np.array([200.0, 500.0]) ** -c, atol=0.01)


@given(slope=st.floats(-0.05, 0.05))
def test_log_linear_continues_a_line(slope: float) -> None:
    curve = make_curve(CLOCK, 0.5 + slope * np.log(CLOCK))
    forecast = load_forecaster("log-linear").forecast(Evidence(curve), [200.0])
    assert forecast.median[0] == pytest.approx(0.5 + slope * np.log(200.0), abs=1e-9)


def test_broken_power_law_sees_a_break_that_the_plain_one_misses() -> None:
    clock = np.geomspace(1.0, 1000.0, 40)
    bend = 0.3 * np.logaddexp(0.0, np.log(clock / 60) / 0.3)
    later = np.geomspace(2000.0, 5000.0, 4)

    def law(x: np.ndarray) -> np.ndarray:
        bend = 0.3 * np.logaddexp(0.0, np.log(x / 60) / 0.3)
        return 0.8 - 0.5 * x**-0.05 * np.exp(-0.6 * bend)

    assert bend[-1] > 2  # the break is inside the context
    evidence = Evidence(make_curve(clock, law(clock)))
    errors = {
        name: np.abs(load_forecaster(name).forecast(evidence, later).median - law(later)).max()
        for name in ("power-law", "broken-power-law")
    }
    assert errors["broken-power-law"] < 0.02
    assert errors["broken-power-law"] < errors["power-law"] / 4


@given(seed=st.integers(0, 500), c=st.floats(0.05, 1.5), high=st.floats(0.3, 1.0))
def test_the_closed_form_is_the_bounded_least_squares_solution(seed: int, c: float, high: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.clip(rng.normal(0.25, 0.05, 9) + rng.normal(0, 0.05) * np.arange(9), 0, high)
    clock = np.geomspace(1, 50, 9)
    batch = make_batch([Evidence(make_curve(clock, values))], [np.array([60.0])])
    basis = np.exp(-c * batch.points.x)
    a, b, error = solve_bounded(batch.points, basis, np.array([0.0]), np.array([high]))
    grid_a, grid_b = np.meshgrid(np.linspace(0, high, 201), np.linspace(0, 1.5, 601))
    squares = sum((grid_a - grid_b * g - v) ** 2 for g, v in zip(basis, values, strict=True))
    assert 0 <= a[0] <= high
    assert b[0] >= 0
    assert error[0] == pytest.approx(float(np.sum((a[0] - b[0] * basis - values) ** 2)), abs=1e-9)
    assert error[0] <= float(np.min(squares)) + 1e-9


def test_falling_metrics_without_a_range_may_fall() -> None:
    curve = make_curve(CLOCK, 0.7 + 2.0 * CLOCK**-0.4, low=-np.inf, high=np.inf)
    forecast = load_forecaster("power-law").forecast(Evidence(curve), [1000.0])
    assert forecast.median[0] == pytest.approx(0.7 + 2.0 * 1000**-0.4, abs=0.02)


def test_errors_on_real_curves_are_those_of_the_bounded_scipy_fit(shared: Path) -> None:
    table = CurveTable.read(shared / "data/curves/gemstones.parquet").one_metric()
    forecaster = load_forecaster("power-law")
    ours, theirs = [], []
    for curve in table.curves[::3]:
        context = curve.until(0.2 * curve.clock[-1])
        later = curve.after(context.clock[-1])
        forecast = forecaster.forecast(Evidence(context), later.clock)
        ours.append(np.abs(forecast.median - later.values).mean())
        x, end = context.clock / context.clock[-1], context.clock[-1]
        law = lambda u, a, b, c: a - b * u**-c  # noqa: E731
        found, _ = curve_fit(
            law, x, context.values, p0=(0.5, 0.1, 0.3), bounds=([0, 0, 0.02], [1, 10, 2]), max_nfev=5000
        )
        theirs.append(np.abs(law(later.clock / end, *found) - later.values).mean())
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.05)
