"""Parallel work that can be killed: finished parts wait in a folder beside the output until all are there."""

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from neuneu.errors import InputError
from neuneu.files import check_file, remove_leftovers, write_json
from neuneu.files.writing import parents_of, remove_folder
from neuneu.progress import Tell


def check(source: Path, output: Path, workers: int, *, suffix: str) -> None:
    """InputError where the source is no file, the output another kind or the source, or workers < 1."""
    check_file(source, empty=True)
    if output.suffix != suffix:
        raise InputError(f"must end in {suffix}", field="output", value=str(output))
    if output.exists() and output.samefile(source):
        raise InputError("must not be the input", field="output", value=str(output))
    if workers < 1:
        raise InputError("must be at least 1", field="workers", value=workers)


@contextmanager
def claimed(output: Path, settings: Mapping[str, object]) -> Iterator[Path]:
    """The folder `<output>.parts`; what is in it from other settings is dropped.

    It goes when the block ends well, or fails before a part is finished. Raises InputError where the folder
    is something else than unfinished work.
    """
    parts = output.with_name(f"{output.name}.parts")
    with parents_of(parts):
        _claim(parts, settings)
        try:
            yield parts
        except BaseException:
            if {path.name for path in parts.glob("*")} <= {SETTINGS}:
                remove_folder(parts, SETTINGS)
            raise
        remove_folder(parts, SETTINGS)


SETTINGS = "settings.json"
"""What parts were made with."""


def _claim(parts: Path, settings: Mapping[str, object]) -> None:
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    mark = {"digest": hashlib.sha256(text.encode()).hexdigest()}
    known = parts / SETTINGS
    remove_leftovers(parts)
    if parts.exists() and not known.exists() and any(parts.iterdir()):
        raise InputError("is in the way of unfinished work", where=parts)
    if known.exists() and json.loads(known.read_text()) == mark:
        return
    remove_folder(parts, SETTINGS)
    write_json(known, mark)


def version(path: str | Path) -> list[object]:
    """What tells one version of a file, or of the files of a folder, from another: names, sizes and times."""
    path = Path(path).resolve()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(str(file), file.stat()) for file in files if file.is_file()]
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]


class Job(NamedTuple):
    """A call that writes a file, in one move when all of it is there; done: how much of all is done then."""

    path: Path
    call: Callable[..., None]
    arguments: tuple[Any, ...]
    done: int


def start(workers: int) -> Executor:
    """Where jobs run: so many processes, or this one."""
    if workers == 1:
        return _Serial()
    # Polars' threads do not survive a fork.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def work(jobs: Iterable[Job], executor: Executor, workers: int, tell: Tell) -> None:
    """Do the jobs whose files are not there yet; at most two for each worker wait in memory."""
    waiting: list[tuple[Future[None], int]] = []
    before = 0
    for job in jobs:
        if not job.path.exists():
            tell(before, "")
            waiting.append((executor.submit(job.call, *job.arguments, job.path), job.done))
        while len(waiting) >= 2 * workers:
            before = _wait(waiting)
        before = before if waiting else job.done
    while waiting:
        tell(_wait(waiting), "")


def _wait(waiting: list[tuple[Future[None], int]]) -> int:
    future, done = waiting.pop(0)
    future.result()
    return done


class _Serial(Executor):
    """Does the work at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future
