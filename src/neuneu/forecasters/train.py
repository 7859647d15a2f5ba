"""What `neuneu train` does: one training run from a configuration, or the same one under several seeds."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, how_many
from neuneu.files import read_json, write_json
from neuneu.files.writing import kept_from, try_lock
from neuneu.forecasters.base import CONFIG, SEEDS, check_no_seeds, make_forecaster
from neuneu.forecasters.lcpfn.forecaster import LCPFN
from neuneu.forecasters.lcpfn.training import train_pfn
from neuneu.forecasters.neuneu.config import NeuNeuConfig, PFNRunConfig, ProbeRunConfig, RunConfig
from neuneu.forecasters.neuneu.data import content_of, make_data, training_curves, with_tasks
from neuneu.forecasters.neuneu.forecaster import NeuNeuForecaster, build_model
from neuneu.forecasters.neuneu.probe_data import make_probe_data
from neuneu.forecasters.neuneu.probe_forecasters import ProbeForecaster, build_probe
from neuneu.forecasters.neuneu.training import SILENT, STATE, Report, Trainer, Workers
from neuneu.losses.devices import find_device
from neuneu.losses.loss_store import LossStore
from neuneu.losses.open import open_losses
from neuneu.progress import counted

Trained = NeuNeuForecaster | ProbeForecaster | LCPFN


@dataclass(frozen=True)
class Training:
    """What a training came to.

    scores: on the validation data, nothing where none was kept; steps: in all; began: the step that it was
    taken up at, 0 where it was begun; runs: how many it was trained on, None where curves are made up.
    """

    forecaster: Trained
    scores: dict[str, float]
    steps: int
    began: int
    runs: int | None = None

    @property
    def in_words(self) -> str:
        """Steps, runs and validation error, and whether anything was left to train."""
        before = "was finished before: " if self.began == self.steps else ""
        since = f" (taken up at {self.began:,})" if 0 < self.began < self.steps else ""
        on = "" if self.runs is None else f" on {how_many(self.runs, 'run')}"
        error = f", validation MAE {self.scores['mae']:.4f}" if "mae" in self.scores else ""
        return f"{before}{how_many(self.steps, 'step')}{since}{on}{error}"


def train_forecaster(config: RunConfig, report: Report = SILENT) -> Trained:
    """What `train` makes, ready to forecast. Raises InputError as `train`."""
    return train(config, report).forecaster


def train_seeds(
    config: RunConfig, seeds: Sequence[int], reports: Callable[[RunConfig], Report] = lambda _: SILENT
) -> dict[str, Any]:
    """The same training under each seed, in the folder seed<k> of the output; then `SEEDS`, also returned.

    What is kept for validation is the same for all: samples.split_seed, else training.seed. The document has
    the validation scores of each seed, their mean and their standard deviation, null where nothing was kept
    for validation. Interrupted, it goes on where it stopped. Seeds that were trained there before, or are by
    other processes, stay in the document. reports: what watches each seed's training. Raises InputError where
    those were trained with another configuration or on other data, and where the output holds a model.
    """
    if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 0:
        raise InputError("must be different whole numbers of at least 0", field="seeds", value=list(seeds))
    split_seed = config.training.seed if config.samples.split_seed is None else config.samples.split_seed
    samples = config.samples.model_copy(update={"split_seed": split_seed})
    config = config.model_copy(update={"samples": samples})
    if (config.output / CONFIG).is_file():
        raise InputError("holds one model: choose another folder for seeds", where=config.output)
    path, told = config.output / SEEDS, _told(config)
    _others(path, told, seeds)
    rows: list[dict[str, Any]] = []
    for seed in counted(seeds, "seeds"):
        training = config.training.model_copy(update={"seed": seed})
        folder = config.output / f"seed{seed}"
        one = config.model_copy(update={"training": training, "output": folder})
        scores = train(one, reports(one)).scores
        rows.append({"seed": seed, "folder": folder.name, **scores})
    if Workers.from_environment().rank == 0:
        return _note_seeds(path, told, rows)
    return _document(told, rows)


def _note_seeds(path: Path, told: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write `SEEDS` with these seeds and those trained alike that it has already."""
    lock = try_lock(path.with_name(f".{SEEDS}.lock"), wait=True)
    assert lock is not None
    try:
        others = _others(path, told, [row["seed"] for row in rows])
        document = _document(told, sorted([*others, *rows], key=lambda row: int(row["seed"])))
        write_json(path, document)
    finally:
        lock.release()
    return document


