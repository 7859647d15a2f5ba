"""Losses on disk opened, whichever layout they are in, under the names that curves have."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from neuneu.curves.curve import Floats, Integers
from neuneu.curves.readers.datadecide_models import published_names
from neuneu.errors import InputError, missing_extra
from neuneu.files.reading import near_files
from neuneu.losses.loss_store import LossStore
from neuneu.losses.published_layouts import PublishedLosses, read_item_losses
from neuneu.losses.summaries import LossSummaries


class RenamedLosses(LossStore):
    """Another store's losses under other names of runs: {name: name in the store}."""

    def __init__(self, store: LossStore, names: Mapping[str, str]) -> None:
        self._store, self._names = store, {run: names[run] for run in sorted(names)}
        self.fingerprint, self.n_positions, self.groups = store.fingerprint, store.n_positions, store.groups
        self.path = store.path

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted."""
        return list(self._names)

    def steps(self, run: str) -> Integers:
        """Steps of this run, increasing; empty for an unknown run."""
        return self._store.steps(self._names[run]) if run in self._names else np.empty(0, dtype=np.int64)

    def read(self, run: str, step: int) -> Floats:
        """Losses of one checkpoint, (n_positions,)."""
        if run not in self._names:
            raise InputError("no losses of this run", field="run", value=run)
        return self._store.read(self._names[run], step)

    def mean(self, run: str) -> Floats:
        """Mean loss of each of the run's checkpoints, (n_steps,)."""
        return self._store.mean(self._names[run])

    def histogram(
        self, run: str, step: int, n_bins: int, high: float, *, probabilities: bool = False
    ) -> Floats:
        """A checkpoint's histogram, (n_bins,)."""
        return self._store.histogram(self._names[run], step, n_bins, high, probabilities=probabilities)


def match_runs(store: LossStore, runs: Iterable[str]) -> LossStore:
    """The store with its runs named as curves name them.

    Names mean one run where they are the same, or else the same but for case and separators (anything but
    letters and digits): "Gemstone-1280x15" are the losses of "gemstone/1280x15". Runs of the store that match
    no curve keep their name. Raises InputError where two runs of the store would match one curve.
    """
    wanted, known = set(runs), set(store.runs)
    by_plain_name: dict[str, list[str]] = defaultdict(list)
    for run in sorted(known - wanted):
        by_plain_name[_plain(run)].append(run)
    names = {run: run for run in wanted & known}
    for run in sorted(wanted - known):
        found = by_plain_name[_plain(run)]
        if len(found) > 1:
            raise InputError(f"losses of two runs have this name: {found}", field="run", value=run)
        names |= {run: found[0]} if found else {}
    names |= {run: run for run in known - set(names.values())}
    return store if set(names) == known else RenamedLosses(store, names)


def _plain(run: str) -> str:
    return "-".join(re.findall(r"[^\W_]+", run.casefold()))


def open_losses(path: str | Path, runs: Iterable[str] = ()) -> LossStore:
    """Open losses on disk, whichever layout they are in.

    A Zarr store of this package, the published NeuNeu layout (folders of runs with step folders of .npy
    files, or else with means and histograms), or a folder of item losses (one .npz a run). runs: the names
    that curves have, see `match_runs`. Raises InputError where it is none of them.
    """
    return match_runs(_open(path), runs)


def _open(path: str | Path) -> LossStore:
    path = Path(path)
    if not path.exists():
        rule = f"no such folder{near_files(path)}; `neuneu score` makes a store of token losses"
        raise InputError(rule, where=path)
    if not path.is_dir():
        raise InputError("is a file: losses are a folder, or a store of `neuneu score`", where=path)
    if (path / "zarr.json").is_file():
        return _open_zarr(path)
    if any(PublishedLosses.find(path)):
        return PublishedLosses(path)
    if any(LossSummaries.find(path)):
        return LossSummaries(path)
    return read_item_losses(path) if any(path.glob("*.npz")) else PublishedLosses(path)


def _open_zarr(path: Path) -> LossStore:
    try:
        from neuneu.losses.zarr_store import ZarrLossStore
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error
    return ZarrLossStore(path)


def open_units(path: str | Path) -> list[LossStore]:
    """Open losses on disk: of the published layout both those of tokens and those of words."""
    path = Path(path)
    if path.is_dir() and not (path / "zarr.json").is_file():
        units = [unit for unit in ("token", "word") if PublishedLosses.find(path, unit)]
        if units:
            return [PublishedLosses(path, unit) for unit in units]
    return [_open(path)]


def with_published_names(store: LossStore) -> LossStore:
    """The store with DataDecide's and Pythia's runs named as NeuNeu's code names them."""
    return RenamedLosses(store, {name: run for run, name in published_names(store.runs).items()})
