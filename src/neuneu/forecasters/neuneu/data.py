"""Training data of NeuNeu: samples joined with the checkpoints whose losses they show."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from neuneu.curves.curve import Curve, Integers
from neuneu.curves.table import KEY, SCHEMA, CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError, how_many, some_of
from neuneu.evidence.loss_curves import LOSS_METRICS, setting
from neuneu.forecasters.neuneu.config import DataConfig, NeuNeuConfig, ProbeRunConfig, SampleConfig
from neuneu.forecasters.neuneu.inputs import NO_CHECKPOINT, EncoderInputs, losses_digest, prepare_inputs
from neuneu.forecasters.neuneu.network import NetworkInput
from neuneu.forecasters.neuneu.samples import (
    Contexts,
    Indices,
    Samples,
    Trajectories,
    collate,
    index_samples,
    split_runs,
    split_samples,
)
from neuneu.losses.loss_store import LossStore

UNKNOWN_TASKS = 0.1
"""Share of training samples whose task is not told, where tasks are told apart."""

TASKS_TOLD = 10
"""An error names at most so many of the tasks there are."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples and what they show.

    at: (n_points,) checkpoint row of each point of the trajectories; exclusion: (n_curves,) row of the masked
    positions; both None without losses. task: (n_curves,) 1 + place among the tasks that are told apart, 0
    for others; None where tasks are not told apart.
    """

    trajectories: Trajectories
    samples: Samples
    config: SampleConfig
    inputs: EncoderInputs | None = None
    at: Integers | None = None
    exclusion: Integers | None = None
    task: Integers | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def runs(self) -> list[str]:
        """Names of the runs that the samples are of, sorted."""
        return sorted({self.trajectories.keys[i].run for i in np.unique(self.samples.curve)})

    def batch(
        self, index: Integers, drop_with: np.random.Generator | None = None, *, share: bool = True
    ) -> tuple[NetworkInput, Tensor]:
        """Questions and targets of these samples.

        share: each distinct encoder input once (else one a sample, the plain way).
        """
        samples = self.samples[index]
        contexts = collate(self.trajectories, samples, self.config, drop_with)
        inputs, view = None, None
        if self.inputs is not None:
            inputs, view = self._views(samples, share=share)
        return to_questions(contexts, inputs, view, self._tasks(samples, drop_with)), torch.from_numpy(
            contexts.target
        )

    def _tasks(self, samples: Samples, drop_with: np.random.Generator | None) -> Tensor | None:
        """Task of each sample; in training some are called unknown, so that new tasks can be asked."""
        if self.task is None:
            return None
        found = self.task[samples.curve]
        if drop_with is not None:
            found = np.where(drop_with.random(len(found)) < UNKNOWN_TASKS, 0, found)
        return torch.from_numpy(found)

    def groups(self) -> Integers:
        """What the CNN reads for each sample, which batches share; one group where there is no CNN.

        A checkpoint is read anew for each task whose items are masked, so there they are told apart.
        """
        if self.inputs is None or self.inputs.kind != "cnn":
            return np.zeros(len(self.samples), dtype=np.int64)
        assert self.exclusion is not None
        apart: Integers = self.checkpoints() * len(self.inputs.exclusions)
        apart += self.exclusion[self.samples.curve]
        return apart

    def checkpoints(self) -> Integers:
        """Row of the checkpoint at the context end of each sample."""
        assert self.at is not None
        found: Integers = self.at[self.trajectories.start[self.samples.curve] + self.samples.end]
        return found

    def _views(self, samples: Samples, *, share: bool) -> tuple[Tensor, Tensor]:
        assert self.inputs is not None
        assert self.at is not None
        assert self.exclusion is not None
        first = self.trajectories.start[samples.curve]
        keys = np.stack(
            [self.at[first + samples.end], self.at[first + samples.target], self.exclusion[samples.curve]]
        )
        return shared_views(self.inputs, keys) if share else plain_views(self.inputs, keys)


def shared_views(inputs: EncoderInputs, keys: Integers) -> tuple[Tensor, Tensor]:
    """Each distinct input once, (n_views, length), and which one each question shows, (n,).

    keys: (3, n) checkpoint at the context end, checkpoint at the target, exclusion.
    """
    if inputs.kind != "diffhist":
        keys = np.stack([keys[0], np.zeros_like(keys[1]), keys[2]])
    sizes = keys.max(axis=1) + 1
    code = (keys[0] * sizes[1] + keys[1]) * sizes[2] + keys[2]
    _, first, view = np.unique(code, return_index=True, return_inverse=True)
    return inputs.gather(*keys[:, first]), torch.from_numpy(view)


def plain_views(inputs: EncoderInputs, keys: Integers) -> tuple[Tensor, Tensor]:
    """One input a question, as the published code has it: for tests and benchmarks."""
    return inputs.gather(*keys), torch.arange(keys.shape[1])


def to_questions(
    contexts: Contexts, inputs: Tensor | None, view: Tensor | None, task: Tensor | None = None
) -> NetworkInput:
    """Arrays → tensors."""
    return NetworkInput(
        torch.from_numpy(contexts.values),
        torch.from_numpy(contexts.gaps),
        torch.from_numpy(contexts.mask),
        inputs,
        view,
        task,
    )


def task_codes(tasks: Sequence[str], known: Sequence[str] | None) -> Integers | None:
    """1 + place of each task among the known ones, 0 for others; None where none is told apart."""
    if not known:
        return None
    place = {task: code for code, task in enumerate(known, start=1)}
    return np.array([place.get(task, 0) for task in tasks], dtype=np.int64)


def with_tasks(config: NeuNeuConfig, curves: Sequence[Curve]) -> NeuNeuConfig:
    """The configuration with the tasks that are told apart named, where it says: those trained on."""
    if config.model.tasks is not None:
        return config
    tasks = tuple(sorted({curve.key.task for curve in curves}))
    return config.model_copy(update={"model": config.model.model_copy(update={"tasks": tasks})})


def make_data(
    curves: Sequence[Curve], store: LossStore | None, config: NeuNeuConfig, cache: Path | None = None
) -> tuple[TrainingData, TrainingData]:
    """Training and validation data from curves of accuracies and losses.

    Raises InputError where the model needs losses and there are none, where a run has none (unless
    `losses.missing_runs` is skip), and where nothing is left to train on.
    """
    if config.model.encoder != "none":
        curves, store = with_losses(curves, store, config)
    trajectories = Trajectories.from_curves(curves, config.samples)
    tasks = task_codes([key.task for key in trajectories.keys], config.model.tasks)
    data = TrainingData(trajectories, index_samples(trajectories, config.samples), config.samples, task=tasks)
    if store is not None and config.model.encoder != "none":
        data = _join_losses(data, store, config, cache)
    if not len(data):
        raise InputError("no curve has enough checkpoints to train on", field="curves")
    return _split(data, config)


def with_losses(
    curves: Sequence[Curve], store: LossStore | None, config: NeuNeuConfig | ProbeRunConfig
) -> tuple[list[Curve], LossStore]:
    """The curves whose runs have losses, and the store. Raises InputError as `make_data`."""
    if store is None:
        raise InputError(f"{config.forecaster} reads losses; name a loss store", field="losses")
    known = set(store.runs)
    lacking = sorted({curve.key.run for curve in curves} - known)
    if lacking and config.losses.missing_runs == "refuse":
        more = f" and {how_many(len(lacking) - 1, 'more run')}" if len(lacking) > 1 else ""
        rule = f"the store has no losses of this run{more}; {_its_runs(store)}"
        raise InputError(rule, where=store.path, field="run", value=lacking[0])
    return with_known_runs(curves, store), store


def with_known_runs(curves: Sequence[Curve], store: LossStore) -> list[Curve]:
    """The curves whose runs have losses. Raises InputError where none has, which names the store's runs."""
    known = set(store.runs)
    kept = [curve for curve in curves if curve.key.run in known]
    if not kept:
        rule = f"the store has losses of none of the runs; {_its_runs(store)}"
        raise InputError(rule, where=store.path, field="losses")
    return kept


