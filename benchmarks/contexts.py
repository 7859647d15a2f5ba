"""neuneu-2 asked early and late, leave one family out: `python -m benchmarks.contexts CURVES…`.

Contexts of none, 5, 10, 20 and 50 % of the clock; with no references, smaller and all finished runs; with the
atlas and without it (the same model trained without). Nothing of the family that is asked is in what is
fitted, nor in the atlas. What is in results/contexts.json already is not measured again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.atlas import read_curves

from neuneu.atlas.atlas import shipped_atlas
from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import Evidence, unstarted
from neuneu.evidence.finished import RULES
from neuneu.evidence.questions import Questions, ask_questions
from neuneu.files import read_json, write_json
from neuneu.forecasters.base import LEVELS, Forecast, Forecaster, make_forecaster
from neuneu.forecasters.neuneu2.model import Neuneu2, Neuneu2Atlas, TrainingSettings

RESULTS = Path(__file__).parent / "results" / "contexts.json"
CONTEXTS = (0.05, 0.1, 0.2, 0.5)
FIRST = CONTEXTS[0]
"""Runs that have not started are asked about what comes after this share of their clock."""
CURVES, HORIZONS = 120, 6
"""Of a source so many curves are asked, drawn with seed 1, at so many later checkpoints each."""
NEAR_CHANCE, TAKEN_OFF = 0.03, 0.08
"""Contexts that end so near chance are told apart, and those of them that end so far above it."""
ARMS = ("before training", "atlas", "no atlas", "classical")
SMALL = TrainingSettings(curves=250, families=24, process_steps=100, trees=200)
CLASSICAL = ("last-value", "power-law")


def main(argv: Sequence[str] = ()) -> None:
    """Measure what is missing and write it at once; without curves there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*")
    parser.add_argument("--families", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--small", action="store_true", help="train less: 250 curves a source, 200 trees")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    if not asked.curves:
        print("name curve files: python -m benchmarks.contexts CURVES…")
        return
    curves = read_curves(asked.curves)
    results: dict[str, Any] = read_json(asked.output) if asked.output.exists() else {}
    families = asked.families or sorted(curves.frame["family"].unique())
    for seed in asked.seeds:
        for family in families:
            for arm in asked.arms:
                key = f"{family}, {arm}, seed {seed}"
                if key not in results:
                    results[key] = _measure(
                        curves, family, arm, seed, SMALL if asked.small else TrainingSettings()
                    )
                    write_json(asked.output, results)
                    print(key, flush=True)


def _measure(
    curves: CurveTable, family: str, arm: str, seed: int, settings: TrainingSettings
) -> list[dict[str, Any]]:
    others = CurveTable(curves.frame.filter(curves.frame["family"] != family))
    mine = CurveTable(curves.frame.filter(curves.frame["family"] == family))
    forecasters: list[Forecaster] = []
    if arm == "before training":
        forecasters = [Neuneu2()]
    elif arm == "classical":
        forecasters = [make_forecaster(name).fit(others) for name in CLASSICAL]
    else:
        model = Neuneu2Atlas()
        model.settings = settings
        gone = {family} if arm == "atlas" else {family, *shipped_atlas().families}
        model.without = frozenset(gone)
        forecasters = [model.fit(others, seed=seed)]
    rows = []
    for source in sorted(mine.frame["source"].unique()):
        table = mine.filter(source=source)
        for rule in RULES if arm != "classical" else ("none",):
            for context in CONTEXTS if arm != "before training" else (FIRST,):
                questions = ask_questions(
                    table,
                    None,
                    RULES[rule],
                    whole_evidence=True,
                    fractions=(context,),
                    curves_per_source=CURVES,
                    horizons_per_context=HORIZONS,
                    seed=1,
                )
                evidences = questions.evidences
                if arm == "before training":
                    evidences = [_unstarted(evidence) for evidence in evidences]
                for forecaster in forecasters if len(questions) else ():
                    answers = forecaster.forecast_many(evidences, questions.horizons)
                    shown = 0.0 if arm == "before training" else context
                    told = {"source": source, "references": rule, "context": shown}
                    name = forecaster.name if arm == "classical" else arm
                    rows.append({**told, "forecaster": name, **_scores(questions, answers)})
    return rows


def _unstarted(evidence: Evidence) -> Evidence:
    """The same run before its first checkpoint."""
    return unstarted(evidence.context.key, evidence.context.facts, evidence.references)


def _scores(questions: Questions, answers: Sequence[Any]) -> dict[str, Any]:
    """Means over curves, in points: error, pinball loss, coverage and width; the same near chance."""
    found: list[list[float]] = []
    near: list[list[Any]] = []
    for evidence, truth, answer in zip(questions.evidences, questions.truths, answers, strict=True):
        if not isinstance(answer, Forecast):
            continue
        found.append(_one(answer, truth))
        chance = evidence.context.chance
        level = float(np.mean(evidence.context.values[-3:]))  # of 3 points, where there are so many
        if chance is not None and abs(level - chance) <= NEAR_CHANCE:
            inside = (truth >= answer.quantile(0.1)) & (truth <= answer.quantile(0.9))
            off = truth > chance + TAKEN_OFF
            near.append([*_one(answer, truth), off[-1], inside[-1] & off[-1], inside[-1]])
    if not found:
        return {"curves": 0}
    names = ("mae", "pinball", "coverage80", "width80")
    told = dict(zip(names, _mean(found), strict=True)) | {"curves": len(found)}
    if near:
        mean = _mean(near)
        told["near_chance"] = {
            "curves": len(near),
            "mae": mean[0],
            "coverage80": mean[2],
            "take_off": int(sum(row[4] for row in near)),
            "take_off_inside": int(sum(row[5] for row in near)),
        }
    return told


def _one(answer: Forecast, truth: Floats) -> list[float]:
    error = truth[:, None] - answer.values
    levels = np.array(LEVELS)
    pinball = np.maximum(levels * error, (levels - 1) * error).mean()
    low, high = answer.quantile(0.1), answer.quantile(0.9)
    inside = (truth >= low) & (truth <= high)
    return [
        100 * float(np.abs(truth - answer.median).mean()),
        100 * float(pinball),
        100 * float(inside.mean()),
        100 * float((high - low).mean()),
    ]


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return [round(float(v), 3) for v in np.mean(np.array(rows, dtype=np.float64), axis=0)]


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
