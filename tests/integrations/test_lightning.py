"""The callback on Lightning's own Trainer: a tiny model on the CPU, with accuracies as they are told."""

import numpy as np
import pytest

pytest.importorskip("lightning")
torch = pytest.importorskip("torch")

from lightning.pytorch import LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402
from tests.steady import Steady  # noqa: E402

import neuneu as nn  # noqa: E402

STEPS = 20


class Tiny(LightningModule):
    """A linear layer; its accuracy at each step is as told."""

    def __init__(self, accuracies):
        super().__init__()
        self.layer, self.accuracies = torch.nn.Linear(2, 1), accuracies

    def training_step(self, batch, _):
        return self.layer(batch[0]).pow(2).mean()

    def validation_step(self, batch, _):
        self.log("val_piqa_acc", float(self.accuracies[self.trainer.global_step]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def batches_of():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2)), batch_size=4)


def fit(folder, accuracies, callbacks, **more):
    rows = batches_of()
    trainer = Trainer(
        accelerator="cpu", devices=1, max_steps=STEPS, max_epochs=STEPS, callbacks=callbacks,
        logger=CSVLogger(folder), enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(Tiny(accuracies), rows, rows, **more)
    return trainer


def callback(**more):
    asked = {"target": 0.9, "forecaster": Steady()} | more
    return nn.LightningForecastCallback({"val_piqa_acc": "piqa"}, **asked)


def test_it_stops_a_hopeless_run_says_why_and_logs_forecasts(tmp_path, caplog):
    stopping = callback()
    trainer = fit(tmp_path, np.full(STEPS + 1, 0.5), [stopping])
    assert trainer.global_step == 5
    assert "less than 0.1% likely to reach 0.9 at clock 20" in stopping.verdict.reason
    assert f"stopping: {stopping.verdict.reason}" in caplog.text
    lines = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
    assert "neuneu/q50" in lines[0]
    assert sum("0.5" in line and ",20.0," in f",{line}," for line in lines[1:]) >= 3
    # the check before the training is no checkpoint
    assert [step for step, _, _ in stopping.flight.measured()] == [1, 2, 3, 4, 5]


def test_it_lets_a_hopeful_run_and_one_that_is_only_watched_go_on(tmp_path):
    watching = callback(stop=False)
    assert fit(tmp_path / "a", np.full(STEPS + 1, 0.5), [watching]).global_step == STEPS
    hopeful = callback(target=0.6)
    assert fit(tmp_path / "b", np.linspace(0.5, 0.9, STEPS + 1), [hopeful]).global_step == STEPS


def test_a_training_that_is_resumed_knows_what_was_measured(tmp_path):
    keep = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=4, save_top_k=-1, filename="{step}")
    fit(tmp_path / "a", np.full(STEPS + 1, 0.5), [callback(stop=False), keep])
    again = callback(patience=4)
    path = tmp_path / "kept" / "step=8.ckpt"
    trainer = fit(tmp_path / "b", np.full(STEPS + 1, 0.5), [again], ckpt_path=str(path), weights_only=False)
    assert trainer.global_step == 9
    assert len(again.flight.measured()) >= 8
