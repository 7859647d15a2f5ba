"""The callback on transformers' own Trainer: a tiny model on the CPU, with accuracies as they are told."""

import json

import numpy as np
import pytest

pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

from tests.steady import Steady  # noqa: E402
from transformers import Trainer, TrainerCallback, TrainingArguments  # noqa: E402

import neuneu as nn  # noqa: E402

STEPS = 20


class Tiny(torch.nn.Module):
    """A linear layer with a loss."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x, labels):
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Told(TrainerCallback):
    """What a tracker would be told."""

    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **_):
        self.logs.append(dict(logs))


def trainer_of(folder, accuracies, callbacks):
    """A trainer that evaluates at every step, and whose accuracies are these."""
    told = iter(accuracies)
    rows = [{"x": torch.ones(2), "labels": torch.tensor(i % 2)} for i in range(4)]
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, eval_strategy="steps", eval_steps=1, save_strategy="steps",
        save_steps=4, report_to="none", use_cpu=True, per_device_train_batch_size=2, disable_tqdm=True,
        logging_strategy="no", remove_unused_columns=False,
    )  # fmt: skip
    return Trainer(
        Tiny(), arguments, train_dataset=rows, eval_dataset=rows, callbacks=callbacks,
        compute_metrics=lambda _: {"piqa_acc": next(told)},
    )  # fmt: skip


def callback(**more):
    return nn.ForecastCallback({"eval_piqa_acc": "piqa"}, **{"target": 0.9, "forecaster": Steady()} | more)


def test_it_stops_a_hopeless_run_says_why_and_logs_forecasts(tmp_path, caplog):
    stopping = callback()
    trainer = trainer_of(tmp_path, np.full(STEPS, 0.5), [stopping])
    trainer.train()
    assert trainer.state.global_step == 5
    assert stopping.verdict
    assert "less than 0.1% likely to reach 0.9 at clock 20" in stopping.verdict.reason
    assert f"stopping: {stopping.verdict.reason}" in caplog.text
    logged = [entry for entry in trainer.state.log_history if "neuneu/q50" in entry]
    assert [entry["step"] for entry in logged] == [3, 4, 5]
    assert {entry["neuneu/q50"] for entry in logged} == {0.5}


def test_it_lets_a_hopeful_run_and_one_that_is_only_watched_go_on(tmp_path):
    for values, more in ((np.linspace(0.5, 0.9, STEPS), {}), (np.full(STEPS, 0.5), {"stop": False})):
        watching = callback(target=0.6 if not more else 0.9, **more)
        trainer = trainer_of(tmp_path / str(len(more)), values, [watching])
        trainer.train()
        assert trainer.state.global_step == STEPS
    assert "reached its end" in watching.verdict.reason


def test_attached_it_logs_as_the_trainer_logs(tmp_path):
    told = Told()
    trainer = trainer_of(tmp_path, np.full(STEPS, 0.5), [told])
    attached = callback().attach(trainer)
    trainer.train()
    assert attached.verdict
    assert sum("neuneu/chance" in logs for logs in told.logs) == 3
    steps = [entry["step"] for entry in trainer.state.log_history if "neuneu/chance" in entry]
    assert steps == [3, 4, 5]


def test_a_training_that_is_resumed_knows_its_earlier_evaluations(tmp_path):
    first = callback(patience=8)
    trainer = trainer_of(tmp_path, [0.5] * 4 + [0.7] * STEPS, [first])
    trainer.train()
    again = callback(patience=4)
    resumed = trainer_of(tmp_path, [0.5] * STEPS, [again])
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    # three checkpoints are needed for a verdict: 3, 4, 5 and 6 make four in a row
    assert resumed.state.global_step == 6
    assert [step for step, _, _ in again.flight.measured()] == [1, 2, 3, 4, 5, 6]
    kept = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())["log_history"]
    assert any("neuneu/chance" in entry for entry in kept)


def test_a_name_that_is_never_logged_is_said_and_stops_nothing(tmp_path, caplog):
    watching = nn.ForecastCallback({"eval_piqa_acc": "piqa", "eval_other": "sciq"}, target=0.9)
    trainer = trainer_of(tmp_path, np.full(STEPS, 0.5), [watching])
    trainer.train()
    assert trainer.state.global_step == STEPS
    assert "eval_other not logged at step 1" in caplog.text
