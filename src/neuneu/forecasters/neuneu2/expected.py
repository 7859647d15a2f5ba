"""What the atlas of benchmarks expects of a run: how its score should go on, given its size and tokens."""

from collections.abc import Sequence

import numpy as np

from neuneu.atlas.atlas import shipped_atlas
from neuneu.atlas.combine import TaskLaw
from neuneu.atlas.family_laws import capability
from neuneu.atlas.setting import setting_of
from neuneu.curves.curve import Floats
from neuneu.curves.tasks import find_metric
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence

Laws = Sequence[TaskLaw | None]

MEAN_SHARE = 0.8
"""So much of the rise that the atlas expects is the process's mean: chosen among 0, 0.3, 0.6, 0.8 and 1."""

SMALLEST = 5e6
"""The atlas is not asked about models of fewer parameters: the smallest in it has eleven million."""

FROM_ATLAS = ("atlas_rise", "atlas_level", "atlas_alike")
ATLAS_FACTS = (
    "atlas_deviation", "atlas_relatives", "atlas_off", "atlas_rise_deviation", "atlas_taking_off",
    "capability", "capability_gain",
)  # fmt: skip
AHEAD = 1.0
"""Widths depend on what the atlas says so much log-clock ahead."""


def laws_for(evidences: Sequence[Evidence], without: frozenset[str] = frozenset()) -> list[TaskLaw | None]:
    """What the atlas knows of each question's task; None where nothing, or where size or tokens are unknown.

    A run's own family and source are never read, nor those in `without`.
    """
    atlas = shipped_atlas()
    laws: list[TaskLaw | None] = []
    for evidence in evidences:
        curve, facts = evidence.context, evidence.context.facts
        usable = curve.clock_unit == "tokens" and evidence.end > 0 and (facts.params or 0) >= SMALLEST
        if not usable or not find_metric(curve.key.metric).accuracy:
            laws.append(None)
            continue
        own = frozenset(name for name in (facts.family, facts.source) if name)
        laws.append(atlas.law(curve.key.task, setting_of(curve.key), without | own))
    return laws


def process_mean(law: TaskLaw, x: Floats, start: Floats) -> Floats:
    """Mean of the process at capabilities x, (n,), relative to that of the run at the context end, (n,), in
    the metric's own numbers."""
    middle = law.values[:, law.values.shape[1] // 2]
    return MEAN_SHARE * (law.at(middle, x) - law.at(middle, start))


def from_atlas(batch: Batch, laws: Laws | None, level: Floats, size: Floats) -> tuple[Floats, Floats, Floats]:
    """Candidates, (n_cells, 3), facts, (n_cells, 7), and features of widths, (n, 2), in units.

    Candidates: the level and the rise of the middle of the law; its middle; the level and the mean rise of
    families that stand near the level. NaN where nothing is known, in features 0. level, size: (n,).
    """
    values = np.full((len(batch.cell), len(FROM_ATLAS)), np.nan)
    facts = np.full((len(batch.cell), len(ATLAS_FACTS)), np.nan)
    features = np.zeros((batch.n, 2))
    if laws is None or not any(laws):
        return values, facts, features
    params = np.array([_params(evidence) for evidence in batch.evidences])
    end = np.array([evidence.end for evidence in batch.evidences])
    start = capability(params, end)
    later = capability(params[batch.cell], end[batch.cell] * np.exp(batch.log_horizon))
    at_last = capability(params, end * np.exp(AHEAD))
    facts[:, -2], facts[:, -1] = start[batch.cell], later - start[batch.cell]
    facts[np.isnan(params)[batch.cell], -2:] = np.nan
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    for i, law in enumerate(laws):
        if law is None or np.isnan(params[i]):
            continue
        cells = slice(bounds[i], bounds[i + 1])
        found = law.look(float(level[i]), start[i], np.append(later[cells], at_last[i]))
        off = (level[i] - found.now) / found.deviation_now
        columns = [level[i] + found.middle - found.now, found.middle, level[i] + found.rise.mean]
        values[cells] = np.stack(columns, axis=1)[:-1]
        told = [found.deviation, found.relatives, np.full(len(found.middle), off)]
        facts[cells, :-2] = np.stack([*told, found.rise.deviation, found.rise.taking_off], axis=1)[:-1]
        features[i] = np.log1p(found.rise.deviation[-1] / size[i]), found.rise.taking_off[-1]
    return values, facts, features


def _params(evidence: Evidence) -> float:
    """The run's parameters; NaN where they or its tokens are unknown."""
    curve = evidence.context
    known = curve.clock_unit == "tokens" and curve.facts.params and evidence.end > 0
    return float(curve.facts.params or 0) if known else np.nan
