"""The published protocol, exactly: what Liu et al. 2025 (arXiv 2503.03862) did, for comparison.

Kept as it was, faults included: twins and families on both sides of random folds, a fifth of the training
rows unused, features chosen on the models they are judged on, labels averaged over whatever subtasks a
model has. `neuneu.designs.prediction.nested` is the protocol to trust.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from neuneu.designs.database.aliases import PUBLISHED_ALIASES
from neuneu.designs.database.records import read_text_csv
from neuneu.designs.database.store import DesignStore
from neuneu.designs.database.views import evaluations, facts
from neuneu.designs.prediction.design_table import CATEGORIES as CATEGORICAL
from neuneu.designs.prediction.folds import largest_fold, organisation
from neuneu.designs.prediction.grids import Keeper, Tuned, find_grid, tune
from neuneu.designs.prediction.significance import benjamini_hochberg, half_width, paired_t
from neuneu.designs.prediction.targets import PUBLISHED_TASKS, DesignTask, labels
from neuneu.errors import InputError, check_known, offered
from neuneu.progress import counted

Matrix = NDArray[np.float64]

SCALE = ("total_params", "pretraining_summary_total_tokens_billions")
"""The scaling-law pair; both enter as natural logarithms."""

DATABASE_FEATURES = (
    *SCALE,
    "dimension",
    "num_heads",
    "mlp_ratio",
    "sequence_length",
    *(
        f"pretraining_summary_percentage_{part}"
        for part in ("web", "code", "books", "reference", "academic", "english")
    ),
    *CATEGORICAL,
)
LEAST_MODELS = 30


@dataclass(frozen=True)
class TaskRows:
    """One task's table: models, features by name (NaN missing, the scaling pair in logs) and scores."""

    task: DesignTask
    ids: tuple[str, ...]
    features: Mapping[str, Matrix]
    y: Matrix

    def matrix(self, names: Sequence[str]) -> Matrix:
        """Columns in this order, shape (models, features)."""
        for name in names:
            check_known(name, self.features, "feature", "unknown")
        return np.column_stack([self.features[name] for name in names])

    def find(self, name: str) -> str:
        """The feature of this name, or the only one whose name ends so."""
        ends = [known for known in self.features if known.endswith(f"_{name}")]
        found = [name] if name in self.features else ends
        if len(found) != 1:
            raise InputError("unknown" + offered(name, self.features), field="features", value=name)
        return found[0]


def build_rows(store: DesignStore, tasks: Sequence[DesignTask] = PUBLISHED_TASKS) -> list[TaskRows]:
    """The tables of the published pipeline: its aliases, first value wins, categories coded over all models.

    Raises InputError where a task has fewer than 30 models.
    """
    values = evaluations(store, aliases=PUBLISHED_ALIASES)
    models = facts(store).filter(
        pl.all_horizontal(pl.col(SCALE).is_not_null()) & ~pl.col("is_instruction_tuned").fill_null(False)
    )
    features = store.table("features")
    if len(features):
        models = models.join(features.pivot("feature", index="id", values="value"), on="id", how="left")
    tables = []
    for metric in sorted({task.metric for task in tasks}):
        present = values.filter(pl.col("metric") == metric)["id"].unique()
        coded = _encode(models.filter(pl.col("id").is_in(present.to_list())))
        tables += [_task_rows(coded, values, task) for task in tasks if task.metric == metric]
    order = list(tasks)
    return sorted(tables, key=lambda rows: order.index(rows.task))


def _encode(models: pl.DataFrame) -> pl.DataFrame:
    """Categories → rank among the sorted labels, where "missing" is a label too; numbers in float32."""
    codes = []
    for name in CATEGORICAL:
        filled = models[name].fill_null("missing")
        ranks = {label: float(rank) for rank, label in enumerate(sorted(filled.unique()))}
        codes.append(filled.replace_strict(ranks, return_dtype=pl.Float32).alias(name))
    numbers = [
        pl.col(name).cast(pl.Float32)
        for name, kind in models.schema.items()
        if kind.is_numeric() and name not in CATEGORICAL
    ]
    return models.select("id", *numbers).with_columns(codes)


