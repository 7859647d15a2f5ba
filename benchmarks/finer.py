"""What finer measures of the same checkpoints are worth to neuneu-2, early in a run.

Run `python -m benchmarks.finer CURVES… [--losses LOSSCURVES… --runs N --output FILE.json]`. Each accuracy is
forecast from the first 5, 10 and 20 % of the clock by shipped neuneu-2, from the curve and the run's other
accuracies, and with one finer measure of the same task beside them: bits per byte of the right choice
(bpb), its probability (soft, as −log), or the run's validation loss, which is the same for all tasks. Nothing
is fitted here; sources that the shipped weights were trained on are told by their name.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import ACCURACIES
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import leaderboard
from neuneu.files import read_json, write_json

CONTEXTS = (0.05, 0.1, 0.2)
MEASURES = {"bpb": ("bpb", 1.0), "soft": ("soft_log", -1.0)}
"""Measure → the metric that holds it, and by what that is multiplied to be better when lower."""


def with_measure(table: CurveTable, measure: str, losses: pl.DataFrame | None) -> CurveTable | None:
    """Accuracies and one finer measure of each task, as the metric nll; None where the table has none."""
    frame = table.frame
    accuracies = frame.filter(pl.col("metric").is_in(ACCURACIES))
    if measure == "none":
        return CurveTable.from_frame(accuracies)
    if measure == "loss":
        return None if losses is None else _with_loss(accuracies, losses)
    metric, factor = MEASURES[measure]
    finer = frame.filter(metric=metric).with_columns(metric=pl.lit("nll"), value=factor * pl.col("value"))
    if not len(finer):
        return None
    return CurveTable.from_frame(pl.concat([accuracies, finer]))


def _with_loss(accuracies: pl.DataFrame, losses: pl.DataFrame) -> CurveTable | None:
    """Loss of the run at each checkpoint, by straight lines in tokens; none beyond the measured ones."""
    parts = [accuracies]
    for (run,), rows in accuracies.group_by("run", maintain_order=True):
        known = losses.filter(run=run).drop_nulls(["tokens", "loss"]).sort("tokens")
        if len(known) < 2:
            continue
        one = rows.unique(["task", "n_shot", "variant", "step"], maintain_order=True)
        tokens = one["tokens"].to_numpy()
        inside = (tokens >= known["tokens"][0]) & (tokens <= known["tokens"][-1])
        values = np.interp(tokens, known["tokens"].to_numpy(), known["loss"].to_numpy())
        made = one.with_columns(
            metric=pl.lit("nll"), value=pl.Series(values), stderr=pl.lit(None, pl.Float64)
        )
        parts.append(made.filter(pl.Series(inside)))
    return CurveTable.from_frame(pl.concat(parts)) if len(parts) > 1 else None


def measure_source(path: Path, losses: pl.DataFrame | None, runs: int) -> list[dict[str, Any]]:
    """A row a measure and context: the error in points, on the runs that have the measure."""
    table = CurveTable.read(path)
    if losses is not None:
        table = CurveTable(table.frame.filter(pl.col("run").is_in(losses["run"].unique().to_list())))
    every = max(1, len(table.runs) // runs)
    table = CurveTable(table.frame.filter(pl.col("run").is_in(table.runs[::every])))
    rows = []
    for measure in ("none", *MEASURES, "loss"):
        made = with_measure(table, measure, losses) if len(table.runs) else None
        for context in CONTEXTS if made is not None else ():
            board = leaderboard(evaluate([made], ["neuneu-2"], context=context, fit=False))
            (row,) = [row for row in board["overall"] if row["forecaster"] == "neuneu-2"]
            rows.append(
                {"source": path.stem, "measure": measure, "context": context, "mae": row["mae"],
                 "pinball": row["pinball"], "coverage80": row["coverage80"], "curves": row["n_curves"],
                 "runs": row["n_runs"]}
            )  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def main(argv: Sequence[str] = ()) -> None:
    """Measure each source; without curves there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*")
    parser.add_argument("--losses", type=Path, nargs="*", default=[])
    parser.add_argument("--runs", type=int, default=10, help="of a source about so many, evenly by name")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(argv)
    if not asked.curves:
        print("skipped: name tables of curves")
        return
    columns = ["run", "tokens", "loss", "split"]
    parts = [pl.read_parquet(path, columns=columns) for path in asked.losses]
    known = pl.concat(parts) if parts else None
    rows = []
    for path in asked.curves:
        own = None
        if known is not None:
            names = CurveTable.read(path).runs
            own = known.filter(pl.col("run").is_in(names))
            splits = own["split"].unique().to_list()
            own = own.filter(split="validation" if "validation" in splits else splits[0]) if splits else None
        rows += measure_source(path, own, asked.runs)
    if asked.output is not None:
        write_json(asked.output, {"forecaster": "neuneu-2", "rows": rows})


RESULTS = Path(__file__).parent / "results" / "finer.json"
TITLES = {
    "olmo_ladder_moreeval": "OLMo ladder, more-eval",
    "olmo_ladder_moreeval_const": "OLMo ladder, constant rate",
    "olmo_ladder_final_new": "OLMo ladder, final-new", "physicslm4": "PhysicsLM4",
}  # fmt: skip


def table() -> Iterator[str]:
    """A row a source and context: error in points without and with each measure."""
    heads = (
        "without | bits per byte of the right choice | its probability (−log) | validation loss of the run"
    )
    yield f"| source | curves | context | {heads} |"
    yield "|---|---|---|---|---|---|---|"
    rows = read_json(RESULTS)["rows"]
    for source, title in TITLES.items():
        for context in CONTEXTS:
            here = {
                row["measure"]: row for row in rows if (row["source"], row["context"]) == (source, context)
            }
            first = (title, str(here["none"]["curves"])) if context == CONTEXTS[0] else ("", "")
            cells = [
                f"{100 * here[measure]['mae']:.2f}" if measure in here else ""
                for measure in ("none", *MEASURES, "loss")
            ]
            yield f"| {first[0]} | {first[1]} | {100 * context:.0f} % | {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
