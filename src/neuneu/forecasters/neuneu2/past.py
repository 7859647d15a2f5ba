"""How much forecasts of a run have erred so far, which says how wide its intervals have to be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.evidence.batch import Batch, make_batch
from neuneu.evidence.evidence import Evidence

CUT = 0.7
"""The last checkpoints of a context are asked again from this share of its clock."""
CURVES, HORIZONS = 32, 4
"""Of a run at most so many curves are asked again, and of a curve so many checkpoints."""
FEWEST = 2
"""Checkpoints that an earlier context holds at least."""
FEW = 4.0
"""Past error counts half where so many curves show it."""
LEAST_ERROR, MOST_LOG = 1e-9, 0.7
"""Mean normalised errors below the first count as it; their logs are cut at the second, a factor of 2: cut at
7, early intervals came out far too wide; learned from families, too narrow on others."""


@dataclass(frozen=True, eq=False)
class Past:
    """What the contexts themselves have answered, asked from earlier on and without references.

    batch: the questions; truth: (n_cells,) in units; group: (batch.n,) the run, metric and context end that a
    question belongs to; group_of: (n,) the group of each evidence.
    """

    batch: Batch
    truth: Floats
    group: NDArray[np.intp]
    group_of: NDArray[np.intp]

    def log_error(self, point: Floats, scale: Floats) -> Floats:
        """Log of the normalised error |truth − point| / scale of a run's past forecasts, (n,).

        The mean over a curve's checkpoints, then over the curves of a group; of n curves multiplied by
        n / (n + `FEW`), so that it is 0 where there is none. point, scale: (n_cells,) of these questions, in
        units.
        """
        n_groups = int(self.group_of.max(initial=-1)) + 1
        error = np.abs(self.truth - point) / scale
        cells = np.bincount(self.batch.cell, minlength=self.batch.n)
        of_curve = np.bincount(self.batch.cell, error, minlength=self.batch.n) / np.maximum(cells, 1)
        curves = np.bincount(self.group, minlength=n_groups)
        mean = np.bincount(self.group, of_curve, minlength=n_groups) / np.maximum(curves, 1)
        logs = np.clip(np.log(np.maximum(mean, LEAST_ERROR)), -MOST_LOG, MOST_LOG) * curves / (curves + FEW)
        return np.asarray(logs[self.group_of], dtype=np.float64)


def ask_past(evidences: Sequence[Evidence]) -> Past:
    """Ask the contexts of these evidences, and those of their runs' other curves, again."""
    groups: dict[tuple[object, ...], int] = {}
    shown: dict[int, frozenset[CurveKey]] = {}
    group_of = np.empty(len(evidences), dtype=np.intp)
    asked: list[Evidence] = []
    horizons, truths, group = [], [], []
    for i, evidence in enumerate(evidences):
        known = len(groups)
        group_of[i] = groups.setdefault(_key(evidence, shown), known)
        for curve in _curves(evidence) if group_of[i] == known else ():
            again = evidence.earlier(curve, CUT)
            if again is None or len(again.context) < FEWEST:
                continue
            later = np.arange(len(again.context), len(curve))
            later = later[np.unique(np.linspace(0, len(later) - 1, HORIZONS).round().astype(np.intp))]
            asked.append(again)
            horizons.append(curve.clock[later])
            truths.append(curve.values[later])
            group.append(known)
    batch = make_batch(asked, horizons)
    truth = np.concatenate([np.empty(0), *truths]) / batch.unit[batch.cell]
    return Past(batch, truth, np.array(group, dtype=np.intp), group_of)


def _key(evidence: Evidence, shown: dict[int, frozenset[CurveKey]]) -> tuple[object, ...]:
    """Evidences with the same key show the same past: all curves of one run, or one that stands alone.

    shown: keys of a run's curves, by what they are held in; added to.
    """
    context, others = evidence.context, evidence.run_curves
    if id(others) not in shown:
        shown[id(others)] = frozenset(curve.key for curve in others)
    own = id(others) if context.key in shown[id(others)] else id(context)
    return own, context.key.metric, evidence.end, evidence.planned_end


def _curves(evidence: Evidence) -> list[Curve]:
    """Curves of the run with the context's metric up to the context end, the context's own too."""
    context, end = evidence.context, evidence.end
    found = {
        curve.key: curve
        for curve in evidence.run_curves
        if curve.key.metric == context.key.metric and curve.clock_unit == context.clock_unit
    }
    found.setdefault(context.key, context)
    keys = sorted(found, key=str)
    if len(keys) > CURVES:
        keys = [keys[i] for i in np.linspace(0, len(keys) - 1, CURVES).round().astype(np.intp)]
    return [found[key].until(end) for key in keys]
