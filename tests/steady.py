"""A forecaster whose answers are known beforehand, and a small table to ask it about."""

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.forecasters.base import LEVELS, Forecast, Forecaster, Refusal


class Steady(Forecaster):
    """Says the last value ± a half-width that grows with the horizon; keeps the evidence it saw."""

    name = "steady"

    def __init__(self, declined: str = "") -> None:
        self.seen: list = []
        self.declined = declined

    def forecast_many(self, evidences, horizons):
        self.seen += evidences
        return [
            self._say(e, np.asarray(h, dtype=np.float64)) for e, h in zip(evidences, horizons, strict=True)
        ]

    def _say(self, evidence, horizons):
        if evidence.context.key.task == self.declined:
            return Refusal("not this task")
        width = 0.05 * np.log1p(horizons / max(evidence.end, 1.0))
        spread = (np.asarray(LEVELS) - 0.5) * width[:, None]
        return Forecast(horizons, np.clip(evidence.context.values[-1] + spread, 0, 1))


def two_in_flight() -> CurveTable:
    """Two runs in flight (planned to 100), one finished smaller run, two tasks."""
    rows = [
        {
            "run": run, "task": task, "metric": "acc", "step": k, "tokens": k, "value": level + 0.001 * k,
            "family": "f", "params": params, "planned_tokens": planned,
        }
        for run, level, params, planned, n in (
            ("strong", 0.6, 200, 100, 21), ("weak", 0.5, 200, 100, 41), ("small", 0.4, 100, 40, 41),
        )
        for task in ("hellaswag", "piqa") for k in range(n)
    ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))