def _task_rows(models: pl.DataFrame, values: pl.DataFrame, task: DesignTask) -> TaskRows:
    scores = labels(values.with_columns(pl.col("metric_value").cast(pl.Float32)), task)
    table = scores.select("id", "value").join(models, on="id").sort("id")
    if len(table) < LEAST_MODELS:
        raise InputError(f"has {len(table)} models; needs {LEAST_MODELS}", field="task", value=task.key)
    columns = {
        name: table[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in table.columns
        if name not in ("id", "value")
    }
    columns |= {name: np.log(columns[name]) for name in SCALE}
    y = table["value"].cast(pl.Float32).cast(pl.Float64).to_numpy()
    return TaskRows(task, tuple(table["id"]), columns, y)


def read_selected(
    path: str | Path, *, repair: bool = True
) -> dict[tuple[str, str], tuple[list[str], float, float]]:
    """The published selection results: (task, setting) → (features, scaling-law MAE, MAE of the selection).

    Their column baseline_mae repeats final_mae; the scaling-law error is final_mae plus all improvements.
    With `repair`, a list gets back what it lost of its improvement scores: of the published file, `biases` of
    HumanEval.
    """
    text = read_text_csv(path)
    for name in ("selected_features", "improvement_scores", "final_mae", "task", "setting"):
        if name not in text.columns:
            raise InputError("column needed", where=path, field="column", value=name)
    found = {}
    for row in text.iter_rows(named=True):
        try:
            features = [str(name) for name in ast.literal_eval(row["selected_features"])]
            gains = ast.literal_eval(row["improvement_scores"])
            final = float(row["final_mae"])
            total = final + sum(float(entry["mae_improvement"]) for entry in gains.values())
        except (ValueError, SyntaxError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                "must hold Python literals", where=path, field="task", value=row["task"]
            ) from error
        task = _task_key(row["task"], row["setting"])
        if repair and not set(gains) <= set(features):
            features = [name for name in features if name not in gains] + [str(name) for name in gains]
        found[task] = (features, total, final)
    return found


def _task_key(task: str, setting: str) -> tuple[str, str]:
    """mmlu_5-shot with the setting 5-shot → (mmlu, 5-shot)."""
    return task.removesuffix(f"_{setting}"), setting


@dataclass(frozen=True)
class SeedErrors:
    """Mean absolute errors of one seed: mean over its three test folds."""

    model: float
    median: float
    loglinear: float


Keep = Callable[[Tuned, int], None]
"""Told what the search of a fold chose, and the number of the fold."""


def seed_errors(
    rows: TaskRows,
    names: Sequence[str],
    seed: int,
    *,
    groups: Sequence[str] | None = None,
    largest: int | None = None,
    engine: str = "fast",
    keep: Keep = lambda tuned, fold: None,
) -> SeedErrors:
    """Section 5.2 of the protocol for one seed: 3 outer folds, a fifth unused, 3 inner folds over the grid.

    groups: one label a model; given, the outer folds keep groups whole (leave-organisation-out).
    largest: the models of most parameters that are tested, the others trained on, in place of the folds.
    engine: of `prediction.grids`: fast or xgboost, which agree to float32 rounding, lgbm or rf.
    """
    from sklearn.model_selection import train_test_split

    X, y = rows.matrix(names).astype(np.float32).astype(np.float64), rows.y
    pair = rows.matrix(SCALE)
    pairs = outer_folds(len(y), seed, groups)
    if largest is not None:
        pairs = [largest_fold(pair[:, 0], np.arange(len(y)), largest)]
    errors = np.zeros((3, len(pairs)))
    for fold, (train, test) in enumerate(pairs):
        kept, _ = train_test_split(train, test_size=0.2, random_state=seed)
        tuned = tune(X[kept], y[kept], seed, engine)
        keep(tuned, fold)
        predicted = tuned.predict(X[test])
        design = np.column_stack([np.ones(len(kept)), pair[kept]])
        weights = np.linalg.lstsq(design, y[kept], rcond=None)[0]
        line = np.column_stack([np.ones(len(test)), pair[test]]) @ weights
        for kind, guess in enumerate((predicted, np.full(len(test), np.median(y[kept])), line)):
            errors[kind, fold] = np.abs(guess - y[test]).mean()
    return SeedErrors(*(float(value) for value in errors.mean(axis=1)))


def outer_folds(
    count: int, seed: int, groups: Sequence[str] | None = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Three (train, test) pairs: shuffled K-folds, or folds of whole groups shuffled by the seed."""
    from sklearn.model_selection import GroupKFold, KFold

    if groups is None:
        return list(KFold(3, shuffle=True, random_state=seed).split(np.zeros(count)))
    return list(GroupKFold(3, shuffle=True, random_state=seed).split(np.zeros(count), groups=list(groups)))


def compare(
    rows: TaskRows,
    selected: Sequence[str],
    seeds: Sequence[int],
    *,
    grouped: bool = False,
    largest: int | None = None,
    engine: str = "fast",
    workers: int = 1,
    keeper: Keeper | None = None,
) -> dict[str, float | int | str]:
    """One row of the published table: both predictors and baselines over seeds, paired t-test over seeds.

    MAEs in the unit of the score; *_ci are half-widths of 95 % t intervals over seeds; p is the published
    test, which takes seeds for independent samples, so it shrinks with their number;
    p_corrected_resampling is Nadeau and Bengio's on the same differences.
    """
    groups = [organisation(name) for name in rows.ids] if grouped else None

    def one(names: Sequence[str], kind: str, seed: int) -> SeedErrors:
        def keep(tuned: Tuned, fold: int) -> None:
            if keeper is not None:
                task = {"task": rows.task.name, "setting": rows.task.setting}
                keeper.add(tuned, tuple(names), **task, method=kind, seed=seed, fold=fold)

        return seed_errors(rows, names, seed, groups=groups, largest=largest, engine=engine, keep=keep)

    def both(seed: int) -> tuple[SeedErrors, SeedErrors]:
        return one(SCALE, "scale", seed), one(selected, "selected", seed)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        pairs = list(counted(pool.map(both, seeds), "seeds", len(seeds)))
    scale = np.array([pair[0].model for pair in pairs])
    chosen = np.array([pair[1].model for pair in pairs])
    return {
        "task": rows.task.name,
        "setting": rows.task.setting,
        "metric": rows.task.metric,
        "models": len(rows.y),
        "median": float(np.mean([pair[0].median for pair in pairs])),
        "loglinear": float(np.mean([pair[0].loglinear for pair in pairs])),
        "scaling_laws": float(scale.mean()),
        "scaling_laws_ci": half_width(scale),
        "selected": float(chosen.mean()),
        "selected_ci": half_width(chosen),
        "relative_percent": float((1 - chosen.mean() / scale.mean()) * 100),
        "p": paired_t(scale - chosen),
        "p_corrected_resampling": paired_t(scale - chosen, test_share=1 / 2),
        "features": ", ".join(selected),
    }


def published_table(
    store: DesignStore,
    selected: str | Path | Sequence[str],
    *,
    seeds: int = 50,
    tasks: Sequence[DesignTask] = PUBLISHED_TASKS,
    grouped: bool = False,
    largest: int | None = None,
    engine: str = "fast",
    workers: int = 1,
    keeper: Keeper | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> pl.DataFrame:
    """The published significance table (section 6.3), all tasks corrected together (Benjamini-Hochberg).

    selected: the file of a search (`read_selected`), or names of features that stand beside scale on every
    task.
    """
    find_grid(engine)
    if seeds < 2:
        raise InputError("must be at least 2", field="seeds", value=seeds)
    chosen = read_selected(selected) if isinstance(selected, str | Path) else {}
    table = []
    for rows in counted(build_rows(store, tasks), "tasks"):
        key = (rows.task.name, rows.task.setting)
        if isinstance(selected, str | Path):
            if key not in chosen:
                raise InputError(
                    "has no row for this task", where=selected, field="task", value=rows.task.key
                )
            names = chosen[key][0]
        else:
            names = list(dict.fromkeys([*SCALE, *map(rows.find, selected)]))
        table.append(
            compare(
                rows, names, range(seeds), grouped=grouped, largest=largest, engine=engine,
                workers=workers, keeper=keeper,
            )
        )  # fmt: skip
        progress(f"{rows.task.key}: {table[-1]['scaling_laws']:.4f} → {table[-1]['selected']:.4f}")
    frame = pl.DataFrame(table)
    corrected = [benjamini_hochberg(frame[name].to_numpy()) for name in ("p", "p_corrected_resampling")]
    return frame.with_columns(
        pl.Series("p_fdr", corrected[0]), pl.Series("p_corrected_resampling_fdr", corrected[1])
    )


def brief_table(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of a published table that fit a terminal; p is the published test's, then corrected."""
    return frame.select(
        pl.format("{} ({})", "task", "setting").alias("task"),
        "models",
        "loglinear",
        pl.col("scaling_laws").alias("scale"),
        "selected",
        pl.col("relative_percent").round(1).alias("gain %"),
        "p_fdr",
        pl.col("p_corrected_resampling_fdr").alias("corrected"),
    )


def as_methods(frame: pl.DataFrame) -> pl.DataFrame:
    """A row a (task, method) with its mae, as the figure of errors takes it; the noise is not known.

    p_fdr: of selected against scale, corrected for overlapping folds and for all tasks.
    """
    key = ["task", "setting", "metric"]
    names = {"median": "median", "loglinear": "log-linear", "scaling_laws": "scale", "selected": "selected"}
    p = "p_corrected_resampling_fdr"
    long = frame.rename(names).unpivot(
        list(names.values()), index=[*key, p], variable_name="method", value_name="mae"
    )
    tested = pl.when(pl.col("method") == "selected").then(p).alias("p_fdr")
    return long.with_columns(tested, pl.lit(None, pl.Float64).alias("noise")).drop(p)
