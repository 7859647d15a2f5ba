"""One task's table for prediction: models, features by kind, scores with their standard errors, release
dates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.designs.labels import PUBLISHED_TASKS, Task, labels
from neuneu.designs.schema import DATASETS
from neuneu.designs.splits import Indices, groups_of
from neuneu.designs.store import DesignStore
from neuneu.designs.views import evaluations, facts
from neuneu.errors import InputError

Matrix = NDArray[np.float64]

SCALE = ("total_params", "pretraining_summary_total_tokens_billions")
COMPOSITION = tuple(c.name for c in DATASETS.columns if "percentage" in c.name)
NUMBERS = (
    "dimension",
    "num_heads",
    "mlp_ratio",
    "sequence_length",
    "num_layers",
    "num_kv_heads",
    "vocab_size",
)
CATEGORIES = (
    "activation",
    "attention_variant",
    "biases",
    "block_type",
    "layer_norm_type",
    "positional_embeddings",
)
LOGARITHMIC = frozenset({*SCALE, "dimension", "sequence_length", "num_layers", "vocab_size", "num_heads"})
SIZE = (
    "total_params",
    "pretraining_summary_total_tokens_billions",
    "dimension",
    "num_heads",
    "sequence_length",
)
"""What the non-scale predictor may not see; layers and vocabulary neither."""

SCOPES = ("scale", "all", "non-scale")


@dataclass(frozen=True)
class DesignTable:
    """Models × features for one task.

    numbers: name → (models,), NaN missing, logarithms taken where LOGARITHMIC; categories: name → labels, ""
    missing; kinds: name of a number → scale, composition, architecture or generation. y: scores; stderr:
    their standard errors, NaN unknown.
    """

    task: Task
    ids: tuple[str, ...]
    numbers: Mapping[str, Matrix]
    categories: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str]
    y: Matrix
    stderr: Matrix
    dates: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def named(self, kind: str) -> list[str]:
        """The names of the numbers of a kind."""
        return [name for name in self.numbers if self.kinds[name] == kind]

    def matrix(self, names: Sequence[str]) -> Matrix:
        """Numbers and categories (as ranks of their labels, NaN missing) side by side, (models, names)."""
        return np.column_stack([self.column(name) for name in names])

    def column(self, name: str) -> Matrix:
        """One number, or one category as the rank of its label, NaN missing."""
        if name in self.numbers:
            return self.numbers[name]
        if name not in self.categories:
            raise InputError("no such feature", field="feature", value=name)
        levels = sorted(set(self.categories[name]) - {""})
        rank = {level: float(i) for i, level in enumerate(levels)}
        return np.array([rank.get(label, np.nan) for label in self.categories[name]])

    def one_hot(self, name: str) -> Matrix:
        """A category as one column of 0 and 1 a label, missing too."""
        found = self.categories[name]
        return np.array([[float(label == level) for level in sorted(set(found))] for label in found])

    def scope(self, name: str) -> list[str]:
        """The features of a scope: scale, all, non-scale."""
        every = [*self.numbers, *self.categories]
        if name == "scale":
            return self.named("scale")
        if name == "all":
            return every
        if name == "non-scale":
            return [
                f
                for f in every
                if f not in (*SIZE, "num_layers", "num_kv_heads", "vocab_size", *self.named("scale"))
            ]
        raise InputError(f"unknown; known: {', '.join(SCOPES)}", field="features", value=name)

    def groups(self, split: str) -> Indices:
        """The groups that a split keeps whole (`neuneu.designs.splits.groups_of`).

        Twins are models equal in architecture and data; what they generate differs even between two samples.
        """
        names = [n for n in self.numbers if self.kinds[n] != "generation"]
        return groups_of(split, self.ids, self.matrix([*names, *self.categories]))  # type: ignore[arg-type]

    def restrict(self, ids: Sequence[str], y: Matrix | None = None) -> "DesignTable":
        """The same table for these models only, in this order, with these scores if given."""
        rows = [self.ids.index(name) for name in ids]
        return replace(
            self,
            ids=tuple(ids),
            numbers={name: column[rows] for name, column in self.numbers.items()},
            categories={name: tuple(found[i] for i in rows) for name, found in self.categories.items()},
            y=self.y[rows] if y is None else y,
            stderr=self.stderr[rows],
            dates=tuple(self.dates[i] for i in rows),
        )


def build_tables(
    store: DesignStore, tasks: Sequence[Task] = PUBLISHED_TASKS, *, complete: bool = False, least: int = 30
) -> list[DesignTable]:
    """One table a task: models with parameters and tokens that are not instruction-tuned, aliases resolved.

    complete: leave out models that lack a common component of the task. Raises InputError below `least`
    models.
    """
    values = evaluations(store)
    models = facts(store).filter(
        pl.all_horizontal(pl.col(SCALE).is_not_null()) & ~pl.col("is_instruction_tuned").fill_null(False)
    )
    features = store.table("features")
    generation: list[str] = []
    if len(features):
        wide = features.pivot("feature", index="id", values="value")
        generation = sorted(n for n in wide.columns if n != "id" and not n.startswith(("const_", "dep_")))
        models = models.join(wide.select("id", *generation), on="id", how="left")
    tables = []
    for task in tasks:
        scores = labels(values, task, complete=complete)
        rows = scores.join(models, on="id").sort("id")
        if len(rows) < least:
            raise InputError(f"has {len(rows)} models; needs {least}", field="task", value=task.key)
        tables.append(_table(task, rows, generation))
    return tables


def _table(task: Task, rows: pl.DataFrame, generation: Sequence[str]) -> DesignTable:
    kinds = {
        **dict.fromkeys(SCALE, "scale"),
        **dict.fromkeys(COMPOSITION, "composition"),
        **dict.fromkeys(NUMBERS, "architecture"),
        **dict.fromkeys(generation, "generation"),
    }
    numbers = {}
    for name in kinds:
        column = rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if not np.isnan(column).all():
            numbers[name] = np.log(column) if name in LOGARITHMIC else column
    categories = {name: tuple(rows[name].fill_null("").to_list()) for name in CATEGORIES}
    return DesignTable(
        task,
        tuple(rows["id"]),
        numbers,
        {name: found for name, found in categories.items() if any(found)},
        kinds,
        rows["value"].to_numpy(),
        rows["stderr"].fill_null(np.nan).to_numpy(),
        tuple(rows["released"]) if "released" in rows.columns else (None,) * len(rows),
    )
