"""Forecasts of runs that have not started: from the atlas of benchmarks and finished runs of the family."""

from collections.abc import Mapping, Sequence

import numpy as np

from neuneu.atlas.atlas import shipped_atlas
from neuneu.atlas.combine import OWN_SHIFT, SCORE_LEVELS, combine
from neuneu.atlas.corpora import NO_EFFECT, find_corpus, nearest_shift, shipped_corpora
from neuneu.atlas.family_laws import Law, capability, fit_law
from neuneu.atlas.setting import setting_of
from neuneu.curves.curve import Curve, Floats
from neuneu.curves.tasks import find_metric, find_task
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import Forecast, Refusal

OWN = "the run's own family"
RELUCTANCE = 0.2
"""A recipe is shifted where that brings its runs so much nearer to the others', a unit of capability, in
shares of the task's rise: one task tells less of a recipe than all. Between 0 and 0.4 the error on
open-sci-ref is the same to 3 %; with 0 it is 8 % more on Pythia, whose two recipes hardly differ."""
NEW_RECIPE = 0.15
"""Standard deviation in capability of a recipe that no finished run has."""


def forecast_unstarted(
    evidence: Evidence, horizons: Floats, without: frozenset[str] = frozenset()
) -> Forecast | Refusal:
    """Quantiles of the score at these tokens, from size, data and references; or why there are none.

    Own family and source are not read from the atlas, nor those in `without`. What the data are worth is read
    off the references where they have several recipes, and from the atlas where there are none.
    """
    context, facts = evidence.context, evidence.context.facts
    if context.clock_unit != "tokens" or not facts.params:
        return Refusal("a run that has not started is forecast from its parameters and tokens: give params")
    if not find_metric(context.key.metric).accuracy:
        return Refusal("before the first checkpoint only accuracies are forecast")
    without |= {name for name in (facts.family, facts.source) if name}
    usable = [
        r for r in evidence.references if r.facts.params and r.clock_unit == "tokens" and r.clock[-1] > 0
    ]
    setting = setting_of(context.key)
    x, shift = capability(facts.params, horizons), None
    if usable:
        shifts = _recipe_shifts(usable)
        laws = shipped_atlas().laws.get(find_task(context.key.task).name, ())
        others = [law for law in laws if law.family not in without]
        own_shift = OWN_SHIFT if facts.recipe in shifts else NEW_RECIPE
        law = combine([*others, _own_law(OWN, usable, shifts)], setting, OWN, own_shift)
        x = x + shifts.get(facts.recipe, 0.0)
    else:
        law = shipped_atlas().law(context.key.task, setting, without)
        shift = shipped_corpora().shift(find_corpus(facts.recipe), without)
    if law is None:
        return Refusal(f"neither the atlas nor a reference knows {context.key.task} in this setting")
    return Forecast(horizons, law.quantiles(x, shift), SCORE_LEVELS)


def _recipe_shifts(references: Sequence[Curve]) -> dict[str | None, float]:
    """How much further in capability the runs of each recipe stand than those of the others."""
    of_recipe: dict[str | None, list[Curve]] = {}
    for curve in references:
        of_recipe.setdefault(curve.facts.recipe, []).append(curve)
    laws = {recipe: _own_law(str(recipe), runs) for recipe, runs in of_recipe.items()}
    every = {"": list(laws.values())}
    return {
        recipe: (nearest_shift([("", law)], every, RELUCTANCE) or 0.0) * law.runs / (law.runs + NO_EFFECT)
        for recipe, law in laws.items()
    }


def _own_law(name: str, references: Sequence[Curve], shifts: Mapping[str | None, float] | None = None) -> Law:
    """The law of finished runs: of all their checkpoints after clock 0, shifted by what recipes are worth."""
    x, y = [], []
    for curve in references:
        moving = curve.clock > 0
        worth = (shifts or {}).get(curve.facts.recipe, 0.0)
        x.append(capability(curve.facts.params or 1, curve.clock[moving]) + worth)
        y.append(curve.values[moving])
    setting = setting_of(references[0].key)
    return fit_law(name, setting, len(references), np.concatenate(x), np.concatenate(y))
