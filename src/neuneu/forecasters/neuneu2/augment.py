"""What neuneu-2 is trained on: questions about real runs, changed at random, and about synthetic families."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from neuneu.curves.curve import Curve
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.finished import finished_runs, smaller_finished_runs
from neuneu.evidence.questions import Questions, ask_questions
from neuneu.forecasters.neuneu2.prior import synthetic_curves

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

PRIOR_CURVES_PER_FAMILY = 24
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
REFLECTED, FEWER_REFERENCES, UNPLANNED, MISLED = 0.15, 0.4, 0.15, 0.15
"""Shares of questions upside down, with fewer references, without planned end, with false references."""
FALSE_REFERENCES = 3
"""So many references of other questions stand for a question's own where they are false."""


def training_questions(
    curves: "CurveTable", seed: int, families: int, curves_per_source: int, horizons_per_context: int
) -> tuple[Questions, Questions]:
    """Questions about real runs and about synthetic ones, both with reference runs and changed at random.

    References of real questions are all finished runs of the family: what is learned from many serves with
    few and with none. Those of synthetic ones are smaller.
    """
    rng = np.random.default_rng([seed, 30])
    real = _balanced(
        ask_questions(
            curves,
            None,
            finished_runs,
            whole_evidence=True,
            fractions=FRACTIONS,
            curves_per_source=curves_per_source,
            horizons_per_context=horizons_per_context,
            seed=seed,
        )
    )
    prior = ask_questions(
        synthetic_curves(seed, families),
        None,
        smaller_finished_runs,
        whole_evidence=True,
        fractions=(0.05, 0.1, 0.2, 0.4),
        curves_per_source=PRIOR_CURVES_PER_FAMILY,
        horizons_per_context=horizons_per_context,
        seed=seed,
    )
    return _changed(real, rng), _changed(prior, rng)


def _balanced(questions: Questions) -> Questions:
    """Sources weigh as the square root of their number of runs: between equal sources and equal runs."""
    runs = {
        source: len(
            {
                e.context.key.run
                for e, s in zip(questions.evidences, questions.sources, strict=True)
                if s == source
            }
        )
        for source in set(questions.sources)
    }
    factor = np.array([np.sqrt(runs[source]) for source in questions.sources])
    return replace(questions, weights=questions.weights * factor)


def _changed(questions: Questions, rng: np.random.Generator) -> Questions:
    evidences, truths = [], []
    for evidence, truth in zip(questions.evidences, questions.truths, strict=True):
        draw = rng.random(4)
        new, new_truth = evidence, truth
        if draw[3] < MISLED:
            others = [questions.evidences[i] for i in rng.choice(len(questions), FALSE_REFERENCES)]
            new = replace(
                new, references=tuple(reference for other in others for reference in other.references[:1])
            )
        if draw[0] < FEWER_REFERENCES and len(new.references) > 1:
            kept = rng.permutation(len(new.references))[: rng.integers(1, len(new.references))]
            new = replace(new, references=tuple(new.references[i] for i in sorted(kept)))
        if draw[1] < UNPLANNED:
            new = replace(new, planned_end=None)
        if draw[2] < REFLECTED and (new.context.low, new.context.high) == (0.0, 1.0):
            new, new_truth = _reflected(new), 1.0 - truth
        evidences.append(new)
        truths.append(new_truth)
    return replace(questions, evidences=evidences, truths=truths)


def _reflected(evidence: Evidence) -> Evidence:
    """The same evidence upside down: what rose falls. Its other curves are left out."""
    return replace(
        evidence,
        context=_upside_down(evidence.context),
        references=tuple(_upside_down(reference) for reference in evidence.references),
        run_curves=(),
    )


def _upside_down(curve: Curve) -> Curve:
    """The curve mirrored, of a task that the atlas does not know."""
    key = curve.key._replace(task=f"upside down {curve.key.task}")
    chance = None if curve.chance is None else 1.0 - curve.chance
    return replace(curve, key=key, values=1.0 - curve.values, chance=chance)
