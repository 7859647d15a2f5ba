"""What predictors see: models with features by kind, their scores, and the groups that splits keep whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.designs.database.schema import DATASETS
from neuneu.designs.database.store import DesignStore
from neuneu.designs.database.views import evaluations, facts
from neuneu.designs.prediction.folds import LARGEST, Indices, family, joined, organisation, twins
from neuneu.designs.prediction.targets import PUBLISHED_TASKS, DesignTask, labels
from neuneu.errors import InputError, offered

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
SIZE = frozenset(
    {
        *SCALE,
        *("dimension", "num_heads", "sequence_length", "num_layers", "num_kv_heads", "vocab_size"),
        *("n_layers", "d_model", "chinchilla_multiplier"),  # of grids of runs
    }
)
"""What the non-scale predictor may not see."""


@dataclass(frozen=True)
class DesignTable:
    """Models × features and models × tasks.

    numbers: name → (models,), NaN missing, logarithms already taken of what spans decades; categories: name →
    labels, "" missing; kinds: name → scale, composition, architecture, training or generation.
    y: (models, tasks) scores, NaN where not evaluated; stderr: their standard errors, NaN unknown. labels:
    what a split may keep whole → one label a model. dates: ISO release dates, None unknown.
    """

    tasks: tuple[DesignTask, ...]
    ids: tuple[str, ...]
    numbers: Mapping[str, Matrix]
    categories: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str]
    y: Matrix
    stderr: Matrix
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dates: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def named(self, *kinds: str) -> list[str]:
        """The names of the numbers, then the categories, of these kinds."""
        return [name for name in (*self.numbers, *self.categories) if self.kinds[name] in kinds]

    def matrix(self, names: Sequence[str]) -> Matrix:
        """Numbers and categories (as ranks of their labels, NaN missing) side by side, (models, names)."""
        return np.column_stack([self.column(name) for name in names])

    def column(self, name: str) -> Matrix:
        """One number, or one category as the rank of its label, NaN missing."""
        if name in self.numbers:
            return self.numbers[name]
        if name not in self.categories:
            known = [*self.numbers, *self.categories]
            raise InputError("unknown" + offered(name, known), field="feature", value=name)
        levels = sorted(set(self.categories[name]) - {""})
        rank = {level: float(i) for i, level in enumerate(levels)}
        return np.array([rank.get(label, np.nan) for label in self.categories[name]])

    def scope(self, name: str) -> list[str]:
        """Features by name: scale, all, non-scale, a kind (composition), a feature or the end of its name
        (code); several with commas, and without those after a minus: all,-generation or -code.

        Raises InputError where a part names nothing, or nothing is left.
        """
        parts = [part.strip() for part in name.split(",")]
        chosen = self._part("all") if parts[0].startswith("-") else []
        for part in parts:
            found = self._part(part.removeprefix("-"))
            if part.startswith("-"):
                chosen = [feature for feature in chosen if feature not in found]
            else:
                chosen += [feature for feature in found if feature not in chosen]
        if not chosen:
            raise InputError("no feature is left", field="features", value=name)
        return chosen

    def _part(self, name: str) -> list[str]:
        every = [*self.numbers, *self.categories]
        chosen = {
            "scale": self.named("scale"),
            "all": every,
            "non-scale": [f for f in every if f not in SIZE and self.kinds[f] != "scale"],
            **{kind: self.named(kind) for kind in dict.fromkeys(self.kinds.values()) if kind != "scale"},
        }
        if name in chosen:
            return list(chosen[name])
        found = [name] if name in every else [f for f in every if f.endswith(f"_{name}")]
        if len(found) != 1:
            raise InputError("unknown" + offered(name, [*chosen, *every]), field="features", value=name)
        return found

    def with_features(self, names: Sequence[str]) -> "DesignTable":
        """The same models with these features only."""
        return replace(
            self,
            numbers={name: column for name, column in self.numbers.items() if name in names},
            categories={name: found for name, found in self.categories.items() if name in names},
        )

    @cached_property
    def twins(self) -> Indices:
        """One label a model; models equal in architecture and data share it.

        What they generate does not count: it differs even between two samples of one model.
        """
        names = [name for name in self.numbers if self.kinds[name] != "generation"]
        found: Indices = twins(self.matrix([*names, *self.categories]))
        return found

    def groups(self, split: str) -> Indices:
        """The groups that a split keeps whole: twins, joined with the models of one label."""
        if split in ("random", "time") or split.startswith(LARGEST):
            return self.twins
        if split not in self.labels:
            known = ["random", "time", f"{LARGEST}K", *self.labels]
            raise InputError("unknown" + offered(split, known), field="split", value=split)
        return joined(self.twins, self.labels[split])

    @property
    def clusters(self) -> tuple[str, ...]:
        """Who counts as one where models are not independent: the organisation, or the recipe of a run."""
        for name in ("organisation", "recipe"):
            if name in self.labels:
                return self.labels[name]
        return self.ids

    def known(self, rows: Indices, task: int) -> Indices:
        """Those of the rows that have a score on a task."""
        found: Indices = rows[~np.isnan(self.y[rows, task])]
        return found

    def only(self, rows: Indices) -> "DesignTable":
        """These models only, in this order."""
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            numbers={name: column[rows] for name, column in self.numbers.items()},
            categories={name: tuple(found[i] for i in rows) for name, found in self.categories.items()},
            labels={name: tuple(found[i] for i in rows) for name, found in self.labels.items()},
            y=self.y[rows],
            stderr=self.stderr[rows],
            dates=tuple(self.dates[i] for i in rows),
        )


def build_table(
    store: DesignStore,
    tasks: Sequence[DesignTask] = PUBLISHED_TASKS,
    *,
    complete: bool = False,
    least: int = 30,
) -> DesignTable:
    """Models with parameters and tokens that are not instruction-tuned, aliases resolved, with their scores.

    complete: no score for models that lack a common component of the task. Raises InputError where a task has
    fewer than `least` models.
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
    for place, task in enumerate(tasks):
        scores = labels(values, task, complete=complete).select(
            "id", pl.col("value").alias(f"value{place}"), pl.col("stderr").alias(f"stderr{place}")
        )
        models = models.join(scores, on="id", how="left")
        count = models[f"value{place}"].count()
        if task.logarithmic:
            value, stderr = pl.col(f"value{place}"), pl.col(f"stderr{place}")
            models = models.with_columns(stderr / value, value.log())
        if count < least:
            raise InputError(f"has {count} models; needs {least}", field="task", value=task.key)
    rows = models.filter(pl.any_horizontal(pl.col("^value\\d+$").is_not_null())).sort("id")
    return _table(tasks, rows, generation)


