"""A run as its trainer sees it, without any trainer."""

import logging
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from tests.steady import Steady

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.integrations.flight import RunInFlight
from neuneu.integrations.objective import Objective

PIQA = {"eval_piqa_acc": "piqa"}


def flight(tasks=PIQA, **more):
    return RunInFlight(tasks, **{"target": 0.9, "end": 100, "forecaster": Steady()} | more)


def fly(run, values, name="eval_piqa_acc"):
    verdicts = []
    for step, value in enumerate(values, start=1):
        run.add(step, {name: value})
        verdicts.append(run.ask(step))
    return verdicts


def test_it_stops_with_a_reason_once_the_verdict_has_held_for_three_checkpoints():
    verdicts = fly(flight(), [0.5] * 6)
    assert [bool(verdict) for verdict in verdicts] == [False, False, False, False, True, True]
    assert verdicts[-1].reason.startswith("run is less than 0.1% likely to reach 0.9 at clock 100 (piqa")
    assert verdicts[-1].reason.endswith("for 3 checkpoints")
    assert "2 checkpoints: too few to tell" in verdicts[1].reason


def test_what_it_forecasts_can_be_logged():
    run = flight(target=0.5)
    assert run.log() == {}
    fly(run, [0.5] * 2)
    assert run.log() == {}
    fly(run, [0.5] * 4)
    found = run.log()
    assert set(found) == {f"neuneu/{name}" for name in ("chance", "at", "q10", "q50", "q90")}
    assert found["neuneu/at"] == 100
    assert found["neuneu/q10"] < found["neuneu/q50"] == 0.5 < found["neuneu/q90"]


def test_tokens_are_the_clock_where_a_step_says_how_many():
    run = flight(tokens_per_step=1000, facts={"params": 10**9})
    fly(run, [0.5] * 4)
    assert run.log()["neuneu/at"] == 100_000
    (curve,) = run.table.curves
    assert (curve.clock_unit, curve.facts.params, curve.facts.planned_tokens) == ("tokens", 10**9, 100_000)


def test_it_asks_once_all_tasks_have_their_value(caplog):
    run = flight({"a": "piqa", "b": ("sciq", "acc_norm")})
    for step in range(1, 6):
        run.add(step, {"a": 0.5, "loss": 1.0})
        assert run.ask(step) is None
        run.add(step, {"b": 0.5})
        assert run.ask(step) is not None
    assert {curve.key.metric for curve in run.table} == {"acc", "acc_norm"}
    assert not caplog.records
    run.add(6, {"a": 0.5})
    assert run.ask(6) is None
    run.add(7, {"a": 0.5})
    assert run.ask(7) is None
    assert "no verdict: b not logged at step 6" in caplog.text


def test_a_rival_of_another_table():
    rows = [("old", "piqa", "acc", step, 0.9) for step in range(1, 101)]
    other = [("else", "piqa", "acc", step, 0.1) for step in range(1, 101)]
    names = ["run", "task", "metric", "step", "value"]
    table = CurveTable.from_frame(pl.DataFrame(rows + other, schema=names, orient="row"))
    run = flight(target=None, rival="old", others=table)
    assert "to beat old" in fly(run, [0.5] * 6)[-1].reason
    assert run.verdict
    assert run.table.runs == ["old", "run"]


def test_nothing_that_comes_in_ends_the_run(caplog):
    run = flight()
    for wrong in (float("nan"), float("inf")):
        run.add(1, {"eval_piqa_acc": wrong})
    assert run.ask(1) is None
    assert "is no finite number" in caplog.text
    verdicts = fly(run, [50.0] * 6)  # percent
    assert not any(verdicts)
    assert "acc must be in [0, 1]" in verdicts[-1].reason
    assert caplog.text.count("acc must be in [0, 1]") == 1, "said once"
    no_end = flight(end=None)
    assert not any(fly(no_end, [0.5] * 6))
    assert "planned to end" in no_end.verdict.reason


