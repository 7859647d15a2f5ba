"""Rivals from statsforecast: damped Holt and the dynamic optimised theta model (extra `bench`)."""

from abc import abstractmethod
from typing import Any

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import MissingExtraError
from neuneu.evidence.batch import Batch
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.calibration import CalibratedForecaster

MIN_POINTS = 7
MAX_POINTS = 100
MAX_STEPS = 1000


class _Rival(CalibratedForecaster):
    """A time-series model on the context, laid on an even grid of clock; its last step holds for ever.

    The grid has as many points as the context, at most `MAX_POINTS`, and forecasts go `MAX_STEPS` grid steps
    far. A context of one value is forecast as that value.
    """

    @abstractmethod
    def model(self) -> Any:
        """A fresh statsforecast model."""

    def refuse(self, evidence: Evidence) -> str | None:
        """Too few points for a trend."""
        if len(evidence.context) < MIN_POINTS:
            return f"needs {MIN_POINTS} checkpoints in the context"
        return None

    def point(self, batch: Batch) -> Floats:
        """The model at each horizon, (n_cells,), NaN where the library's fit fails."""
        values = np.empty(len(batch.cell))
        bounds = np.searchsorted(batch.cell, np.arange(batch.n + 1))
        for i, evidence in enumerate(batch.evidences):
            part = slice(bounds[i], bounds[i + 1])
            curve = evidence.context
            grid = np.linspace(curve.clock[0], curve.clock[-1], min(len(curve), MAX_POINTS))
            series = np.interp(grid, curve.clock, curve.values / batch.unit[i])
            ahead = evidence.end * np.expm1(batch.log_horizon[part]) / (grid[1] - grid[0])
            values[part] = self._steps_ahead(series, np.minimum(ahead, MAX_STEPS))
        return values

    def _steps_ahead(self, series: Floats, ahead: Floats) -> Floats:
        if not len(ahead) or np.ptp(series) < 1e-12:
            return np.full(len(ahead), series[-1])
        try:
            mean = self.model().forecast(y=series, h=int(np.ceil(max(ahead.max(), 1.0))))["mean"]
        except (ValueError, ZeroDivisionError, FloatingPointError, IndexError, RuntimeError):
            return np.full(len(ahead), np.nan)
        path = np.concatenate([series[-1:], np.asarray(mean, dtype=np.float64)])
        return np.asarray(np.interp(ahead, np.arange(len(path)), path), dtype=np.float64)


class DampedHolt(_Rival):
    """Exponential smoothing with an additive damped trend (statsforecast AutoETS, model AAN, damped)."""

    name = "damped-holt"

    def model(self) -> Any:
        """AutoETS fixed to the damped additive trend."""
        return _models().AutoETS(season_length=1, model="AAN", damped=True)


class DynamicOptimizedTheta(_Rival):
    """Dynamic optimised theta model (Fiorucci et al. 2016; statsforecast)."""

    name = "dot"

    def model(self) -> Any:
        """The theta model with its parameters optimised."""
        return _models().DynamicOptimizedTheta(season_length=1)


def _models() -> Any:
    try:
        from statsforecast import models
    except ImportError as error:
        raise MissingExtraError("statsforecast", "bench") from error
    return models
