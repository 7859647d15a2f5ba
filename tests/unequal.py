"""Two sources with runs of unequal length and unequally many tasks: where all is equal, no weight shows."""

import numpy as np
import polars as pl

from neuneu.curves.table import CurveTable

SHAPES = {
    "wide": ((1, 12), (3, 20), (2, 9), (4, 30), (1, 16)),
    "narrow": ((2, 24), (5, 10)),
}
"""Source → (tasks, checkpoints) of each of its runs."""


def unequal_tables(noise: float = 0.01) -> dict[str, CurveTable]:
    """The two sources' tables: families of their own, sizes that grow, curves that rise at various speeds."""
    tables = {}
    for number, (source, shapes) in enumerate(SHAPES.items()):
        random = np.random.default_rng(number)
        rows = []
        for run, (tasks, checkpoints) in enumerate(shapes):
            for task in range(tasks):
                top, rate = random.uniform(0.4, 0.9), random.uniform(0.2, 0.8)
                steps = np.arange(1, checkpoints + 1)
                values = (
                    top - (top - 0.25) * steps**-rate + noise * (1 + number) * random.normal(size=checkpoints)
                )
                rows += [
                    {"run": f"{source}-{run}", "task": f"task-{task}", "metric": "acc", "step": int(step),
                     "tokens": 100_000 * int(step), "value": float(np.clip(value, 0, 1)), "n_items": 1000,
                     "source": source, "family": source, "params": 10**8 * (1 + run),
                     "recipe": f"mix-{run % 2}"}
                    for step, value in zip(steps, values, strict=True)
                ]  # fmt: skip
        tables[source] = CurveTable.from_frame(pl.DataFrame(rows), source)
    return tables