def _others(path: Path, told: dict[str, Any], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What `SEEDS` says of other seeds. Raises InputError where these were not trained alike."""
    document = read_json(path) if path.is_file() else {"seeds": []}
    others = [row for row in document["seeds"] if row["seed"] not in seeds]
    on_data = "on other data" if "data" in document else "by an earlier version, which did not note the data"
    for field, how in (("configuration", "with another configuration"), ("data", on_data)):
        if others and document.get(field) != told[field]:
            rule = f"other seeds were trained there {how}: choose another folder"
            raise InputError(rule, where=path, field=field)
    return others


def _document(told: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {**told, "seeds": list(rows), **_spread(rows)}


def _told(config: RunConfig) -> dict[str, Any]:
    """What seeds of one training share: forecaster, configuration and data, the last two as digests."""
    data = None
    if not isinstance(config, PFNRunConfig) and config.data is not None:
        table = CurveTable.read(*config.data.curves)
        data = content_of(training_curves(table, config), _losses(config, table))
    return {"forecaster": config.forecaster, "configuration": _configuration(config), "data": data}


def _configuration(config: RunConfig) -> str:
    """What a training is but for its seed and its folder, as a digest."""
    document = config.model_dump(mode="json", exclude={"output": True, "training": {"seed", "device"}})
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _spread(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the scores that all have."""
    names = [name for name in ("loss", "mae") if all(name in row for row in rows)]
    return {
        "mean": {name: mean(row[name] for row in rows) for name in names},
        "spread": {name: stdev(row[name] for row in rows) if len(rows) > 1 else None for name in names},
    }


def train(config: RunConfig, report: Report = SILENT) -> Training:
    """Read the data, train or resume, calibrate, write the model folder.

    Raises InputError on bad data, or an output folder that holds another training run, or seeds, or that
    another process trains into. Under torchrun every process trains; the first writes.
    """
    check_no_seeds(config.output)
    find_device(config.training.device, "training.device")  # refused before anything is written
    if isinstance(config, PFNRunConfig):
        with _fixed_threads(config.training.threads), _alone(config.output):
            return _came_to(*train_pfn(config, report))
    if config.data is None:
        raise InputError("is missing: name the curve tables", field="data")
    table = CurveTable.read(*config.data.curves)
    with _fixed_threads(config.training.threads), _alone(config.output):
        return _train_on(config, table, report)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One training at a time in a folder; what it makes goes where it fails before its first state."""
    with kept_from(folder, STATE):
        first = Workers.from_environment().rank == 0
        lock = try_lock(folder / ".train.lock") if first else None
        if first and lock is None:
            raise InputError("another process trains into this folder", where=folder)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()


@contextmanager
def _fixed_threads(count: int) -> Iterator[None]:
    """Sums are split among threads, so that their number is part of what a training run is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _came_to(forecaster: Trained, trainer: Trainer, runs: int | None = None) -> Training:
    scores = trainer.score() if len(trainer.validation) else {}
    return Training(forecaster, scores, trainer.total, trainer.began, runs)


def _train_on(config: NeuNeuConfig | ProbeRunConfig, table: CurveTable, report: Report) -> Training:
    losses = _losses(config, table)
    if isinstance(config, ProbeRunConfig):
        return _train_probe(config, table, losses, report)
    return _train_network(config, table, losses, report)


def _losses(config: NeuNeuConfig | ProbeRunConfig, table: CurveTable) -> LossStore | None:
    """The losses that a training reads; None where it reads none."""
    reads_losses = isinstance(config, ProbeRunConfig) or config.model.encoder != "none"
    if not reads_losses or config.data is None or config.data.losses is None:
        return None
    return open_losses(config.data.losses, table.runs)


def _train_network(
    config: NeuNeuConfig, table: CurveTable, losses: LossStore | None, report: Report
) -> Training:
    curves = training_curves(table, config)
    config = with_tasks(config, curves)
    train, validation = make_data(curves, losses, config, cache=_cache(config.output))
    model = build_model(config, losses, train)
    workers = Workers.from_environment()
    content = content_of(curves, losses)
    trainer = Trainer(model, config, train, validation, config.output, report, workers, content)
    trainer.run()
    forecaster = make_forecaster(config.forecaster)
    assert isinstance(forecaster, NeuNeuForecaster)
    forecaster.adopt(model, config, losses.fingerprint if losses is not None else None)
    held = validation.runs
    if config.calibrate and config.samples.split == "run" and held:
        asked = table.filter(run=held, task={curve.key.task for curve in curves})
        forecaster.calibrate(asked, curves, losses)
    if workers.rank == 0:
        forecaster.save(config.output)
    return _came_to(forecaster, trainer, len(train.runs))


def _train_probe(
    config: ProbeRunConfig, table: CurveTable, losses: LossStore | None, report: Report
) -> Training:
    curves = training_curves(table, config)
    train, validation = make_probe_data(curves, losses, config, cache=_cache(config.output))
    network = build_probe(config, train.inputs.length, len(train.tasks))
    workers = Workers.from_environment()
    content = content_of(curves, losses)
    trainer = Trainer(network, config, train, validation, config.output, report, workers, content)
    trainer.run()
    forecaster = make_forecaster(config.forecaster)
    assert isinstance(forecaster, ProbeForecaster)
    assert losses is not None
    forecaster.adopt(network, config, train.tasks, train.inputs.length, losses.fingerprint)
    if workers.rank == 0:
        forecaster.save(config.output)
    return _came_to(forecaster, trainer, len(np.unique(train.run[train.chosen])))


def _cache(output: Path) -> Path:
    """Where losses are laid out for training; seeds of one training share it."""
    return (output.parent if output.name.startswith("seed") else output) / "cache"
