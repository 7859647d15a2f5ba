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
from neuneu.files import check_file, try_lock, write_json
from neuneu.files.writing import empty_folder, parents_of, remove_folder
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
    is something else than unfinished work, or another process is at it.
    """
    parts = output.with_name(f"{output.name}.parts")
    with parents_of(parts):
        if _names(parts) and not _names(parts) & {SETTINGS, LOCK}:
            raise InputError("is in the way of unfinished work", where=parts)
        parts.mkdir(exist_ok=True)
        lock = try_lock(parts / LOCK)
        if lock is None:
            raise InputError("another process is writing here", where=parts)
        try:
            _claim(parts, settings)
            yield parts
            remove_folder(parts, LOCK)
        except BaseException:
            if _names(parts) <= {SETTINGS, LOCK}:
                remove_folder(parts, LOCK)
            raise
        finally:
            lock.release()


SETTINGS, LOCK = "settings.json", ".tag.lock"
"""What parts were made with, and what one process at a time holds; either tells that a folder is of parts."""


def _claim(parts: Path, settings: Mapping[str, object]) -> None:
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    mark = {"digest": hashlib.sha256(text.encode()).hexdigest()}
    known = parts / SETTINGS
    if known.exists() and json.loads(known.read_text()) == mark:
        return
    empty_folder(parts, LOCK)
    write_json(known, mark)


def _names(parts: Path) -> set[str]:
    return {path.name for path in parts.glob("*")}


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
