"""Parquet is unpacked in a process apart: damage that ends that one does not end the one that asks.

Polars gives up its process where a damaged page asks for more memory than there is, or its footer is nested
too deep; no guard in the same process helps. So the process of a command never unpacks Parquet itself, but
one that does nothing else, within a bound of memory, and takes from it a frame in Arrow's format. It starts
with the first file and serves all others.
"""

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.errors import InputError
from neuneu.files import unpacker

MEMORY = 256 * 2**20
"""Bytes that unpacking any file may take."""

COPIES = 4
"""Times what a column unpacks to: its packed and unpacked pages, the column, and its copy to be sent."""

ROW = 16
"""Bytes a row of text takes in memory besides the text."""

STILL = 5
"""Seconds: after a panic in one of its threads Polars may wait for it for ever."""

THREADS = "4"
"""Of Polars where nothing else is set: each holds memory of its own."""


def unpack(
    path: Path, columns: Sequence[str], *, unpacked: int, n_rows: int, start: int = 0, rows: int | None = None
) -> pl.DataFrame:
    """Columns of a Parquet file, from row `start`, at most `rows` of them.

    unpacked, n_rows: what the footer tells of these columns and of the file; they bound the memory. Raises
    InputError where unpacking fails, or ends its process.
    """
    memory = MEMORY + COPIES * (unpacked + ROW * n_rows)
    return _ask(path, {"columns": list(columns), "start": start, "rows": rows, "memory": memory})


def schema_of(path: Path) -> pl.Schema:
    """Columns of a Parquet file and their types. Raises as `unpack`."""
    return _ask(path, {"columns": None, "memory": MEMORY}).schema


def unpack_here() -> None:
    """Unpack in this process from now on: for one that may end, as it serves one request and no more."""
    _here.set()


def _ask(path: Path, request: dict[str, Any]) -> pl.DataFrame:
    global _known  # noqa: PLW0603  one a process
    request["path"] = str(path.absolute())
    if _here.is_set():
        return unpacker.unpack(request)
    with _lock:
        if _known is not None and _known.process.poll() is not None:  # somebody else ended it
            _forget()
        _known = _known or _Unpacker()
        head: dict[str, Any] = {}
        try:
            head, answer = _known.ask(path, request)
        finally:
            if head.get("last", True):  # it ended, ends after a panic, or is anywhere in its answer
                _forget()
    if "error" in head:
        raise InputError(f"cannot be read as parquet: {head['error']}", where=path)
    return pl.read_ipc_stream(io.BytesIO(answer))


class _Unpacker:
    """The process, and how to ask it."""

    def __init__(self) -> None:
        places = os.pathsep.join(place for place in sys.path if place)
        self.process = subprocess.Popen(
            [sys.executable, "-P", unpacker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"POLARS_MAX_THREADS": THREADS, **os.environ, "PYTHONPATH": places},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._questions, self._answers = self.process.stdin, self.process.stdout

    def ask(self, path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The line that answers a request, and the bytes after it. Raises InputError where it ended."""
        with suppress(BrokenPipeError):  # it ended; why is told below
            self._questions.write(json.dumps(request).encode() + b"\n")
            self._questions.flush()
        with self._awake():
            line = self._answers.readline()
        head = json.loads(line) if line.endswith(b"\n") else {"bytes": 1}
        answer = self._answers.read(head["bytes"])
        if len(answer) < head["bytes"]:
            raise InputError(f"cannot be read as parquet: {self._why()}", where=path)
        return head, answer

    @contextmanager
    def _awake(self) -> Iterator[None]:
        """End the process where no thread of it works for STILL seconds: they wait for each other."""
        done = threading.Event()

        def watch() -> None:
            before: list[str] | None = None
            still = 0
            while not done.wait(1.0):
                now = _asleep(self.process.pid)
                still = still + 1 if now is not None and now == before else 0
                before = now
                if still >= STILL:
                    self.process.kill()
                    return

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _why(self) -> str:
        """Why the process ended, for people."""
        code = self.process.wait()
        name = signal.Signals(-code).name if code < 0 else f"code {code}"
        return f"it is damaged or needs too much memory; unpacking it ended its process ({name})"

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def leave(self) -> None:
        """Let go of a process that belongs to the one that this one was forked from."""
        self._questions.close()
        self._answers.close()
        self.process.returncode = 0


def _asleep(pid: int) -> list[str] | None:
    """Processor time of each thread where all sleep; None where one works or reads, or it is not told."""
    times = []
    with suppress(OSError, IndexError):
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            fields = (task / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            if fields[0] != "S":
                return None
            times.append(f"{fields[11]} {fields[12]}")
        return times
    return None


_known: _Unpacker | None = None
_lock = threading.Lock()
_here = threading.Event()


def _forget() -> None:
    global _known  # noqa: PLW0603
    if _known is not None:
        _known.end()
    _known = None


def _begin_anew() -> None:
    """In a forked process: it shares neither the process that unpacks nor what other threads held."""
    global _known, _lock
    if _known is not None:
        _known.leave()
    _known, _lock = None, threading.Lock()


atexit.register(_forget)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
