"""Summaries of losses in NeuNeu's layout: means and histograms of each checkpoint, written and read.

    RUN/avg_losses_by_step.npy             float64 (2, n_steps): steps, mean losses
    RUN/histograms_by_step.npz             steps (n_steps,), histograms (n_steps, 32) of losses on [0, 15]
    RUN/histograms_by_step_invp.npz        the same of exp(-loss): 64 bins on [0, 1]

Ours say in the .npz which validation set they are of (fingerprint); the published ones do not.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats, Integers
from neuneu.errors import InputError
from neuneu.files import atomic_path
from neuneu.files.arrays import check_array, load_array, load_arrays
from neuneu.losses.conventions import published_histogram
from neuneu.losses.loss_store import LossStore

AVERAGES = "avg_losses_by_step.npy"
HISTOGRAMS = "histograms_by_step.npz"
PROBABILITIES = "histograms_by_step_invp.npz"
BINS, HIGH = 32, 15.0
"""Bins of losses, and the end of the last, as published."""

PROBABILITY_BINS = 64
"""Bins of exp(-loss) on [0, 1], as published."""

SUM_ERROR = 1e-3
"""How far a histogram may be from 1 in sum: float32 shares of up to millions of losses."""

UNKNOWN = "published summaries of an unnamed validation set"
"""The fingerprint of summaries whose files name none."""


class LossSummaries(LossStore):
    """A folder of runs of which only means and histograms were kept.

    `mean` and `histogram` give what was kept, `read` has nothing to give. Raises
    InputError where there is no such file, and where the files of a run contradict each other.
    """

    groups = None
    n_positions = 0
    path: Path

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self._folders:
            raise InputError(f"no RUN/{AVERAGES} or RUN/{HISTOGRAMS} is here", where=path)
        found = {self._load(run)[1] for run in self._folders}
        if len(found) > 1:
            raise InputError("runs were summarised over several validation sets", where=path)
        self.fingerprint = found.pop()

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted: the names of their folders."""
        return list(self._folders)

    def steps(self, run: str) -> Integers:
        """Steps of this run, increasing; empty for an unknown run."""
        return self._load(run)[0]["steps"] if run in self._folders else np.empty(0, dtype=np.int64)

    def read(self, run: str, step: int) -> Floats:
        """Never: only summaries are here. Raises InputError."""
        rule = "only means and histograms of these losses are here, not the losses"
        raise InputError(rule, where=self.path, field="checkpoint", value=f"{run} step {step}")

    def mean(self, run: str) -> Floats:
        """Mean loss of each of the run's checkpoints, (n_steps,)."""
        means: Floats = self._part(run, AVERAGES)
        return means

    def histogram(
        self, run: str, step: int, n_bins: int, high: float, *, probabilities: bool = False
    ) -> Floats:
        """The checkpoint's histogram as it was kept, (n_bins,).

        Raises InputError where there is none, or it has other bins than those asked for.
        """
        name, kept = (PROBABILITIES, 1.0) if probabilities else (HISTOGRAMS, HIGH)
        rows = self._part(run, name)
        if high != kept or rows.shape[1] != n_bins:
            rule = f"has {rows.shape[1]} bins that end at {kept:g}"
            raise InputError(rule, where=self._folders[run] / name, field="bins", value=(n_bins, high))
        at = np.flatnonzero(self.steps(run) == step)
        if not len(at):
            raise InputError("no losses of this checkpoint", field="checkpoint", value=f"{run} step {step}")
        row: Floats = rows[at[0]]
        return row

    def _part(self, run: str, name: str) -> NDArray[Any]:
        if run not in self._folders:
            raise InputError("no losses of this run", field="run", value=run)
        arrays = self._load(run)[0]
        if name not in arrays:
            raise InputError("is missing", where=self._folders[run] / name)
        return arrays[name]

    @staticmethod
    def find(path: str | Path) -> list[Path]:
        """The folders of runs with summaries: this one and those in it."""
        inside = [Path(path), *sorted(folder for folder in Path(path).iterdir() if folder.is_dir())]
        names = (AVERAGES, HISTOGRAMS, PROBABILITIES)
        return [folder for folder in inside if any((folder / name).is_file() for name in names)]

    @cached_property
    def _folders(self) -> dict[str, Path]:
        return {folder.resolve().name: folder for folder in self.find(self.path)}

    @cached_property
    def _loaded(self) -> dict[str, tuple[dict[str, NDArray[Any]], str]]:
        return {}

    def _load(self, run: str) -> tuple[dict[str, NDArray[Any]], str]:
        """A run's arrays by file, with "steps", and the fingerprint of their validation set."""
        if run not in self._loaded:
            self._loaded[run] = _read_run(self._folders[run])
        return self._loaded[run]


