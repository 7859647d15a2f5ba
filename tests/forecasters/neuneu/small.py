"""Small made-up runs with losses, for tests."""

import numpy as np

from neuneu.curves.table import CurveTable, columns_of
from neuneu.forecasters.neuneu.config import NeuNeuConfig, parse_config
from neuneu.losses.loss_store import MemoryLossStore

TASKS = ("arc_easy", "hellaswag", "piqa")


def make_table(n_runs: int = 6, n_steps: int = 12, seed: int = 0) -> CurveTable:
    """Runs whose accuracies rise towards a level of their own, at steps 100, 200, …; step 0 as well."""
    rng = np.random.default_rng(seed)
    rows = []
    for run in range(n_runs):
        for task in TASKS:
            level, speed = rng.uniform(0.4, 0.8), rng.uniform(2, 8)
            for i in range(n_steps + 1):
                value = 0.25 + (level - 0.25) * (1 - np.exp(-i / speed)) + 0.002 * rng.standard_normal()
                row = {"run": f"run-{run}", "task": task, "metric": "acc", "step": 100 * i}
                rows.append({**row, "value": float(value), "tokens": 1000 * i, "source": "made-up"})
    return CurveTable.from_frame(columns_of(rows))


def make_losses(
    n_runs: int = 6,
    n_steps: int = 12,
    n_positions: int = 600,
    groups: list[str] | None = None,
    seed: int = 1,
) -> MemoryLossStore:
    """Losses that fall with the steps, for the runs of `make_table`."""
    rng = np.random.default_rng(seed)
    hardness = rng.uniform(1, 5, n_positions)
    steps = 100 * np.arange(1, n_steps + 1)
    arrays = {}
    for run in range(n_runs):
        falls = np.exp(-np.arange(n_steps) / rng.uniform(3, 9))[:, None]
        arrays[f"run-{run}"] = steps, hardness * (0.5 + falls) + 0.1 * rng.random((n_steps, n_positions))
    return MemoryLossStore(arrays, "made-up-validation-set", groups)


def make_config(forecaster: str = "neuneu", **sections: object) -> NeuNeuConfig:
    """A network small enough to train in a second."""
    document = {
        "forecaster": forecaster,
        "model": {
            "width": 16, "n_layers": 1, "n_heads": 2, "feed_forward": 32,
            "channels": [4, 8], "kernel": 16, "stride": 4, "n_bins": 8,
        },
        "training": {
            "batch_size": 32, "epochs": 1, "max_steps": 12, "learning_rate": 1e-2, "log_every": 2,
            "evaluate_every": 5, "save_every": 3, "checkpoints_per_group": 4, "device": "cpu",
        },
    }  # fmt: skip
    for name, section in sections.items():
        current = document.get(name, {})
        both = isinstance(current, dict) and isinstance(section, dict)
        document[name] = {**current, **section} if both else section  # type: ignore[dict-item]
    return parse_config(document, "test")
