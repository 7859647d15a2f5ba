"""Grids of finished runs predicted from their designs: `python -m benchmarks grids`.

Needs the shared data (NEUNEU_SHARED, by default ../shared); writes benchmarks/results/designs-grids.json. The
same as `neuneu designs predict --runs static.parquet --source SOURCE --split SPLIT`, and once more with
`--features scale`. About ten minutes of one core.
"""

import os
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs.prediction.nested import evaluate
from neuneu.designs.prediction.runs import read_runs
from neuneu.designs.prediction.score_summaries import overall, summary
from neuneu.files import write_json

SHARED = Path(os.environ.get("NEUNEU_SHARED", "../shared"))
RESULTS = Path(__file__).parent / "results"
GRIDS = {
    "kempner_loss_to_loss": (("random", "recipe", "size"), 2),
    "mlfoundations_scaling": (("random", "recipe", "size"), 2),
    "dclm_database": (("random", "recipe"), 1),
}
"""Source → what folds keep whole, and seeds."""
METHODS = ("median", "log-linear", "xgboost", "ensemble")


def judge(source: str, split: str, seeds: int) -> dict[str, Any]:
    """Errors and coverage of every method, means over the tasks of one grid; trees also by scale alone."""
    table = read_runs(SHARED / "data" / "static.parquet", source=source)
    rows = evaluate(table, METHODS, split=split, seeds=range(seeds))
    scale = evaluate(table, ["xgboost"], split=split, seeds=range(seeds), scope="scale")
    rows = pl.concat([rows, scale.with_columns(pl.lit("scale").alias("method"))])
    means = overall(summary(rows, "log-linear")).to_dicts()
    found = {
        "source": source,
        "runs": len(table),
        "tasks": len(table.tasks),
        "split": split,
        "seeds": seeds,
        "mean_absolute_error": {row["method"]: row["mae"] for row in means},
        "coverage80": {row["method"]: row["coverage80"] for row in means},
    }
    print(found, flush=True)
    return found


def main() -> None:
    """Write the table of all grids; say so where the data is not at hand."""
    if not (SHARED / "data" / "static.parquet").is_file():
        print(f"no grids in {SHARED}")
        return
    found = []
    for source, (splits, seeds) in GRIDS.items():
        for split in splits:
            found.append(judge(source, split, seeds))
            write_json(RESULTS / "designs-grids.json", found)


if __name__ == "__main__":
    main()
