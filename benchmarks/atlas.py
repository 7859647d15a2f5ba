"""Makes the atlas and measures it without any context: `python -m benchmarks.atlas --static TABLE CURVES…`.

Writes src/neuneu/atlas/shipped/ (`--ship`), and benchmarks/results/atlas.json: the error of the last score of
every curve, its family left out with all that the tables know of it, with what it is trained on and without,
beside one law of parameters and tokens (or of compute) a task that knows neither families nor settings.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benchmarks._atlas_tables import STATIC, finished_models

from neuneu.atlas.atlas import Atlas, laws_of
from neuneu.atlas.combine import SCORE_LEVELS
from neuneu.atlas.corpora import Corpora, find_corpus, fit_corpora
from neuneu.atlas.family_laws import capability, monotone
from neuneu.atlas.setting import setting_of
from neuneu.curves.curve import Curve, Floats
from neuneu.curves.table import CurveTable
from neuneu.files import write_json

LICENCES = {
    "olmo_ladder_final_new": "Apache-2.0", "olmo_ladder_moreeval": "Apache-2.0",
    "olmo_ladder_moreeval_const": "Apache-2.0", "olmo_ladder_moreeval_decay": "Apache-2.0",
    "open_sci_ref": "Apache-2.0", "gemstones": "MIT", "pythia_v1": "Apache-2.0",
    "polypythia_final": "Apache-2.0", "polypythia_blimp": "Apache-2.0", "physicslm4": "Apache-2.0",
    "multisynt": "MIT",
}  # fmt: skip
"""Curve sources that may ship, with their licences; others are refused."""

LISTED_AS_TEXT = "pythia_v1"
"""Its MMLU was scored by the text of the choices: acc and acc_norm differ."""

LOW, MIDDLE, HIGH = (SCORE_LEVELS.index(level) for level in (0.1, 0.5, 0.9))
"""Places of the median and of the ends of the 80 % interval."""

SHIPPED = Path(__file__).parents[1] / "src" / "neuneu" / "atlas" / "shipped"
RESULTS = Path(__file__).parent / "results" / "atlas.json"


def main(argv: Sequence[str] = ()) -> None:
    """Make the atlas, and measure it leave one family out; without curves there is nothing to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*")
    parser.add_argument("--static", type=Path)
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    if not asked.curves or not asked.static:
        print("name tables: python -m benchmarks.atlas --static TABLE CURVES…")
        return
    models = finished_models(pl.read_parquet(asked.static))
    curves = read_curves(asked.curves)
    table = CurveTable(pl.concat([curves.frame, models.frame]))
    atlas = Atlas(laws_of(table))
    if asked.ship:
        atlas.write(SHIPPED / "atlas.parquet")
        fit_corpora(table, atlas.laws).write(SHIPPED / "corpora.json")
        sources = {path.stem: LICENCES[path.stem] for path in asked.curves} | STATIC
        write_json(SHIPPED / "sources.json", sources)
    write_json(asked.output, measure(atlas, curves, table))


def read_curves(paths: Sequence[Path]) -> CurveTable:
    """These curve tables, PhysicsLM4 as one family. Refuses sources that may not ship."""
    unknown = [path.stem for path in paths if path.stem not in LICENCES]
    if unknown:
        raise SystemExit(f"benchmarks.atlas: no open licence is known for {', '.join(unknown)}")
    frames = [CurveTable.read(path).frame for path in paths]
    frame = pl.concat(frames).with_columns(
        family=pl.when(pl.col("source") == "physicslm4").then(pl.col("source")).otherwise("family"),
        variant=pl.when((pl.col("source") == LISTED_AS_TEXT) & pl.col("task").str.starts_with("mmlu"))
        .then(pl.lit("rc"))
        .otherwise("variant"),
    )
    return CurveTable(frame)


def measure(atlas: Atlas, curves: CurveTable, table: CurveTable) -> dict[str, Any]:
    """Error of the last score of every curve, by family, of the atlas and of one law a task; coverage."""
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    lone = {name: _one_law(table.frame, by) for name, by in LAWS.items()}
    corpora = {str(name): _corpora(table, atlas, str(name)) for name in curves.frame["family"].unique()}
    for curve in curves.one_metric().curves:
        family = str(curve.facts.family)
        setting = setting_of(curve.key)
        law = atlas.law(curve.key.task, setting, frozenset({family}))
        if law is None or not curve.facts.params or curve.clock_unit != "tokens" or curve.clock[-1] <= 0:
            errors[family]["not known"].append(1.0)
            continue
        x, truth = capability(curve.facts.params, curve.clock[-1]), float(curve.values[-1])
        own = errors[family]
        own["atlas, data unknown"].append(abs(float(law.quantiles(x)[0, MIDDLE]) - truth))
        values = law.quantiles(x, corpora[family].shift(find_corpus(curve.facts.recipe)))[0]
        own["atlas"].append(abs(values[MIDDLE] - truth))
        own["inside 80 %"].append(float(values[LOW] <= truth <= values[HIGH]))
        for name, one_law in lone.items():
            guess = one_law(curve, family)
            own[name].append(abs(guess - truth))
    return {"no context": {family: _means(own) for family, own in sorted(errors.items())}}


def _corpora(table: CurveTable, atlas: Atlas, family: str) -> Corpora:
    """What corpora are worth, from all families but this one."""
    others = CurveTable(table.frame.filter(pl.col("family") != family))
    laws = {task: [law for law in laws if law.family != family] for task, laws in atlas.laws.items()}
    return fit_corpora(others, laws)


def _means(own: dict[str, list[float]]) -> dict[str, float]:
    """Mean of each, in points; how many."""
    told = {name: round(100 * float(np.mean(found)), 2) for name, found in own.items() if name != "not known"}
    return told | {"curves": len(own["atlas"]), "not known": len(own["not known"])}


LAWS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "one law of parameters and tokens": capability,
    "one law of compute": lambda params, tokens: np.log(params * tokens),
}


def _one_law(rows: pl.DataFrame, by: Callable[[Floats, Floats], Floats]) -> Callable[[Curve, str], float]:
    """One monotone law a task, of all its scores but the family's own."""
    from neuneu.curves.tasks import find_metric

    accuracies = [name for name in rows["metric"].unique() if find_metric(name).accuracy]
    rows = rows.filter(pl.col("metric").is_in(accuracies), pl.col("params") > 0, pl.col("tokens") > 0)
    of_task = {str(task[0]): part for task, part in rows.group_by("task", maintain_order=True)}
    known: dict[tuple[str, str], tuple[Floats, Floats]] = {}

    def law(curve: Curve, family: str) -> float:
        key = curve.key.task, family
        if key not in known:
            others = of_task[curve.key.task].filter(pl.col("family") != family)
            x = by(others["params"].cast(float).to_numpy(), others["tokens"].cast(float).to_numpy())
            order = np.argsort(x, kind="stable")
            y = others["value"].to_numpy()[order]
            known[key] = x[order], monotone(y, np.ones(len(y)))
        params, tokens = (np.array([float(v or 0)]) for v in (curve.facts.params, curve.clock[-1]))
        return float(np.interp(by(params, tokens), *known[key])[0])

    return law


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
