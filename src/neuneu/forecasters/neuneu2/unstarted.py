"""Forecasts of runs that have not started: from the atlas of benchmarks and finished runs of the family."""

import numpy as np

from neuneu.atlas.atlas import shipped_atlas
from neuneu.atlas.combine import SCORE_LEVELS, TaskLaw, combine
from neuneu.atlas.corpora import find_corpus, shipped_corpora
from neuneu.atlas.family_laws import Law, capability, fit_law
from neuneu.atlas.setting import setting_of
from neuneu.curves.curve import Curve, Floats
from neuneu.curves.tasks import find_metric, find_task
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import Forecast, Refusal

OWN = "the run's own family"


def forecast_unstarted(
    evidence: Evidence, horizons: Floats, without: frozenset[str] = frozenset()
) -> Forecast | Refusal:
    """Quantiles of the score at these tokens, from size, data and references; or why there are none.

    Own family and source are not read from the atlas, nor those in `without`. What the data are worth is read
    from it only where no finished run of the family tells.
    """
    context, facts = evidence.context, evidence.context.facts
    if context.clock_unit != "tokens" or not facts.params:
        return Refusal("a run that has not started is forecast from its parameters and tokens: give params")
    if not find_metric(context.key.metric).accuracy:
        return Refusal("before the first checkpoint only accuracies are forecast")
    without |= {name for name in (facts.family, facts.source) if name}
    law = _law(evidence, without)
    if law is None:
        return Refusal(f"neither the atlas nor a reference knows {context.key.task} in this setting")
    told = OWN in law.families
    shift = None if told else shipped_corpora().shift(find_corpus(facts.recipe), without)
    return Forecast(horizons, law.quantiles(capability(facts.params, horizons), shift), SCORE_LEVELS)


def _law(evidence: Evidence, without: frozenset[str]) -> TaskLaw | None:
    key = evidence.context.key
    usable = [
        r for r in evidence.references if r.facts.params and r.clock_unit == "tokens" and r.clock[-1] > 0
    ]
    if not usable:
        return shipped_atlas().law(key.task, setting_of(key), without)
    laws = [
        law for law in shipped_atlas().laws.get(find_task(key.task).name, ()) if law.family not in without
    ]
    return combine([*laws, _own_law(usable)], setting_of(key), OWN)


def _own_law(references: list[Curve]) -> Law:
    """The law of finished runs: of all their checkpoints after clock 0."""
    x, y = [], []
    for curve in references:
        moving = curve.clock > 0
        x.append(capability(curve.facts.params or 1, curve.clock[moving]))
        y.append(curve.values[moving])
    setting = setting_of(references[0].key)
    return fit_law(OWN, setting, len(references), np.concatenate(x), np.concatenate(y))
