"""What `evaluate` costs: time and memory over curves and checkpoints, on made-up power-law curves.

python -m benchmarks.evaluation [CURVES…]: with curve files, also the six classical methods on all of them.
"""

import sys
from collections.abc import Sequence
from resource import RUSAGE_SELF, getrusage
from time import perf_counter, process_time

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.evaluation.benchmark import EvaluationSettings, run_benchmark
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import Results, leaderboard
from neuneu.evaluation.protocol import Protocol
from neuneu.evaluation.splits import Source, leave_source_out

CLASSICAL = ("last-value", "mean-k", "log-linear", "power-law", "broken-power-law", "lightgbm")


def made_up(source: str, n_curves: int, n_checkpoints: int) -> Source:
    """A source of n_curves noisy power-law curves, ten tasks a run."""
    random = np.random.default_rng(0)
    step = np.tile(np.arange(1, n_checkpoints + 1) * 100, n_curves)
    curve = np.repeat(np.arange(n_curves), n_checkpoints)
    top, rate = random.uniform(0.4, 0.9, n_curves)[curve], random.uniform(0.2, 0.8, n_curves)[curve]
    value = top - (top - 0.25) * (step / 100.0) ** -rate + random.normal(0, 0.01, len(step))
    frame = pl.DataFrame({"step": step, "value": np.clip(value, 0, 1), "curve": curve}).with_columns(
        run=pl.format("{}-{}", pl.lit(source), pl.col("curve") // 10),
        task=pl.format("task{}", pl.col("curve") % 10),
        metric=pl.lit("acc"),
        tokens=pl.col("step") * 1000,
        source=pl.lit(source),
        family=pl.lit(source),
    )
    return Source(source, CurveTable.from_frame(frame))


def measure(n_curves: int, n_checkpoints: int) -> None:
    """One line: CPU milliseconds a curve of forecasting (after fitting) and of everything."""
    sources = [made_up(name, n_curves // 2, n_checkpoints) for name in ("a", "b")]
    setting = EvaluationSettings(Protocol(), leave_source_out(sources))
    began = process_time()
    cells, answers = run_benchmark(["mean-k", "log-linear", "broken-power-law"], sources, setting)
    leaderboard(Results(cells, answers, setting))
    total = process_time() - began
    forecast = sum(a.seconds["forecast"] for a in answers)
    print(
        f"{n_curves:>7} curves x {n_checkpoints:>4} checkpoints: "
        f"{1000 * forecast / n_curves:7.3f} ms a curve to forecast (5 methods, wall), "
        f"{1000 * total / n_curves:7.2f} ms a curve in all (CPU)"
    )


def main(paths: Sequence[str] = ()) -> None:
    """Print the table; with files, the six classical methods on them."""
    for n_curves in (500, 1000, 2000, 4000):
        measure(n_curves, 40)
    for n_checkpoints in (20, 80, 160):
        measure(1000, n_checkpoints)
    if paths:
        wall, cpu = perf_counter(), process_time()
        leaderboard(evaluate(paths, CLASSICAL))
        memory = getrusage(RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{len(CLASSICAL)} methods on {len(paths)} files: {perf_counter() - wall:.1f} s wall, "
            f"{process_time() - cpu:.1f} s CPU, {memory:.2f} GiB"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
