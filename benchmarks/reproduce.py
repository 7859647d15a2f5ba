"""A comparison from public runs, beside the committed one: `make reproduce`.

Gets the tables that `neuneu data get` knows of the measured sources (GitHub is asked; --from FOLDER takes
clones, FOLDER/pythia and so on), keeps the runs that were measured (results/reproduce-runs.json; --all-runs
keeps all), evaluates as `neuneu evaluate` does, leaving one source out, and prints every row beside that of
results/neuneu-2.json. last-value and power-law are fitted on nothing and must come out the same; what is
fitted saw more tables there. The means are over the sources that are here.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from benchmarks.neuneu2 import compact

from neuneu.curves.public import fetch_public, find_public, read_public
from neuneu.curves.table import CurveTable
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import leaderboard
from neuneu.files import read_json

RESULTS = Path(__file__).parent / "results" / "neuneu-2.json"
RUNS = Path(__file__).parent / "results" / "reproduce-runs.json"
"""Source → the runs that were measured."""

SOURCES = {
    "gemstones": "gemstones",
    "olmo-ladder": "olmo_ladder_moreeval",
    "open-sci-ref": "open_sci_ref",
    "pythia": "pythia_v1",
}
"""Name of the public runs → source in the results. Its other three have no name: the ladder's other
evaluations stand on branches, the sample of DataDecide has no licence."""

FORECASTERS = ("neuneu-2",)
"""What is evaluated besides last-value and power-law, which always are."""

COLUMNS = ("source", "forecaster", "mae", "committed", "coverage80", "committed ", "curves", "committed  ")


def main(argv: Sequence[str] = ()) -> None:
    """Get the tables, evaluate, and print both leaderboards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="clones", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("reproduce"))
    parser.add_argument("--names", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--forecasters", nargs="+", default=list(FORECASTERS))
    parser.add_argument("--all-runs", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    measured = {} if asked.all_runs else read_json(RUNS)
    paths = [make_table(name, asked, measured.get(SOURCES[name])) for name in asked.names]
    found = compact(leaderboard(evaluate(paths, asked.forecasters, seed=asked.seed)))
    committed = committed_rows(read_json(RESULTS), asked.seed, [SOURCES[name] for name in asked.names])
    for line in compare(found, committed):
        print(line)


def committed_rows(results: dict[str, Any], seed: int, sources: Sequence[str]) -> dict[str, Any]:
    """The committed rows of sources without references, and under "all" their means."""
    keys = [key for key in results if key.startswith(f"references none, seed {seed}:")]
    rows = {source: [row for key in keys for row in results[key].get(source, [])] for source in sources}
    names = dict.fromkeys(row["forecaster"] for rows_of in rows.values() for row in rows_of)
    means = []
    for name in names:
        its = [next((row for row in rows_of if row["forecaster"] == name), None) for rows_of in rows.values()]
        told = [row for row in its if row is not None]
        if len(told) == len(sources):
            curves = sum(row["n_curves"] for row in told)
            shares = {key: _mean([row.get(key) for row in told]) for key in ("mae", "coverage80")}
            means.append({"forecaster": name, "n_curves": curves, **shares})
    return {"all": means, **rows}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def make_table(name: str, asked: argparse.Namespace, runs: Sequence[str] | None) -> Path:
    """The table of public runs under its source's name, of these runs (all where None); its path."""
    source = SOURCES[name]
    target: Path = asked.folder / f"{source}.parquet"
    public = find_public(name)
    for line in public.lines():
        print(line)
    places = [] if asked.clones is None else [asked.clones / name, asked.clones / name.replace("-", "_")]
    clone = next((place for place in places if place.is_dir()), None)
    table = read_public(public, clone if clone is not None else fetch_public(public, print)).table
    if runs is not None:
        here = [run for run in runs if run in table.runs]
        if len(here) < len(runs):
            print(f"{len(runs) - len(here)} of the {len(runs)} runs that were measured are not here")
        table = table.filter(run=here)
    target.parent.mkdir(parents=True, exist_ok=True)
    CurveTable(table.frame.with_columns(pl.lit(source).alias("source"))).write(target)
    return target


def compare(found: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """A line a source and forecaster: error in points, coverage and curves, here and as committed."""
    lines = [" ".join(f"{name.strip():>20}" for name in COLUMNS)]
    for source, rows in found.items():
        for row in rows:
            old = next((r for r in committed.get(source, []) if r["forecaster"] == row["forecaster"]), {})
            cells = [source, row["forecaster"]]
            for name in ("mae", "coverage80"):
                cells += [_points(row.get(name)), _points(old.get(name))]
            cells += [str(row["n_curves"]), str(old.get("n_curves", "–"))]
            lines.append(" ".join(f"{cell:>20}" for cell in cells))
    return lines


def _points(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
