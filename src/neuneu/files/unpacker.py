"""The program that unpacks Parquet in a process of its own; `neuneu.files.apart` starts it and asks it.

It imports nothing but Polars, so that it starts in a fifth of a second. A request is a line of JSON on stdin:
path, columns (null: none, only their types), start, rows (null: all), memory. The answer is a line of JSON on
stdout, and a frame in Arrow's stream format: bytes, its length; error, why there is none; last, whether the
process ends now, as it does after a panic.
"""

import contextlib
import io
import json
import os
import signal
import sys
from typing import Any

import polars as pl

_REASON = 300
"""Characters of a library's reason that are passed on."""


def main() -> None:
    """Answer until stdin ends, as it does with the process that asks, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the one that asks; it closes stdin
    _begin_threads()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    held = held_memory()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        limit_memory(request["memory"], held)
        stream = io.BytesIO()
        head: dict[str, Any] = {"last": False}
        try:
            unpack(request).write_ipc_stream(stream, compat_level=pl.CompatLevel.newest())
        except BaseException as error:  # a panic of Polars is no Exception
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            head = {"error": reason[:_REASON], "last": not isinstance(error, Exception)}
            stream = io.BytesIO()
        answers.write(json.dumps({**head, "bytes": stream.tell()}).encode() + b"\n")
        answers.write(stream.getbuffer())
        answers.flush()
        if head["last"]:
            return


def _begin_threads() -> None:
    """Before the limit: one whose threads cannot begin would wait for them for ever."""
    stream = io.BytesIO()
    pl.DataFrame({"a": [0]}).write_parquet(stream)
    stream.seek(0)
    pl.scan_parquet(stream).collect()


def unpack(request: dict[str, Any]) -> pl.DataFrame:
    """The columns and rows that are asked for; without columns a frame of none, for its types."""
    lazy = pl.scan_parquet(request["path"], glob=False, hive_partitioning=False)
    if request["columns"] is None:
        return pl.DataFrame(schema=lazy.collect_schema())
    return lazy.select(request["columns"]).slice(request["start"], request["rows"]).collect()


def held_memory() -> int | None:
    """Bytes of data that this process holds; None where the system does not tell."""
    with contextlib.suppress(OSError, ImportError), open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  no file of a user
        import resource

        return int(file.read().split()[5]) * resource.getpagesize()
    return None


def limit_memory(memory: int, held: int | None) -> None:
    """Bound what this process may allocate beyond what it held, and write no core file when it fails."""
    if held is None:  # no such limits on this system
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_DATA)[1]
        asked = held + memory if most == resource.RLIM_INFINITY else min(held + memory, most)
        resource.setrlimit(resource.RLIMIT_DATA, (asked, most))


if __name__ == "__main__":
    main()