def _table(tasks: Sequence[DesignTask], rows: pl.DataFrame, generation: Sequence[str]) -> DesignTable:
    kinds = {
        **dict.fromkeys(SCALE, "scale"),
        **dict.fromkeys(COMPOSITION, "composition"),
        **dict.fromkeys((*NUMBERS, *CATEGORIES), "architecture"),
        **dict.fromkeys(generation, "generation"),
    }
    numbers = {}
    for name in (name for name in kinds if name not in CATEGORIES):
        column = floats(rows[name])
        if not np.isnan(column).all():
            numbers[name] = np.log(column) if name in LOGARITHMIC else column
    categories = {name: tuple(rows[name].fill_null("").to_list()) for name in CATEGORIES}
    ids = tuple(rows["id"])
    return DesignTable(
        tuple(tasks),
        ids,
        numbers,
        {name: found for name, found in categories.items() if any(found)},
        kinds,
        np.column_stack([floats(rows[f"value{place}"]) for place in range(len(tasks))]),
        np.column_stack([floats(rows[f"stderr{place}"]) for place in range(len(tasks))]),
        {
            "family": tuple(map(family, ids)),
            "organisation": tuple(map(organisation, ids)),
            "recipe": _recipes(rows),
        },
        tuple(rows["released"]) if "released" in rows.columns else (None,) * len(ids),
    )


PARTS = tuple(name for name in COMPOSITION if not name.endswith("english"))
"""The shares that make up the whole of the data, in per cent."""


def _recipes(rows: pl.DataFrame) -> tuple[str, ...]:
    """One label a model: its mix in per cent; a model whose mix is not wholly known is alone with its id."""
    mixes = rows.select("id", *PARTS).rows()
    return tuple(name if None in mix else " ".join(f"{part:g}" for part in mix) for name, *mix in mixes)


def floats(column: pl.Series) -> Matrix:
    """A column as float64, NaN where null."""
    return np.array(column.cast(pl.Float64).fill_null(np.nan).to_numpy(), np.float64)
