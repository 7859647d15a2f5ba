"""neuneu-2 against its rivals, leave one source out, three seeds: `python -m benchmarks.neuneu2 CURVES…`.

Context = the first fifth of the clock, one accuracy metric a curve, with no references and with the finished
smaller runs of the same source. What is already in results/neuneu-2.json is not measured again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuneu.evaluation.report import evaluate_files
from neuneu.files import read_json, write_json

RESULTS = Path(__file__).parent / "results" / "neuneu-2.json"
SETTINGS = {
    "none": ("gaussian-process", "lightgbm", "neuneu-2"),
    "same-source": ("reference-shift", "ladder", "neuneu-2"),
}
SEEDS = range(3)
KEPT = ("forecaster", "mae", "pinball", "coverage80", "width80", "n_runs", "n_curves", "n_cells",
        "n_refused", "ranking_within_size")  # fmt: skip


def main(paths: Sequence[str] = ()) -> None:
    """Measure what is missing and write it at once; without curves there is nothing to measure."""
    if not paths:
        print("name curve files: python -m benchmarks.neuneu2 CURVES…")
        return
    results: dict[str, Any] = read_json(RESULTS) if RESULTS.exists() else {}
    for references, names in SETTINGS.items():
        for seed in SEEDS:
            key = f"references {references}, seed {seed}"
            if key not in results:
                document = evaluate_files(
                    [Path(p) for p in paths], names, references=references, seed=seed, progress=print
                )
                results[key] = compact(document)
                write_json(RESULTS, results)


def compact(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of a leaderboard, all sources first, with the columns of the table."""
    sections = {"all": document["overall"], **document["sources"]}
    return {
        name: [{k: row[k] for k in KEPT if k in row} | {"mae_95": row["intervals"]["mae"]} for row in rows]
        for name, rows in sections.items()
    }


if __name__ == "__main__":
    main(sys.argv[1:])