def _its_runs(store: LossStore) -> str:
    return f"it has {some_of(store.runs)}: name runs as the curves do, with `neuneu score --run`"


def _join_losses(
    data: TrainingData, store: LossStore, config: NeuNeuConfig, cache: Path | None
) -> TrainingData:
    trajectories = data.trajectories
    tasks = sorted({key.task for key in trajectories.keys})
    inputs = prepare_inputs(store, trajectories.runs, tasks, config.model, config.losses, cache)
    sizes = np.diff(trajectories.start)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    at = np.array(
        [
            inputs.checkpoint(trajectories.keys[i].run, int(step))
            for i, step in zip(owner, trajectories.steps, strict=True)
        ],
        dtype=np.int64,
    )
    exclusion = np.array([inputs.of_task[key.task] for key in trajectories.keys], dtype=np.int64)
    samples = data.samples
    first = trajectories.start[samples.curve]
    seen = (at[first + samples.end] != NO_CHECKPOINT) & (at[first + samples.target] != NO_CHECKPOINT)
    return replace(data, samples=samples[seen], inputs=inputs, at=at, exclusion=exclusion)


def _split(data: TrainingData, config: NeuNeuConfig) -> tuple[TrainingData, TrainingData]:
    if config.samples.split == "sample":
        train, held = split_samples(len(data), 1 - config.samples.validation_share)
        return replace(data, samples=data.samples[train]), replace(data, samples=data.samples[held])
    seed = config.training.seed if config.samples.split_seed is None else config.samples.split_seed
    runs, _ = split_runs(data.trajectories.runs, config.samples.validation_share, seed)
    chosen: Indices = data.trajectories.curves_of(runs)
    training = np.isin(data.samples.curve, chosen)
    return replace(data, samples=data.samples[training]), replace(data, samples=data.samples[~training])


