"""Ingredients of neuneu-2 that are switched off when it forecasts: it is trained with all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.tasks import find_metric
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.neuneu2.candidates import Candidates
from neuneu.forecasters.neuneu2.learned import CandidateTrees, Model, process_of, said
from neuneu.forecasters.neuneu2.model import Neuneu2

if TYPE_CHECKING:
    from numpy.typing import NDArray


def like(forecaster: Neuneu2, model: Model | None = None, kind: type[Neuneu2] = Neuneu2) -> Neuneu2:
    """The same forecaster with another model, or of another kind."""
    found = kind()
    found.model, found.without = model or forecaster.model, forecaster.without
    found.past_scale, found.widths = forecaster.past_scale, forecaster.widths
    found.informed_widths = forecaster.informed_widths
    return found


def without_atlas(forecaster: Neuneu2) -> Neuneu2:
    """Without the part that reads the atlas."""
    assert forecaster.model is not None
    return like(forecaster, replace(forecaster.model, informed=None))


def _without_trees(forecaster: Neuneu2) -> Neuneu2:
    assert forecaster.model is not None
    model = forecaster.model
    return like(forecaster, replace(model, bare=_silent(model.bare), informed=_silent(model.informed)))


def _silent(trees: CandidateTrees | None) -> "_OnlyProcess | None":
    return None if trees is None else _OnlyProcess(**vars(trees))


class _OnlyProcess(CandidateTrees):
    def point(self, candidates: Candidates, cell: "NDArray[np.intp]") -> Floats:
        return process_of(candidates)


@dataclass(frozen=True, eq=False)
class _OnlyTrees(Model):
    def point(self, candidates: Candidates, cell: "NDArray[np.intp]") -> Floats:
        return said(self.bare, self.informed, candidates, cell)


def _without_shares(forecaster: Neuneu2) -> Neuneu2:
    assert forecaster.model is not None
    return like(forecaster, _OnlyTrees(**vars(forecaster.model)))


class _Unstretched(Neuneu2):
    def _forecast(self, batch: Batch) -> tuple[Floats, Candidates, Floats]:
        point, candidates, past_error = super()._forecast(batch)
        return point, candidates, np.zeros_like(past_error)


def _setting(curve: Curve) -> tuple[object, ...]:
    return curve.key.task, curve.key.n_shot, curve.key.variant


def _keep(evidences: Sequence[Evidence], wanted: Callable[[Evidence, Curve], bool]) -> list[Evidence]:
    """The evidences with these of their runs' curves; what is shared stays shared."""
    kept: dict[tuple[object, ...], tuple[Curve, ...]] = {}
    found = []
    for evidence in evidences:
        curves = tuple(curve for curve in evidence.run_curves if wanted(evidence, curve))
        shared = kept.setdefault((id(evidence.run_curves), *map(id, curves)), curves)
        found.append(replace(evidence, run_curves=shared))
    return found


def _own_task(evidence: Evidence, curve: Curve) -> bool:
    return _setting(curve) == _setting(evidence.context)


def _accuracy(evidence: Evidence, curve: Curve) -> bool:
    return find_metric(curve.key.metric).higher_is_better


ABLATED: dict[str, tuple[Callable[[Neuneu2], Neuneu2], Callable[[list[Evidence]], list[Evidence]]]] = {
    "without the atlas": (without_atlas, list),
    "without trees": (_without_trees, list),
    "without the process's share": (_without_shares, list),
    "without other tasks": (like, lambda asked: _keep(asked, _own_task)),
    "without finer metrics": (like, lambda asked: _keep(asked, _accuracy)),
    "without the plan": (like, lambda asked: [replace(e, planned_end=None) for e in asked]),
    "without past errors": (lambda forecaster: like(forecaster, kind=_Unstretched), list),
}
"""Name → the forecaster without an ingredient, and the evidence without it."""
