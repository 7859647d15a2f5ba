"""Runs as designs: grids of final scores, and the last scores of curves, predicted by the same commands."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.tasks import find_metric
from neuneu.designs.prediction.design_table import DesignTable, Matrix, floats
from neuneu.designs.prediction.targets import DesignTask
from neuneu.errors import InputError, check_known
from neuneu.files.tables import read_parquet

HOME = "home"
"""The name of the packaged home suite, in place of a file."""

PREFERRED = ("acc_norm", "len_norm", "acc", "accuracy", "score")
"""Which of several accuracies of a task is taken, unless a metric is asked for."""

SCALE = ("params", "tokens")
TRAINING = ("lr", "batch_size", "wd", "warmup", "chinchilla_multiplier")
ARCHITECTURE = ("n_layers", "d_model")
LOGARITHMIC = frozenset(
    {*SCALE, "lr", "batch_size", "n_layers", "d_model", "warmup", "chinchilla_multiplier"}
)
CATEGORIES = ("data_recipe", "arch", "tokenizer")
SUMMARIES = ("aggregated_results", "95%_CI_above", "99%_CI_above")
"""What some grids tell beside their tasks, of many tasks at once."""
LEAST = 0.5
"""A task is taken where at least this share of the runs has it."""

NEEDED = ("model", "params", "tokens", "task", "metric", "value")


def read_runs(
    path: str | Path, *, source: str | None = None, metric: str | None = None, tasks: Sequence[str] = ()
) -> DesignTable:
    """A table of final scores (Parquet: model, params, tokens, task, metric, value; optional data_recipe, lr,
    batch_size, n_layers, d_model, features_json, …), a curve table, or the packaged home suite (`home`).

    One row a run; of a curve, its last checkpoint. A split may keep a recipe or a size whole. metric: by
    default one accuracy a task. tasks: only these; by default those that half of the runs have.
    Raises InputError where columns are missing, runs repeat or nothing is left.
    """
    frame = _home() if str(path) == HOME else _read(Path(path), source)
    where = str(path)
    for name in NEEDED:
        if name not in frame.columns:
            raise InputError("column needed", where=where, field="column", value=name)
    chosen = _choose(frame, metric, tasks, where)
    facts = _facts(chosen)
    return _table(facts, chosen)


def _read(path: Path, source: str | None) -> pl.DataFrame:
    frame = read_parquet(path)
    if "run" in frame.columns and "step" in frame.columns:
        frame = _last(frame)
    if "source" in frame.columns:
        known = frame["source"].unique().sort().to_list()
        if source is None and len(known) > 1:
            raise InputError(f"name one of {', '.join(map(str, known))}", where=path, field="source")
        if source is not None:
            frame = frame.filter(pl.col("source") == source)
            if frame.is_empty():
                rule = f"none of {', '.join(map(str, known))}"
                raise InputError(rule, where=path, field="source", value=source)
    return frame


def _home() -> pl.DataFrame:
    from neuneu.suite.home import read_home_curves

    return _last(read_home_curves().frame)


def _last(curves: pl.DataFrame) -> pl.DataFrame:
    """The last checkpoint of each curve, in the columns of a table of final scores."""
    keys = [name for name in ("run", "task", "metric", "n_shot", "variant") if name in curves.columns]
    last = curves.sort("step").group_by(keys, maintain_order=True).last()
    return last.rename({"run": "model", **({"recipe": "data_recipe"} if "recipe" in last.columns else {})})


def _choose(frame: pl.DataFrame, metric: str | None, tasks: Sequence[str], where: str) -> pl.DataFrame:
    """One metric a task, the tasks that are asked for or common, each as one name."""
    shots = pl.col("n_shot") if "n_shot" in frame.columns else pl.lit(None, pl.Int64)
    variant = pl.col("variant") if "variant" in frame.columns else pl.lit(None, pl.String)
    frame = frame.with_columns(
        pl.concat_str(
            pl.when(shots.is_null()).then(pl.lit("")).otherwise(pl.format("{}-shot", shots)),
            variant.fill_null("").cast(pl.String),
            separator=" ",
        )
        .str.strip_chars()
        .alias("setting")
    ).filter(
        pl.col("value").is_finite()
        & pl.col("params").is_not_null()
        & pl.col("tokens").is_not_null()
        & ~pl.col("task").is_in(SUMMARIES)
    )
    if metric is not None:
        frame = frame.filter(pl.col("metric") == metric)
    else:
        order = {name: place for place, name in enumerate(PREFERRED)}
        frame = frame.filter(pl.col("metric").is_in(list(order)))
        rank = pl.col("metric").replace_strict(order, return_dtype=pl.Int64)
        frame = frame.filter(rank == rank.min().over("task", "setting"))
    runs = frame["model"].n_unique()
    if tasks:
        known = frame["task"].unique().to_list()
        for name in tasks:
            check_known(name, sorted(known), "task", "unknown", where)
        frame = frame.filter(pl.col("task").is_in(list(tasks)))
    else:
        frame = frame.filter(pl.col("model").n_unique().over("task", "setting") >= LEAST * runs)
    repeated = frame.group_by("model", "task", "setting").len().filter(pl.col("len") > 1)
    if len(repeated):
        raise InputError(
            "has several values of one task", where=where, field="model", value=repeated["model"][0]
        )
    if frame.is_empty():
        raise InputError(
            "no run has parameters, tokens and such a score", where=where, field="metric", value=metric
        )
    return frame


def _facts(frame: pl.DataFrame) -> pl.DataFrame:
    """One row a run: its columns, and the numbers and texts inside features_json."""
    one = frame.sort("model", "task").unique("model", keep="first", maintain_order=True)
    names = [n for n in (*SCALE, *ARCHITECTURE, *TRAINING, *CATEGORIES) if n in one.columns]
    facts = one.select("model", *names)
    if "features_json" not in one.columns:
        return facts
    found: list[dict[str, Any]] = [json.loads(text or "{}") for text in one["features_json"]]
    wanted = {key for entry in found for key in entry} - set(names)
    for name in sorted(wanted):
        values = [entry.get(name) for entry in found]
        if name in (*TRAINING, *ARCHITECTURE) or name.startswith("train_"):
            facts = facts.with_columns(pl.Series(name, [_number(v) for v in values], pl.Float64))
        elif name in CATEGORIES:
            facts = facts.with_columns(pl.Series(name, [None if v is None else str(v) for v in values]))
    return facts


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _table(facts: pl.DataFrame, scores: pl.DataFrame) -> DesignTable:
    kinds = {
        **dict.fromkeys(SCALE, "scale"),
        **dict.fromkeys(
            ["data_recipe", *(n for n in facts.columns if n.startswith("train_"))], "composition"
        ),
        **dict.fromkeys((*ARCHITECTURE, "arch", "tokenizer"), "architecture"),
        **dict.fromkeys(TRAINING, "training"),
    }
    ids = tuple(facts["model"])
    numbers: dict[str, Matrix] = {}
    for name in (name for name in kinds if name in facts.columns and name not in CATEGORIES):
        column = floats(facts[name])
        if np.unique(column[~np.isnan(column)]).size > 1:
            positive = name in LOGARITHMIC and bool((column[~np.isnan(column)] > 0).all())
            numbers[name] = np.log(column) if positive else column
    for name in SCALE:
        numbers.setdefault(name, np.log(floats(facts[name])))
    numbers = {name: numbers[name] for name in kinds if name in numbers}
    categories = {name: tuple(facts[name].fill_null("")) for name in CATEGORIES if name in facts.columns}
    recipe = categories.get("data_recipe", ("",) * len(ids))
    tasks = scores.select("task", "setting", "metric").unique().sort("task", "setting").rows()
    place = {name: row for row, name in enumerate(ids)}
    y, stderr = np.full((len(ids), len(tasks)), np.nan), np.full((len(ids), len(tasks)), np.nan)
    for k, (task, setting, _) in enumerate(tasks):
        part = scores.filter((pl.col("task") == task) & (pl.col("setting") == setting))
        rows = [place[name] for name in part["model"]]
        y[rows, k] = part["value"]
        if "stderr" in part.columns:
            stderr[rows, k] = floats(part["stderr"])
    return DesignTable(
        tuple(DesignTask(task, setting, _kind(metric), task) for task, setting, metric in tasks),
        ids,
        numbers,
        {name: found for name, found in categories.items() if len(set(found)) > 1},
        kinds,
        y,
        stderr,
        {"recipe": recipe, "size": tuple(f"{value:.3g}" for value in facts["params"])},
        (None,) * len(ids),
    )


def _kind(metric: str) -> str:
    """accuracy where scores stay in [0, 1], else the metric itself."""
    return "accuracy" if find_metric(metric).accuracy else metric
