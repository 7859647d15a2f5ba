"""Every long command in two surroundings: threads, hash seed, time zone, language and width of the terminal.

python -m benchmarks.bits

Prints, by command, how many files it wrote and which of them differ; ends with 1 where one does (case B-20).
Needs the tests beside it, whose commands it runs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.killing import ALERTS, Long, contents, make_commands

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
"""What tells libraries how many threads to start."""

SURROUNDINGS = (
    {**dict.fromkeys(THREADS, "1"), "PYTHONHASHSEED": "1", "TZ": "UTC"},
    {
        **dict.fromkeys(THREADS, "4"),
        "PYTHONHASHSEED": "77",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "COLUMNS": "40",
    },
)


def fitted(curves: str) -> Iterator[Long]:
    """Commands that fit what the long ones do not."""
    names = "neuneu-2,lc-pfn,ladder,gaussian-process"
    yield Long("forecast, more", ("forecast", curves, "-f", names, "--context", "0.5", "-o", "OUT/f.parquet"))
    yield Long("rank, neuneu-2", ("rank", curves, "-o", "OUT/r.csv"))
    yield Long("advise", ("advise", curves, "--target", "0.6", "-o", "OUT/a.csv"))
    trees = ("evaluate", curves, "-f", "lightgbm", "--context", "0.5", "-o", "OUT/ev")
    yield Long("evaluate, trees", trees, ("timings.json",))
    few = ("--store", "home", "--task", "piqa", "--seeds", "1", "-o", "OUT/p.csv")
    predictors = ("--predictor", "log-linear,xgboost", "--cells", "OUT/c.parquet")
    yield Long("designs predict", ("designs", "predict", *predictors, *few))
    yield Long("designs explain", ("designs", "explain", *few))


def written(command: Long, out: Path, surroundings: dict[str, str]) -> dict[str, str]:
    """What a command writes: file → digest."""
    out.mkdir()
    arguments = [part.replace("OUT", str(out)) for part in command.arguments]
    done = subprocess.run(
        [sys.executable, "-m", "neuneu", *arguments],
        env={**os.environ, **surroundings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, ALERTS):
        raise RuntimeError(f"{command.name} ended with {done.returncode}: {done.stderr[-500:]}")
    found = contents(command, out)
    shutil.rmtree(out)
    return found


def main() -> int:
    """The measurement."""
    others = 0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for command in [*make_commands(home), *fitted(str(home / "curves.parquet"))]:
            one, other = (written(command, home / "out", surroundings) for surroundings in SURROUNDINGS)
            differ = sorted(file for file in one.keys() | other.keys() if one.get(file) != other.get(file))
            others += len(differ)
            print(
                f"{command.name:20} {len(one):3} files, {len(differ)} differ {' '.join(differ)}", flush=True
            )
    return int(others > 0)


if __name__ == "__main__":
    sys.exit(main())
