"""The training loop: schedule, shared encodings, resuming, errors."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from tests.forecasters.neuneu.small import make_config, make_losses, make_table

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import Refusal
from neuneu.forecasters.neuneu.config import NeuNeuConfig, TrainingConfig, read_config
from neuneu.forecasters.neuneu.data import TrainingData, make_data, training_curves
from neuneu.forecasters.neuneu.forecaster import NeuNeuNoLoss, build_model
from neuneu.forecasters.neuneu.network import NetworkInput, NeuNeu, objective
from neuneu.forecasters.neuneu.training import LOG, STATE, Trainer, learning_rate
from neuneu.forecasters.neuneu.weights import load_tensors
from neuneu.forecasters.train import Training, train_forecaster

GROUPS = ["arc_easy"] * 200 + ["hellaswag"] * 200 + ["other"] * 200


def data(config: NeuNeuConfig) -> tuple[TrainingData, TrainingData]:
    store = make_losses(groups=GROUPS)
    return make_data(make_table().curves, store if config.model.encoder != "none" else None, config)


def trainer(config: NeuNeuConfig, folder: Path | None = None) -> Trainer:
    train, validation = data(config)
    return Trainer(build_model(config, make_losses(), 0), config, train, validation, folder)


def test_schedule_equals_the_published_one() -> None:
    config = TrainingConfig()
    expected = {
        0: 6.00e-5, 1: 6.54e-5, 50: 3.30e-4, 99: 5.946e-4, 100: 6e-4, 550: 3.03e-4, 999: 6.0018e-6,
    }  # fmt: skip
    for step, rate in expected.items():
        assert learning_rate(step, 1000, config) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("forecaster", ["neuneu", "neuneu-average", "neuneu-diffhist"])
def test_shared_encodings_give_the_same_gradient_as_the_plain_way(forecaster: str) -> None:
    config = make_config(forecaster)
    train, _ = data(config)
    index = np.random.default_rng(0).permutation(len(train))[:200]
    model = build_model(config, make_losses(), 0).double()
    gradients, n_inputs = [], []
    for share in (True, False):
        questions, target = train.batch(index, np.random.default_rng(1), share=share)
        assert questions.inputs is not None
        n_inputs.append(len(questions.inputs))
        double = NetworkInput(
            questions.values.double(), questions.gaps.double(), questions.mask,
            questions.inputs.double(), questions.view,
        )  # fmt: skip
        model.zero_grad()
        objective(config.model, model(double), target.double()).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert n_inputs[1] == 200
    if forecaster != "neuneu-diffhist":  # pairs of checkpoints are shared less
        assert n_inputs[0] < 180
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-9, atol=1e-13)
    assert any(float(g.abs().max()) > 0 for n, g in gradients[0].items() if n.startswith("encoder."))


def test_training_learns(tmp_path: Path) -> None:
    config = make_config(
        "neuneu-noloss", training={"max_steps": 80, "epochs": 50}, samples={"validation_share": 0.3}
    )
    trainer(config, tmp_path).run()
    records = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    mae = [record["validation_mae"] for record in records if "validation_mae" in record]
    assert mae[-1] < 0.8 * mae[0]


def test_squared_error_learns_too(tmp_path: Path) -> None:
    config = make_config(
        "neuneu-noloss", model={"objective": "mse"}, training={"max_steps": 60, "epochs": 50}
    )
    trainer(config, tmp_path).run()
    losses = [json.loads(line).get("loss") for line in (tmp_path / LOG).read_text().splitlines()]
    seen = [loss for loss in losses if loss is not None]
    assert seen[-1] < 0.5 * seen[0]


@pytest.mark.parametrize("stop", [1, 3, 7, 11])
def test_resumed_training_ends_at_the_same_bits(tmp_path: Path, stop: int) -> None:
    config = make_config(model={"dropout": 0.1}, samples={"validation_share": 0.3})
    config = config.model_copy(update={"training": config.training.model_copy(update={"save_every": 1})})
    whole = trainer(config, tmp_path / "whole")
    whole.run()
    part = trainer(config, tmp_path / "part")
    part.total, end = stop, part.total
    monkey_schedule(part, end)
    part.run()
    (tmp_path / "part" / LOG).open("a").write('{"step": 999, "loss": 1')  # killed while writing a line
    resumed = trainer(config, tmp_path / "part")
    assert resumed.step == stop
    resumed.run()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert (tmp_path / "whole" / STATE).read_bytes() == (tmp_path / "part" / STATE).read_bytes()


def test_a_log_without_a_state_is_begun_anew(tmp_path: Path) -> None:
    config, whole, killed = make_config(), tmp_path / "whole", tmp_path / "killed"
    trainer(config, whole).run()
    killed.mkdir()
    text = (whole / LOG).read_text()
    (killed / LOG).write_text(text[: len(text) // 2])  # killed before the first state
    trainer(config, killed).run()
    assert (killed / LOG).read_text() == text


@pytest.mark.parametrize("line", ['{"global_step": 10, "loss": 1.0}', "[1]", '{"step": "a"}'])
def test_a_log_of_something_else_is_refused_and_kept(tmp_path: Path, line: str) -> None:
    (tmp_path / LOG).write_text(line + "\n")
    with pytest.raises(InputError, match="no log of a training"):
        trainer(make_config(), tmp_path)
    assert (tmp_path / LOG).read_text() == line + "\n"


def monkey_schedule(part: Trainer, end: int) -> None:
    """Stop early on the schedule of the whole run, as an interrupt would."""
    stop = part.total
    part.total = end
    step = part._step

    def until() -> dict[str, float]:
        if part.step >= stop:
            raise KeyboardInterrupt
        return step()

    part._step = until  # type: ignore[method-assign]
    run = part.run

    def interrupted() -> NeuNeu:
        try:
            return run()
        except KeyboardInterrupt:
            return part.model

    part.run = interrupted  # type: ignore[method-assign]


SCRIPT = """
import sys
from neuneu.forecasters.neuneu.config import read_config
from neuneu.forecasters.train import train_forecaster
train_forecaster(read_config(sys.argv[1]))
"""


def write_config(folder: Path, name: str, **sections: object) -> Path:
    """A configuration file that trains on made-up curves without losses into `folder`/`name`."""
    make_table().write(folder / "curves.parquet")
    data = {"curves": [str(folder / "curves.parquet")]}
    config = make_config("neuneu-noloss", data=data, **sections)
    document = {**config.model_dump(mode="json"), "output": str(folder / name)}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return folder / f"{name}.yaml"


def test_a_killed_process_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    training = {"max_steps": 200, "epochs": 100, "save_every": 2}
    # Processes of their own throughout: how sums are split depends on a process's number of threads.
    whole = write_config(tmp_path, "whole", training=training)
    subprocess.run([sys.executable, "-c", SCRIPT, str(whole)], check=True)
    path, folder = write_config(tmp_path, "killed", training=training), tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)])
    while not (folder / STATE).is_file() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "model.safetensors").exists()
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True)
    for name in ("model.safetensors", "config.json", STATE, LOG):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_what_a_training_came_to_is_told() -> None:
    asked = NeuNeuNoLoss(), {"mae": 0.35444, "loss": 1.0}
    assert Training(*asked, 1200, 0, 3).in_words == "1,200 steps on 3 runs, validation MAE 0.3544"
    assert Training(*asked, 1200, 300, 1).in_words.startswith("1,200 steps (taken up at 300) on 1 run, ")
    assert Training(NeuNeuNoLoss(), {}, 4, 4).in_words == "was finished before: 4 steps"


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    samples = {"drop": 0.0, "validation_share": 0.0}
    train_forecaster(read_config(write_config(tmp_path, "one", samples=samples)))
    path = write_config(tmp_path, "two", samples=samples)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # What torchrun sets for its processes.
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(path)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    one, two = (load_tensors(tmp_path / name / "model.safetensors")[0] for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-3, atol=1e-4)


def test_a_state_of_another_configuration_is_refused(tmp_path: Path) -> None:
    trainer(make_config(), tmp_path).run()
    with pytest.raises(InputError, match="another configuration"):
        trainer(make_config(training={"learning_rate": 0.5}), tmp_path)


def test_a_corrupted_state_is_refused(tmp_path: Path) -> None:
    trainer(make_config(), tmp_path).run()
    state = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(state[: len(state) // 2])
    with pytest.raises(InputError, match=r"state\.safetensors: .*whole safetensors file"):
        trainer(make_config(), tmp_path)


def test_losses_are_asked_for() -> None:
    with pytest.raises(InputError, match="name a loss store"):
        make_data(make_table().curves, None, make_config())
    with pytest.raises(InputError, match="no losses of this run"):
        make_data(make_table(n_runs=7).curves, make_losses(), make_config())
    skip = make_config(losses={"missing_runs": "skip"})
    train, validation = make_data(make_table(n_runs=7).curves, make_losses(), skip)
    assert "run-6" not in train.trajectories.runs
    assert len(train) + len(validation) == 6 * 3 * (10 * 12 - 55)


def test_validation_runs_are_not_trained_on() -> None:
    config = make_config(samples={"validation_share": 0.3})
    train, validation = data(config)
    runs = [{d.trajectories.keys[i].run for i in d.samples.curve} for d in (train, validation)]
    assert len(runs[1]) == 2
    assert not runs[0] & runs[1]
    leaky = data(make_config(samples={"split": "sample"}))
    assert {d.trajectories.keys[i].run for d in leaky for i in d.samples.curve} == runs[0] | runs[1]


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(InputError, match="fp16"):
        trainer(make_config(training={"precision": "fp16"}))


def test_bf16_trains() -> None:
    model = trainer(make_config(training={"precision": "bf16"})).run()
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_accumulated_batches_make_the_mean_gradient() -> None:
    config = make_config(
        training={"accumulate": 3, "batch_size": 16, "clip_norm": 1e9}, samples={"drop": 0.0}
    )
    one = trainer(config)
    assert one.per_epoch == len(one.train) // 16 // 3
    reference = build_model(config, make_losses(), 0)
    for part in range(3):
        questions, target = one._batch(0, part)
        (objective(config.model, reference(questions), target) / 3).backward()  # type: ignore[no-untyped-call]
    one._step()
    assert isinstance(one.model, NeuNeu)
    for (name, ours), (_, theirs) in zip(
        one.model.named_parameters(), reference.named_parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-8, msg=name)
    with pytest.raises(InputError, match=r"training\.accumulate = 1000000"):
        trainer(make_config(training={"accumulate": 1_000_000}))


def test_a_rate_that_changes_by_epoch_is_the_published_cosine(tmp_path: Path) -> None:
    training = {"schedule": "epoch", "warmup": 0.0, "epochs": 4, "max_steps": None, "log_every": 1}
    trainer(make_config("neuneu-noloss", training=training), tmp_path).run()
    records = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    rates = list(dict.fromkeys(r["learning_rate"] for r in records if "learning_rate" in r))
    expected = [1e-2 * (0.01 + 0.99 * (1 + np.cos(np.pi * epoch / 4)) / 2) for epoch in range(4)]
    assert rates == pytest.approx(expected)


def loss_table(factor: float = 1.0) -> CurveTable:
    """The made-up runs with bits per byte that fall as their accuracies rise."""
    frame = make_table().frame.with_columns(
        metric=pl.lit("bpb"), value=factor * (2.5 - pl.col("value")), chance=None, n_items=None
    )
    return CurveTable.from_frame(frame)


def test_loss_curves_are_targets() -> None:
    config = make_config(
        "neuneu-noloss", samples={"target": "loss", "validation_share": 0.0},
        training={"max_steps": 150, "epochs": 50},
    )  # fmt: skip
    both = CurveTable.concat([make_table(), loss_table()])
    forecaster = NeuNeuNoLoss(config).fit(both.filter(run=both.runs[1:]))
    curve = loss_table().filter(run="run-0").curves[0]
    later = curve.after(4000)
    forecast = forecaster.forecast(Evidence(curve.until(4000)), later.clock)
    assert forecast.median.min() > 1.0
    assert np.abs(forecast.median - later.values).mean() < 0.1
    ten = loss_table(10.0).filter(run="run-0").curves[0]
    scaled = forecaster.forecast(Evidence(ten.until(4000)), later.clock)
    np.testing.assert_allclose(scaled.median, 10 * forecast.median, rtol=0.05)
    accuracy = make_table().filter(run="run-0").curves[0]
    answer = forecaster.forecast_many([Evidence(accuracy.until(4000))], [later.clock])[0]
    assert isinstance(answer, Refusal)
    assert "not a loss" in answer.reason


def test_loss_targets_need_a_loss_curve() -> None:
    config = make_config("neuneu-noloss", samples={"target": "loss"})
    with pytest.raises(InputError, match="no curve of a loss"):
        training_curves(make_table(), config)
    assert {
        c.key.metric for c in training_curves(CurveTable.concat([make_table(), loss_table()]), config)
    } == {"bpb"}
    with pytest.raises(InputError, match="residual"):
        make_config("neuneu-residual", samples={"target": "loss"}, model={"residual": True})
