"""neuneu-2 against its rivals, leave one source out, three seeds: `python -m benchmarks.neuneu2 CURVES…`.

Context = the first fifth of the clock, one accuracy metric a curve, with no references, with the finished
smaller runs of the same source, and with all its finished runs. What is already in results/neuneu-2.json is
not measured again, except for the milliseconds that a run takes.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from neuneu.curves.table import CurveTable
from neuneu.evaluation.report import evaluate_files
from neuneu.files import read_json, write_json
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.evidence import REFERENCES, EvidenceBuilder

RESULTS = Path(__file__).parent / "results" / "neuneu-2.json"
SETTINGS = {
    "none": ("gaussian-process", "lightgbm", "neuneu-noloss", "neuneu-2"),
    "same-source": ("reference-shift", "ladder", "neuneu-2"),
    "finished": ("reference-shift", "neuneu-2"),
}
SEEDS = range(3)
CURVES, HORIZONS, REPEATS = 66, 100, 9
"""What is timed: so many curves of one run, each at so many horizons; the best of so many repeats."""
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
    results["speed"] = [speed(Path(path), rule) for path in paths for rule in ("none", "finished")]
    write_json(RESULTS, results)


def speed(path: Path, rule: str) -> dict[str, Any]:
    """Processor milliseconds for `CURVES` curves of the table's richest run at `HORIZONS` horizons each."""
    table = CurveTable.read(path)
    curves = table.one_metric().curves
    run, _ = Counter(curve.key.run for curve in curves).most_common(1)[0]
    builder = EvidenceBuilder(table, references=REFERENCES[rule])
    own = [curve for curve in curves if curve.key.run == run][:CURVES]
    evidences = [builder.at(c, float(c.clock[c.clock <= 0.2 * c.clock[-1]][-1])) for c in own]
    horizons = [np.geomspace(1.02 * evidence.end, 30 * evidence.end, HORIZONS) for evidence in evidences]
    forecaster = load_forecaster("neuneu-2")
    seconds = []
    for _ in range(REPEATS):
        began = process_time()
        forecaster.forecast_many(evidences, horizons)
        seconds.append(process_time() - began)
    return {
        "run": run,
        "curves": len(own),
        "horizons": HORIZONS,
        "references": sum(len(evidence.references) for evidence in evidences) / len(evidences),
        "milliseconds": 1e3 * min(seconds),
        "first_milliseconds": 1e3 * seconds[0],
    }


def compact(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of a leaderboard, all sources first, with the columns of the table."""
    sections = {"all": document["overall"], **document["sources"]}
    return {
        name: [{k: row[k] for k in KEPT if k in row} | {"mae_95": row["intervals"]["mae"]} for row in rows]
        for name, rows in sections.items()
    }


if __name__ == "__main__":
    main(sys.argv[1:])
