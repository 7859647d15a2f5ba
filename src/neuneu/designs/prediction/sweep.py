"""What if: scores of designs that nobody has trained, with intervals and a warning where no data is near."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from neuneu.designs.prediction.design_table import LOGARITHMIC, PARTS, DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.nested import predict_rows
from neuneu.errors import InputError, check_known

FAR = 20.0
"""Points of the data that may differ from every known mix before a prediction is called an extrapolation."""


def with_rows(
    table: DesignTable,
    ids: Sequence[str],
    numbers: Sequence[Mapping[str, float]],
    *,
    like: int | None = None,
    texts: Mapping[str, str] | None = None,
) -> DesignTable:
    """The table with new models at its end, without scores: copies of a model (or blank) with these numbers.

    numbers: one mapping a new model, name → value as tables keep it (logarithms where LOGARITHMIC); texts:
    categories and labels of all new models.
    """
    given_texts = texts or {}
    count = len(ids)
    for given in numbers:
        for name in given:
            check_known(name, table.numbers, "feature", "unknown")

    def longer(name: str, column: Matrix) -> Matrix:
        base = np.nan if like is None else column[like]
        return np.concatenate([column, [given.get(name, base) for given in numbers]])

    def named(name: str, found: tuple[str, ...]) -> tuple[str, ...]:
        base = "" if like is None else found[like]
        return (*found, *((given_texts.get(name, base),) * count))

    blank = np.full((count, len(table.tasks)), np.nan)
    return replace(
        table,
        ids=(*table.ids, *ids),
        numbers={name: longer(name, column) for name, column in table.numbers.items()},
        categories={name: named(name, found) for name, found in table.categories.items()},
        labels={name: named(name, found) for name, found in table.labels.items()},
        y=np.vstack([table.y, blank]),
        stderr=np.vstack([table.stderr, blank]),
        dates=(*table.dates, *([None] * count)),
    )


def forecast(
    table: DesignTable, train: Indices, *, method: str = "ensemble", split: str = "organisation"
) -> pl.DataFrame:
    """Predict the rows of a table that are not trained on: a row a (model, task) with the 80 % interval.

    split: what the inner folds, on which the interval rests, keep whole. extrapolates: parameters, tokens or
    a share outside all known models, or a mix more than 20 points from every known one.
    """
    test = np.setdiff1d(np.arange(len(table)), train)
    found = predict_rows(table, method, train, test, table.groups(split))
    moved = nearest_mix(table, train, test)
    far = (found.outside > 0) | (np.nan_to_num(moved) > FAR)
    frames = [
        pl.DataFrame(
            {
                "id": [table.ids[i] for i in test],
                "task": [task.name] * len(test),
                "setting": [task.setting] * len(test),
                "metric": [task.metric] * len(test),
                "q10": found.low[:, k],
                "q50": found.value[:, k],
                "q90": found.high[:, k],
                "moved": moved,
                "extrapolates": far,
            }
        ).with_columns(pl.col("moved").fill_nan(None))
        for k, task in enumerate(table.tasks)
    ]
    return pl.concat(frames)


def nearest_mix(table: DesignTable, train: Indices, test: Indices) -> Matrix:
    """Points of the data (0 to 100) that must be exchanged to reach the nearest mix of a training model; NaN
    where a row's own mix is unknown."""
    parts = [name for name in PARTS if name in table.numbers]
    if not parts:
        return np.full(len(test), np.nan)
    mixes = table.matrix(parts)
    known = mixes[train][~np.isnan(mixes[train]).any(1)]
    if len(known) == 0:
        return np.full(len(test), np.nan)
    nearest: Matrix = np.abs(mixes[test][:, None, :] - known[None]).sum(-1).min(1) / 2
    return nearest


def changed_mix(mix: Mapping[str, float], feature: str, value: float) -> dict[str, float]:
    """The mix with one share set, the others scaled so that the sum stays; 0 ≤ value ≤ the sum."""
    total = sum(mix.values())
    rest = total - mix[feature]
    if not 0 <= value <= total + 1e-9:
        raise InputError(f"must be in [0, {total:g}]", field=feature, value=value)
    if rest > 0:
        scaled = {name: share * (total - value) / rest for name, share in mix.items()}
    else:
        scaled = {name: (total - value) / (len(mix) - 1) for name in mix}
    return {**scaled, feature: value}


def sweep(
    table: DesignTable,
    model: str,
    feature: str,
    values: Sequence[float],
    *,
    method: str = "ensemble",
    split: str = "organisation",
) -> pl.DataFrame:
    """Scores that a model would have with other values of one feature: a row a (value, task).

    values: in the feature's own unit (parameters, billions of tokens, per cent, …). A share of the data is
    changed at the expense of the others, in proportion. The model and its twins are left out of training, so
    that their own scores do not hold the curve in place. truth: the model's score, null where unknown.
    """
    check_known(model, table.ids, "model", "is not in this table")
    check_known(feature, table.numbers, "feature", "is no number of this table")
    if not values:
        raise InputError("must hold at least one value", field="values")
    base = table.ids.index(model)
    numbers = [_changes(table, base, feature, value) for value in values]
    larger = with_rows(table, [f"{model} ({feature} = {value:g})" for value in values], numbers, like=base)
    train = np.flatnonzero(table.twins != table.twins[base])
    asked = np.concatenate([train, np.arange(len(table), len(larger))])
    smaller = larger.only(asked)
    found = forecast(smaller, np.arange(len(train)), method=method, split=split)
    position = {name: place for place, name in enumerate(larger.ids[len(table) :])}
    scores = {task.key: table.y[base, k] for k, task in enumerate(table.tasks)}
    keys = [
        f"{task} ({setting})" if setting else task
        for task, setting in found.select("task", "setting").iter_rows()
    ]
    return found.with_columns(
        pl.lit(model).alias("id"),
        pl.lit(feature).alias("feature"),
        pl.Series("value", [float(values[position[name]]) for name in found["id"]]),
        pl.Series("truth", [scores[key] for key in keys]).fill_nan(None),
    ).select("id", "feature", "value", pl.exclude("id", "feature", "value"))


def _changes(table: DesignTable, base: int, feature: str, value: float) -> dict[str, float]:
    if feature in PARTS:
        mix = {name: float(table.numbers[name][base]) for name in PARTS if name in table.numbers}
        if any(np.isnan(share) for share in mix.values()):
            raise InputError("the data of this model is not known", field="model", value=table.ids[base])
        return changed_mix(mix, feature, value)
    if feature in LOGARITHMIC or table.kinds[feature] == "scale":
        if value <= 0:
            raise InputError("must be positive", field=feature, value=value)
        return {feature: float(np.log(value))}
    return {feature: value}
