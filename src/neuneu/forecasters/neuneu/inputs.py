"""Encoder inputs: losses of checkpoints as the encoder reads them (NeuNeu, section 2.5).

Unlike the published code, a missing loss is never read as probability 1: it is masked, and a checkpoint
that lacks more than half is refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuneu.curves.curve import Floats, Integers
from neuneu.errors import InputError
from neuneu.files import atomic_path
from neuneu.forecasters.neuneu.config import LossConfig, ModelConfig
from neuneu.forecasters.neuneu.encoders import LEVEL_QUANTILES
from neuneu.losses.loss_store import LossStore, own_items

MAX_MISSING = 0.5
"""Largest share of missing losses in a checkpoint that is masked instead of refused."""

NO_CHECKPOINT = -1

SHOWN = 8
"""Characters of a fingerprint that an error shows."""

BELOW_LAST_EDGE = 1e-6
"""How far below the last bin's edge values are cut, as in NeuNeu's code."""


def to_input(losses: Floats, config: LossConfig, where: str) -> NDArray[np.float32]:
    """Losses in nats → encoder input, NaN where a loss is missing.

    Clipped to [0, clip]; `probability` gives exp(-loss). Raises InputError where an infinite loss stands, or
    more than half are missing.
    """
    if np.isinf(losses).any():
        raise InputError("losses must be finite, or NaN where there is none", where=where)
    missing = float(np.isnan(losses).mean()) if len(losses) else 1.0
    if missing > MAX_MISSING:
        raise InputError(
            f"more than {MAX_MISSING:.0%} of the losses are missing",
            where=where,
            value=missing,
            field="share",
        )
    clipped = np.clip(losses, 0.0, config.clip)
    values = np.exp(-clipped) if config.transform == "probability" else clipped
    if config.bins is not None and config.transform == "probability":
        values = np.clip(values, config.bins[0], config.bins[1] - BELOW_LAST_EDGE)
    return np.asarray(values, dtype=np.float32)


def histogram(values: Floats, n_bins: int, low: float, high: float) -> NDArray[np.float32]:
    """Share of values in n_bins equal bins on [low, high]; values outside count in the outer bins.

    values: NaN and infinities are left out. (The published code counts NaN as loss 0.)
    """
    seen = np.clip(values[np.isfinite(values)], low, high - BELOW_LAST_EDGE)
    counts = np.histogram(seen, bins=n_bins, range=(low, high))[0]
    return np.asarray(counts / max(counts.sum(), 1), dtype=np.float32)


def levels_of(values: Floats, masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean and LEVEL_QUANTILES of what each mask leaves, (n_masks, 1 + n_quantiles); NaN is left out."""
    order = np.argsort(values)  # NaN stands last
    order = order[: np.count_nonzero(~np.isnan(values))]
    rows = np.empty((len(masks), 1 + len(LEVEL_QUANTILES)), dtype=np.float32)
    for row, mask in zip(rows, masks, strict=True):
        kept = values[order[~mask[order]]]
        at = np.round(np.array(LEVEL_QUANTILES) * (len(kept) - 1)).astype(np.int64)
        row[:] = kept.mean(), *kept[at]
    return rows


@dataclass(frozen=True, eq=False)
class EncoderInputs:
    """What the encoder reads for each checkpoint and forecast task.

    Rows are checkpoints. CNN: rows (n_checkpoints, length) float16, own items masked when read.
    Average, levels and histogram: rows (n_checkpoints, n_exclusions, width) float32, made beforehand.
    exclusions: distinct sets of positions that are masked (row 0: none); of_task: task → row of it.
    """

    kind: str
    checkpoints: dict[tuple[str, int], int]
    rows: NDArray[Any]
    exclusions: NDArray[np.bool_]
    of_task: dict[str, int]
    steps: dict[str, Integers]

    @property
    def length(self) -> int:
        """Numbers that the encoder reads."""
        return int(self.rows.shape[-1])

    def checkpoint(self, run: str, step: int) -> int:
        """Row of the run's last checkpoint with losses at or before this step; NO_CHECKPOINT if none."""
        steps = self.steps.get(run)
        if steps is None:
            return NO_CHECKPOINT
        at = int(np.searchsorted(steps, step, side="right")) - 1
        return NO_CHECKPOINT if at < 0 else self.checkpoints[run, int(steps[at])]

    def gather(self, context: Integers, target: Integers, exclusion: Integers) -> Tensor:
        """Inputs of (checkpoint at the context end, checkpoint at the target, exclusion), (n, length).

        Only the histogram encoder looks at the target.
        """
        if self.kind in ("average", "levels"):
            return torch.from_numpy(self.rows[context, exclusion])
        if self.kind == "diffhist":
            return torch.from_numpy(self.rows[target, exclusion] - self.rows[context, exclusion])
        rows = torch.from_numpy(self.rows[context]).float()
        if len(self.exclusions) > 1:
            rows[torch.from_numpy(self.exclusions[exclusion])] = torch.nan
        # Masked and missing positions take the mean of the others, which says nothing of its own.
        return torch.where(rows.isnan(), rows.nanmean(dim=1, keepdim=True), rows)


