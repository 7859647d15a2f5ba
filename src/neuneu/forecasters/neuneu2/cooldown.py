"""What cooling down adds, where a run is known to hold its learning rate first and to let it fall late.

Nothing in the curve tells of that lift beforehand, and the trees have seen hardly any such run.
"""

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats
from neuneu.curves.schedules import decay_start
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence

LIFT_ALONE, LIFT_BY_RUNS = 0.08, 0.04
"""A whole decay adds so much of the distance to chance to what is forecast without knowing of it: on the
curve alone, and where finished runs are there to show it. Chosen on open-sci-ref and on OLMo's decays, each
with all else fitted without it: the second has the least error on both, the first is near it
(docs/tried.md)."""


def decayed(batch: Batch) -> Floats:
    """How much of a late decay lies between context end and horizon, (n_cells,) in [0, 1]; 0 where none is
    known."""
    found = np.zeros(len(batch.cell))
    bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
    for i, evidence in enumerate(batch.evidences):
        start = log_start(evidence)
        if start is not None and evidence.planned_end:
            end = np.log(evidence.planned_end / evidence.end)
            cells = slice(bounds[i], bounds[i + 1])
            clocks = np.exp(np.minimum(np.append(batch.log_horizon[cells], 0.0), end))
            share = np.clip((clocks - np.exp(start)) / (np.exp(end) - np.exp(start)), 0.0, 1.0)
            found[cells] = share[:-1] - share[-1]
    return found


def log_start(evidence: Evidence) -> float | None:
    """Log, over the context end, of the clock where a run's late decay starts; None where none is known."""
    schedule = evidence.context.facts.schedule
    start = decay_start(schedule) if schedule else None
    if start is None or not evidence.planned_end or evidence.end <= 0:
        return None
    return float(np.log(start * evidence.planned_end / evidence.end))


def lifted(point: Floats, chance: Floats, decay: Floats, by_runs: NDArray[np.bool_]) -> Floats:
    """Forecasts with what decays add, (n_cells,) each: nothing at chance, below it, or where it is unknown.

    decay: `decayed`; by_runs: whether there are references.
    """
    above = np.maximum(np.nan_to_num(point - chance), 0.0)
    return np.asarray(point + np.where(by_runs, LIFT_BY_RUNS, LIFT_ALONE) * decay * above)
