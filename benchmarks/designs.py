"""The small-table booster against XGBoost, one core: `python -m benchmarks designs`."""

import json
import time
from collections.abc import Callable

import numpy as np

from neuneu.designs.prediction.boosting import bin_table, fit


def _seconds(call: Callable[[], object], least: int = 1) -> float:
    best = float("inf")
    for _ in range(least):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def boosting() -> dict[str, float]:
    import xgboost

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)), rng.random(40)
    settings = {"max_depth": 3, "learning_rate": 0.1, "nthread": 1}
    fit(bin_table(X), y, depth=3, learning_rate=0.1, rounds=1)
    plain = _seconds(lambda: xgboost.train(settings, xgboost.QuantileDMatrix(X, y, nthread=1), 100), 5)
    ours = _seconds(lambda: fit(bin_table(X), y, depth=3, learning_rate=0.1, rounds=100), 5)
    return {"straight": plain, "ours": ours, "times": plain / ours}


def main() -> None:
    """Print seconds of CPU the straight way and ours, and how many times faster."""
    print(json.dumps({task.__name__: task() for task in (boosting,)}, indent=2))
