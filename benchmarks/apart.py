"""neuneu-2 on runs that nothing in it was trained on: `python -m benchmarks.apart CURVES… --train CURVES…`.

Questions as `contexts` asks them, of the curve tables named first, each method as it ships; and of the
packaged home suite, part of which neuneu-2 is trained on: there it is trained as what ships, on the tables
after --train alone. Writes results/apart.json; either may be left out.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contexts import Bench, scored_rows
from benchmarks.ship import fitted_without, shipped_from

from neuneu.curves.table import CurveTable
from neuneu.files import read_json, write_json
from neuneu.forecasters.base import Forecaster, make_forecaster
from neuneu.suite.home import read_home_curves

RESULTS = Path(__file__).parent / "results" / "apart.json"
METHODS = ("last-value", "power-law", "gaussian-process", "lightgbm", "reference-shift", "neuneu-2")
CONTEXTS = ((0.05, "5 %"), (0.1, "10 %"), (0.2, "20 %"), (0.5, "50 %"))
WITH_RUNS = ("reference-shift", "neuneu-2")
"""Methods that look at finished runs, where there are any."""
RULES = {"none": "curve alone", "smaller": "smaller finished runs", "finished": "all finished runs"}
TITLES = {
    "home": "home suite", "childes_vs_wiki": "CHILDES against Wikipedia", "function_word": "function words",
}  # fmt: skip


def main(argv: Sequence[str] = ()) -> None:
    """Measure these tables and the home suite; without any there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*", help="tables kept apart from all training")
    parser.add_argument("--train", type=Path, nargs="+", default=[], help="tables that neuneu-2 ships from")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    tables = {path.stem: (CurveTable.read(path), make_forecaster("neuneu-2")) for path in asked.curves}
    if asked.train:
        home = read_home_curves()
        families = set(home.frame["family"])
        tables["home"] = home, fitted_without(shipped_from(asked.train), families)
    if not tables:
        print("name tables kept apart, or with --train the tables that neuneu-2 ships from")
        return
    results: dict[str, Any] = read_json(asked.output) if asked.output.exists() else {}
    for name, (curves, ours) in tables.items():
        results[name] = list(measure(curves, ours))
        write_json(asked.output, results)
        print(name, flush=True)


def measure(curves: CurveTable, ours: Forecaster) -> Iterator[dict[str, Any]]:
    """Rows by source, references, context and method; those that decline a question have fewer curves.

    ours: neuneu-2, which has seen none of these.
    """
    bench = Bench(curves)
    methods = {name: make_forecaster(name) for name in METHODS} | {METHODS[-1]: ours}
    asked: set[tuple[Any, ...]] = set()
    for family in bench.families:
        for told, questions in bench.questions(family):
            if tuple(told.values()) in asked:  # families share a source, which is asked as a whole
                continue
            asked.add(tuple(told.values()))
            answers = {
                name: each.forecast_many(questions.evidences, questions.horizons)
                for name, each in methods.items()
                if (name in WITH_RUNS) or told["references"] == "none"
            }
            yield from scored_rows(told, questions, answers)


def table() -> Iterator[str]:
    """A row a source and kind of references: the best other method and neuneu-2 at every context."""
    yield f"| runs | references | curves | {' | '.join(share for _, share in CONTEXTS)} |"
    yield f"|---|---|---|{'---|' * len(CONTEXTS)}"
    for name, rows in read_json(RESULTS).items():
        for rule, words in RULES.items():
            cells, curves = [], 0
            for context, _ in CONTEXTS:
                here = [row for row in rows if (row["references"], row["context"]) == (rule, context)]
                ours = [row for row in here if row["forecaster"] == "neuneu-2" and row["curves"]]
                if not ours:
                    cells.append("")
                    continue
                curves = sum(row["curves"] for row in ours)
                others = [
                    (_mean(here, method, "mae"), method)
                    for method in METHODS[:-1]
                    if sum(row["curves"] for row in here if row["forecaster"] == method) == curves
                ]
                told = f"{min(others)[0]:.2f} {min(others)[1]}, " if others else ""
                error, covered = (_mean(here, "neuneu-2", key) for key in ("mae", "coverage80"))
                cells.append(f"{told}**{error:.2f}** ({covered:.0f} %)")
            if curves:
                yield f"| {TITLES.get(name, name)} | {words} | {curves} | {' | '.join(cells)} |"


def _mean(rows: Sequence[dict[str, Any]], method: str, key: str) -> float:
    """Mean over curves of all sources."""
    own = [row for row in rows if row["forecaster"] == method and row["curves"]]
    return float(sum(row[key] * row["curves"] for row in own) / sum(row["curves"] for row in own))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
