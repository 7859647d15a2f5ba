"""What somebody should look at, told from curves alone."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.steady import Steady

from neuneu.curves.table import CurveTable
from neuneu.decisions.alerts import Watched, alerts_of
from neuneu.decisions.stopping import should_stop
from neuneu.errors import InputError
from neuneu.evidence.select import Selection

STEADY = Watched(forecaster=Steady())
"""Its 90 % band one step after ten is the last value ± 0.0155."""


def run_of(metric="acc", **tasks):
    """A run with these values at steps 1, 2, …"""
    rows = [
        {"run": "r", "task": task, "metric": metric, "step": k + 1, "tokens": k + 1, "value": float(value),
         "planned_tokens": 100}
        for task, values in tasks.items() for k, value in enumerate(values)
    ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))


def rising(n, scale=0.002):
    return 0.4 + 0.01 * np.arange(n) + scale * np.cos(2.4 * np.arange(n))


def subjects(table, watched=STEADY):
    return {(alert.kind, alert.task, alert.step) for alert in alerts_of(table, "r", watched)}


FLAT = np.full(12, 0.5)


def test_a_run_as_it_was_forecast_has_none():
    assert subjects(run_of(piqa=FLAT, sciq=FLAT)) == set()


@pytest.mark.parametrize(("ahead", "side"), [((0.6, 0.6, 0.6), "above"), ((0.4, 0.4, 0.4), "below")])
def test_a_curve_outside_its_own_band_for_three_checkpoints(ahead, side):
    table = run_of(piqa=[*FLAT, *ahead], sciq=np.full(15, 0.5))
    found = {alert.task: alert for alert in alerts_of(table, "r", STEADY)}
    assert found["piqa"].kind == "outside"
    assert found["piqa"].step == 15
    assert f"piqa is {ahead[0]:g}, {side} its own 90% band of" in found["piqa"].reason
    assert found[None].reason.startswith("the mean over tasks is")
    assert "sciq" not in found


@pytest.mark.parametrize("ahead", [(0.5, 0.6, 0.6), (0.4, 0.6, 0.6), (0.6, 0.6, 0.5)])
def test_none_where_one_of_the_three_is_inside_or_on_the_other_side(ahead):
    assert subjects(run_of(piqa=[*FLAT, *ahead])) == set()
    last = run_of(piqa=[*FLAT, *ahead])
    one = replace(STEADY, patience=1)
    assert ("outside", "piqa", 15) in subjects(run_of(piqa=[*FLAT, 0.5, 0.5, 0.6]), one)
    assert len(last.frame) == 15


def test_the_band_is_wider_where_more_curves_may_leave_it():
    """0.52 lies outside a band of 90 %, but among 60 curves six do by chance."""
    one = replace(STEADY, patience=1)
    assert subjects(run_of(task=[*FLAT, 0.52]), one) == {("outside", "task", 13)}
    many = {f"task_{i}": [*FLAT, 0.5] for i in range(60)}
    assert subjects(run_of(**many | {"task_0": [*FLAT, 0.52]}), one) == set()
    assert subjects(run_of(**many | {"task_0": [*FLAT, 0.6]}), one) == {("outside", "task_0", 13)}


def test_a_band_keeps_to_what_the_metric_can_be():
    near = np.array([0.95, 0.99, 0.93, 0.99, 0.94, 0.99, 0.93, 0.99])
    (found,) = alerts_of(run_of(piqa=[*near, 0.1, 0.1, 0.1]), "r", STEADY)
    assert "below its own 90% band" in found.reason
    assert found.reason.split(" to ")[1].startswith("1 at step")


def test_no_band_from_fewer_than_three_points():
    assert subjects(run_of(piqa=[0.5, 0.5, 0.9, 0.9, 0.9])) == set()
    assert subjects(run_of(piqa=[0.5, 0.5, 0.5, 0.9, 0.9, 0.9])) == {("outside", "piqa", 6)}


def test_a_curve_that_falls_by_more_than_its_noise():
    falling = [*rising(12), 0.49, 0.46, 0.43]
    found = {alert.kind: alert.reason for alert in alerts_of(run_of(piqa=falling), "r", STEADY)}
    assert found["falls"] == (
        "piqa has got worse at each of its last 3 checkpoints, from 0.5106 to 0.43 at step 15"
    )
    wild = 0.5 + 0.1 * np.cos(2.4 * np.arange(12))
    assert not {one for one in subjects(run_of(piqa=[*wild, 0.49, 0.46, 0.43])) if one[0] == "falls"}
    broken = [*rising(12), 0.49, 0.50, 0.43]
    assert not {one for one in subjects(run_of(piqa=broken)) if one[0] == "falls"}


def test_a_loss_falls_where_it_rises():
    better = [2.0 - 0.01 * k for k in range(15)]
    chosen = replace(STEADY, selection=Selection(metric="bits_per_byte"))
    assert not {one for one in subjects(run_of("bits_per_byte", piqa=better), chosen) if one[0] == "falls"}
    worse = [*better[:12], 1.95, 2.0, 2.05]
    assert ("falls", "piqa", 15) in subjects(run_of("bits_per_byte", piqa=worse), chosen)


def test_a_checkpoint_that_looks_like_a_wrong_upload():
    tasks = {f"task_{i}": rising(15) for i in range(6)}
    table = run_of(**{name: [*values[:9], 0.1, *values[10:]] for name, values in tasks.items()})
    (found,) = [alert for alert in alerts_of(table, "r", STEADY) if alert.kind == "outlier"]
    assert (found.step, found.task) == (10, None)
    assert "step 10 looks like a wrong upload: 6 of 6 curves jump here" in found.reason
    assert not {one for one in subjects(run_of(**tasks)) if one[0] == "outlier"}


def test_a_target_out_of_reach():
    found = alerts_of(run_of(piqa=FLAT), "r", replace(STEADY, target=0.9))
    assert [(alert.kind, alert.task, alert.step) for alert in found] == [("target", None, 12)]
    assert found[0].reason.endswith("under the threshold of 0.05, for 3 checkpoints")
    assert subjects(run_of(piqa=FLAT), replace(STEADY, target=0.5)) == set()


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="did you mean piqa"):
        alerts_of(run_of(piqa=FLAT), "r", replace(STEADY, selection=Selection(tasks=["piqo"])))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=16), st.integers(1, 4))
def test_the_same_curves_give_the_same_alerts_whatever_they_are(values, patience):
    table, watched = run_of(piqa=values), replace(STEADY, patience=patience)
    found = alerts_of(table, "r", watched)
    assert found == alerts_of(table, "r", watched)
    assert {alert.kind for alert in found} <= {"falls", "outside", "outlier"}
    assert all(alert.reason.count("\n") == 0 and 1 <= alert.step <= len(values) for alert in found)
    if len(values) < 3 + patience:
        assert found == []


def test_a_verdict_must_hold_for_checkpoints_in_a_row():
    """0.7 is out of reach from 0.5 and from 0.6, not from 0.69."""

    def verdict(*values, patience):
        table = run_of(piqa=[0.5, 0.5, 0.5, *values])
        return should_stop(table, "r", target=0.7, forecaster=Steady(), patience=patience)

    assert verdict(0.5, 0.5, patience=1)
    assert verdict(0.5, 0.5, patience=3)
    assert verdict(0.5, 0.5, patience=3).reason.endswith(", for 3 checkpoints")
    short = verdict(0.5, patience=3)
    assert not short
    assert short.chance == 0
    assert short.reason.endswith("for 2 checkpoints: 3 are needed")
    again = verdict(0.69, 0.5, 0.5, patience=3)
    assert not again
    assert again.reason.endswith("for 2 checkpoints: 3 are needed")
    assert not verdict(0.5, 0.69, patience=2)
    for wrong in ({"patience": 0}, {"threshold": 1.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            should_stop(run_of(piqa=FLAT), "r", target=0.7, forecaster=Steady(), **wrong)
