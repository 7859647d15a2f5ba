"""How wide neuneu-2's intervals are: conformal quantiles, apart for what a forecast rests on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.evidence.batch import Batch
from neuneu.forecasters.base import LEVELS
from neuneu.forecasters.calibration import Calibration
from neuneu.forecasters.neuneu2.candidates import Candidates
from neuneu.forecasters.neuneu2.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAST_ERROR_ALONE, PAST_ERROR_COMPARED = 1.0, 0.6
"""How much of a run's past error (log) intervals are stretched by: on the curve alone, with references."""
CONTEXTS_IN_PLAN = 5.0
"""A typical context is a fifth of the plan: widths depend on how much longer or shorter it is."""
LEAST_SHARE, MOST_SHARE = -3.0, 1.7
"""Logs of the share of the plan over that are cut at these: 1 % and all of the plan."""


@dataclass(frozen=True)
class Widths:
    """Calibrations: of forecasts without references; of those with some."""

    alone: Calibration
    compared: Calibration

    def quantile_values(
        self,
        point: Floats,
        batch: Batch,
        context: Floats,
        candidates: Candidates,
        past_error: Floats,
        *,
        informed: bool,
    ) -> Floats:
        """Quantiles at each horizon, (n_cells, n_levels), in the metric's own numbers.

        point: (n_cells,) in units; context: (n, n_features) `scale_features`; past_error: (n,)
        `Past.log_error`; informed: whether widths depend on what the atlas says.
        """
        alone, compared = _more(batch, candidates, informed)
        some = (candidates.trust[:, 0] > 0)[batch.cell]
        values = np.empty((len(point), len(LEVELS)))
        for calibration, cells, more, power in (
            (self.alone, ~some, alone, PAST_ERROR_ALONE),
            (self.compared, some, compared, PAST_ERROR_COMPARED),
        ):
            if cells.any():
                features = np.concatenate([context, more], axis=1)
                stretch = np.exp(power * past_error)
                values[cells] = calibration.quantiles_at(point, batch, features, stretch)[cells]
        return values


def _more(batch: Batch, candidates: Candidates, informed: bool) -> tuple[Floats, Floats]:
    """What widths depend on beside the context, of forecasts alone and of those with references, (n, …)."""
    alone = _plan(batch)
    if informed:
        alone = np.concatenate([alone, candidates.knowledge], axis=1)
    return alone, np.concatenate([candidates.trust[:, 1:], alone], axis=1)


def _plan(batch: Batch) -> Floats:
    """How far the plan has been followed: log of the share over a fifth, and its size, (n, 2); 0 where there
    is no plan."""
    ends = [(evidence.end, evidence.planned_end) for evidence in batch.evidences]
    shares = [CONTEXTS_IN_PLAN * end / planned if planned and end > 0 else 1.0 for end, planned in ends]
    away = np.clip(np.log(np.array(shares, dtype=np.float64)), LEAST_SHARE, MOST_SHARE)
    return np.stack([away, np.abs(away)], axis=1)


def upright_weight(alone: Rows) -> Floats:
    """Weight of each cell of questions without references, (n_cells,): 0 of those upside down.

    They are there for the trees; without their run's other curves, these are they.
    """
    upright = np.array([bool(evidence.run_curves) for evidence in alone.batch.evidences])
    return np.where(upright[alone.cell], alone.weight, 0.0) if upright.any() else alone.weight


def fit_widths(
    rows: Rows, alone: Rows, points: tuple[Floats, Floats], past_error: Floats, *, informed: bool
) -> Widths:
    """Widths from what was forecast, (n_cells,) each, for sources that were left out.

    rows, alone: real questions with references and without; informed: of questions whose task the atlas
    knows only, where there are some.
    """
    compared, single = points
    of_alone = upright_weight(alone)
    some = (rows.candidates.trust[:, 0] > 0)[rows.cell]
    of_compared = np.where(some, rows.weight, 0.0) if some.any() else rows.weight
    if informed:
        of_alone, of_compared = (
            _of_known(part, weight) for part, weight in ((alone, of_alone), (rows, of_compared))
        )
    return Widths(
        Calibration.fit(
            alone.batch.clip(single),
            alone.truth,
            of_alone,
            alone.batch,
            _more(alone.batch, alone.candidates, informed)[0],
            np.exp(PAST_ERROR_ALONE * past_error),
        ),
        Calibration.fit(
            rows.batch.clip(compared),
            rows.truth,
            of_compared,
            rows.batch,
            _more(rows.batch, rows.candidates, informed)[1],
            np.exp(PAST_ERROR_COMPARED * past_error),
        ),
    )


def _of_known(rows: Rows, weight: Floats) -> "NDArray[np.float64]":
    """The weights of cells whose task the atlas knows; as they are where that leaves none."""
    known = np.where(rows.candidates.known[rows.cell], weight, 0.0)
    return known if known.any() else weight
