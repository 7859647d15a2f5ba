"""Makes what ships with the forecasters: `python -m benchmarks.ship [--only atlas] CURVES.parquet…`.

Fits every listed method on finished runs and writes calibration.json, trees.txt and neuneu2/shipped into
the package, with seed 0. What ships was made from openly licensed curves only: the OLMo ladder
(Apache-2.0), open-sci-ref (Apache-2.0), Gemstones (MIT) and Pythia (Apache-2.0), in files of these names;
what in neuneu-2 looks at the atlas, which is trained afterwards (`--only atlas`) with the process that is
there, from PhysicsLM4 (Apache-2.0), multisynt (MIT) and PolyPythia's BLiMP scores (Apache-2.0) as well.
"""

import sys
from pathlib import Path
from typing import Any

from benchmarks.atlas import read_curves

from neuneu import forecasters
from neuneu.curves.table import CurveTable
from neuneu.evidence.finished import smaller_finished_runs
from neuneu.files import write_json, write_text
from neuneu.forecasters.base import make_forecaster
from neuneu.forecasters.calibration import CalibratedForecaster
from neuneu.forecasters.neuneu2.model import Neuneu2, TrainingSettings
from neuneu.forecasters.trees import BoostedTrees

METHODS = (
    "last-value", "mean-k", "log-linear", "reference-shift", "power-law", "broken-power-law", "logistic",
    "logistic-future", "ladder", "gaussian-process", "lightgbm", "damped-holt", "dot",
)  # fmt: skip
FOR_ATLAS = TrainingSettings(curves=450, families=50, trees=350)
"""How much is trained of what looks at the atlas."""
FOLDER = Path(forecasters.__file__).parent


def main(paths: list[str]) -> None:
    """Fit on these curve tables and write the files."""
    shipped = FOLDER / "neuneu2" / "shipped"
    if paths[:2] == ["--only", "atlas"]:
        neuneu2 = Neuneu2().load_shipped()
        neuneu2.settings = FOR_ATLAS
        neuneu2.learn_atlas(read_curves([Path(path) for path in paths[2:]]), seed=0).save(shipped)
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
    Neuneu2().fit(curves, seed=0).save(shipped)
    sources = sorted(Path(path).stem for path in paths)
    write_json(FOLDER / "calibration.json", {"sources": sources, "methods": methods})


if __name__ == "__main__":
    main(sys.argv[1:])
