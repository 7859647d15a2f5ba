"""Training samples of NeuNeu as flat integer arrays (NeuNeu, section 3).

A sample asks: given a curve up to checkpoint `end`, what is its value at checkpoint `target`?
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Curve, CurveKey, Floats, Integers
from neuneu.forecasters.neuneu.config import SampleConfig

Indices = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Curves one after the other.

    keys, values, clock, steps: points of curve i are start[i] … start[i + 1] - 1; step 0 is not among them.
    """

    keys: tuple[CurveKey, ...]
    start: Integers
    steps: Integers
    clock: Floats
    values: NDArray[np.float32]

    @classmethod
    def from_curves(cls, curves: Iterable[Curve], config: SampleConfig) -> "Trajectories":
        """Lay out curves sorted by key; what starts at step 0, or is not a positive clock, is left out."""
        ordered = sorted(curves, key=lambda c: tuple(str(part) for part in c.key))
        kept: list[tuple[Curve, Bools]] = [(c, (c.steps > 0) & (c.clock > 0)) for c in ordered]
        if config.common_steps:
            kept = _common_steps(kept)
        sizes = [int(mask.sum()) for _, mask in kept]
        return cls(
            tuple(curve.key for curve, _ in kept),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            _join([c.steps[m] for c, m in kept]).astype(np.int64),
            _join([c.clock[m] for c, m in kept]).astype(np.float64),
            _join([c.values[m] for c, m in kept]).astype(np.float32),
        )

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted."""
        return sorted({key.run for key in self.keys})

    def curves_of(self, runs: Iterable[str]) -> Indices:
        """Indices of the curves of these runs."""
        wanted = set(runs)
        return np.array([i for i, key in enumerate(self.keys) if key.run in wanted], dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Samples:
    """Questions: indices of curve, context end and target, each (n,); 12 bytes a sample."""

    curve: Indices
    end: Indices
    target: Indices

    def __len__(self) -> int:
        return len(self.curve)

    def __getitem__(self, index: "NDArray[np.integer] | NDArray[np.bool_] | slice") -> "Samples":
        return Samples(self.curve[index], self.end[index], self.target[index])


def index_samples(trajectories: Trajectories, config: SampleConfig, curves: Indices | None = None) -> Samples:
    """Every (curve, end, target) with a long enough context and a near enough target.

    Ordered by curve, then end, then target. `curves`: only these, by index.
    """
    sizes = np.diff(trajectories.start)
    curves = np.arange(len(sizes), dtype=np.int32) if curves is None else curves
    # One entry a (curve, end), then one a target of it: no loop over samples.
    ends_of = np.maximum(sizes[curves] - config.min_context, 0)
    curve = np.repeat(curves, ends_of)
    end = _counts_up(ends_of) + config.min_context - 1
    ahead = sizes[curve] - 1 - end
    if config.max_gap is not None:
        ahead = np.minimum(ahead, config.max_gap)
    target = _counts_up(ahead) + 1 + np.repeat(end, ahead)
    return Samples(
        np.repeat(curve, ahead).astype(np.int32),
        np.repeat(end, ahead).astype(np.int32),
        target.astype(np.int32),
    )


def split_runs(runs: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Runs for training and for validation: a seeded shuffle, at least one run left to train on."""
    order = np.random.default_rng([seed, 1]).permutation(len(runs))
    n_held = min(round(len(runs) * share), len(runs) - 1)
    held = {runs[i] for i in order[: max(n_held, 0)]}
    return [run for run in runs if run not in held], [run for run in runs if run in held]


def split_samples(n: int, train_share: float = 0.95, seed: int = 42) -> tuple[Integers, Integers]:
    """The published split: a shuffle of samples, whatever curve they are of; validation leaks.

    Returns the indices of training and validation samples.
    """
    order = np.random.RandomState(seed).permutation(n)
    return order[: int(n * train_share)], order[int(n * train_share) :]


@dataclass(frozen=True, eq=False)
class Contexts:
    """Contexts of a batch, padded on the right; losses over the largest one of their context.

    values, gaps: (batch, n) float32; mask: (batch, n), False on padding; target: (batch,) float32.
    """

    values: NDArray[np.float32]
    gaps: NDArray[np.float32]
    mask: Bools
    target: NDArray[np.float32]


