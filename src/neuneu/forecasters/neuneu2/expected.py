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


def process_mean(evidence: Evidence, law: TaskLaw, clock: Floats, params: Floats) -> Floats:
    """Mean of the process relative to the context end, (n,), in the metric's own numbers.

    clock, params: (n,) logs relative to the context end and to the run's size.
    """
    size = float(evidence.context.facts.params or 1)
    x = capability(size * np.exp(params), evidence.end * np.exp(clock))
    middle = law.values[:, law.values.shape[1] // 2]
    return MEAN_SHARE * (law.at(middle, x) - law.at(middle, capability(size, evidence.end)))


def from_atlas(batch: Batch, laws: Laws | None, level: Floats, size: Floats) -> tuple[Floats, Floats, Floats]:
    """Candidates, (n_cells, 3), facts, (n_cells, 7), and features of widths, (n, 2), in units; none of these,
    (n, 0), where the atlas is not asked.

    Candidates: the level and the rise of the middle of the law; its middle; the level and the mean rise of
    families that stand near the level. NaN where nothing is known, in features 0. level, size: (n,).
    """
    if laws is None:
        return np.empty((len(batch.cell), 0)), np.empty((len(batch.cell), 0)), np.empty((batch.n, 0))
    values = np.full((len(batch.cell), len(FROM_ATLAS)), np.nan)
    facts = np.full((len(batch.cell), len(ATLAS_FACTS)), np.nan)
    features = np.zeros((batch.n, 2))
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    for i, (evidence, law) in enumerate(zip(batch.evidences, laws, strict=True)):
        curve = evidence.context
        if curve.clock_unit != "tokens" or not curve.facts.params or evidence.end <= 0:
            continue
        cells = slice(bounds[i], bounds[i + 1])
        ahead = np.append(batch.log_horizon[cells], AHEAD)
        x = capability(curve.facts.params, evidence.end * np.exp(ahead))
        start = float(capability(curve.facts.params, evidence.end))
        facts[cells, -2], facts[cells, -1] = start, (x - start)[:-1]
        if law is None:
            continue
        middle = law.values[:, law.values.shape[1] // 2]
        now, later = float(law.at(middle, np.array(start))), law.at(middle, x)
        rise = law.rise(float(level[i]), start, x)
        off = (level[i] - now) / float(law.at(law.deviation, np.array(start)))
        values[cells] = np.stack([level[i] + later - now, later, level[i] + rise.mean], axis=1)[:-1]
        columns = [law.at(law.deviation, x), law.at(law.relatives, x), np.full(len(x), off)]
        facts[cells, :-2] = np.stack([*columns, rise.deviation, rise.taking_off], axis=1)[:-1]
        features[i] = np.log1p(rise.deviation[-1] / size[i]), rise.taking_off[-1]
    return values, facts, features
