"""What a report costs: processor time, bytes, and seconds until a browser can be used.

python -m benchmarks.reports [--runs 100 --tasks 66 --checkpoints 60] [--forecaster neuneu-2]
The table is made up: laws with noise, half of a plan seen.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from tests.browsing import chromium, opened

PLAN = 300_000_000_000
"""Tokens that the made-up runs are planned for."""
SEEN = 0.5
"""Share of the plan that they have done."""
NOISE = 0.004


def made_up(runs: int, tasks: int, checkpoints: int, seed: int = 0) -> pl.DataFrame:
    """A curve table of runs in flight."""
    random = np.random.default_rng(seed)
    clock = np.linspace(0.01, SEEN, checkpoints) * PLAN
    top = 0.35 + 0.4 * random.random((runs, tasks, 1))
    bend = 0.3 + 0.3 * random.random((runs, tasks, 1))
    values = top - (top - 0.25) * (clock / clock[0]) ** -bend
    values = np.clip(values + NOISE * random.standard_normal(values.shape), 0, 1)
    run, task, place = (axis.ravel() for axis in np.indices(values.shape))
    return pl.DataFrame(
        {
            "run": np.array([f"lab/model-{i:03d}" for i in range(runs)])[run],
            "task": np.array([f"task_{i:02d}" for i in range(tasks)])[task],
            "metric": ["acc"] * values.size,
            "n_shot": np.full(values.size, 5),
            "step": (clock[place] / 2e6).astype(np.int64),
            "tokens": clock[place].astype(np.int64),
            "value": values.ravel(),
            "chance": np.full(values.size, 0.25),
            "params": 100_000_000 * (1 + run),
            "planned_tokens": np.full(values.size, PLAN),
        }
    )


def usable(page: Path, times: int = 3) -> list[float]:
    """Seconds from opening the file until its charts stand, for a browser that is already running."""
    with chromium() as browser:
        found = []
        for _ in range(times):
            with opened(browser) as (view, problems):
                start = time.perf_counter()
                view.goto(f"file://{page}")
                view.locator(".charts figure").first.wait_for()
                found.append(time.perf_counter() - start)
                assert not problems, problems
    return found


def main() -> None:
    """Print what one report costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=66)
    parser.add_argument("--checkpoints", type=int, default=60)
    parser.add_argument("--forecaster", default="neuneu-2")
    given = parser.parse_args()
    from neuneu.reports.report_files import report_files

    with tempfile.TemporaryDirectory() as folder:
        table, page = Path(folder) / "curves.parquet", Path(folder) / "report.html"
        made_up(given.runs, given.tasks, given.checkpoints).write_parquet(table)
        start, wall = time.process_time(), time.perf_counter()
        report_files([table], page, forecasters=[given.forecaster])
        cost, wall = time.process_time() - start, time.perf_counter() - wall
        size, ready = page.stat().st_size, usable(page)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{given.runs} runs x {given.tasks} tasks x {given.checkpoints} checkpoints, {given.forecaster}")
    print(f"processor time {cost:.1f} s (wall {wall:.1f} s), {size / 1e6:.2f} MB, memory {memory:.0f} MB")
    print("charts stand in Chromium after " + ", ".join(f"{seconds:.2f}" for seconds in ready) + " s")


if __name__ == "__main__":
    main()
