"""neuneu-2 against its rivals on every curve, leave one family out: `python -m benchmarks.neuneu2 CURVES…`.

Context = the first fifth of the clock, all later checkpoints, one accuracy metric a curve; with no
references, with the finished smaller runs of the same family, and with all its finished runs. neuneu-2 is
trained as what ships (own runs too, which rivals are not fitted on), without the family that is asked;
tables without an open licence are asked, and rivals fitted on them. What is already in
results/neuneu-2.json is not measured again, except for the milliseconds that a run takes.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any, ClassVar, Self

import numpy as np
from benchmarks.atlas import LICENCES, read_curves
from benchmarks.ship import fitted_without, own_runs, shipped_from

from neuneu.curves.table import CurveTable
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import leaderboard
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.evidence.finished import read_references
from neuneu.files import read_json, write_json
from neuneu.forecasters.base import REGISTRY, load_forecaster
from neuneu.forecasters.neuneu2.model import Neuneu2

RESULTS = Path(__file__).parent / "results" / "neuneu-2.json"
SETTINGS = (
    ("none", ("neuneu-2", "gaussian-process", "lightgbm")),
    ("smaller", ("neuneu-2", "reference-shift", "ladder")),
    ("finished", ("neuneu-2", "reference-shift")),
)
"""References, and what is evaluated with them together; last-value and power-law are in each."""
TIMED, CURVES, HORIZONS, REPEATS = ("pythia_v1", "olmo_ladder_final_new"), 66, 100, 9
"""What is timed: tables of these names, so many curves of one run, each at so many horizons; the best of so
many repeats."""
KEPT = ("forecaster", "mae", "pinball", "coverage80", "width80", "n_runs", "n_curves", "n_cells",
        "n_refused", "ranking_within_size")  # fmt: skip


class AsShipped(Neuneu2):
    """neuneu-2 trained as what ships, without the families that it is not given: once each."""

    everything: ClassVar[CurveTable]
    """What ships is trained on."""
    trained: ClassVar[dict[tuple[frozenset[str], int], Neuneu2]] = {}

    def fit(self, curves: CurveTable, losses: Any = None, *, references: Any = None, seed: int = 0) -> Self:
        """Train, or take what was trained before."""
        given = {*curves.frame["family"], *own_runs().frame["family"]}
        missing = frozenset(self.everything.frame["family"]) - given
        key = missing, seed
        if key not in self.trained:
            self.trained[key] = fitted_without(self.everything, missing, seed)
        self.__dict__.update(self.trained[key].__dict__)
        return self


def main(argv: Sequence[str] = ()) -> None:
    """Measure what is missing and write it at once; without curves there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--settings", type=int, nargs="+", default=list(range(len(SETTINGS))))
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    if not asked.curves:
        print("name curve files: python -m benchmarks.neuneu2 CURVES…")
        return
    opened = [path for path in asked.curves if path.stem in LICENCES]
    AsShipped.everything = shipped_from(opened)
    REGISTRY["neuneu-2"] = AsShipped
    tables = [read_curves(opened), *(CurveTable.read(path) for path in asked.curves if path not in opened)]
    results: dict[str, Any] = read_json(asked.output) if asked.output.exists() else {}
    for seed in asked.seeds:
        for references, names in (SETTINGS[i] for i in asked.settings):
            key = f"references {references}, seed {seed}: {', '.join(names)}"
            if key not in results:
                document = leaderboard(evaluate(tables, names, references=references, seed=seed))
                results[key] = compact(document)
                write_json(asked.output, results)
    timed = [path for path in asked.curves if path.stem in TIMED]
    results["speed"] = [speed(path, rule) for path in timed for rule in ("none", "finished")]
    write_json(asked.output, results)


def speed(path: Path, rule: str) -> dict[str, Any]:
    """Processor milliseconds for `CURVES` curves of the table's richest run at `HORIZONS` horizons each."""
    table = CurveTable.read(path)
    curves = table.one_metric().curves
    run, _ = Counter(curve.key.run for curve in curves).most_common(1)[0]
    builder = EvidenceBuilder(table, references=read_references(rule))
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
