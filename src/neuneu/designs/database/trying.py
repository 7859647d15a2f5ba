"""A design database is opened in a process apart first: damage may keep DuckDB busy for ever, or end it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from neuneu.errors import InputError

SECONDS = 3
"""Of the processor, for opening: a sound database of the package's size takes a tenth of one, and what is
read does not grow with its rows."""

WAIT = 120
"""Seconds of the clock, on a machine that is busy with other things."""

_PROGRAM = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
except ImportError:
    pass
import duckdb
try:
    duckdb.connect(sys.argv[1], read_only=True).execute("SELECT count(*) FROM information_schema.columns")
except duckdb.Error:
    pass
"""
"""What it refuses in words, it refuses again to the one that asks."""


_opened: set[tuple[int, ...]] = set()
"""Files that were tried by this process, as they were then."""


def try_opening(path: Path) -> None:
    """Raise InputError where opening a database does not end, or ends its process."""
    state = path.stat()
    known = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
    if known not in _opened:
        _try(path)
        _opened.add(known)


def _try(path: Path) -> None:
    places = os.pathsep.join(place for place in sys.path if place)
    command = [sys.executable, "-P", "-c", _PROGRAM, str(path.absolute()), str(SECONDS)]
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": places}, stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=WAIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InputError("cannot be opened: it is damaged; opening it does not end", where=path) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        ends = name in ("SIGXCPU", "SIGKILL")
        reason = "opening it does not end" if ends else f"opening it ends its process ({name})"
        raise InputError(f"cannot be opened: it is damaged; {reason}", where=path)
