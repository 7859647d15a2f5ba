"""The published predictor as a method of the nested protocol: the same trees, grid and discarded fifth, on
folds that are not its own."""

from collections.abc import Mapping, Sequence

import numpy as np

from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.grids import tune
from neuneu.designs.prediction.predictors import Predictor, each_task
from neuneu.designs.prediction.selection import forward_selection


def published_predictor(
    seed: int, selected: Mapping[tuple[str, str], Sequence[str]] | None = None
) -> Predictor:
    """XGBoost tuned on 80 % of the training rows, on the scaling pair and the features selected for a task.

    selected: (task, setting) → features; None: the scaling-law predictor, without any.
    """

    def predict(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
        from sklearn.model_selection import train_test_split

        key = (table.tasks[task].name, table.tasks[task].setting)
        names = [*table.named("scale"), *((selected or {}).get(key, ()))]
        X = published_matrix(table, names)
        kept, _ = train_test_split(train, test_size=0.2, random_state=seed)
        return tune(X[kept], table.y[kept, task], seed, "fast").predict(X[test])

    return each_task(predict)


def selected_predictor(table: DesignTable, train: Indices, groups: Indices, seed: int) -> Predictor:
    """The published predictor with its features selected anew, on these training rows only."""
    chosen = {
        (task.name, task.setting): forward_selection(table, k, train, groups, seed=seed).features[
            len(table.named("scale")) :
        ]
        for k, task in enumerate(table.tasks)
    }
    return published_predictor(seed, chosen)


def published_matrix(table: DesignTable, names: Sequence[str]) -> Matrix:
    """Columns in single precision; categories as published: rank of the label, "missing" a label too."""
    columns = []
    for name in names:
        if name in table.categories:
            found = [label or "missing" for label in table.categories[name]]
            rank = {label: float(place) for place, label in enumerate(sorted(set(found)))}
            columns.append(np.array([rank[label] for label in found]))
        else:
            columns.append(table.column(name))
    return np.column_stack(columns).astype(np.float32).astype(np.float64)
