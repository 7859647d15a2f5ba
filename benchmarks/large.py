"""Tables of two million rows: seconds and memory of the commands that people run on them.

python -m benchmarks.large [--rows 2000000] [--output FILE]

Curves of 300 checkpoints of made-up runs; each command is a process of its own, its memory the most that it
held, its time that of the processor, with the process that unpacks for it. A quarter and a half of the rows
are measured as well, to tell whether time grows in step with rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

CHECKPOINTS = 300
TASKS = 60
"""Tasks a run, so that 6,600 curves are 110 runs."""

PARTS = (4, 2, 1)
"""Sizes: the rows by these."""

SECONDS, MEGABYTES = 60, 2000
"""What each command may take at two million rows."""


def make_table(rows: int, path: Path) -> None:
    """Runs whose accuracies rise by power laws, a fifth of them with a flat start."""
    n_curves = rows // (CHECKPOINTS * TASKS) * TASKS
    rng = np.random.default_rng(0)
    step = np.arange(1, CHECKPOINTS + 1) * 1000
    end, speed = rng.uniform(0.3, 0.9, n_curves), rng.uniform(0.1, 0.6, n_curves)
    values = end[:, None] - (end[:, None] - 0.25) * (np.arange(1, CHECKPOINTS + 1) ** -speed[:, None])
    values += 0.005 * rng.standard_normal(values.shape)
    curve = np.repeat(np.arange(n_curves), CHECKPOINTS)
    frame = pl.select(
        run=pl.format("run-{}", pl.Series(curve // TASKS)),
        task=pl.format("task-{}", pl.Series(curve % TASKS)),
        metric=pl.lit("acc"),
        step=pl.Series(np.tile(step, n_curves)),
        value=pl.Series(values.clip(0, 1).ravel()),
        tokens=pl.Series(np.tile(step * 4_000_000, n_curves)),
    )
    frame.write_parquet(path, compression="zstd")


def measure(arguments: list[str]) -> tuple[float, float, float]:
    """(seconds, seconds of processor, megabytes) of a command."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "neuneu", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"neuneu {' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """The measurement, printed and written as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_980_000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in (given.rows // part for part in PARTS):
            path = Path(folder) / f"{rows}.parquet"
            make_table(rows, path)
            out = str(Path(folder) / "out")
            commands = {
                "inspect": ["inspect", str(path), "--json"],
                "forecast of one run": ["forecast", str(path), "--run", "run-0", "-o", f"{out}.parquet"],
                "rank": ["rank", str(path), "-o", f"{out}.parquet"],
                "report": ["report", str(path), "-o", f"{out}.html"],
            }
            for name, arguments in commands.items():
                seconds, processor, megabytes = measure(arguments)
                print(
                    f"{rows:>9,} rows  {name:20} {seconds:6.1f} s, {processor:6.1f} CPU, {megabytes:6.0f} MB",
                    flush=True,
                )
                found.setdefault(name, {})[str(rows)] = [
                    round(seconds, 1),
                    round(processor, 1),
                    round(megabytes),
                ]
    if given.output is not None:
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
