"""Training data of the probes: checkpoints, or pairs, and the accuracies there (NeuNeu, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuneu.curves.curve import Curve, Integers
from neuneu.errors import InputError
from neuneu.forecasters.neuneu.config import ProbeRunConfig, SampleConfig
from neuneu.forecasters.neuneu.data import with_losses
from neuneu.forecasters.neuneu.inputs import EncoderInputs, prepare_inputs
from neuneu.forecasters.neuneu.samples import Bools, Trajectories, split_runs
from neuneu.losses.loss_store import LossStore

DELTAS = ("probe-delta", "probe-kl-delta")
"""Probes that read two checkpoints and predict the change of the accuracies between them."""


@dataclass(frozen=True)
class ProbeQuestions:
    """A batch for a probe.

    shown: (n_views, length) what it reads of each checkpoint; before: the same of an earlier checkpoint, None
    where one is read alone; cell: (n_cells,) view × number of tasks + task of each accuracy that is asked.
    """

    shown: Tensor
    before: Tensor | None
    cell: Tensor

    def to(self, device: torch.device | str) -> "ProbeQuestions":
        """The same questions on another device."""
        before = None if self.before is None else self.before.to(device, non_blocking=True)
        return ProbeQuestions(
            self.shown.to(device, non_blocking=True), before, self.cell.to(device, non_blocking=True)
        )


@dataclass(frozen=True, eq=False)
class ProbeData:
    """Views, each a checkpoint (or a pair) under one mask, and the accuracies measured there.

    current, previous: (n_views,) checkpoint rows; exclusion: (n_views,) row of the masked positions; run:
    (n_views,) place in `runs`; start: (n_views + 1,) bounds of each view's cells; task: (n_cells,) place in
    `tasks`; value: (n_cells,) accuracy, or its change; chosen: (n,) the views that this part holds.
    """

    inputs: EncoderInputs
    tasks: tuple[str, ...]
    runs: tuple[str, ...]
    pairs: bool
    current: Integers
    previous: Integers
    exclusion: Integers
    run: Integers
    start: Integers
    task: Integers
    value: NDArray[np.float32]
    chosen: Integers

    def __len__(self) -> int:
        return len(self.chosen)

    def groups(self) -> Integers:
        """One group: every view is read once."""
        return np.zeros(len(self), dtype=np.int64)

    def batch(
        self, index: Integers, drop_with: np.random.Generator | None = None
    ) -> tuple[ProbeQuestions, Tensor]:
        """Views by index and all their accuracies, (n_cells,)."""
        views = self.chosen[index]
        counts = self.start[views + 1] - self.start[views]
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        cells = np.repeat(self.start[views], counts) + within
        owner = np.repeat(np.arange(len(views)), counts)
        questions = show(
            self.inputs, self.current[views], self.previous[views], self.exclusion[views], pairs=self.pairs
        )
        cell = torch.from_numpy(owner * len(self.tasks) + self.task[cells])
        return replace(questions, cell=cell), torch.from_numpy(self.value[cells])


def show(
    inputs: EncoderInputs, current: Integers, previous: Integers, exclusion: Integers, *, pairs: bool
) -> ProbeQuestions:
    """What a probe reads at these checkpoints (rows of `inputs`), (n,) each; no cell is asked yet."""
    nothing = torch.empty(0, dtype=torch.int64)
    if inputs.kind == "cnn":
        return ProbeQuestions(inputs.gather(current, current, exclusion), None, nothing)
    shown = torch.from_numpy(inputs.rows[current, exclusion])
    before = torch.from_numpy(inputs.rows[previous, exclusion]) if pairs else None
    return ProbeQuestions(shown, before, nothing)


def make_probe_data(
    curves: Sequence[Curve], store: LossStore | None, config: ProbeRunConfig, cache: Path | None = None
) -> tuple[ProbeData, ProbeData]:
    """Training and validation data of a probe from curves of accuracies and losses.

    Raises InputError where there are no losses, where a run has none (unless `losses.missing_runs` is skip),
    and where no accuracy stands at a checkpoint that has losses.
    """
    curves, store = with_losses(curves, store, config)
    settings = SampleConfig(common_steps=config.samples.common_steps)
    trajectories = Trajectories.from_curves(curves, settings)
    tasks = tuple(sorted({key.task for key in trajectories.keys}))
    runs = tuple(trajectories.runs)
    inputs = prepare_inputs(store, runs, tasks, config.inputs, config.losses, cache, running=False)
    pairs = config.forecaster in DELTAS
    rows, values = _rows(trajectories, inputs, tasks, runs, config, pairs=pairs)
    views, first, view = np.unique(rows[:, :3], axis=0, return_index=True, return_inverse=True)
    # Views in the order in which they come up: by run, then as checkpoints follow each other.
    order = np.argsort(first, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    view = place[view.reshape(-1)]
    by_view = np.argsort(view, kind="stable")
    data = ProbeData(
        inputs, tasks, runs, pairs,
        current=views[order, 0], previous=views[order, 1], exclusion=views[order, 2],
        run=rows[first[order], 4],
        start=np.concatenate([[0], np.cumsum(np.bincount(view, minlength=len(views)))]).astype(np.int64),
        task=rows[by_view, 3], value=values[by_view], chosen=np.arange(len(views)),
    )  # fmt: skip
    return _split(data, config)


def _rows(
    trajectories: Trajectories,
    inputs: EncoderInputs,
    tasks: tuple[str, ...],
    runs: tuple[str, ...],
    config: ProbeRunConfig,
    *,
    pairs: bool,
) -> tuple[Integers, NDArray[np.float32]]:
    """(n_cells, 5) checkpoint, earlier checkpoint, exclusion, task, run; and the (n_cells,) values."""
    task_place, run_place = ({name: i for i, name in enumerate(names)} for names in (tasks, runs))
    rows, values = [np.empty((0, 5), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for i, key in enumerate(trajectories.keys):
        part = slice(trajectories.start[i], trajectories.start[i + 1])
        at = np.array(
            [inputs.checkpoints.get((key.run, int(step)), -1) for step in trajectories.steps[part]],
            dtype=np.int64,
        )
        value = trajectories.values[part][at >= 0]
        at = at[at >= 0]
        sooner, later = _pairs(len(at), config) if pairs else (np.arange(len(at)),) * 2
        same = np.array([inputs.of_task[key.task], task_place[key.task], run_place[key.run]])
        rows.append(
            np.column_stack([at[later], at[sooner], np.broadcast_to(same, (len(later), 3))])
            if len(later) else rows[0]
        )  # fmt: skip
        values.append(value[later] - value[sooner] if pairs else value)
    table, targets = np.concatenate(rows), np.concatenate(values)
    if not len(table):
        raise InputError("no accuracy stands at a checkpoint that has losses", field="losses")
    most = config.samples.max_pairs
    if most is not None and len(table) > most:
        rng = np.random.default_rng([config.training.seed, 5])
        drawn = np.sort(rng.permutation(len(table))[:most])
        table, targets = table[drawn], targets[drawn]
    return table, targets


def _pairs(n: int, config: ProbeRunConfig) -> tuple[Integers, Integers]:
    """Every earlier and later checkpoint that are near enough, by place."""
    sooner, later = np.triu_indices(n, config.samples.min_gap)
    if config.samples.max_gap is None:
        return sooner, later
    near: Bools = later - sooner <= config.samples.max_gap
    return sooner[near], later[near]


def _split(data: ProbeData, config: ProbeRunConfig) -> tuple[ProbeData, ProbeData]:
    samples = config.samples
    seed = config.training.seed if samples.split_seed is None else samples.split_seed
    if samples.split == "sample":
        # The published split: a shuffle of checkpoints, the first ones for validation.
        order = np.random.RandomState(seed).permutation(len(data))
        n_held = int(len(data) * samples.validation_share)
        held = np.isin(np.arange(len(data)), order[:n_held])
    else:
        _, names = split_runs(data.runs, samples.validation_share, seed)
        held = np.isin(data.run, [data.runs.index(name) for name in names])
    if held.all():
        raise InputError(
            "the runs left to train on have no accuracies at checkpoints with losses", field="data"
        )
    return replace(data, chosen=np.flatnonzero(~held)), replace(data, chosen=np.flatnonzero(held))
