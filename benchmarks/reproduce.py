"""The README's comparison from public runs, beside the committed one: `make reproduce`.

Gets the tables that `neuneu data get` knows of the README's sources (GitHub is asked; --from FOLDER takes
clones, FOLDER/pythia and so on), keeps the runs that the committed leaderboard is of, evaluates as `neuneu
evaluate` does, leaving one source out, and prints every row beside the committed one. --all-runs keeps all;
--tables FOLDER takes tables that are made already; --commit writes what was measured to
results/reproduce.json.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from benchmarks.neuneu2 import Neuneu2Once, compact

from neuneu.curves.public import fetch_public, find_public, read_public
from neuneu.curves.table import CurveTable
from neuneu.evaluation.comparison import evaluate
from neuneu.evaluation.leaderboard import leaderboard
from neuneu.files import read_json, write_json
from neuneu.forecasters.base import REGISTRY

RESULTS = Path(__file__).parent / "results" / "reproduce.json"
SOURCES = {
    "gemstones": "gemstones",
    "olmo-ladder": "olmo_ladder_moreeval",
    "open-sci-ref": "open_sci_ref",
    "pythia": "pythia_v1",
}
"""Name of the public runs → source in the README's table. Its other three have no name: the ladder's other
evaluations stand on branches, the sample of DataDecide has no licence."""

FORECASTERS = ("neuneu-2",)
"""What is evaluated besides last-value and power-law, which always are."""

COLUMNS = ("source", "forecaster", "mae", "committed", "coverage80", "committed ", "curves", "committed  ")


def main(argv: Sequence[str] = ()) -> None:
    """Get the tables, evaluate, and print both leaderboards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="clones", type=Path)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("reproduce"))
    parser.add_argument("--names", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--forecasters", nargs="+", default=list(FORECASTERS))
    parser.add_argument("--all-runs", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commit", action="store_true")
    asked = parser.parse_args(argv)
    committed: dict[str, Any] = read_json(RESULTS) if RESULTS.exists() else {"runs": {}, "leaderboard": {}}
    paths = [
        make_table(
            name, asked, None if asked.all_runs or asked.commit else committed["runs"].get(SOURCES[name])
        )
        for name in asked.names
    ]
    REGISTRY["neuneu-2"] = Neuneu2Once
    found = compact(leaderboard(evaluate(paths, asked.forecasters, seed=asked.seed, progress=print)))
    for line in compare(found, committed["leaderboard"]):
        print(line)
    if asked.commit:
        runs = {path.stem: CurveTable.read(path).runs for path in paths}
        write_json(RESULTS, {"runs": runs, "seed": asked.seed, "leaderboard": found})


def make_table(name: str, asked: argparse.Namespace, runs: Sequence[str] | None) -> Path:
    """The table of public runs under its source's name, of these runs (all where None); its path."""
    source = SOURCES[name]
    target: Path = asked.folder / f"{source}.parquet"
    public = find_public(name)
    if asked.tables is not None:
        table = CurveTable.read(asked.tables / f"{source}.parquet")
    else:
        for line in public.lines():
            print(line)
        clones = asked.clones
        places = [] if clones is None else [clones / name, clones / name.replace("-", "_")]
        clone = next((place for place in places if place.is_dir()), None)
        table = read_public(public, clone if clone is not None else fetch_public(public, print)).table
    if runs is not None:
        table = table.filter(run=list(runs))
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
