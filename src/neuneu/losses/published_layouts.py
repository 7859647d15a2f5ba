"""Losses in the layouts they were published in: NeuNeu's .npy files, item losses as .npz."""

import hashlib
import re
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats, Integers
from neuneu.curves.tasks import find_task
from neuneu.errors import InputError
from neuneu.files import atomic_path, read_object
from neuneu.files.arrays import check_array, load_array, load_arrays
from neuneu.losses.loss_store import LossStore, MemoryLossStore

UNITS = {"word": "word_losses", "token": "eval_losses"}
_ITEM_TASKS = {"arcc": "arc_challenge", "arce": "arc_easy", "coqa": "csqa", "openbook": "openbookqa"}
"""Names of the published item losses → ours; their "coqa" is CommonsenseQA (1,221 items)."""


class PublishedLosses(LossStore):
    """NeuNeu's layout: RUN/step<N>[-seed]/word_losses_shard_<shard>.npy, float32 and memory-mapped.

    unit: "word" or "token" (eval_losses_*.npy). Several shards of a checkpoint are joined in the order of
    their names. Values are as published: placeholders are 0 or NaN, entries may be misaligned (docs,
    "losses"). Raises InputError where there is no such file, a step has two seeds, checkpoints differ in
    shards or length, or a file is a Git LFS pointer.
    """

    groups = None
    path: Path

    def __init__(self, path: str | Path, unit: str = "word") -> None:
        self.path, self.unit = Path(path), unit
        if not self._files:
            raise InputError(f"no RUN/step<N>/{UNITS[unit]}*.npy is here", where=path)
        run, steps = next(iter(self._files.items()))
        first = steps[min(steps)]
        self._shards = [file.stem for file in first]
        self.n_positions = len(self._load(run, min(steps)))
        described = [file.with_suffix(".json") for file in first]
        bounds = [read_object(file).get("word_boundaries") for file in described if file.is_file()]
        identity = repr((unit, self._shards, self.n_positions, bounds))
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    @property
    def runs(self) -> list[str]:
        """Names of the runs, sorted: the names of their folders."""
        return list(self._files)

    def steps(self, run: str) -> Integers:
        """Steps of this run, increasing; empty for an unknown run."""
        return np.array(sorted(self._files.get(run, {})), dtype=np.int64)

    def read(self, run: str, step: int) -> Floats:
        """Losses of one checkpoint as published, (n_positions,)."""
        if step not in self._files.get(run, {}):
            raise InputError("no losses of this checkpoint", field="checkpoint", value=f"{run} step {step}")
        losses = self._load(run, step)
        if len(losses) != self.n_positions:
            raise InputError(
                f"must have {self.n_positions} losses as the others do",
                where=self._files[run][step][0].parent,
                field="length",
                value=len(losses),
            )
        return losses

    def _load(self, run: str, step: int) -> Floats:
        files = self._files[run][step]
        if [file.stem for file in files] != self._shards:
            raise InputError(f"must have the shards {self._shards}", where=files[0].parent)
        return np.concatenate([_losses(file) for file in files])

    @staticmethod
    def find(path: str | Path, unit: str = "word") -> list[Path]:
        """The files of this unit, in order: of one run where the folder is a run's, else of its runs."""
        name = f"step*/{UNITS[unit]}*.npy"
        return sorted(Path(path).glob(name)) or sorted(Path(path).glob(f"*/{name}"))

    @cached_property
    def _files(self) -> dict[str, dict[int, list[Path]]]:
        """Run → step → files of the shards."""
        found: dict[str, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for file in self.find(self.path, self.unit):
            step = re.match(r"step(\d+)(?!\d)", file.parent.name)
            if step is None:
                continue
            files = found[file.parent.parent.resolve().name][int(step[1])]
            if files and files[0].parent != file.parent:
                raise InputError(
                    "two folders of one step: the seeds of a run go into folders of their own",
                    where=file.parent.parent,
                    field="step",
                    value=[files[0].parent.name, file.parent.name],
                )
            files.append(file)
        return {run: dict(found[run]) for run in sorted(found)}


def write_published_losses(
    store: LossStore, folder: str | Path, unit: str, *, shard: str = "0", overwrite: bool = False
) -> list[Path]:
    """Write each checkpoint as `<folder>/<run>/step<N>/<unit>_losses_shard_<shard>.npy`; the files written.

    unit: "word" or "token". Raises InputError where a file is there already (unless `overwrite`), before
    anything is written.
    """
    if unit not in UNITS or "_" in shard or "/" in shard:
        rule = "must be tokens or words, and the shard a name without _ and /"
        raise InputError(rule, field="unit", value=(unit, shard))
    files = {
        Path(folder, run.replace("/", "--"), f"step{step}", f"{UNITS[unit]}_shard_{shard}.npy"): (run, step)
        for run in store.runs
        for step in store.steps(run).tolist()
    }
    for file in files:
        if file.exists() and not overwrite:
            raise InputError("exists already; `overwrite` replaces it", where=file)
    for file, (run, step) in files.items():
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, store.read(run, step).astype(np.float32), allow_pickle=False)
    return list(files)