def collate(
    trajectories: Trajectories,
    samples: Samples,
    config: SampleConfig,
    drop_with: np.random.Generator | None = None,
) -> Contexts:
    """The contexts and targets of samples, without a loop over them.

    drop_with: leaves out context points with probability `drop`, never the first and the last, and never in
    contexts of at most two points; the gap of a dropped point is added to its predecessor's.
    """
    lengths = samples.end + 1
    width = int(lengths.max())
    column = np.arange(width)
    kept = column < lengths[:, None]
    if drop_with is not None and config.drop > 0:
        dropped = drop_with.random((len(samples), width)) < config.drop
        dropped[:, 0] = False
        dropped[np.arange(len(samples)), samples.end] = False
        dropped[lengths <= 2] = False
        kept &= ~dropped
    # Kept points move to the left in their order; the rest becomes padding.
    order = np.argsort(~kept, axis=1, kind="stable")
    mask = np.take_along_axis(kept, order, axis=1)
    width = int(mask.sum(axis=1).max())
    order, mask = order[:, :width], mask[:, :width]
    first = trajectories.start[samples.curve]
    place = np.where(mask, first[:, None] + order, first[:, None])
    target = first + samples.target
    values = trajectories.values[place]
    wanted = trajectories.values[target]
    if config.target == "loss":
        scale = np.where(mask, values, 0).max(axis=1)
        values, wanted = values / scale[:, None], wanted / scale
    elif config.round_values:
        values, wanted = np.round(values, 3), np.round(wanted, 3)
    clock = _positions(trajectories, place, order, config)
    goal = _positions(trajectories, target, samples.target, config)
    return Contexts(
        np.where(mask, values, 0).astype(np.float32), gaps_between(clock, mask, goal), mask, wanted
    )


def gaps_between(clock: Floats, mask: Bools, target: Floats) -> NDArray[np.float32]:
    """Distance of each context point to the next kept one, and of the last to the target.

    clock: (batch, n) positions; mask: (batch, n) points that are there, all on the left; target: (batch,).
    """
    following = np.concatenate([clock[:, 1:], clock[:, -1:]], axis=1)
    last = mask.sum(axis=1) - 1
    following[np.arange(len(clock)), last] = target
    return np.where(mask, following - clock, 0).astype(np.float32)


def grouped_order(group: Integers, per_group: int, rng: np.random.Generator) -> Integers:
    """An order of samples in which neighbours share few distinct checkpoints.

    group: (n,) checkpoint of each sample. Checkpoints are shuffled and taken `per_group` at a time; the
    samples of those are shuffled among themselves. Every sample comes once.
    """
    _, code = np.unique(group, return_inverse=True)
    rank = rng.permutation(code.max() + 1)[code] // per_group
    shuffled = rng.permutation(len(group))
    return shuffled[np.argsort(rank[shuffled], kind="stable")]


def batches(order: Integers, size: int) -> Iterator[Integers]:
    """Whole batches of an order; what is left over at the end is dropped."""
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


def _positions(
    trajectories: Trajectories, place: Integers, index: Integers | Indices, config: SampleConfig
) -> Floats:
    if config.gaps == "log":
        return np.log(trajectories.clock[place])
    return index.astype(np.float64)


def _counts_up(sizes: Integers) -> Integers:
    """0 … s - 1 for each size s, one after the other."""
    starts = np.cumsum(sizes) - sizes
    return np.arange(int(sizes.sum())) - np.repeat(starts, sizes)


def _join(parts: "Sequence[NDArray[np.generic]]") -> "NDArray[np.generic]":
    return np.concatenate(parts) if parts else np.empty(0)


def _common_steps(curves: list[tuple[Curve, Bools]]) -> list[tuple[Curve, Bools]]:
    """Masks narrowed to the steps that every curve of a run has."""
    common: dict[str, set[int]] = {}
    of_run: dict[str, list[set[int]]] = defaultdict(list)
    for curve, mask in curves:
        of_run[curve.key.run].append(set(curve.steps[mask].tolist()))
    for run, steps in of_run.items():
        common[run] = set.intersection(*steps)
    return [
        (curve, mask & np.isin(curve.steps, np.array(sorted(common[curve.key.run]), dtype=np.int64)))
        for curve, mask in curves
    ]
