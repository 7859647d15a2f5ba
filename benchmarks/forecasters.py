"""Time of the classical forecasters: cost against the number of curves and of checkpoints.

Run `python -m benchmarks.forecasters`. Times are processor seconds of one thread, best of two.
"""

from time import process_time

import numpy as np

from neuneu.curves.curve import Curve, CurveKey, Facts
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import Forecaster, load_forecaster

NAMES = (
    "last-value",
    "mean-k",
    "log-linear",
    "power-law",
    "broken-power-law",
    "gaussian-process",
    "lightgbm",
)
CURVES = (250, 500, 1000)
CHECKPOINTS = (50, 200, 800)


def main() -> None:
    """Print seconds for every method; a row a number of curves or of checkpoints."""
    print("processor seconds to forecast all later checkpoints from the first fifth, shipped calibration")
    for label, sizes in (
        ("curves of 100 checkpoints", [(n, 100) for n in CURVES]),
        ("checkpoints of 500 curves", [(500, n) for n in CHECKPOINTS]),
    ):
        print(f"\n{label:26s}" + "".join(f"{b if 'curves of' not in label else a:>10d}" for a, b in sizes))
        for name in NAMES:
            forecaster = load_forecaster(name)
            seconds = [measure(forecaster, *size) for size in sizes]
            print(f"{name:26s}" + "".join(f"{second:10.3f}" for second in seconds))


def measure(forecaster: Forecaster, n_curves: int, n_checkpoints: int) -> float:
    """Best of two timings, in processor seconds."""
    curves = [synthetic_curve(seed, n_checkpoints) for seed in range(n_curves)]
    cut = n_checkpoints // 5
    evidences = [Evidence(curve.until(curve.clock[cut - 1])) for curve in curves]
    horizons = [curve.clock[cut:] for curve in curves]
    times = []
    for _ in range(2):
        began = process_time()
        forecaster.forecast_many(evidences, horizons)
        times.append(process_time() - began)
    return min(times)


def synthetic_curve(seed: int, n_checkpoints: int) -> Curve:
    """A noisy power law."""
    rng = np.random.default_rng(seed)
    clock = np.arange(1.0, n_checkpoints + 1) * 1e9
    values = rng.uniform(0.4, 0.8) - 0.3 * (clock / 1e9) ** -rng.uniform(0.1, 0.8)
    noisy = np.clip(values + 0.008 * rng.standard_normal(n_checkpoints), 0, 1)
    steps = np.arange(1, n_checkpoints + 1)
    unknown = np.full(n_checkpoints, np.nan)
    key = CurveKey(f"run-{seed}", "task", "acc")
    return Curve(key, steps, clock, "tokens", noisy, unknown, facts=Facts(params=10**8))


if __name__ == "__main__":
    main()
