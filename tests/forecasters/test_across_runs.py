"""Methods that look at other runs: reference shift, ladder, logistic, trees, rivals."""

from dataclasses import replace

import numpy as np
import pytest
from tests.forecasters.forecaster_cases import family, make_curve

from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.evidence.finished import finished_runs, smaller_finished_runs
from neuneu.evidence.loss_curves import context_loss, future_loss
from neuneu.forecasters.base import Forecast, load_forecaster, make_forecaster
from neuneu.losses.loss_store import MemoryLossStore

TABLE = family()
BUILDER = EvidenceBuilder(TABLE, references=smaller_finished_runs)


def largest(task: int = 0) -> "tuple[Evidence, Floats, Floats]":
    curve = next(c for c in TABLE.one_metric() if c.key.run == "run-3" and c.key.task == f"task-{task}")
    return BUILDER.at(curve, curve.clock[5]), curve.clock[6:], curve.values[6:]


def error(name: str) -> float:
    forecaster = make_forecaster(name).fit(TABLE, references=smaller_finished_runs)
    return float(
        np.mean([np.abs(forecaster.forecast(e, h).median - y).mean() for e, h, y in map(largest, range(3))])
    )


def test_reference_shift_follows_a_reference_of_the_same_shape() -> None:
    clock = np.arange(1.0, 31.0)
    rise = 0.3 * (1 - np.exp(-clock / 10))
    small = make_curve(clock, 0.2 + rise, run="small", params=10**7)
    mine = make_curve(clock, 0.3 + rise, run="mine")
    evidence = Evidence(mine.until(8.0), references=(small,), planned_end=30.0)
    forecast = load_forecaster("reference-shift").forecast(evidence, clock[8:])
    np.testing.assert_allclose(forecast.median, mine.values[8:], atol=0.03)


def test_references_show_bits_per_byte_of_the_reference_runs_only() -> None:
    evidence, _, _ = largest()
    assert {c.key.run for c in evidence.reference_metrics} == {"run-0", "run-1", "run-2"}
    assert {c.key.metric for c in evidence.reference_metrics} == {"bpb"}
    assert {c.key.task for c in evidence.reference_metrics} == {"task-0"}


def test_finished_runs_of_any_size_are_all_of_the_family_but_those_in_flight_and_the_run_itself() -> None:
    curve = next(c for c in TABLE.one_metric() if c.key.run == "run-1" and c.key.task == "task-0")
    others = {
        c.key.run
        for c in EvidenceBuilder(TABLE, references=finished_runs).at(curve, curve.clock[5]).references
    }
    assert others == {"run-0", "run-2", "run-3"}
    facts = replace(curve.facts, planned_tokens=int(2 * curve.clock[-1]))
    in_flight = replace(curve, key=curve.key._replace(run="run-9"), facts=facts)
    assert not finished_runs(curve, in_flight)
    assert not finished_runs(curve, replace(curve, facts=replace(curve.facts, family="another")))


@pytest.mark.parametrize("name", ["ladder", "logistic", "logistic-future"])
def test_methods_in_loss_beat_the_last_value_where_accuracy_is_a_function_of_loss(name: str) -> None:
    if name == "logistic-future":
        forecaster = make_forecaster(name).fit(TABLE)
        curve = TABLE.one_metric().curves[-1]
        evidence = BUILDER.at(curve, curve.clock[5], sees_future=True)
        assert np.abs(forecaster.forecast(evidence, curve.clock[6:]).median - curve.values[6:]).mean() < 0.006
    assert error(name) < 0.5 * error("last-value")


def test_only_the_labelled_logistic_sees_losses_after_the_context_end() -> None:
    evidence, _, _ = largest()
    seen, whole = context_loss(evidence), future_loss(evidence)
    assert seen is not None
    assert whole is not None
    assert seen.clock[-1] == evidence.end < whole.clock[-1]
    assert make_forecaster("logistic-future").sees_future
    assert not make_forecaster("logistic").sees_future


def test_changing_the_future_of_the_loss_changes_only_the_method_that_sees_it() -> None:
    curve = TABLE.one_metric().curves[-1]
    after = (TABLE.frame["run"] == "run-3") & (TABLE.frame["metric"] == "bpb")
    after &= TABLE.frame["tokens"] > curve.clock[5]
    changed = CurveTable(TABLE.frame.with_columns(value=TABLE.frame["value"] + 0.2 * after.cast(float)))
    for name, moves in (("logistic", False), ("ladder", False), ("logistic-future", True)):
        forecaster = make_forecaster(name).fit(TABLE, references=smaller_finished_runs)
        before, now = (
            forecaster.forecast(
                EvidenceBuilder(table, references=smaller_finished_runs).at(curve, curve.clock[5]),
                curve.clock[6:],
            ).values
            for table in (TABLE, changed)
        )
        assert np.array_equal(before, now) is not moves


def test_token_losses_come_before_bits_per_byte() -> None:
    runs = {}
    for curve in TABLE.one_metric():
        mean = 2.0 + 3.0 * curve.clock**-0.1
        runs[curve.key.run] = (curve.steps, np.repeat(mean[:, None], 4, axis=1))
    store = MemoryLossStore(runs, "fingerprint")
    builder = EvidenceBuilder(TABLE, store, smaller_finished_runs)
    curve = TABLE.one_metric().curves[-1]
    loss = context_loss(builder.at(curve, curve.clock[5]))
    assert loss is not None
    np.testing.assert_allclose(loss.loss, 2.0 + 3.0 * curve.clock[:6] ** -0.1)
    np.testing.assert_allclose(loss.clock, curve.clock[:6])
    forecaster = make_forecaster("logistic").fit(TABLE, store)
    assert np.isfinite(forecaster.forecast(builder.at(curve, curve.clock[5]), curve.clock[6:]).values).all()


def test_trees_beat_the_last_value_on_runs_like_those_that_they_were_fitted_to() -> None:
    assert error("lightgbm") < 0.7 * error("last-value")


@pytest.mark.parametrize("name", ["damped-holt", "dot"])
def test_rivals_forecast_within_range(name: str) -> None:
    pytest.importorskip("statsforecast")
    values = 0.6 - 0.4 * np.arange(1.0, 21.0) ** -0.5
    (answer,) = load_forecaster(name).forecast_many(
        [Evidence(make_curve(np.arange(1.0, 21.0), values))], [np.array([21.0, 30.0, 1e9])]
    )
    assert isinstance(answer, Forecast)
    assert abs(answer.median[0] - 0.5) < 0.05
    assert (answer.values <= 1).all()
    assert (answer.values >= 0).all()
