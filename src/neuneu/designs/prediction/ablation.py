"""What each group of features is worth: one method on the same folds, with one group left out at a time."""

from collections.abc import Sequence

import polars as pl

from neuneu.designs.prediction.design_table import DesignTable
from neuneu.designs.prediction.nested import evaluate
from neuneu.errors import InputError
from neuneu.progress import counted


def leave_one_out(
    table: DesignTable,
    method: str,
    *,
    split: str = "random",
    seeds: Sequence[int] = range(5),
    workers: int = 1,
) -> pl.DataFrame:
    """Predictions as of `nested.evaluate`, where `method` says which features: all, or without GROUP.

    Raises InputError where the method needs scale, or the table has one group of features only.
    """
    kinds = [kind for kind in dict.fromkeys(table.kinds.values()) if table.named(kind)]
    if len(kinds) < 2:
        raise InputError("has one group of features only", field="features", value=kinds[0])
    frames = []
    scopes = {"all": "all", **{f"without {kind}": f"-{kind}" for kind in kinds}}
    for name in counted(scopes, "groups"):
        found = evaluate(table, [method], split=split, seeds=seeds, scope=scopes[name], workers=workers)
        frames.append(found.with_columns(pl.lit(name).alias("method")))
    return pl.concat(frames)