def test_a_value_measured_again_counts_and_a_run_that_begins_anew_is_another():
    run = flight()
    fly(run, [0.5] * 3)
    run.add(3, {"eval_piqa_acc": 0.6})
    assert run.table.curves[0].values.tolist() == [0.5, 0.5, 0.6]
    kept = run.measured()
    run.clear()
    assert run.measured() == []
    assert run.verdict is None
    for step, name, value in kept:
        run.add(step, {name: value})
    assert run.measured() == kept


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"tasks": {}}, "tasks"), ({"target": None}, "target"), ({"rival": "a"}, "target"),
     ({"target": None, "rival": "a"}, "rival"), ({"forecaster": "none-such"}, "forecaster"),
     ({"tasks": {"a": "piqa", "b": ("sciq", "loss")}}, "tasks"),
     ({"patience": 0}, "patience"), ({"threshold": 2}, "threshold")],
)  # fmt: skip
def test_what_can_be_told_beforehand_is_refused_before_the_training(wrong, field):
    with pytest.raises(InputError, match=field):
        flight(**wrong)


def test_a_call_takes_under_fifty_milliseconds_beside_the_forecast(caplog):
    """Sixty tasks, a hundred checkpoints, with a forecaster that takes no time."""
    caplog.set_level(logging.ERROR)
    names = [f"task_{i}" for i in range(60)]
    run = flight({name: name for name in names}, target=0.3)
    rng = np.random.default_rng(0)
    for step in range(1, 100):
        run.add(step, dict(zip(names, 0.5 + rng.normal(0, 0.01, 60), strict=True)))
    took = []
    for step in range(100, 105):
        values = dict(zip(names, 0.5 + rng.normal(0, 0.01, 60), strict=True))
        began = time.process_time()
        run.add(step, values)
        run.ask(step)
        took.append(time.process_time() - began)
    assert min(took) < 0.05, took


def test_the_verdict_of_the_checkpoint_before_is_not_asked_again_and_is_the_same():
    rng = np.random.default_rng(1)
    for values in rng.choice([0.5, 0.89], (8, 10)):
        one, stepwise = flight(), []
        for step, value in enumerate(values, start=1):
            one.add(step, {"eval_piqa_acc": value})
            stepwise.append(one.ask(step))
            fresh = flight()
            for earlier, name, known in one.measured():
                fresh.add(earlier, {name: known})
            assert fresh.ask(step).reason == stepwise[-1].reason
            assert fresh.verdict.stop == stepwise[-1].stop


def test_an_objective_is_asked_for_the_best_value_so_far():
    objective = Objective("acc", 100, None, {"forecaster": Steady()})
    values = dict.fromkeys(range(1, 7), 0.5)
    assert not objective.ask("t", values, [], higher=True)
    assert "no trial has ended yet" in objective.ask("t", values, [float("nan")], higher=True).reason
    assert objective.ask("t", values, [0.4, 0.9], higher=True)
    assert not objective.ask("t", values, [0.4], higher=True)
    with pytest.raises(InputError, match="the search goes the other way"):
        objective.ask("t", values, [0.4], higher=False)
    loss = Objective("loss", 100, None, {"forecaster": Steady()})
    assert not loss.ask("t", values, [0.9], higher=False)
    with pytest.raises(InputError, match="end"):
        Objective("acc", 0, None, {})


EXTRAS = {
    "ForecastCallback": ("transformers", "lm"), "LightningForecastCallback": ("lightning", "lightning"),
    "ForecastPruner": ("optuna", "optuna"), "ForecastScheduler": ("ray", "tune"),
}  # fmt: skip


def test_a_missing_library_names_its_extra():
    code = (
        f"import sys, neuneu as nn\nfor name, (library, _) in {EXTRAS}.items():\n"
        "    sys.modules[library] = None\n    try: getattr(nn, name)\n"
        "    except nn.MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        f"{library} is not installed: pip install 'neuneu[{extra}]'" for library, extra in EXTRAS.values()
    ], done.stderr
