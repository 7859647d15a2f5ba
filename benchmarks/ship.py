"""Makes what ships with the forecasters: `python -m benchmarks.ship [--only neuneu-2] CURVES.parquet…`.

Fits every listed method on finished runs and writes calibration.json, trees.txt and neuneu2/shipped into the
package, with seed 0. What ships was made from openly licensed curves only: neuneu-2 from the OLMo ladder,
open-sci-ref, Pythia, PolyPythia's BLiMP scores and PhysicsLM4 (Apache-2.0), Gemstones and multisynt (MIT),
with `--only neuneu-2`, and from part of the package's own runs, which are always there; all others from the
first four tables of these and Gemstones.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from benchmarks.atlas import read_curves

from neuneu import forecasters
from neuneu.curves.table import CurveTable
from neuneu.evidence.finished import smaller_finished_runs
from neuneu.files import write_json, write_text
from neuneu.forecasters.base import make_forecaster
from neuneu.forecasters.calibration import CalibratedForecaster
from neuneu.forecasters.neuneu2.model import Neuneu2
from neuneu.forecasters.trees import BoostedTrees
from neuneu.suite.home import APART, read_home_curves

METHODS = (
    "last-value", "mean-k", "log-linear", "reference-shift", "power-law", "broken-power-law", "logistic",
    "logistic-future", "ladder", "gaussian-process", "lightgbm", "damped-holt", "dot",
)  # fmt: skip
FOLDER = Path(forecasters.__file__).parent


def main(paths: list[str]) -> None:
    """Fit on these curve tables and write the files."""
    if paths[:2] == ["--only", "neuneu-2"]:
        ship_neuneu2(paths[2:])
        return
    curves = CurveTable.read(*paths)
    methods: dict[str, Any] = {}
    for name in METHODS:
        forecaster = make_forecaster(name).fit(curves, references=smaller_finished_runs)
        assert isinstance(forecaster, CalibratedForecaster)
        assert forecaster.calibration
        if isinstance(forecaster, BoostedTrees):
            write_text(FOLDER / "trees.txt", forecaster.booster.model_to_string())
        print(name, flush=True)
        methods[name] = forecaster.calibration.to_document()
    ship_neuneu2(paths)
    sources = sorted(Path(path).stem for path in paths)
    write_json(FOLDER / "calibration.json", {"sources": sources, "methods": methods})


def ship_neuneu2(paths: list[str]) -> None:
    """Train neuneu-2 on these curve tables and on own runs, the process, all trees and all widths."""
    curves = shipped_from([Path(path) for path in paths])
    Neuneu2().fit(curves, seed=0).save(FOLDER / "neuneu2" / "shipped")


def shipped_from(paths: Sequence[Path]) -> CurveTable:
    """What neuneu-2 is trained on: these curve tables and own runs."""
    return CurveTable(pl.concat([read_curves(paths).frame, own_runs().frame]))


def fitted_without(curves: CurveTable, families: Collection[str], seed: int = 0) -> Neuneu2:
    """neuneu-2 trained as what ships, without these families: they are in no fit, nor in its atlas."""
    forecaster = Neuneu2()
    forecaster.without = frozenset(families)
    return forecaster.fit(without(curves, families), seed=seed)


def without(curves: CurveTable, families: Collection[str]) -> CurveTable:
    """All curves but those of these families."""
    return curves.filter(~pl.col("family").is_in(list(families)))


def families_seen(curves: CurveTable, table: CurveTable) -> frozenset[str]:
    """Families, as `curves` names them, of which runs of a table are: both come from the same sources."""
    known = curves.filter(pl.col("source").is_in(table.frame["source"].unique().to_list()))
    return frozenset(known.frame["family"])


def own_runs() -> CurveTable:
    """Those of the package's own runs that neuneu-2 is trained on; the demo asks about the others."""
    return read_home_curves().filter(~pl.col("recipe").is_in(APART))


if __name__ == "__main__":
    main(sys.argv[1:])