def prepare_inputs(
    store: LossStore,
    runs: Sequence[str],
    tasks: Sequence[str],
    model: ModelConfig,
    config: LossConfig,
    cache: Path | None = None,
    steps: dict[str, Integers] | None = None,
    *,
    running: bool = True,
) -> EncoderInputs:
    """Read the losses of runs once and lay them out for the encoder.

    steps: only these of each run (by default all that have losses). cache: a folder where the CNN's rows are
    kept as a memory-mapped float16 array, named by everything that they depend on. running: the average is
    taken over the checkpoints so far, not of each alone. Raises InputError where a loss vector is shorter
    than the model reads, or no run has losses.
    """
    length = loss_length(store, model)
    wanted = {run: store.steps(run) if steps is None else steps[run] for run in sorted(runs)}
    wanted = {run: found for run, found in wanted.items() if len(found)}
    if not wanted:
        raise InputError("the store has losses of none of these runs", field="losses", value=sorted(runs)[:3])
    checkpoints = {
        key: row
        for row, key in enumerate((run, int(step)) for run, found in wanted.items() for step in found)
    }
    exclusions, of_task = _exclusions(store, tasks, config, length)
    rows: NDArray[Any]
    if model.encoder == "cnn":
        rows = _cnn_rows(store, list(checkpoints), config, length, cache)
    else:
        rows = _summary_rows(store, list(checkpoints), model, config, exclusions, length, running=running)
    return EncoderInputs(model.encoder, checkpoints, rows, exclusions, of_task, wanted)


def loss_length(store: LossStore, model: ModelConfig) -> int:
    """Losses of each checkpoint that are read: the first `input_length`, or all of them."""
    wanted = model.input_length if model.encoder == "cnn" else None
    if wanted is None:
        return store.n_positions
    if store.n_positions < wanted:
        raise InputError(
            f"loss vectors have {store.n_positions} positions; the model reads the first {wanted}: score a "
            f"longer text, or train with model.input_length = {store.n_positions}",
            field="losses",
        )
    return wanted


def check_validation_set(store: LossStore, fingerprint: str | None, where: str | Path | None = None) -> None:
    """Refuse losses on another validation set than the model was trained on; where: the model's folder."""
    if fingerprint is not None and store.fingerprint != fingerprint:
        own, other = fingerprint[:SHOWN], store.fingerprint[:SHOWN]
        if own == other:
            own, other = fingerprint, store.fingerprint
        raise InputError(
            f"are over validation set {other}, the model was trained on {own}: give the losses that it was "
            "trained on",
            where=where,
            field="losses",
            value=None if store.path is None else str(store.path),
        )


def losses_digest(store: LossStore, keys: Sequence[tuple[str, int]]) -> str | None:
    """What tells the losses of these (run, step) from others: the validation set, and what each holds."""
    if not keys:
        return None
    if store.n_positions:
        found = [store.digest(run, step) for run, step in keys]
    else:
        found = [repr(store.mean(run).tolist()) for run in sorted({run for run, _ in keys})]
    return hashlib.sha256(repr((store.fingerprint, list(keys), found)).encode()).hexdigest()


