"""A run that has not started is forecast from its size, finished runs and the atlas."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from neuneu.curves.curve import CurveKey, Facts
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import Evidence, unstarted
from neuneu.forecasters.base import Refusal, load_forecaster
from neuneu.forecasters.neuneu2.model import Neuneu2

KEY = CurveKey("new", "hellaswag", "acc_norm", 10)
TOKENS = np.array([1e10, 1e11, 1e12])
FACTS = Facts(family="mine", params=10**9, planned_tokens=10**12)


def finished(gain: float, task: str = "hellaswag") -> CurveTable:
    """Runs of half and twice the size, on a line in log-tokens."""
    rows = [
        {"run": f"old-{params:.0e}", "task": task, "metric": "acc_norm", "n_shot": 10, "step": k,
         "tokens": int(1e10 * 2**k), "params": int(params), "family": "mine",
         "value": 0.3 + gain * (k + np.log2(params / 1e9))}
        for params in (5e8, 2e9) for k in range(8)
    ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))


def ask(evidence: Evidence, horizons: np.ndarray = TOKENS) -> np.ndarray:
    return Neuneu2().forecast(evidence, horizons).values


def test_without_references_the_atlas_answers_and_widely():
    values = ask(unstarted(KEY, FACTS))
    assert (np.diff(values[:, 3]) > 0).all()
    assert 0.4 < values[1, 3] < 0.65
    assert (values[:, 5] - values[:, 1] > 0.05).all()


def test_own_finished_runs_outweigh_the_atlas_and_narrow_it():
    plain = ask(unstarted(KEY, FACTS))[1]
    low = ask(unstarted(KEY, FACTS, finished(0.01).curves))[1]
    usual = ask(unstarted(KEY, FACTS, finished(0.065).curves))[1]
    assert low[3] < 0.38 < plain[3]
    assert usual[5] - usual[1] < plain[5] - plain[1]


def test_a_task_that_nobody_knows_is_forecast_from_references_or_declined():
    key = KEY._replace(task="my-benchmark")
    answer = Neuneu2().forecast_many([unstarted(key, FACTS)], [TOKENS])[0]
    assert isinstance(answer, Refusal)
    assert "my-benchmark" in answer.reason
    values = ask(unstarted(key, FACTS, finished(0.04, "my-benchmark").curves))
    assert 0.3 < values[0, 3] < values[1, 3] < 0.55


@pytest.mark.parametrize(
    ("key", "facts", "reason"),
    [(KEY, Facts(), "params"), (KEY._replace(metric="bpb"), FACTS, "only accuracies")],
)
def test_what_cannot_be_said_is_declined(key, facts, reason):
    answer = Neuneu2().forecast_many([unstarted(key, facts)], [TOKENS])[0]
    assert isinstance(answer, Refusal)
    assert reason in answer.reason


def test_own_family_is_not_read_from_the_atlas():
    everyone = ask(unstarted(KEY, FACTS))
    pythia = ask(unstarted(KEY, Facts(family="pythia", params=10**9)))
    assert np.abs(everyone - pythia).max() > 1e-4


def test_started_and_unstarted_runs_are_answered_together_others_decline():
    started = finished(0.03).curves[0]
    evidences = [Evidence(started), unstarted(KEY, FACTS), Evidence(started)]
    horizons = [np.array([2 * started.clock[-1]])] * 3
    together = load_forecaster("neuneu-2").forecast_many(evidences, horizons)
    assert [len(answer.horizons) for answer in together] == [1, 1, 1]
    np.testing.assert_array_equal(together[0].values, together[2].values)
    answers = load_forecaster("power-law").forecast_many(evidences, horizons)
    assert isinstance(answers[1], Refusal)
    assert "has not started" in answers[1].reason or "have not started" in answers[1].reason
    np.testing.assert_array_equal(answers[0].values, answers[2].values)


def spread(facts: Facts, recipe: str | None = None, tokens: float = 1e11) -> float:
    """Width of the 80 % interval, where finished runs of a recipe are there."""
    runs = [
        replace(curve, facts=replace(curve.facts, recipe=recipe)) for curve in finished(0.04, "mine").curves
    ]
    values = ask(unstarted(KEY._replace(task="mine"), facts, runs), np.array([tokens]))[0]
    return float(values[5] - values[1])


def test_a_recipe_that_no_finished_run_has_is_less_certain():
    known = spread(replace(FACTS, recipe="web"), "web")
    assert spread(replace(FACTS, recipe="books"), "web") > 1.2 * known


def test_larger_runs_than_have_finished_are_less_certain():
    larger = replace(FACTS, params=10**11)
    assert spread(larger, tokens=1e12) > 1.5 * spread(FACTS, tokens=5e11)


def test_a_task_of_ones_own_goes_on_rising_beyond_the_largest_run():
    runs = finished(0.04, "mine").curves
    key = KEY._replace(task="mine")
    middle = [ask(unstarted(key, replace(FACTS, params=params), runs))[2, 3] for params in (2e9, 1e10, 5e10)]
    assert middle[0] + 0.01 < middle[1]
    assert middle[1] + 0.01 < middle[2] < 1.0
