"""Small made-up tables: runs of several families, sizes and recipes whose accuracies rise with noise."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.evaluation.splits import Source


@pytest.fixture(scope="session")
def make_table() -> Callable[..., CurveTable]:
    """Makes tables of power-law curves with noise."""

    def make(
        source: str = "a",
        family: str = "f",
        n_runs: int = 4,
        n_checkpoints: int = 20,
        tasks: tuple[str, ...] = ("hellaswag", "mmlu_virology"),
        seed: int = 0,
    ) -> CurveTable:
        random = np.random.default_rng(seed)
        rows = []
        for index in range(n_runs):
            for task in tasks:
                top, rate = random.uniform(0.4, 0.9), random.uniform(0.2, 0.8)
                for k in range(n_checkpoints):
                    value = top - (top - 0.25) * (1 + k) ** -rate + random.normal(0, 0.01)
                    rows.append(
                        {
                            "run": f"{source}-run{index}", "task": task, "metric": "acc", "step": 100 * k,
                            "tokens": 100_000 * k, "value": float(np.clip(value, 0, 1)), "n_items": 1000,
                            "source": source, "family": family, "params": 10**8 * (1 + index // 2),
                            "recipe": f"mix{index % 2}",
                        }
                    )  # fmt: skip
        return CurveTable.from_frame(pl.DataFrame(rows), source)

    return make


@pytest.fixture(scope="session")
def two_sources(make_table: Callable[..., CurveTable]) -> list[Source]:
    """Two sources of different families."""
    return [
        Source("a", make_table("a", "f", 4, 20, seed=1)),
        Source("b", make_table("b", "g", 4, 16, seed=2)),
    ]
