"""Each example of docs/decisions.md, In flight, runs as it stands (Ray's in test_tune.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import Run
from tests.integrations.documented import commands, example


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results of a run that will not come to 0.9."""
    monkeypatch.chdir(tmp_path)
    for step in range(1000, 13_000, 1000):
        path = tmp_path / "results" / "my-run" / f"step{step}" / "results.json"
        path.parent.mkdir(parents=True)
        document = {"results": {"piqa": {"acc,none": 0.6 - 100 / step, "acc_stderr,none": 0.01}}}
        config = {"model_args": f"pretrained=/checkpoints/my-run/step{step}"}
        path.write_text(json.dumps(document | {"config": config}))
    return tmp_path / "results"


def test_the_command(results: Path, neuneu: Run) -> None:
    for arguments in commands():
        done = neuneu(*arguments)
        assert done.returncode == 3, done.stderr
        assert "target: my-run: my-run is less than" in done.stderr


@pytest.mark.parametrize(
    ("word", "shows"), [("FollowedCurves", "['my-run']"), ("nn.should_stop", "True 0.0")]
)
def test_from_python(results: Path, capsys: pytest.CaptureFixture[str], word: str, shows: str) -> None:
    exec(example(word), {})
    assert shows in capsys.readouterr().out


def test_transformers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    from tests.integrations.test_trainer import trainer_of

    made = trainer_of(tmp_path, np.full(20, 0.5), [])
    names = {
        "model": made.model, "arguments": made.args, "rows": made.train_dataset,
        "compute_metrics": made.compute_metrics,
    }  # fmt: skip
    exec(example('ForecastCallback({"eval'), names)
    assert "likely to reach 0.9" in capsys.readouterr().out
    assert names["trainer"].state.global_step < 20


def test_lightning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightning")
    from tests.integrations.test_lightning import Tiny, batches_of

    monkeypatch.chdir(tmp_path)
    names = {"module": Tiny(np.full(201, 0.5)), "batches": batches_of()}
    exec(example("LightningForecastCallback"), names)
    assert "likely to reach 0.9" in capsys.readouterr().out
    assert names["trainer"].global_step < 200


def test_optuna(capsys: pytest.CaptureFixture[str]) -> None:
    optuna = pytest.importorskip("optuna")

    def objective(trial):  # type: ignore[no-untyped-def]
        level = (0.8, 0.2, 0.81)[trial.number]
        for step in range(1, 21):
            trial.report(level, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return level

    exec(example("create_study"), {"objective": objective})
    assert "trial 1 is less than" in capsys.readouterr().out