def read_item_losses(path: str | Path) -> MemoryLossStore:
    """Losses of test items: one .npz a run (its name is the file's), `steps` and one array a task.

    Arrays are (n_steps, n_items); groups are the tasks' canonical names; where there are `<task>_subjects`
    and `<task>_subject_lengths`, its items are labelled `<task>_<subject>`. Raises InputError where runs
    differ in their tasks or items.
    """
    files = sorted(Path(path).glob("*.npz"))
    if not files:
        raise InputError("no .npz is here", where=path)
    runs: dict[str, tuple[Integers, Floats]] = {}
    labels: list[str] | None = None
    for file in files:
        arrays = load_arrays(file)
        steps = check_array(arrays.get("steps"), file, "steps", kinds="iu", n_dim=1).astype(np.int64)
        tasks = sorted(name for name, array in arrays.items() if array.ndim == 2)
        if not tasks:
            raise InputError("no task is here: no array of (steps, items)", where=file)
        for task in tasks:
            losses = check_array(arrays[task], file, task, n_dim=2)
            if len(losses) != len(steps):
                raise InputError(
                    f"must have a row a step, {len(steps)}", where=file, field=task, value=len(losses)
                )
            _check_finite(losses, file, task)
        groups = [label for task in tasks for label in _labels(task, arrays, file)]
        if labels is not None and groups != labels:
            raise InputError("must have the same tasks and items as the other runs", where=file)
        labels = groups
        runs[file.stem] = steps, np.concatenate([arrays[task].astype(np.float64) for task in tasks], axis=1)
    store = MemoryLossStore(runs, hashlib.sha256(repr(labels).encode()).hexdigest(), labels)
    store.path = Path(path)
    return store


def _losses(file: Path) -> Floats:
    """A shard of losses, flat."""
    losses = load_array(file, kinds="f")
    _check_finite(losses, file)
    return losses.astype(np.float64).ravel()


def _check_finite(losses: NDArray[Any], file: Path, name: str | None = None) -> None:
    """InputError on infinite losses; NaN says that there is none."""
    if np.isinf(losses).any():
        raise InputError("must be finite", where=file, field=name or "losses", value="infinity")


def _labels(task: str, arrays: dict[str, NDArray[Any]], file: Path) -> list[str]:
    n_items = arrays[task].shape[1]
    if f"{task}_subjects" not in arrays:
        return [find_task(_ITEM_TASKS.get(task, task)).name] * n_items
    names = {part: f"{task}_{part}" for part in ("subjects", "subject_lengths")}
    subjects = check_array(arrays[names["subjects"]], file, names["subjects"], kinds="US", n_dim=1).tolist()
    counts = arrays.get(names["subject_lengths"])
    lengths = check_array(counts, file, names["subject_lengths"], kinds="iu", n_dim=1).tolist()
    if min(lengths, default=0) < 0 or sum(lengths) != n_items:
        rule = f"must be counts that add up to {n_items}"
        raise InputError(rule, where=file, field=names["subject_lengths"], value=sum(lengths))
    if len(subjects) != len(lengths):
        raise InputError(f"must be {len(lengths)}", where=file, field=names["subjects"], value=len(subjects))
    return [f"{task}_{name}" for name, length in zip(subjects, lengths, strict=True) for _ in range(length)]
