"""LossStore: run × checkpoint × position losses, with the validation set's fingerprint."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats, Integers
from neuneu.errors import InputError


class LossStore(ABC):
    """Losses of checkpoints on one validation set, aligned: position i means the same token everywhere.

    fingerprint: identifies the validation set (text, order, tokenizer, unit); n_positions: its length, 0
    where only summaries were kept; groups: a label for each position (e.g. the task an item belongs to), or
    None; path: where it was opened, None for what is in memory alone.
    """

    fingerprint: str
    n_positions: int
    groups: list[str] | None
    path: Path | None = None

    @property
    @abstractmethod
    def runs(self) -> list[str]:
        """Names of the runs that have losses, sorted."""

    @abstractmethod
    def steps(self, run: str) -> Integers:
        """Steps of this run that have losses, increasing; empty for an unknown run."""

    @abstractmethod
    def read(self, run: str, step: int) -> Floats:
        """Losses in nats of one checkpoint, (n_positions,); NaN where a position has no loss.

        Raises InputError where the checkpoint has no losses.
        """

    def digest(self, run: str, step: int) -> str:
        """What tells this checkpoint's losses from others, however they are stored."""
        return hashlib.sha256(self.read(run, step).astype(np.float32).tobytes()).hexdigest()

    def mean(self, run: str) -> Floats:
        """Mean loss of each of the run's checkpoints over positions that have one, (n_steps,)."""
        return np.array([np.nanmean(self.read(run, int(step))) for step in self.steps(run)])

    def histogram(
        self, run: str, step: int, n_bins: int, high: float, *, probabilities: bool = False
    ) -> Floats:
        """Share of a checkpoint's losses in equal bins of [0, high], (n_bins,).

        probabilities: of p = exp(-loss) instead. Positions without loss are left out; the last bin takes what
        lies beyond.
        """
        losses = self.read(run, step)
        values = losses[~np.isnan(losses)]
        values = np.exp(-values) if probabilities else values
        counts, _ = np.histogram(np.clip(values, 0.0, high), bins=n_bins, range=(0.0, high))
        shares: Floats = counts / max(1, counts.sum())
        return shares


def owns(task: str, label: str) -> bool:
    """Whether positions of this label are the task's own: its name, a part (mmlu_anatomy), or its whole."""
    return label == task or label.startswith(f"{task}_") or task.startswith(f"{label}_")


def own_items(groups: Sequence[str] | None, task: str) -> NDArray[np.bool_] | None:
    """Positions that are items of this task (`owns`), (n_positions,); None where there are none."""
    if groups is None:
        return None
    own = {label for label in set(groups) if owns(task, label)}
    return np.array([label in own for label in groups], dtype=np.bool_) if own else None


class MemoryLossStore(LossStore):
    """Losses held in memory: {run: (steps (n,), losses (n, n_positions))}."""

    def __init__(
        self, arrays: Mapping[str, tuple[Integers, Floats]], fingerprint: str, groups: list[str] | None = None
    ) -> None:
        self._arrays = {run: arrays[run] for run in sorted(arrays)}
        self.fingerprint, self.groups = fingerprint, groups
        lengths = {losses.shape[1] for _, losses in self._arrays.values()}
        if len(lengths) != 1:
            raise InputError("loss vectors must have one length", field="losses", value=sorted(lengths))
        self.n_positions = lengths.pop()

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted."""
        return list(self._arrays)

    def steps(self, run: str) -> Integers:
        """Steps of this run, increasing."""
        return self._arrays[run][0] if run in self._arrays else np.empty(0, dtype=np.int64)

    def read(self, run: str, step: int) -> Floats:
        """Losses of one checkpoint, (n_positions,)."""
        index = np.flatnonzero(self.steps(run) == step)
        if not len(index):
            raise InputError("no losses of this checkpoint", field="checkpoint", value=f"{run} step {step}")
        return np.asarray(self._arrays[run][1][index[0]], dtype=np.float64)
