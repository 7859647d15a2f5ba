"""Spoilt inputs over every reader: counts what becomes of them, by reader; fails on any fault.

python -m tests.fuzzing.run [--minutes N | --inputs N] [--seed N] [--table FILE]

An input may be refused by one InputError that names the file, or read. Anything else is a fault: another
exception, an error without the file's name, more than five seconds of processor time, also of the process
that unpacks Parquet, a minute of waiting, the end of the process.
Each fault is printed with the words that make it again: reader, seed, number.
"""

import argparse
import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzzing.mutations import mutate
from tests.fuzzing.targets import Target, make_targets

from neuneu.errors import InputError, NeuneuError
from neuneu.files import apart

SECONDS = 5.0
"""Processor time that one input may take."""

WAIT = 60.0
"""Seconds of the clock that one input may take, on a machine that is busy with other things: a hang."""

HANG = 2 * WAIT
"""Seconds after which the whole process ends, where a library does not give way to a signal."""

KEPT = 1_000
"""Inputs after which the counts go to the journal too, which stays where the process ends early."""

MEMORY = 2**30
"""Bytes that the process may hold, and that which unpacks Parquet for it."""

FEW = 12
"""Files that are all there for each input; of more, those of one case."""

FAULTS = ("no name", "other error", "too slow")


class SlowError(BaseException):
    """An input took its time; no Exception, so that no reader catches it."""


class Spoiler:
    """A reader with its inputs in memory and a folder in which one of them at a time is spoilt."""

    def __init__(self, target: Target, home: Path) -> None:
        self.target, self.home = target, home / "spoilt"
        self.contents = {file: (target.folder / file).read_bytes() for file in target.files}

    def try_one(self, seed: int, number: int) -> tuple[str, str]:
        """(What became of an input, the error's words)."""
        rng = random.Random(f"{self.target.name} {seed} {number}")
        file = rng.choice(self.target.files)
        others = [content for other, content in self.contents.items() if other != file]
        spoilt = mutate(self.contents[file], file.suffix, rng, others)
        shutil.rmtree(self.home, ignore_errors=True)
        for name in self._with(file):
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(spoilt if name == file else self.contents[name])
        return self._read(file)

    def _with(self, file: Path) -> list[Path]:
        """The files that are read with this one: those of its case, or all where there are few."""
        if len(self.target.files) <= FEW:
            return self.target.files
        return [name for name in self.target.files if name.parts[0] == file.parts[0]]

    def check(self) -> None:
        """Read the inputs as they are: RuntimeError where one is not read."""
        for file in self.target.files:
            for name in self._with(file):
                (self.home / name).parent.mkdir(parents=True, exist_ok=True)
                (self.home / name).write_bytes(self.contents[name])
            what, words = self._read(file)
            shutil.rmtree(self.home, ignore_errors=True)
            if what != "read":
                raise RuntimeError(f"{self.target.name}: {file} is not read: {words}")

    def _read(self, file: Path) -> tuple[str, str]:
        before = _apart_seconds()
        what, words = self._outcome(file)
        if _apart_seconds() - before > SECONDS:
            return "too slow", f"{file}, unpacked apart"
        return what, words

    def _outcome(self, file: Path) -> tuple[str, str]:
        try:
            with _limited():
                self.target.read(self.home, file)
        except InputError as error:
            named = str(self.home) in str(error) or file.name in str(error)
            return ("refused" if named else "no name"), str(error)
        except NeuneuError as error:
            return "refused", str(error)
        except SlowError:
            return "too slow", str(file)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return "other error", f"{type(error).__name__}: {error}"[:300]
        return "read", ""


@contextmanager
def _limited() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


_apart_peak = 0.0


def _apart_seconds() -> float:
    """Processor time of all processes that unpacked Parquet; notes the most memory of the one that lives."""
    global _apart_peak  # noqa: PLW0603
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime
    if apart._known is not None:
        pid = apart._known.process.pid
        _apart_peak = max(_apart_peak, peak_of(pid))
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def _slow(*_: object) -> None:
    raise SlowError


def prepare() -> None:
    """Limits of this process, and silence: what libraries say of spoilt files is not the point."""
    signal.signal(signal.SIGPROF, _slow)
    signal.signal(signal.SIGALRM, _slow)
    warnings.simplefilter("ignore")
    os.environ["HF_HUB_OFFLINE"] = "1"


def limit_memory() -> None:
    """Bound what this process may allocate from now on, beyond what it holds."""
    held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, held + MEMORY))


def run(
    inputs: int, seed: int, home: Path, journal: Path, *, minutes: float | None = None, done: int = 0
) -> dict[str, Counter[str]]:
    """Spoil inputs, the readers in turn, until so many or for so long; counts by reader."""
    prepare()
    spoilers = [Spoiler(target, home) for target in make_targets(home / "seeds")]
    for spoiler in spoilers:
        spoiler.check()
    limit_memory()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    counts: dict[str, Counter[str]] = {spoiler.target.name: Counter() for spoiler in spoilers}
    kept = ""
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    with journal.open("a", encoding="utf-8") as file:
        for number in range(done, sys.maxsize if minutes is not None else inputs):
            if ended or time.monotonic() > end:
                break
            spoiler = spoilers[number % len(spoilers)]
            file.seek(0)
            file.truncate()
            if not number % KEPT:
                kept = json.dumps({name: dict(count) for name, count in counts.items()})
            file.write(f"{number}\n{kept}\n")
            file.flush()
            faulthandler.dump_traceback_later(HANG, exit=True)  # a library that never comes back to Python
            what, words = spoiler.try_one(seed, number)
            counts[spoiler.target.name][what] += 1
            if what in FAULTS:
                print(f"{spoiler.target.name} {seed} {number}: {what}: {words}", flush=True)
    faulthandler.cancel_dump_traceback_later()
    return counts


def peak_of(process: int | str = "self") -> float:
    """Most memory of a process since it began its program, in MiB; 0 where it ended.

    `ru_maxrss` also counts what the process that started it held before.
    """
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="done", type=int, default=0, help="number of the first input")
    parser.add_argument("--table", type=Path, help="write the counts by reader as JSON")
    given = parser.parse_args()
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    began = time.monotonic()
    try:
        journal = Path(tempfile.gettempdir()) / f"fuzz-{os.getpid()}.journal"
        (home / "seeds").mkdir()
        counts = run(given.inputs, given.seed, home, journal, minutes=given.minutes, done=given.done)
        journal.unlink()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    total: Counter[str] = Counter()
    for name, count in counts.items():
        total += count
        print(f"{name:28} " + "  ".join(f"{what} {count[what]:6}" for what in ("read", "refused", *FAULTS)))
    peak = max(peak_of(), _apart_peak)
    print(f"{'all':28} " + "  ".join(f"{what} {total[what]:6}" for what in ("read", "refused", *FAULTS)))
    seconds = time.monotonic() - began
    print(f"{sum(total.values())} inputs in {seconds:.0f} s, {peak:.0f} MB at most ({_apart_peak:.0f} apart)")
    if given.table is not None:
        document = {name: dict(count) for name, count in counts.items()}
        given.table.write_text(json.dumps({"peak_mb": round(peak), "readers": document}, indent=2) + "\n")
    return int(any(total[what] for what in FAULTS) or peak > MEMORY / 2**20)


if __name__ == "__main__":
    sys.exit(main())
