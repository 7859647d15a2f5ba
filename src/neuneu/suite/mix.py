"""A recipe and a seed → which block of which text is read at which step: a fixed order, known beforehand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError


class BlockOrder:
    """The order of training blocks of one run.

    A block is `length` consecutive tokens of one source. Sources appear in the recipe's proportions (by
    largest remainder); each source's blocks are permuted anew each time it is exhausted; the sequence is
    shuffled. Everything follows from the seed, so the step alone says where a run is.
    """

    def __init__(
        self, text: Path, weights: Mapping[str, float], *, length: int, blocks: int, seed: int
    ) -> None:
        names = sorted(weights)
        generator = np.random.default_rng([seed, 7919])
        self._streams = [np.load(text / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names]
        counts = share_out(np.array([weights[name] for name in names]), blocks)
        sources, positions = [], []
        for index, (name, count) in enumerate(zip(names, counts, strict=True)):
            available = len(self._streams[index]) // length
            if not available:
                raise InputError(f"has less than one block of {length} tokens", field="source", value=name)
            epochs = [generator.permutation(available) for _ in range(-(-int(count) // available))]
            positions.append(np.concatenate([np.empty(0, dtype=np.int64), *epochs])[:count])
            sources.append(np.full(count, index, dtype=np.int64))
        order = generator.permutation(blocks)
        self._sources = np.concatenate(sources)[order]
        self._positions = np.concatenate(positions)[order]
        self._length = length

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Blocks start … stop of the run, (stop - start, length)."""
        rows = [
            self._streams[source][position * self._length : (position + 1) * self._length]
            for source, position in zip(self._sources[start:stop], self._positions[start:stop], strict=True)
        ]
        return np.stack(rows).astype(np.int64)


def share_out(weights: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to the weights that add up to `total` (largest remainder)."""
    exact = weights / weights.sum() * total
    counts = np.floor(exact).astype(np.int64)
    rest = total - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    return np.asarray(counts, dtype=np.int64)