def training_curves(table: CurveTable, config: NeuNeuConfig | ProbeRunConfig) -> list[Curve]:
    """The curves that a configuration trains on, one metric each, but for what is held out.

    Accuracies, or losses where `samples.target` says so. Raises InputError where a named task is not there,
    and where no curve is left.
    """
    data = config.data or DataConfig(curves=(Path(),))
    for task in data.tasks or ():
        if task not in table.tasks:
            known = ", ".join(table.tasks[:TASKS_TOLD]) + (" …" if len(table.tasks) > TASKS_TOLD else "")
            raise InputError(f"is in none of the tables; there are {known}", field="data.tasks", value=task)
    loss = isinstance(config, NeuNeuConfig) and config.samples.target == "loss"
    chosen = _one_loss(table) if loss and data.metric is None else table.one_metric(data.metric)
    curves = [
        curve
        for curve in chosen
        if is_target(curve, loss=loss)
        and (data.tasks is None or curve.key.task in data.tasks)
        and curve.key.task not in data.exclude_tasks
        and curve.key.run not in data.exclude_runs
    ]
    if not curves:
        kind = "a loss" if loss else "accuracies"
        raise InputError(f"the tables have no curve of {kind} to train on", field="curves")
    return curves


def is_target(curve: Curve, *, loss: bool) -> bool:
    """Whether a network can be asked for this curve: an accuracy, or a positive loss-like metric.

    Loss-like: in [0, ∞), the lower the better (bits per byte, cross-entropy, perplexity).
    """
    if not loss:
        return (curve.low, curve.high) == (0.0, 1.0)
    metric = find_metric(curve.key.metric)
    like_a_loss = metric.low == 0.0 and np.isinf(metric.high) and not metric.higher_is_better
    return like_a_loss and bool(curve.values.max() > 0)


def content_of(curves: Sequence[Curve], store: LossStore | None) -> dict[str, str | None]:
    """Digests of what a training reads, wherever its files lie: curves, and the losses of their runs."""
    digest = hashlib.sha256()
    for curve in sorted(curves, key=lambda c: tuple(str(part) for part in c.key)):
        digest.update(repr((curve.key, curve.clock_unit, len(curve))).encode())
        for array in (curve.steps, curve.clock, curve.values):
            digest.update(array.tobytes())
    if store is None:
        return {"curves": digest.hexdigest(), "losses": None}
    runs = sorted({curve.key.run for curve in curves})
    keys = [(run, int(step)) for run in runs for step in store.steps(run)]
    return {"curves": digest.hexdigest(), "losses": losses_digest(store, keys)}


def table_of(table: CurveTable, curves: Sequence[Curve]) -> CurveTable:
    """The rows of these curves alone."""
    keys = pl.DataFrame(
        [curve.key for curve in curves], schema={name: SCHEMA[name] for name in KEY}, orient="row"
    )
    return CurveTable(table.frame.join(keys, on=KEY, how="semi", nulls_equal=True))


def _one_loss(table: CurveTable) -> list[Curve]:
    """The preferred loss-like metric of each run, task and setting."""
    found: dict[tuple[object, ...], Curve] = {}
    for metric in [name for name in reversed(LOSS_METRICS) if name in table.metrics]:
        found |= {(curve.key.run, *setting(curve)): curve for curve in table.filter(metric=metric)}
    return list(found.values())