def _exclusions(
    store: LossStore, tasks: Sequence[str], config: LossConfig, length: int
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    nothing = np.zeros(length, dtype=np.bool_)
    masks, of_task, known = [nothing], {}, {nothing.tobytes(): 0}
    for task in sorted(set(tasks)):
        owned = own_items(store.groups, task) if config.exclude_own_items else None
        mask = nothing if owned is None else owned[:length]
        if length and mask.all():
            raise InputError("all losses are on this task's own items", field="task", value=task)
        row = known.setdefault(mask.tobytes(), len(masks))
        if row == len(masks):
            masks.append(mask)
        of_task[task] = row
    return np.stack(masks), of_task


def _cnn_rows(
    store: LossStore, keys: list[tuple[str, int]], config: LossConfig, length: int, cache: Path | None
) -> NDArray[Any]:
    def read(row: int) -> NDArray[np.float32]:
        run, step = keys[row]
        return to_input(_losses(store, run, step)[:length], config, f"{run} step {step}")

    if cache is None:
        return np.stack([read(row).astype(np.float16) for row in range(len(keys))])
    parts = (length, config.transform, config.clip, config.bins, losses_digest(store, keys))
    name = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    path = cache / f"losses-{name}.npy"
    if not path.is_file():
        with atomic_path(path) as temporary:
            shape = (len(keys), length)
            rows = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            for row in range(len(keys)):
                rows[row] = read(row)
            rows.flush()
    mapped: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def _losses(store: LossStore, run: str, step: int) -> Floats:
    losses = store.read(run, step)
    if len(losses) != store.n_positions:
        raise InputError(
            f"must have {store.n_positions} losses, one a position of the validation set",
            where=f"{run} step {step}",
            field="length",
            value=len(losses),
        )
    return losses


def _summary_rows(
    store: LossStore,
    keys: list[tuple[str, int]],
    model: ModelConfig,
    config: LossConfig,
    exclusions: NDArray[np.bool_],
    length: int,
    *,
    running: bool,
) -> NDArray[np.float32]:
    width = {"diffhist": model.n_bins, "levels": 1 + len(LEVEL_QUANTILES)}.get(model.encoder, 1)
    rows = np.empty((len(keys), len(exclusions), width), dtype=np.float32)
    seen: dict[str, int] = {}
    for row, (run, step) in enumerate(keys):
        if store.n_positions:
            losses = _losses(store, run, step)[:length]
            own = _summary(losses, model, config, exclusions, f"{run} step {step}")
        else:
            own = _kept_summary(store, run, step, model, config)
        if model.encoder == "average" and running:
            # The published encoder averages raw losses over the checkpoints of the context.
            n = seen.get(run, 0)
            before = rows[row - 1].astype(np.float64) if n else np.zeros_like(own)
            own = before + (own - before) / (n + 1)
        rows[row] = own
        seen[run] = seen.get(run, 0) + 1
    return rows


def _summary(
    losses: Floats, model: ModelConfig, config: LossConfig, exclusions: NDArray[np.bool_], where: str
) -> Floats:
    """What the encoder reads of one checkpoint's losses under each exclusion, (n_exclusions, width)."""
    values = to_input(losses, config, where).astype(np.float64)
    if model.encoder == "levels":
        return levels_of(values, exclusions).astype(np.float64)
    if model.encoder == "diffhist":
        rows = [histogram(values[~mask], model.n_bins, *config.bin_range) for mask in exclusions]
        return np.array(rows, dtype=np.float64)
    return np.array([[np.nanmean(losses[~mask])] for mask in exclusions])


def _kept_summary(store: LossStore, run: str, step: int, model: ModelConfig, config: LossConfig) -> Floats:
    """The same of a store that kept means and histograms only, (1, width)."""
    if model.encoder == "average":
        means: Floats = store.mean(run)[store.steps(run) == step].reshape(1, 1)
        return means
    low, high = config.bin_range
    if model.encoder != "diffhist" or low != 0:
        rule = "only means and histograms of losses were kept, with bins from 0"
        raise InputError(rule, field="encoder", value=model.encoder)
    probabilities = config.transform == "probability"
    return store.histogram(run, step, model.n_bins, high, probabilities=probabilities)[None]
