"""Intervals are wider where forecasts of the run have erred, judged by what it has shown so far."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.forecasters.forecaster_cases import family, make_curve

from neuneu.curves.curve import Curve
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.forecasters.base import LEVELS, Forecast, load_forecaster
from neuneu.forecasters.neuneu2.past import CURVES, CUT, HORIZONS, ask_past

SHIPPED = load_forecaster("neuneu-2")
BUILDER = EvidenceBuilder(family())
EVIDENCES = [BUILDER.at(curve, 0.5 * curve.clock[-1]) for curve in BUILDER.table.one_metric()]


def width(answer: object) -> float:
    assert isinstance(answer, Forecast)
    return float((answer.values[:, LEVELS.index(0.9)] - answer.values[:, LEVELS.index(0.1)]).mean())


def test_the_past_ends_with_the_context() -> None:
    curves = {e.context.key.run: tuple(c.until(e.end) for c in e.run_curves) for e in EVIDENCES}
    cut = [replace(e, run_curves=curves[e.context.key.run]) for e in EVIDENCES]
    whole, known = ask_past(EVIDENCES), ask_past(cut)
    np.testing.assert_array_equal(whole.truth, known.truth)
    for evidence, group in zip(EVIDENCES, whole.group_of, strict=True):
        asked = [past for past, own in zip(whole.batch.evidences, whole.group, strict=True) if own == group]
        assert 0 < len(asked) <= CURVES
        assert all(past.context.clock[-1] <= CUT * evidence.end for past in asked)
    horizons = np.bincount(whole.batch.cell)
    assert horizons.min() >= 1
    assert horizons.max() <= HORIZONS


@given(st.permutations(range(6)))
def test_a_forecast_does_not_depend_on_its_company(order: list[int]) -> None:
    given = [EVIDENCES[i] for i in order]
    horizons = [evidence.end * np.array([1.2, 2.0, 9.0]) for evidence in given]
    together = SHIPPED.forecast_many(given, horizons)
    for evidence, asked, answer in zip(given, horizons, together, strict=True):
        assert isinstance(answer, Forecast)
        alone = SHIPPED.forecast(evidence, asked)
        np.testing.assert_allclose(answer.values, alone.values, atol=1e-9)


def test_past_errors_on_other_tasks_widen_the_interval() -> None:
    clock = np.geomspace(1e8, 1e10, 30)
    end = float(clock[15])

    def task(number: int, jump: float) -> Curve:
        noise = 0.004 * np.random.default_rng(number).standard_normal(30)
        values = 0.3 + 0.05 * np.log10(clock / 1e8) + noise + jump * (clock > CUT * end)
        curve = make_curve(clock, values)
        return replace(curve, key=curve.key._replace(task=f"task-{number}"))

    calm, wild = (
        Evidence(context=task(9, 0.0).until(end), run_curves=tuple(task(i, jump) for i in range(8)))
        for jump in (0.0, 0.2)
    )
    asked = [np.array([1.5 * end, 3.0 * end])] * 2
    narrow, wide = (width(answer) for answer in SHIPPED.forecast_many([calm, wild], asked))
    assert wide > 1.1 * narrow


def test_without_a_past_nothing_is_asked() -> None:
    context = EVIDENCES[0].context
    past = ask_past([Evidence(context=context.until(float(context.clock[0])))])
    assert past.batch.n == 0
    np.testing.assert_array_equal(past.log_error(np.empty(0), np.empty(0)), [0.0])


@given(st.floats(1e-6, 1e6))
def test_past_errors_double_or_halve_intervals_at_most(off: float) -> None:
    past = ask_past(EVIDENCES)
    scale = np.full(len(past.truth), 0.01)
    told = past.log_error(past.truth + 0.01 * off, scale)
    assert (np.abs(told) <= np.log(2.0) + 0.01).all()
    assert (np.sign(told) == np.sign(np.log(off)))[np.abs(told) > 1e-9].all()
