"""Properties that hold for every classical method on any valid context."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT
from tests.forecasters.forecaster_cases import ALONE, WITH_EXTRAS, family, make_curve, scaled

from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.evidence.finished import smaller_finished_runs
from neuneu.forecasters.base import LEVELS, Forecast, Forecaster, Refusal, load_forecaster, make_forecaster

few = settings(max_examples=12)
FORECASTERS: dict[str, Forecaster] = {name: load_forecaster(name) for name in WITH_EXTRAS}
HORIZON_RATIOS = np.array([1.0001, 1.1, 1.5, 2.0, 5.0, 100.0, 1e9])


@st.composite
def contexts(draw: st.DrawFn) -> Evidence:
    """Any valid context: from one point, at any clock, noisy, constant, an accuracy or unbounded."""
    n = draw(st.integers(1, 30))
    gaps = draw(st.lists(st.floats(0.01, 1e4), min_size=n, max_size=n))
    clock = np.cumsum(gaps) * draw(st.sampled_from([1e-3, 1.0, 1e9]))
    if draw(st.booleans()):
        clock[0] = 0.0
    bounded = draw(st.booleans())
    value = st.floats(0, 1) if bounded else st.floats(-1e6, 1e6)
    values = draw(st.one_of(st.lists(value, min_size=n, max_size=n), value.map(lambda v: [v] * n)))
    low, high = (0.0, 1.0) if bounded else (-np.inf, np.inf)
    return Evidence(make_curve(clock, np.array(values), low=low, high=high))


def horizons_of(evidence: Evidence) -> Floats:
    return max(evidence.end, 1e-3) * HORIZON_RATIOS


def ask(name: str, evidence: Evidence, horizons: Floats) -> Forecast:
    return FORECASTERS[name].forecast(evidence, horizons)


@pytest.mark.parametrize("name", WITH_EXTRAS)
@few
@given(evidence=contexts())
@example(evidence=Evidence(make_curve(np.array([0.0]), np.array([0.3]))))
@example(evidence=Evidence(make_curve(np.array([5.0]), np.array([1.0]))))
@example(evidence=Evidence(make_curve(np.array([1.0, 2.0]), np.array([0.0, 1.0]))))
@example(evidence=Evidence(make_curve(np.arange(1.0, 21.0), np.zeros(20))))
@example(evidence=Evidence(make_curve(np.array([1.0, 1.0 + 1e-12, 1e12]), np.array([0.1, 0.9, 0.2]))))
@example(
    evidence=Evidence(make_curve(np.array([1.0, 9.0]), np.array([1e300, -1e300]), low=-np.inf, high=np.inf))
)
def test_quantiles_are_finite_ordered_and_in_range(name: str, evidence: Evidence) -> None:
    forecast = ask(name, evidence, horizons_of(evidence))
    assert forecast.levels == LEVELS
    assert np.isfinite(forecast.values).all()
    assert (np.diff(forecast.values, axis=1) >= 0).all()
    assert (forecast.values >= evidence.context.low).all()
    assert (forecast.values <= evidence.context.high).all()


@pytest.mark.parametrize("name", WITH_EXTRAS)
@few
@given(evidence=contexts())
def test_intervals_do_not_narrow_with_the_horizon_unless_the_range_cuts_them(
    name: str, evidence: Evidence
) -> None:
    low, high = ask(name, evidence, horizons_of(evidence)).interval(0.8).T
    width = high - low
    uncut = (low > evidence.context.low) & (high < evidence.context.high)
    slack = 1e-9 * (1.0 + np.abs(low) + np.abs(high))
    assert (np.diff(width[uncut]) >= -slack[uncut][1:]).all()


@pytest.mark.parametrize("name", WITH_EXTRAS)
@few
@given(evidence=contexts(), factor=st.sampled_from([1e-6, 3.0, 1e6]))
def test_unit_of_the_clock_does_not_matter(name: str, evidence: Evidence, factor: float) -> None:
    horizons = horizons_of(evidence)
    here = ask(name, evidence, horizons).values
    there = ask(name, scaled(evidence, factor), horizons * factor).values
    if name in ("broken-power-law", "lightgbm", "gaussian-process"):  # a choice may tip on the last bit
        size = max(float(np.abs(evidence.context.values).max()), 1e-3)
        assert np.median(np.abs(here - there)) <= 0.02 * size
    else:
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-6 * np.abs(here).max() + 1e-12)


@pytest.mark.parametrize("name", WITH_EXTRAS)
@few
@given(evidences=st.lists(contexts(), min_size=1, max_size=6))
def test_a_batch_answers_as_one_by_one(name: str, evidences: list[Evidence]) -> None:
    horizons = [horizons_of(evidence)[: 1 + i] for i, evidence in enumerate(evidences)]
    together = FORECASTERS[name].forecast_many(evidences, horizons)
    for evidence, asked, answer in zip(evidences, horizons, together, strict=True):
        assert isinstance(answer, Forecast)
        alone = ask(name, evidence, asked).values
        np.testing.assert_allclose(answer.values, alone, rtol=1e-9, atol=1e-9 * np.abs(alone).max())


@pytest.mark.parametrize("name", WITH_EXTRAS)
def test_a_forecast_does_not_depend_on_which_other_horizons_are_asked(name: str) -> None:
    evidence = Evidence(make_curve(np.arange(1.0, 15.0), np.linspace(0.2, 0.4, 14) ** 0.8))
    horizons = evidence.end * HORIZON_RATIOS
    order = np.array([4, 0, 6, 2])
    np.testing.assert_array_equal(
        ask(name, evidence, horizons).values[order], ask(name, evidence, horizons[order]).values
    )


@pytest.mark.parametrize("name", WITH_EXTRAS)
def test_long_contexts_are_fine(name: str) -> None:
    rng = np.random.default_rng(0)
    clock = np.arange(1.0, 1e5 + 1)
    values = 0.6 - 0.4 * clock**-0.2 + 0.01 * rng.standard_normal(len(clock))
    forecast = ask(name, Evidence(make_curve(clock, values)), np.array([2e5, 1e14]))
    assert abs(forecast.median[0] - values[-1]) < 0.05


@pytest.mark.parametrize("name", WITH_EXTRAS)
def test_rows_may_come_in_any_order_and_runs_may_be_renamed(name: str) -> None:
    frame = family(sizes=2, tasks=1).frame
    renamed = frame.with_columns(pl.col("run").replace({"run-0": "zebra", "run-1": "ant"}))
    shuffled = renamed.sample(fraction=1.0, shuffle=True, seed=1)
    expected = {c.key.run: c for c in CurveTable.from_frame(frame).one_metric()}
    for curve in CurveTable.from_frame(shuffled).one_metric():
        twin = expected[{"zebra": "run-0", "ant": "run-1"}[curve.key.run]]
        asked = curve.clock[12:]
        np.testing.assert_array_equal(
            ask(name, Evidence(curve.until(curve.clock[11])), asked).values,
            ask(name, Evidence(twin.until(twin.clock[11])), asked).values,
        )


@pytest.mark.parametrize("name", [*ALONE, "reference-shift", "ladder", "logistic", "lightgbm"])
def test_fitted_methods_give_the_same_answers_twice(name: str) -> None:
    table = family()
    builder = EvidenceBuilder(table, references=smaller_finished_runs)
    curve = table.one_metric().curves[-1]
    evidence = builder.at(curve, curve.clock[8])
    first, second = (
        make_forecaster(name)
        .fit(table, references=smaller_finished_runs, seed=3)
        .forecast(evidence, curve.clock[9:])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize("name", ["reference-shift", "ladder", "logistic", "logistic-future"])
def test_methods_without_their_evidence_decline_with_a_reason(name: str) -> None:
    evidence = Evidence(make_curve(np.arange(1.0, 9.0), np.linspace(0.3, 0.4, 8)))
    (answer,) = load_forecaster(name).forecast_many([evidence], [np.array([10.0])])
    assert isinstance(answer, Refusal)
    assert "needs" in answer.reason


def test_points_at_clock_zero_do_not_move_the_laws() -> None:
    clock, values = np.arange(0.0, 10.0), np.linspace(0.2, 0.4, 10)
    with_zero = Evidence(make_curve(clock, values))
    without = replace(with_zero, context=make_curve(clock[1:], values[1:]))
    for name in ("log-linear", "power-law"):
        np.testing.assert_array_equal(
            ask(name, with_zero, np.array([20.0])).median, ask(name, without, np.array([20.0])).median
        )


SCRIPT = """
import sys; sys.path.insert(0, ".")
from tests.forecasters.forecaster_cases import family
from neuneu.forecasters.base import make_forecaster
from neuneu.evidence.evidence import Evidence
table = family(sizes=2, tasks=2); curve = table.one_metric().curves[-1]
for name in ("last-value", "gaussian-process", "lightgbm"):
    answer = make_forecaster(name).fit(table).forecast(Evidence(curve.until(curve.clock[7])), curve.clock[8:])
    print(name, answer.values.tobytes().hex())
"""


def test_one_thread_or_two_give_the_same_bytes() -> None:
    said = []
    for threads in ("1", "2"):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        said.append(done.stdout)
    assert said[0] == said[1]


def test_a_law_does_not_load_heavy_libraries() -> None:
    script = (
        "import sys\nfrom neuneu.forecasters.base import load_forecaster\nload_forecaster('power-law')\n"
        "heavy = {'torch', 'lightgbm', 'scipy', 'pandas', 'statsforecast'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
