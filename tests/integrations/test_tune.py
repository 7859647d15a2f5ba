"""The scheduler in a search of Ray Tune, on this machine alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray.tune")

from ray.tune.schedulers import TrialScheduler
from tests.integrations.documented import example
from tests.steady import Steady

import neuneu as nn
from neuneu.errors import InputError

ROOT = Path(__file__).resolve().parents[2]

CODE = f"""
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
from ray import tune

def train(config):
    for _ in range(20):
        tune.report({{"score": config["level"]}})

space = {{"level": tune.grid_search([0.8, 0.2, 0.81])}}
{example("tune.Tuner")}
for result in tuner.get_results():
    print("found", result.config["level"], result.metrics["training_iteration"], flush=True)
print("found", scheduler.debug_string(), flush=True)
ray.shutdown()
"""
"""The example of docs/decisions.md, with a training that reports a constant."""


def test_it_stops_what_will_not_come_to_the_best_so_far_and_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ
        | {
            "RAY_USAGE_STATS_ENABLED": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
            "HOME": str(tmp_path),
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("found ")]
    *trials, told = [line.removeprefix("found ") for line in lines]
    assert [trial.split()[0] for trial in trials] == ["0.8", "0.2", "0.81"]
    assert int(trials[1].split()[1]) < 20
    assert trials[0].endswith(" 20")
    assert trials[2].endswith(" 20")
    assert told.startswith("Using forecasts: 1 trials stopped; the last: trial")
    assert "likely to reach 0.8 at clock 20" in told
    assert "stopping: trial" in done.stderr


class Trial:
    """What the scheduler looks at of a trial."""

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def test_a_search_goes_one_way_and_names_its_metric() -> None:
    scheduler = nn.ForecastScheduler(end=12)
    with pytest.raises(InputError, match="needed"):
        scheduler.on_trial_add(None, Trial("a"))
    assert scheduler.set_search_properties("score", "min")
    with pytest.raises(InputError, match="goes the other way"):
        scheduler.on_trial_add(None, Trial("a"))
    assert not scheduler.set_search_properties("other", "max")


def test_trials_that_fail_or_were_stopped_are_no_bar_for_others() -> None:
    scheduler = nn.ForecastScheduler(end=12, metric="score", mode="max", forecaster=Steady())

    def report(name: str, step: int, value: float) -> str:
        return str(scheduler.on_trial_result(None, Trial(name), {"training_iteration": step, "score": value}))

    for step in range(1, 7):
        assert report("failed", step, 0.99) == TrialScheduler.CONTINUE
    scheduler.on_trial_error(None, Trial("failed"))
    for step in range(1, 13):
        assert report("good", step, 0.6) == TrialScheduler.CONTINUE
    scheduler.on_trial_complete(None, Trial("good"), {"training_iteration": 12, "score": 0.6})
    decisions = [report("bad", step, 0.2) for step in range(1, 6)]
    assert decisions == [TrialScheduler.CONTINUE] * 4 + [TrialScheduler.STOP]
    assert "reach 0.6" in scheduler.reasons["bad"]
    scheduler.on_trial_complete(None, Trial("bad"), {"training_iteration": 5, "score": 0.2})
    assert scheduler._done == {"good": 0.6}
    assert scheduler._values == {}
    assert scheduler.on_trial_result(None, Trial("good"), {}) == TrialScheduler.CONTINUE
