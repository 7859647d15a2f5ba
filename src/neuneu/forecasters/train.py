"""What `neuneu train` does: one training run from a configuration, or the same one under several seeds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.files import write_json
from neuneu.files.writing import kept_from
from neuneu.forecasters.base import SEEDS, make_forecaster
from neuneu.forecasters.lcpfn.forecaster import LCPFN
from neuneu.forecasters.lcpfn.training import train_pfn
from neuneu.forecasters.neuneu.config import NeuNeuConfig, PFNRunConfig, ProbeRunConfig, RunConfig
from neuneu.forecasters.neuneu.data import make_data, training_curves, with_tasks
from neuneu.forecasters.neuneu.forecaster import NeuNeuForecaster, build_model
from neuneu.forecasters.neuneu.probe_data import make_probe_data
from neuneu.forecasters.neuneu.probe_forecasters import ProbeForecaster, build_probe
from neuneu.forecasters.neuneu.training import SILENT, STATE, Report, Trainer, Workers
from neuneu.losses.loss_store import LossStore
from neuneu.losses.open import open_losses

Trained = NeuNeuForecaster | ProbeForecaster | LCPFN


def train_forecaster(config: RunConfig, report: Report = SILENT) -> Trained:
    """Read the data, train or resume, calibrate, write the model folder.

    Raises InputError on bad data, or an output folder that holds another training run. Under torchrun every
    process trains; the first writes.
    """
    return _train(config, report)[0]


def train_seeds(
    config: RunConfig, seeds: Sequence[int], reports: Callable[[RunConfig], Report] = lambda _: SILENT
) -> dict[str, Any]:
    """The same training under each seed, in the folder seed<k> of the output; then `SEEDS`, also returned.

    What is kept for validation is the same for all: samples.split_seed, else training.seed. The document has
    the validation scores of each seed, their mean and their standard deviation, null where nothing was kept
    for validation. Interrupted, it goes on where it stopped. reports: what watches each seed's training.
    """
    if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 0:
        raise InputError("must be different whole numbers of at least 0", field="seeds", value=list(seeds))
    split_seed = config.training.seed if config.samples.split_seed is None else config.samples.split_seed
    samples = config.samples.model_copy(update={"split_seed": split_seed})
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        training = config.training.model_copy(update={"seed": seed})
        folder = config.output / f"seed{seed}"
        one = config.model_copy(update={"samples": samples, "training": training, "output": folder})
        scores = _train(one, reports(one))[1]
        rows.append({"seed": seed, "folder": folder.name, **scores})
    document = {"forecaster": config.forecaster, "seeds": rows, **_spread(rows)}
    if Workers.from_environment().rank == 0:
        write_json(config.output / SEEDS, document)
    return document


def _spread(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the scores that all have."""
    names = [name for name in ("loss", "mae") if all(name in row for row in rows)]
    return {
        "mean": {name: mean(row[name] for row in rows) for name in names},
        "spread": {name: stdev(row[name] for row in rows) if len(rows) > 1 else None for name in names},
    }


def _train(config: RunConfig, report: Report) -> tuple[Trained, dict[str, float]]:
    """The forecaster, written to its folder, and its scores on the validation data."""
    if isinstance(config, PFNRunConfig):
        with _fixed_threads(config.training.threads):
            return train_pfn(config, report)
    if config.data is None:
        raise InputError("is missing: name the curve tables", field="data")
    table = CurveTable.read(*config.data.curves)
    with _fixed_threads(config.training.threads), kept_from(config.output, STATE):
        return _train_on(config, table, report)


@contextmanager
def _fixed_threads(count: int) -> Iterator[None]:
    """Sums are split among threads, so that their number is part of what a training run is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_on(
    config: NeuNeuConfig | ProbeRunConfig, table: CurveTable, report: Report
) -> tuple[Trained, dict[str, float]]:
    assert config.data is not None
    reads_losses = isinstance(config, ProbeRunConfig) or config.model.encoder != "none"
    losses = None
    if reads_losses and config.data.losses is not None:
        losses = open_losses(config.data.losses, table.runs)
    if isinstance(config, ProbeRunConfig):
        return _train_probe(config, table, losses, report)
    return _train_network(config, table, losses, report)


def _train_network(
    config: NeuNeuConfig, table: CurveTable, losses: LossStore | None, report: Report
) -> tuple[Trained, dict[str, float]]:
    curves = training_curves(table, config)
    config = with_tasks(config, curves)
    train, validation = make_data(curves, losses, config, cache=_cache(config.output))
    model = build_model(config, losses, train)
    workers = Workers.from_environment()
    trainer = Trainer(model, config, train, validation, config.output, report, workers)
    trainer.run()
    forecaster = make_forecaster(config.forecaster)
    assert isinstance(forecaster, NeuNeuForecaster)
    forecaster.adopt(model, config, losses.fingerprint if losses is not None else None)
    held = sorted({validation.trajectories.keys[i].run for i in np.unique(validation.samples.curve)})
    if config.calibrate and config.samples.split == "run" and held:
        asked = table.filter(run=held, task={curve.key.task for curve in curves})
        forecaster.calibrate(asked, curves, losses)
    if workers.rank == 0:
        forecaster.save(config.output)
    return forecaster, trainer.score() if len(validation) else {}


def _train_probe(
    config: ProbeRunConfig, table: CurveTable, losses: LossStore | None, report: Report
) -> tuple[Trained, dict[str, float]]:
    curves = training_curves(table, config)
    train, validation = make_probe_data(curves, losses, config, cache=_cache(config.output))
    network = build_probe(config, train.inputs.length, len(train.tasks))
    workers = Workers.from_environment()
    trainer = Trainer(network, config, train, validation, config.output, report, workers)
    trainer.run()
    forecaster = make_forecaster(config.forecaster)
    assert isinstance(forecaster, ProbeForecaster)
    assert losses is not None
    forecaster.adopt(network, config, train.tasks, train.inputs.length, losses.fingerprint)
    if workers.rank == 0:
        forecaster.save(config.output)
    return forecaster, trainer.score() if len(validation) else {}


def _cache(output: Path) -> Path:
    """Where losses are laid out for training; seeds of one training share it."""
    return (output.parent if output.name.startswith("seed") else output) / "cache"
