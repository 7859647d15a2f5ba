"""Synthetic families of runs: learning curves at least as varied as real ones, with references to fit."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats
from neuneu.curves.table import CurveTable

TASKS_PER_FAMILY = 4
SHAPES = ("rising", "noise", "late", "falling", "u_shaped")
SHAPE_CHANCES = (0.44, 0.14, 0.12, 0.1, 0.2)
ITEM_NOISE = 0.45
"""Noise between neighbouring checkpoints over the standard error of the items that they share."""


@dataclass(frozen=True)
class _Family:
    """Loss of a run of n parameters after d tokens: floor + by_size · n ** −α + by_tokens · d ** −β."""

    floor: float
    by_size: float
    alpha: float
    by_tokens: float
    beta: float
    anneal: float
    schedule: str

    def loss(self, params: float, tokens: Floats, plan: float) -> Floats:
        """Loss at these tokens; a high learning rate adds `anneal`, which cooling down takes away again."""
        share = tokens / plan
        rate = {
            "constant": np.ones_like(share),
            "cosine": 0.5 * (1 + np.cos(np.pi * np.minimum(share, 1.0))),
            "cooldown": np.clip((1 - share) / 0.15, 0.0, 1.0),
        }[self.schedule]
        power = self.by_size * params**-self.alpha + self.by_tokens * tokens**-self.beta
        return np.asarray(self.floor + power + self.anneal * rate, dtype=np.float64)


def synthetic_curves(seed: int, families: int) -> CurveTable:
    """Accuracies and bits per byte of made-up runs, family by family.

    Losses follow N^−α + D^−β with a learning-rate schedule (constant, cosine, cooldown); accuracies rise from
    chance, rise late, fall, turn or are noise as the loss falls; checkpoints are binomial draws, smoothed
    as neighbours share items. Sizes, plans, recipes, spacing and noise vary.
    """
    rng = np.random.default_rng([seed, 20])
    return CurveTable.from_frame(
        pl.concat([_family_rows(rng, f"synthetic-{i}") for i in range(families)]), "synthetic"
    )


def _family_rows(rng: np.random.Generator, name: str) -> pl.DataFrame:
    alpha, beta = rng.uniform(0.2, 0.45, size=2)
    family = _Family(
        floor=rng.uniform(0.5, 0.9),
        by_size=rng.uniform(0.2, 0.8) * 1e8**alpha,
        alpha=alpha,
        by_tokens=rng.uniform(0.2, 0.8) * 3e9**beta,
        beta=beta,
        anneal=rng.uniform(0.0, 0.05),
        schedule=str(rng.choice(["constant", "cosine", "cooldown"], p=[0.2, 0.5, 0.3])),
    )
    sizes = 10 ** rng.uniform(7, 9) * rng.uniform(1.4, 4.0) ** np.arange(rng.integers(2, 5))
    recipes = rng.normal(0.0, 0.03, size=rng.integers(1, 4))
    same_plan = 10 ** rng.uniform(10, 12) if rng.random() < 0.4 else 0.0
    ratios = rng.choice([10.0, 20.0, 40.0, 100.0, 200.0], size=rng.integers(1, 4), replace=False)
    tasks = [_Task(rng, f"{name}-task-{i}", family) for i in range(TASKS_PER_FAMILY)]
    count, logarithmic = int(rng.integers(12, 60)), rng.random() < 0.3
    frames = []
    for size in sizes:
        for ratio in ratios if not same_plan else ratios[:1]:
            for recipe, shift in enumerate(recipes):
                plan = same_plan or ratio * size
                share = np.geomspace(0.004, 1, count) if logarithmic else np.linspace(1 / count, 1, count)
                tokens = np.round(share * plan).astype(np.float64)
                run = f"{name}/{size:.3g}-{plan:.3g}-{recipe}"
                facts = {
                    "run": run,
                    "family": name,
                    "source": "synthetic",
                    "params": int(size),
                    "recipe": f"mix-{recipe}",
                }
                frames += [task.rows(rng, size, tokens, plan, shift, facts) for task in tasks]
    return pl.concat(frames)


class _Task:
    """One made-up task: how its accuracy hangs on the loss."""

    def __init__(self, rng: np.random.Generator, name: str, family: _Family) -> None:
        self.name, self.family = name, family
        self.shape = str(rng.choice(SHAPES, p=SHAPE_CHANCES))
        self.chance = float(rng.choice([0.0, 0.2, 0.25, 0.25, 0.5, 0.5]))
        self.n_items = int(10 ** rng.uniform(2, 4))
        self.top = rng.uniform(0.6, 1.0) * (1 - self.chance)
        self.middle = family.floor + rng.uniform(0.1, 0.9)
        self.steepness = rng.uniform(15, 40) if self.shape == "late" else rng.uniform(2, 9)
        self.turn = self.middle - rng.uniform(0.0, 0.3)
        self.difficulty = rng.normal(0.0, 0.05)
        self.jitter = rng.uniform(0.0, 0.006)

    def rows(
        self,
        rng: np.random.Generator,
        size: float,
        tokens: Floats,
        plan: float,
        shift: float,
        facts: dict[str, object],
    ) -> pl.DataFrame:
        """Accuracy and bits per byte of one run at its checkpoints."""
        loss = self.family.loss(size, tokens, plan) + shift * rng.uniform(0.5, 1.5) + self.difficulty
        accuracy = np.clip(self._accuracy(loss), 0.01, 0.99)
        error = ITEM_NOISE * np.sqrt(accuracy * (1 - accuracy) / self.n_items)
        noise = _correlated(rng, len(tokens), 0.3) * np.sqrt(error**2 + self.jitter**2)
        measured = np.clip(np.round((accuracy + noise) * self.n_items) / self.n_items, 0.0, 1.0)
        bits = loss * 0.5 + 0.002 * _correlated(rng, len(tokens), 0.3)
        common = {
            "task": self.name,
            "step": (tokens / 1e6).round().astype(np.int64) + np.arange(len(tokens)),
            "tokens": tokens.astype(np.int64),
        }
        constants = [
            pl.lit(value, dtype=pl.Int64 if isinstance(value, int) else pl.String).alias(column)
            for column, value in facts.items()
        ]
        both = [
            pl.DataFrame({**common, "metric": metric, "value": values}).with_columns(
                *constants,
                pl.lit(self.chance if metric == "acc" else None, dtype=pl.Float64).alias("chance"),
                pl.lit(self.n_items, dtype=pl.Int64).alias("n_items"),
            )
            for metric, values in (("acc", measured), ("bpb", np.maximum(bits, 0.0)))
        ]
        return pl.concat(both)

    def _accuracy(self, loss: Floats) -> Floats:
        rise = self.top / (1 + np.exp(np.clip(self.steepness * (loss - self.middle), -50, 50)))
        if self.shape == "noise":
            return np.full_like(loss, self.chance + 0.02 * self.top)
        if self.shape == "falling":
            return self.chance + 0.6 * self.top - 0.5 * rise
        if self.shape == "u_shaped":
            later = 1 / (1 + np.exp(np.clip(2 * self.steepness * (loss - self.turn), -50, 50)))
            return self.chance + 0.4 * self.top - 0.5 * rise + 0.7 * self.top * later
        return self.chance + rise


def _correlated(rng: np.random.Generator, count: int, memory: float) -> Floats:
    """Noise of unit size whose neighbours resemble each other."""
    white = rng.standard_normal(count)
    noise = white.copy()
    for i in range(1, count):
        noise[i] = memory * noise[i - 1] + np.sqrt(1 - memory**2) * white[i]
    return noise
