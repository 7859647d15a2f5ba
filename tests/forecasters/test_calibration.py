"""Intervals hold what they say on runs that they were not calibrated on."""

from pathlib import Path

import numpy as np
import pytest
from tests.forecasters.forecaster_cases import family, make_curve

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import load_forecaster, make_forecaster
from neuneu.forecasters.calibration import Calibration


def noisy_runs(runs: int, seed: int, noise: float) -> CurveTable:
    rng = np.random.default_rng(seed)
    rows = [
        {"run": f"{seed}-{run}", "task": f"t{task}", "metric": "acc", "step": step, "tokens": step * 1000,
         "value": float(np.clip(top - 0.4 * step**-power + noise * rng.standard_normal(), 0, 1))}
        for run in range(runs)
        for task in range(3)
        for top, power in [(rng.uniform(0.5, 0.8), rng.uniform(0.1, 0.6))]
        for step in range(1, 41)
    ]  # fmt: skip
    import polars as pl

    return CurveTable.from_frame(pl.DataFrame(rows))


@pytest.mark.parametrize("name", ["last-value", "log-linear", "power-law"])
def test_intervals_cover_as_often_as_they_say_on_new_runs(name: str) -> None:
    forecaster = make_forecaster(name).fit(noisy_runs(40, 1, 0.01))
    inside = []
    for curve in noisy_runs(40, 2, 0.01):
        for cut in (3, 7, 19):  # calibration averages over context sizes
            end = float(curve.clock[cut])
            later = curve.after(end)
            low, high = forecaster.forecast(Evidence(curve.until(end)), later.clock).interval(0.8).T
            inside.append(np.mean((low <= later.values) & (later.values <= high)))
    assert 0.72 < np.mean(inside) < 0.88


def test_noisier_contexts_have_wider_intervals() -> None:
    forecaster = load_forecaster("power-law")
    clock = np.arange(1.0, 31.0)
    rng = np.random.default_rng(0).standard_normal(30)
    widths = [
        np.diff(forecaster.forecast(Evidence(make_curve(clock, 0.5 + noise * rng)), [40.0]).interval(0.8))
        for noise in (0.001, 0.03)
    ]
    assert widths[1] > 2 * widths[0]


def test_a_calibration_survives_its_document() -> None:
    calibration = Calibration((1.0, 2.0), (3.0, 4.0), 0.5, (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0))
    assert Calibration.from_document(calibration.to_document()) == calibration


def test_too_short_curves_cannot_calibrate() -> None:
    with pytest.raises(InputError, match="at least 8 checkpoints"):
        make_forecaster("last-value").fit(family(checkpoints=5))


def test_shipped_intervals_cover_real_curves_from_elsewhere(shared: Path) -> None:
    """The DataDecide sample has no part in what ships; with contexts of one or two points, a wide margin."""
    forecaster = load_forecaster("power-law")
    inside = []
    for curve in CurveTable.read(shared / "data/curves/datadecide_sample.parquet").one_metric():
        context = curve.until(0.2 * curve.clock[-1])
        if len(curve) < 8 or context.clock[-1] <= 0:
            continue
        later = curve.after(context.clock[-1])
        low, high = forecaster.forecast(Evidence(context), later.clock).interval(0.8).T
        inside.append(np.mean((low <= later.values) & (later.values <= high)))
    assert 0.7 < np.mean(inside) < 0.9
