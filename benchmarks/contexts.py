"""neuneu-2 asked early and late, leave one family out: `python -m benchmarks.contexts CURVES…`.

Contexts of none, 5, 10, 20 and 50 % of the clock; with no references, smaller and all finished runs; with the
atlas and without it, and rivals. Nothing of the family that is asked is in what is fitted, nor in the atlas;
the package's own runs are fitted on beside the others, as in what ships, and not asked.
Runs branched off others (decays) are asked with references or before they start only: their curve alone does
not tell where they come from. What is in results/contexts.json already is not measured again.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benchmarks._ablations import ABLATED, without_atlas
from benchmarks._schedules import with_schedules
from benchmarks.atlas import read_curves
from benchmarks.ship import fitted_without, own_runs, without

from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import Evidence, unstarted
from neuneu.evidence.finished import RULES
from neuneu.evidence.questions import Questions, ask_questions
from neuneu.files import read_json, write_json
from neuneu.forecasters.base import LEVELS, Forecast, Forecaster, make_forecaster
from neuneu.forecasters.neuneu2.model import Neuneu2

RESULTS = Path(__file__).parent / "results" / "contexts.json"
CONTEXTS = (0.05, 0.1, 0.2, 0.5)
FIRST = CONTEXTS[0]
"""Runs that have not started are asked about what comes after this share of their clock."""
CURVES, HORIZONS, DRAW = 120, 6, 1
"""Of a source so many curves are asked, drawn with this seed, at so many later checkpoints each."""
NEAR_CHANCE, TAKEN_OFF = 0.03, 0.08
"""Contexts that end so near chance are told apart, and those of them that end so far above it."""
RESAMPLED = 500
"""Draws of runs with replacement, for the interval of a coverage."""
BRANCHED = frozenset({"olmo_ladder_moreeval_decay"})
"""Sources of runs that branch off others."""
RIVALS = {
    "none": ("last-value", "power-law", "gaussian-process", "lightgbm"),
    "smaller": ("reference-shift",),
    "finished": ("reference-shift",),
}
ARMS = ("before training", "neuneu-2", "rivals", "schedule", "ablation")
SCHEDULED = ("open_sci_ref", "olmo_ladder_moreeval_decay")
"""Sources of runs that hold the learning rate and let it fall late: asked with their schedule told and
without; decays begin with what their trunk measured before."""
ABLATION = ((0.05, 0.2), ("none", "finished"))
"""Contexts and references at which ingredients are switched off."""
Answers = dict[str, Sequence[Any]]
"""Answers to the same questions, by the name of the method."""


def main(argv: Sequence[str] = ()) -> None:
    """Measure what is missing and write it at once; without curves there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path, nargs="*")
    parser.add_argument("--families", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(argv)
    if not asked.curves:
        print(
            "name curve files: python -m benchmarks.contexts CURVES…; python -m benchmarks.tables shows them"
        )
        return
    bench = Bench(read_curves(asked.curves), own_runs())
    results: dict[str, Any] = read_json(asked.output) if asked.output.exists() else {}
    for seed in asked.seeds:
        for family in asked.families or bench.families:
            for arm in asked.arms:
                key = f"{family}, {arm}" + ("" if arm == "before training" else f", seed {seed}")
                if key not in results:
                    results[key] = bench.measure(family, arm, seed)
                    write_json(asked.output, results)
                    print(key, flush=True)


class Bench:
    """Families asked in turn, with everything fitted on the others."""

    def __init__(self, curves: CurveTable, beside: CurveTable | None = None) -> None:
        """curves: of all families; beside: what everything is fitted on too, and not asked (`all`: both)."""
        self.curves = curves
        self.all = curves if beside is None else CurveTable(pl.concat([curves.frame, beside.frame]))
        self.families = sorted(curves.frame["family"].unique())

    def measure(self, family: str, arm: str, seed: int) -> list[dict[str, Any]]:
        """Rows of one family, by source, references, context and method."""
        arms = {
            "before training": self._unstarted, "neuneu-2": self._neuneu2, "rivals": self._rivals,
            "schedule": self._schedule, "ablation": self._ablation,
        }  # fmt: skip
        return list(arms[arm](family, seed))

    @lru_cache(maxsize=1)  # noqa: B019  the next family needs another
    def _fitted(self, family: str, seed: int) -> Neuneu2:
        """neuneu-2 without this family."""
        return fitted_without(self.all, {family}, seed)

    def _neuneu2(self, family: str, seed: int) -> Iterator[dict[str, Any]]:
        forecaster = self._fitted(family, seed)
        bare = without_atlas(forecaster)
        for told, questions in self.questions(family):
            answers = {
                "neuneu-2": forecaster.forecast_many(questions.evidences, questions.horizons),
                "without the atlas": bare.forecast_many(questions.evidences, questions.horizons),
            }
            yield from scored_rows(told, questions, answers)

    def _schedule(self, family: str, seed: int) -> Iterator[dict[str, Any]]:
        """Runs of `SCHEDULED` with their schedule told and without."""
        whole = CurveTable.from_frame(with_schedules(self.curves.frame))
        for source in SCHEDULED:
            if whole.frame.filter((pl.col("source") == source) & (pl.col("family") == family)).is_empty():
                continue
            for rule in RULES:
                for context in CONTEXTS:
                    questions = _draw(whole.filter(source=source), rule, context)
                    if not len(questions):
                        continue
                    asked = {"schedule told": list(questions.evidences)}
                    asked["neuneu-2"] = [_untold(evidence) for evidence in questions.evidences]
                    told = {"source": source, "references": rule, "context": context}
                    forecaster = self._fitted(family, seed)
                    answers = {
                        name: forecaster.forecast_many(evidences, questions.horizons)
                        for name, evidences in asked.items()
                    }
                    yield from scored_rows(told, questions, answers)

    def _ablation(self, family: str, seed: int) -> Iterator[dict[str, Any]]:
        """Without each ingredient of `ABLATED`."""
        forecaster = self._fitted(family, seed)
        contexts, rules = ABLATION
        for told, questions in self.questions(family):
            if told["context"] in contexts and told["references"] in rules:
                answers = {
                    name: less(forecaster).forecast_many(fewer(questions.evidences), questions.horizons)
                    for name, (less, fewer) in ABLATED.items()
                }
                answers["neuneu-2"] = forecaster.forecast_many(questions.evidences, questions.horizons)
                yield from scored_rows(told, questions, answers)

    def _rivals(self, family: str, seed: int) -> Iterator[dict[str, Any]]:
        known: dict[tuple[str, str], Forecaster] = {}
        for told, questions in self.questions(family):
            answers: Answers = {}
            for name in RIVALS[told["references"]]:
                key = told["references"], name
                if key not in known:
                    known[key] = make_forecaster(name).fit(
                        without(self.all, {family}), references=RULES[told["references"]], seed=seed
                    )
                answers[name] = known[key].forecast_many(questions.evidences, questions.horizons)
            yield from scored_rows(told, questions, answers)

    def _unstarted(self, family: str, seed: int) -> Iterator[dict[str, Any]]:
        """Before the first checkpoint: nothing is fitted."""
        forecaster = Neuneu2()
        forecaster.without = frozenset({family})
        for source in self._sources(family):
            for rule in RULES:
                questions = self._ask(source, rule, FIRST)
                told = {"source": source, "references": rule, "context": 0.0}
                if not len(questions):
                    continue
                evidences = [
                    unstarted(e.context.key, e.context.facts, e.references) for e in questions.evidences
                ]
                found = forecaster.forecast_many(evidences, questions.horizons)
                yield from scored_rows(told, questions, {"neuneu-2": found})

    def _sources(self, family: str) -> list[str]:
        return sorted(self.curves.frame.filter(self.curves.frame["family"] == family)["source"].unique())

    def questions(self, family: str) -> Iterator[tuple[dict[str, Any], Questions]]:
        """Questions by source, references and context, and these in words."""
        for source in self._sources(family):
            for rule in RULES:
                for context in () if rule == "none" and source in BRANCHED else CONTEXTS:
                    questions = self._ask(source, rule, context)
                    if len(questions):
                        yield {"source": source, "references": rule, "context": context}, questions

    @cache  # noqa: B019  a bench lives as long as its process
    def _ask(self, source: str, rule: str, context: float) -> Questions:
        return _draw(self.curves.filter(source=source), rule, context)


def _draw(curves: CurveTable, rule: str, context: float) -> Questions:
    return ask_questions(
        curves,
        None,
        RULES[rule],
        whole_evidence=True,
        fractions=(context,),
        curves_per_source=CURVES,
        horizons_per_context=HORIZONS,
        seed=DRAW,
    )


def _untold(evidence: Evidence) -> Evidence:
    """The same evidence of a run whose schedule is not known."""
    context = evidence.context
    return replace(evidence, context=replace(context, facts=replace(context.facts, schedule=None)))


def scored_rows(told: dict[str, Any], questions: Questions, answers: Answers) -> Iterator[dict[str, Any]]:
    for name, found in answers.items():
        yield {**told, "forecaster": name, **_scores(questions, found)}


def _scores(questions: Questions, answers: Sequence[Any]) -> dict[str, Any]:
    """Means over curves, in points: error, pinball loss, coverage and width; the same near chance."""
    found: list[list[float]] = []
    near: list[list[Any]] = []
    runs: list[str] = []
    for evidence, truth, answer in zip(questions.evidences, questions.truths, answers, strict=True):
        if not isinstance(answer, Forecast):
            continue
        found.append(_one(answer, truth))
        runs.append(evidence.context.key.run)
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
    told["coverage80_95"] = _interval(runs, [row[2] for row in found])
    if near:
        mean = _mean(near)
        told["near_chance"] = {
            "curves": len(near),
            "mae": mean[0],
            "pinball": mean[1],
            "coverage80": mean[2],
            "take_off": int(sum(row[4] for row in near)),
            "take_off_inside": int(sum(row[5] for row in near)),
        }
    return told


def _interval(runs: Sequence[str], values: Sequence[float]) -> list[float]:
    """95 % interval of the mean, by drawing runs with replacement."""
    names, owner = np.unique(np.array(runs), return_inverse=True)
    total, count = np.bincount(owner, values), np.bincount(owner)
    drawn = np.random.default_rng(0).integers(0, len(names), (RESAMPLED, len(names)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    return [round(float(v), 2) for v in np.quantile(means, [0.025, 0.975])]


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
