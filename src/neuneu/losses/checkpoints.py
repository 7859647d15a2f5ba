"""Checkpoints of runs, in folders or on the Hugging Face hub: found and fetched."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

import numpy as np

from neuneu.curves.readers.datadecide_models import run_name, seed_branch
from neuneu.errors import InputError
from neuneu.hub import fetch_files, list_branches

_STEP = re.compile(r"(?:step|global_step|checkpoint|iter)[-_]?(\d+)(?:[-_.].*)?")
CHECKPOINT_FILES = ("*.json", "*.safetensors", "tokenizer.model", "merges.txt", "vocab.txt", "spiece.model")
"""Patterns of the files of a checkpoint with its tokenizer."""

SAMPLE, N_SAMPLES = 4096, 64
"""Bytes of a sample of a file of weights, and how many are taken, evenly spread from its start to its end."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One saved step of a run: a local folder, or a revision of a hub repository."""

    run: str
    step: int
    source: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """Run and step, for people."""
        return f"{self.run} step {self.step}"

    def fetch(self, *, allow_bin: bool = False) -> Path:
        """The folder with its files; downloads a hub revision into the library's cache."""
        if self.revision is None:
            return Path(self.source)
        patterns = [*CHECKPOINT_FILES, *(["*.bin"] if allow_bin else [])]
        return fetch_files(self.source, patterns, revision=self.revision)


def weights_digest(folder: Path) -> str | None:
    """What tells weights from others, wherever they lie: names, sizes and samples of files; None for none."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as stream:
            for place in np.linspace(0, max(size - SAMPLE, 0), N_SAMPLES).astype(np.int64).tolist():
                stream.seek(place)
                digest.update(stream.read(SAMPLE))
    return digest.hexdigest() if files else None


def parse_step(name: str) -> int | None:
    """The step in a folder's or branch's name: step1000, step1000-seed-default, checkpoint-500."""
    found = _STEP.fullmatch(name)
    return int(found[1]) if found else None


def find_checkpoints(
    sources: Iterable[str | Path],
    *,
    run: str | None = None,
    step: int | None = None,
    hub: bool = False,
    revision: str = "*step*",
    seed: str | None = None,
) -> list[Checkpoint]:
    """Checkpoints of these sources, by run and step.

    A source is a checkpoint's folder, a folder of step folders (a run), a folder of runs, or with `hub` a
    repository whose branches and tags match the pattern `revision` (`step*-seed-default`). run: their name,
    by default the run folder's or the repository's; step: for one checkpoint whose name does not say; seed:
    of DataDecide's models, only the branches or step folders of this seed ("default", "2", …), as the run
    that `import datadecide` names.
    Raises InputError where there is none, or two of one run and step.
    """
    found: list[Checkpoint] = []
    sources = list(sources)
    for source in sources:
        if Path(source).is_dir():
            found += _local(Path(source), run, step, seed)
        elif hub:
            found += _remote(str(source), run, step, revision, seed)
        else:
            rule = "no such folder (a hub repository needs `hub`)"
            raise InputError(rule, field="checkpoint", value=str(source))
    found.sort(key=lambda checkpoint: (checkpoint.run, checkpoint.step))
    for one, other in pairwise(found):
        if (one.run, one.step) == (other.run, other.step):
            raise InputError(
                "two checkpoints of one run and step: narrow the revision, or name the runs apart",
                where=one.run,
                field="step",
                value=[f"{c.step}: {c.revision or Path(c.source).name}" for c in (one, other)],
            )
    if not found:
        looked = "looked for folders such as step1000, there and in its folders"
        rule = f"none was found: {looked}{_deeper(sources)}"
        raise InputError(rule, field="checkpoints", value=", ".join(map(str, sources)) or None)
    return found


def _deeper(sources: Iterable[str | Path]) -> str:
    """Where step folders lie one level deeper than they are looked for, as `suite run` lays them: a hint."""
    for source in sources:
        for folder in sorted(Path(source).glob("*/*/")):
            if any(parse_step(item.name) is not None for item in folder.glob("*/")):
                return f"; there are some in {folder}: name it, with `run` {folder.parent.name}"
    return ""


def _local(path: Path, run: str | None, step: int | None, seed: str | None) -> list[Checkpoint]:
    if (path / "config.json").is_file():
        steps = parse_step(path.name) if step is None else step
        if steps is None:
            raise InputError("the folder's name does not say it: give `step`", where=path, field="step")
        if seed is not None:
            raise InputError("is for folders of runs: leave it out", where=path, field="seed", value=seed)
        return [Checkpoint(run or path.resolve().parent.name, steps, str(path))]
    inside = {folder: parse_step(folder.name) for folder in sorted(path.iterdir()) if folder.is_dir()}
    steps_inside = {folder: number for folder, number in inside.items() if number is not None}
    if steps_inside and seed is not None:
        end = seed_branch(seed, path.resolve().name)
        steps_inside = {f: number for f, number in steps_inside.items() if f.name.endswith(f"-{end}")}
        if not steps_inside:
            raise InputError(f"no step folder ends in -{end}", where=path, field="seed", value=seed)
        run = run or run_name(path.resolve().name, end)
    for folder in steps_inside:
        if not (folder / "config.json").is_file():
            raise InputError("is no whole checkpoint: config.json is missing", where=folder)
    if steps_inside:
        name = run or path.resolve().name
        return [Checkpoint(name, number, str(folder)) for folder, number in steps_inside.items()]
    runs = [
        folder for folder in inside if any(parse_step(item.name) is not None for item in folder.iterdir())
    ]
    return [checkpoint for folder in runs for checkpoint in _local(folder, run, None, seed)]


def _remote(
    repository: str, run: str | None, step: int | None, pattern: str, seed: str | None
) -> list[Checkpoint]:
    names = list_branches(repository)
    chosen = [name for name in names if fnmatch(name, pattern)]
    if seed is not None:
        end = seed_branch(seed, repository)
        chosen = [name for name in chosen if name.endswith(f"-{end}")]
        run, pattern = run or run_name(repository, end), f"{pattern} of {end}"
    steps = {name: parse_step(name) for name in chosen}
    if len(chosen) == 1 and step is not None:
        steps = {chosen[0]: step}
    found = [Checkpoint(run or repository, s, repository, name) for name, s in steps.items() if s is not None]
    if not found:
        rule = f"no branch or tag of a step matches; there are {', '.join(names[:8])}"
        raise InputError(rule, where=repository, field="revision", value=pattern)
    return found
