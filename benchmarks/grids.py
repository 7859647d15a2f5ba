"""Grids of finished runs predicted from their designs: `python -m benchmarks grids`.

Needs the shared data (NEUNEU_SHARED, by default ../shared); writes benchmarks/results/designs-grids.json. The
same as `neuneu designs predict --runs static.parquet --source SOURCE --split SPLIT --seeds 1`, and once more
with `--features scale`, on the tasks that all runs have. About three minutes of one core.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.designs.nested import evaluate
from neuneu.designs.runs import read_runs
from neuneu.designs.summaries import overall, summary
from neuneu.files import write_json

SHARED = Path(os.environ.get("NEUNEU_SHARED", "../shared"))
RESULTS = Path(__file__).parent / "results"
GRIDS = {
    "kempner_loss_to_loss": ("random", "recipe", "size"),
    "mlfoundations_scaling": ("random", "recipe", "size"),
    "dclm_database": ("recipe", "random"),
}
"""Source → what folds keep whole."""
METHODS = ("median", "log-linear", "xgboost", "ensemble")


def judge(source: str, split: str) -> dict[str, Any]:
    """Errors and coverage of every method, means over the tasks of one grid; trees also by scale alone."""
    path = SHARED / "data" / "static.parquet"
    table = read_runs(path, source=source)
    complete = [
        task.name for task, scores in zip(table.tasks, table.y.T, strict=True) if np.isfinite(scores).all()
    ]
    table = read_runs(path, source=source, tasks=complete)
    start = time.process_time()
    rows = evaluate(table, METHODS, split=split, seeds=range(1))
    scale = evaluate(table, ["xgboost"], split=split, seeds=range(1), scope="scale")
    rows = pl.concat([rows, scale.with_columns(pl.lit("scale").alias("method"))])
    means = {row["method"]: row for row in overall(summary(rows, "log-linear")).to_dicts()}
    found = {
        "source": source,
        "runs": len(table),
        "tasks": len(table.tasks),
        "split": split,
        "mean": means,
    }
    print(source, split, len(table), {name: row["mae"] for name, row in means.items()}, flush=True)
    return {**found, "seconds": time.process_time() - start}


def main() -> None:
    """Write the table of all grids; say so where the data is not at hand."""
    if not (SHARED / "data" / "static.parquet").is_file():
        print(f"no grids in {SHARED}")
        return
    found = []
    for source, splits in GRIDS.items():
        for split in splits:
            found.append(judge(source, split))
            write_json(RESULTS / "designs-grids.json", found)


if __name__ == "__main__":
    main()
