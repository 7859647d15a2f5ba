"""Public runs by name: where their evaluations stand, under which licence, and the table made of them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuneu.curves.readers.finishing import ReadResult
from neuneu.curves.readers.formats import formats, read_format
from neuneu.curves.readers.parsing import Given
from neuneu.errors import InputError, check_known, how_many
from neuneu.files import check_place
from neuneu.files.reading import size_text
from neuneu.hub import Blob, cache_folder, fetch_blobs, list_tree

Select = Callable[[Sequence[str]], list[str]]
"""Of paths of a repository, or of files on this machine, those of the table."""


@dataclass(frozen=True)
class PublicRuns:
    """A table of public runs.

    name: what `data get` calls it; about: a line for people; repository: OWNER/NAME on GitHub; revision: the
    commit, whole or its beginning; licence: an SPDX name; format: the reader; select: which files; megabytes:
    about how much is fetched, known exactly once GitHub has listed the files.
    """

    name: str
    about: str
    repository: str
    revision: str
    licence: str
    format: str
    select: Select
    megabytes: float

    def lines(self, clone: Path | None = None) -> list[str]:
        """What people should know before anything is fetched; the commit of a clone is not checked."""
        place = f"https://github.com/{self.repository}"
        told = f"from {place} at {self.revision}, licence {self.licence}, about {self.megabytes:g} MB"
        if clone is not None:
            told = f"from {clone}, a clone of {place} at whatever commit, licence {self.licence}"
        return [f"{self.name}: {self.about}", told]


def matching(pattern: str) -> Select:
    """Paths that a regular expression matches from the beginning or after a /."""
    compiled = re.compile(rf"(?:.*/)?(?:{pattern})")
    return lambda paths: [path for path in paths if compiled.fullmatch(path)]


def newest_open_sci_ref(paths: Sequence[str]) -> list[str]:
    """The newest of the dated tables results-DD-MM.csv.zip (all of 2025): they hold the same runs."""
    dated = {
        (found[2], found[1]): path
        for path in sorted(paths)
        if (found := re.fullmatch(r"(?:.*/)?results-(\d\d)-(\d\d)\.csv\.zip", path))
    }
    return [dated[max(dated)]] if dated else []


def ladder_runs(paths: Sequence[str]) -> list[str]:
    """The run files of the ladder's evaluation with more tasks.

    They stand in ladder-runs (OLMo-ladder), else in peteish-moreeval (OLMo), else in the only folder.

    Elsewhere in the repositories stand the same runs evaluated otherwise, other seeds, and models above the
    ladder, which are other tables.
    """
    runs = [path for path in paths if re.fullmatch(r"(?:.*/)?\d+[MB]-[\d.]+xC(?:-rerun)?\.csv", path)]
    folders: dict[str, list[str]] = {}
    for path in sorted(runs):
        folders.setdefault(path.rpartition("/")[0].rpartition("/")[2], []).append(path)
    named = next((folders[name] for name in ("ladder-runs", "peteish-moreeval") if name in folders), [])
    return named or (next(iter(folders.values())) if len(folders) == 1 else [])


CATALOG = {
    made.name: made
    for made in (
        PublicRuns(
            "gemstones", "22 models by width and depth, 35 checkpoints, 9 tasks (lighteval)",
            "mcleish7/gemstone-scaling-laws", "5f420478f6057b0cbb4d13405fb10ca64675bccb", "MIT", "gemstones",
            matching(r"light_eval_df(?:_err)?\.parquet"), 0.3,
        ),
        PublicRuns(
            "multisynt", "2 B models on data recipes in several languages, 11 checkpoints, prompts p0 … p4",
            "ltgoslo/multisynt-dashboard", "dd2e5d860", "MIT", "multisynt",
            matching(r"results/[^/]+/[^/]+shot_checkpoints/.+/results[^/]*\.json"), 200,
        ),
        PublicRuns(
            "olmo-ladder", "30 runs of 190 M to 3 B, 0.5 to 10 times Chinchilla, 37 to 202 checkpoints",
            "allenai/OLMo-ladder", "67a3f440f787", "Apache-2.0", "olmo-ladder", ladder_runs, 6,
        ),
        PublicRuns(
            "open-sci-ref", "69 runs of 0.13 to 1.7 B on eight corpora, up to 122 checkpoints, 12 tasks",
            "OpenEuroLLM/notebooks", "42522f4fc0cd997a7db63f0b899c4a107a5fa9ca", "Apache-2.0", "open-sci-ref",
            newest_open_sci_ref, 1,
        ),
        PublicRuns(
            "physicslm4", "64 runs of 1.3 to 8 B by architecture, 60 to 80 checkpoints, 14 tasks",
            "facebookresearch/PhysicsLM4", "7580696", "Apache-2.0", "physicslm4",
            matching(r"canon_\w+_results/training-curves[^/]*\.html|canon_\w+_recipes/[^/]+\.yaml"), 5,
        ),
        PublicRuns(
            "pythia", "21 models of 70 M to 12 B, up to 27 checkpoints, 65 tasks with the MMLU subjects",
            "EleutherAI/pythia", "a19eecb807ec", "Apache-2.0", "pythia",
            matching(r"evals/pythia-v1/.+\.json"), 20,
        ),
    )
}  # fmt: skip
"""Name → the table. The commits are those of the measurements in docs/neuneu-2.md."""


def find_public(name: str) -> PublicRuns:
    """The table of this name. Raises InputError on others."""
    check_known(name, CATALOG, "name", "unknown")
    return CATALOG[name]


def read_public(
    runs: PublicRuns, folder: str | Path, tell: Callable[[str], None] | None = None
) -> ReadResult:
    """The table, made from a clone of its repository or a part of it with the places kept.

    tell: told a line now and then while a long reading goes on. Raises InputError where the folder has none
    of its files, and whatever its reader refuses.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("no such folder", where=root)
    found = map(Path, runs.select(sorted(_paths(root))))
    takes = formats()[runs.format].takes
    reads = [path for path in found if takes(path)]  # others stand beside one that is read
    if not reads:
        rule = f"none of the files of {runs.name} here: is it a clone of github.com/{runs.repository}?"
        raise InputError(rule, where=root)
    return read_format(runs.format, reads, given=Given(tell=tell))


def fetch_public(runs: PublicRuns, tell: Callable[[str], None], root: Path | None = None) -> Path:
    """Fetch the table's files at its commit into a cache, each checked by its git object id; the folder.

    tell: takes lines for people: how many files and bytes there are before the first of them is fetched, and
    how far it has come. What is there already with the right id is not fetched again. Raises InputError where
    GitHub does not give a file and where one is not what its id says.
    """
    root = root or cache_folder() / "data" / f"{runs.name}-{runs.revision[:12]}"
    check_place(root, folder=True)
    blobs = {blob.path: blob for blob in list_tree(runs.repository, runs.revision)}
    wanted: list[Blob] = [blobs[path] for path in runs.select(sorted(blobs))]
    if not wanted:
        raise InputError("none of its files is there", where=f"{runs.repository} at {runs.revision}")
    tell(f"{how_many(len(wanted), 'file')}, {size_text(sum(blob.size for blob in wanted))} → {root}")
    fetch_blobs(runs.repository, runs.revision, wanted, root, tell)
    return root


def _paths(root: Path) -> Iterator[str]:
    """Files below a folder, as whole paths; folders that are links and .git are not entered."""
    for folder, folders, names in os.walk(root.absolute(), followlinks=False):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder, name)
            if not path.is_symlink() and not name.startswith("."):
                yield path.as_posix()
