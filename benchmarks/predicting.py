"""Predictors of the published 92 models on the same folds: `python -m benchmarks predicting`.

Needs the published data (NEUNEU_SHARED, by default ../shared); writes benchmarks/results/designs-SPLIT.json.
About eight minutes of one core.
"""

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs import DesignStore
from neuneu.designs.database.readers import read_features_csv
from neuneu.designs.prediction.design_table import DesignTable, build_table
from neuneu.designs.prediction.nested import evaluate
from neuneu.designs.prediction.score_summaries import comparisons, overall, summary
from neuneu.designs.prediction.sources import selected_features
from neuneu.files import write_json

SHARED = Path(os.environ.get("NEUNEU_SHARED", "../shared"))
RESULTS = Path(__file__).parent / "results"
SEEDS = 10
NESTED_SEEDS = 5
METHODS = ("log-linear", "published-scale", "published-selected", "ensemble")
PAIRS = (
    ("published-selected", "published-scale"),
    ("ensemble", "published-selected"),
    ("ensemble", "log-linear"),
)


def published_table() -> tuple[DesignTable, Path]:
    """The models of the published export, and the folder of its prediction files."""
    data = SHARED / "data" / "designs"
    store = DesignStore.from_export(data / "metadata" / "duckdb" / "2025_03_03.duckdb")
    prediction = data / "performance_prediction"
    store.apply(read_features_csv(prediction / "all_models_feature_stats_3_03_with_ratios.csv"))
    return build_table(store), prediction


def judge(split: str, workers: int = 2) -> dict[str, Any]:
    """Errors, gains and tests of all methods on one kind of split."""
    table, folder = published_table()
    selected = selected_features(folder / "selected_feats" / "forward_generation_results_303.csv")
    rows = evaluate(
        table, METHODS, split=split, seeds=range(SEEDS), selected=selected, workers=workers, progress=_tell
    )
    scores = summary(rows, "published-selected")
    mean = {row["method"]: row for row in overall(scores).to_dicts()}
    better = min(mean["log-linear"]["mae"], mean["published-selected"]["mae"])
    by_row = scores.filter(pl.col("method").is_in(["log-linear", "published-selected"]))
    best = by_row.group_by("task", "setting").agg(pl.min("mae"))["mae"].mean()
    assert isinstance(best, float)
    ours = mean["ensemble"]["mae"]
    cover = scores.filter(method="ensemble")["coverage80"].to_numpy()
    return {
        "split": split,
        "seeds": SEEDS,
        "mean": mean,
        "ensemble_below_published_percent": 100 * (1 - ours / mean["published-selected"]["mae"]),
        "ensemble_below_better_of_two_percent": 100 * (1 - ours / better),
        "ensemble_below_better_of_two_row_by_row_percent": 100 * (1 - ours / best),
        "ensemble_coverage": {"mean": cover.mean(), "least": cover.min(), "most": cover.max()},
        "rows": scores.to_dicts(),
        "comparisons": comparisons(rows, PAIRS).to_dicts(),
    }


def reselected(split: str, workers: int = 2) -> dict[str, Any]:
    """The published predictor with its features selected anew in each fold, against scale alone."""
    methods = ("published-nested", "published-scale")
    rows = evaluate(
        published_table()[0],
        methods,
        split=split,
        seeds=range(NESTED_SEEDS),
        workers=workers,
        progress=_tell,
    )
    return {"seeds": NESTED_SEEDS, "comparisons": comparisons(rows, [methods]).to_dicts()}


def _tell(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Write both tables and print what they come to; say so where the data is not at hand."""
    if not (SHARED / "data" / "designs").is_dir():
        print(f"no published data in {SHARED}")
        return
    for split in ("organisation", "random"):
        found = judge(split)
        if split == "organisation":
            found["nested"] = reselected(split)
        write_json(RESULTS / f"designs-{split}.json", found)
        told = {name: value for name, value in found.items() if name not in ("rows", "comparisons", "nested")}
        print(json.dumps(told, indent=2, default=float), flush=True)


if __name__ == "__main__":
    main()
