"""NeuNeu's accuracy on Gemstones with item losses: every run left out once, over several seeds.

Run `python -m benchmarks.gemstones CURVES.parquet LOSSES [--work FOLDER] [--output FILE.json]`. The runs,
sorted by name, are dealt into four folds; each is forecast by what was fitted on the other three, from the
first 10, 20, 30, 50 and 70 % of the clock, every later checkpoint asked; scores are those at 20 %, errors are
given for all. Each group of methods, fold and seed is what `neuneu evaluate --protocol rolling --manifest`
does, kept in the work folder: killed and started again, it goes on with what is missing. `--groups`,
`--seeds` and `--folds` do a part of it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.evaluation.comparison import evaluate, write_results
from neuneu.evaluation.metrics import SCORES, score_cells
from neuneu.evaluation.protocol import ROLLING_ORIGINS
from neuneu.files import to_json, write_json, write_text
from neuneu.forecasters.base import LEVELS, make_forecaster

FOLDS, ORIGIN = 4, 0.2
GROUPS = {
    "repaired": ("neuneu-levels", "neuneu-residual"),
    "law": ("loss-law", "rise-law"),
    "published": ("neuneu", "neuneu-average", "neuneu-noloss", "neuneu-diffhist"),
    "probes": ("probe-average", "probe-histogram", "probe-delta", "probe-kl-delta", "probe-cnn"),
    "classical": (
        "mean-k",
        "log-linear",
        "broken-power-law",
        "gaussian-process",
        "logistic",
        "lightgbm",
    ),
}
"""Methods evaluated together; last-value and power-law are in each group."""


def folds(runs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Manifests that hold out every fourth run, sorted by name."""
    for fold in range(FOLDS):
        held = runs[fold::FOLDS]
        yield {"test": {"run": held}, "train": {"run": [run for run in runs if run not in held]}}


def one_group(curves: Path, losses: Path, group: str, seed: int, n_folds: int, work: Path) -> pl.DataFrame:
    """Cells of a group's methods under one seed; those already in the work folder are read."""
    parts = []
    for fold, manifest in enumerate(islice(folds(CurveTable.read(curves).runs), n_folds)):
        folder = work / f"{group}-{seed}-{fold}"
        cells = folder / "cells.parquet"
        if not cells.is_file():
            sys.stderr.write(f"{group}, seed {seed}, fold {fold}\n")
            write_json(work / f"fold-{fold}.json", manifest)
            found = evaluate(
                [curves], GROUPS[group], protocol="rolling", losses=losses,
                manifest=work / f"fold-{fold}.json", seed=seed,
            )  # fmt: skip
            write_results(found, folder)
        parts.append(pl.read_parquet(cells))
    return with_origins(pl.concat(parts), seed)


def with_origins(cells: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Cells of the rolling protocol with their seed and the share of the clock that was seen."""
    rank = pl.col("context_clock").rank("dense").over("run", "task", "forecaster") - 1
    origin = rank.replace_strict(dict(enumerate(ROLLING_ORIGINS)), return_dtype=pl.Float64)
    return cells.with_columns(seed=pl.lit(seed), origin=origin)


def scored(cells: pl.DataFrame) -> pl.DataFrame:
    """Mean scores of each curve: a row a forecaster, seed, origin, run and task."""
    quantiles = cells.select(f"q{round(100 * level):02d}" for level in LEVELS).to_numpy()
    scores = score_cells(quantiles, cells["value"].to_numpy())
    keys = ["forecaster", "seed", "origin", "run", "task"]
    named = cells.select(*keys, "refused").with_columns(
        **{name: scores[:, column] for column, name in enumerate(SCORES)}
    )
    return named.group_by(keys, maintain_order=True).mean()


def summarise(curves: pl.DataFrame) -> list[dict[str, Any]]:
    """A row a method: scores at a fifth of the run, errors by seed and context, the power law by run."""
    everywhere = curves
    curves = curves.filter(pl.col("origin") == ORIGIN)
    runs = curves.group_by("forecaster", "run").agg(pl.col("mae").mean()).sort("run")
    law = runs.filter(pl.col("forecaster") == "power-law")["mae"].to_numpy()
    last = runs.filter(pl.col("forecaster") == "last-value")["mae"].mean()
    rows = []
    for (name,), part in curves.group_by("forecaster"):
        mae = runs.filter(pl.col("forecaster") == name)["mae"].to_numpy()
        ahead = law - mae
        draws = np.random.default_rng(0).integers(0, len(ahead), (2000, len(ahead)))
        bounds = np.quantile(ahead[draws].mean(axis=1), (0.025, 0.975))
        seeds = part.group_by("seed").agg(pl.col("mae").mean()).sort("seed")["mae"]
        rows.append(
            {
                "forecaster": str(name),
                "sees_future": make_forecaster(str(name)).sees_future,
                **{score: float(part[score].mean()) for score in ("mae", "pinball", "coverage80", "width80")},  # type: ignore[arg-type]
                "mae_by_context": {
                    str(origin): float(some["mae"].mean())  # type: ignore[arg-type]
                    for (origin,), some in everywhere.filter(pl.col("forecaster") == name).group_by(
                        "origin", maintain_order=True
                    )
                },
                "mae_of_seeds": [round(float(value), 6) for value in seeds],
                "skill_vs_last_value": 1 - mae.mean() / last,
                "skill_vs_power_law": 1 - mae.mean() / law.mean(),
                "ahead_of_power_law": float(ahead.mean()),
                "ahead_of_power_law_95": [float(bound) for bound in bounds],
                "runs_ahead_of_power_law": int((ahead > 0).sum()),
                "n_runs": len(mae),
                "refused": float(part["refused"].mean()),  # type: ignore[arg-type]
            }
        )
    return sorted(rows, key=lambda row: (row["sees_future"], row["mae"]))


def main(argv: Sequence[str] = ()) -> None:
    """Evaluate what is missing, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="?")
    parser.add_argument("losses", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, default=Path("gemstones"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(argv)
    if asked.losses is None:
        print("skipped: name a table of curves and a store of their losses")
        return
    cells = []
    for seed in range(asked.seeds):
        for group in asked.groups.split(","):
            cells.append(one_group(asked.curves, asked.losses, group, seed, asked.folds, asked.work))
    # The yardsticks are in each group: once is enough.
    keys = ["forecaster", "seed", "origin", "run", "task", "step"]
    rows = summarise(scored(pl.concat(cells).unique(keys, maintain_order=True)))
    for row in rows:
        name = row["forecaster"] + (" (sees the future)" if row["sees_future"] else "")
        print(
            f"{name:36} MAE {100 * row['mae']:.3f}  pinball {100 * row['pinball']:.3f}  "
            f"in 80 %: {row['coverage80']:.1%}  skill {row['skill_vs_last_value']:+.1%} / "
            f"{row['skill_vs_power_law']:+.1%}  ahead of the law in {row['runs_ahead_of_power_law']} runs"
        )
    if asked.output is not None:
        write_text(asked.output, to_json({"context": ORIGIN, "seeds": asked.seeds, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