def _read_run(folder: Path) -> tuple[dict[str, NDArray[Any]], str]:
    parts: dict[str, tuple[Integers, NDArray[Any]]] = {}
    fingerprint = UNKNOWN
    if (folder / AVERAGES).is_file():
        rows = load_array(folder / AVERAGES, kinds="f", n_dim=2)
        if len(rows) != 2:
            raise InputError(
                "must be (2, n): steps and means", where=folder / AVERAGES, field="shape", value=rows.shape
            )
        parts[AVERAGES] = _whole(rows[0], folder / AVERAGES), np.asarray(rows[1], dtype=np.float64)
    for name in (HISTOGRAMS, PROBABILITIES):
        file = folder / name
        if not file.is_file():
            continue
        arrays = load_arrays(file)
        steps = check_array(arrays.get("steps"), file, "steps", n_dim=1)
        shares = check_array(arrays.get("histograms"), file, "histograms", kinds="f", n_dim=2)
        if len(steps) != len(shares):
            rule = f"must be {len(steps)}, one a step"
            raise InputError(rule, where=file, field="histograms", value=len(shares))
        if not np.allclose(shares.sum(axis=1), 1, atol=SUM_ERROR) or (shares < 0).any():
            raise InputError("must be shares that sum to 1", where=file, field="histograms")
        parts[name] = _whole(steps, file), shares.astype(np.float64)
        if "fingerprint" in arrays:
            fingerprint = str(arrays["fingerprint"])
    _, (steps, _) = next(iter(parts.items()))
    for name, (other, values) in parts.items():
        if not np.array_equal(other, steps):
            rule = f"must have the steps of {next(iter(parts))}"
            raise InputError(rule, where=folder / name, field="steps", value=other.tolist()[:8])
        if not np.isfinite(values).all():
            raise InputError("must be finite", where=folder / name, field="value", value="NaN or infinity")
    found: dict[str, NDArray[Any]] = {name: values for name, (_, values) in parts.items()}
    return {**found, "steps": steps}, fingerprint


def _whole(steps: NDArray[Any], file: Path) -> Integers:
    """Steps as integers. Raises InputError unless they are whole, not negative and increasing."""
    found: Integers = steps.astype(np.int64)
    if (found != steps).any() or (found < 0).any() or (np.diff(found) <= 0).any() or not len(found):
        raise InputError("must be whole, increasing, and at least one", where=file, field="steps")
    return found


def write_summaries(
    stores: Sequence[LossStore],
    folder: str | Path,
    *,
    bins: int = BINS,
    high: float = HIGH,
    probability_bins: int = PROBABILITY_BINS,
    published: bool = False,
    overwrite: bool = False,
) -> list[Path]:
    """Write means and histograms of each run's checkpoints to `<folder>/<run>/`; the files written.

    stores: one, or several whose losses of a checkpoint are taken together (as the published histograms are
    of tokens and words). published: a missing loss counts as 0 in histograms, an infinite one as 10, and a
    mean of none is 0; otherwise positions without a loss are left out. Raises InputError where a file is
    there already (unless `overwrite`) and where stores differ in a run's steps.
    """
    folder, runs = Path(folder), stores[0].runs
    names = (AVERAGES, HISTOGRAMS, PROBABILITIES)
    files = {run: folder / run.replace("/", "--") for run in runs}
    for run in runs:
        for store in stores:
            if not np.array_equal(store.steps(run), stores[0].steps(run)):
                raise InputError("stores must have the same steps of a run", field="run", value=run)
        for name in names:
            if (files[run] / name).exists() and not overwrite:
                raise InputError("exists already; `overwrite` replaces it", where=files[run] / name)
    fingerprint = np.array("+".join(store.fingerprint for store in stores))
    for run in runs:
        steps = stores[0].steps(run)
        means, losses, shares = [], [], []
        for step in steps.tolist():
            values = np.concatenate([store.read(run, step) for store in stores])
            known = values[~np.isnan(values)]
            if not len(known) and not published:
                raise InputError("has no loss at all", field="checkpoint", value=f"{run} step {step}")
            counted = values if published else known
            means.append(float(known.mean()) if len(known) else 0.0)
            losses.append(published_histogram(counted, bins, high))
            shares.append(published_histogram(counted, probability_bins, 1.0, probabilities=True))
        _save(files[run] / AVERAGES, np.vstack([steps.astype(np.float64), means]))
        for name, rows in ((HISTOGRAMS, losses), (PROBABILITIES, shares)):
            shown = np.array(rows, dtype=np.float32)
            arrays: dict[str, NDArray[Any]] = {"steps": steps, "histograms": shown}
            _save_all(files[run] / name, {**arrays, "fingerprint": fingerprint})
    return [files[run] / name for run in runs for name in names]


def _save(file: Path, array: NDArray[Any]) -> None:
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def _save_all(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
