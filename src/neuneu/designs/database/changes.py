"""What a batch of rows would change in a table, and the rows that result under a named policy."""

from typing import Literal, get_args

import polars as pl

from neuneu.designs.database.schema import Table
from neuneu.errors import InputError, offered

Policy = Literal["error", "keep", "replace", "larger", "smaller"]
"""What to do where a stored value and a new one differ: refuse, keep the stored, take the new, the larger,
the smaller."""

DIFF_SCHEMA = {
    "table": pl.String,
    "key": pl.String,
    "column": pl.String,
    "kind": pl.String,
    "old": pl.String,
    "new": pl.String,
}


def check_policy(policy: str) -> Policy:
    """The policy itself; InputError if it is none."""
    for known in get_args(Policy):
        if policy == known:
            return known  # type: ignore[no-any-return]
    raise InputError("unknown" + offered(policy, get_args(Policy)), field="policy", value=policy)


def diff(table: Table, old: pl.DataFrame, new: pl.DataFrame, *, removed: bool = False) -> pl.DataFrame:
    """Cell by cell, what `new` says that `old` does not: table, key, column, kind, old, new; sorted.

    kind: added (the row is new), filled (was missing), changed (both say something, and differ), and with
    `removed`, removed (the row is not in `new`).
    """
    parts = []
    key = pl.concat_str([pl.col(name) for name in table.key], separator=" | ").alias("key")
    keys = list(table.key)
    joined = new.join(old.with_columns(pl.lit(True).alias("_known")), on=keys, how="left", suffix="_old")
    for column in table.values:
        if column.name not in new.columns:
            continue
        before = pl.col(f"{column.name}_old") if column.name in old.columns else pl.lit(None, column.dtype)
        after = pl.col(column.name)
        kind = (
            pl.when(pl.col("_known").is_null())
            .then(pl.lit("added"))
            .when(before.is_null())
            .then(pl.lit("filled"))
            .when(before != after)
            .then(pl.lit("changed"))
        )
        parts.append(
            joined.filter(after.is_not_null()).select(
                pl.lit(table.name).alias("table"),
                key,
                pl.lit(column.name).alias("column"),
                kind.alias("kind"),
                before.cast(pl.String).alias("old"),
                after.cast(pl.String).alias("new"),
            )
        )
    if removed:
        gone = old.join(new.select(keys), on=keys, how="anti")
        row = {"table": pl.lit(table.name), "key": key, "kind": pl.lit("removed")}
        parts.append(gone.select(**{name: row.get(name, pl.lit(None, pl.String)) for name in DIFF_SCHEMA}))
    frame = pl.concat([pl.DataFrame(schema=DIFF_SCHEMA), *parts]).drop_nulls("kind")
    return frame.sort(list(DIFF_SCHEMA), nulls_last=True)


def merge(table: Table, old: pl.DataFrame, new: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """The rows of `new`'s keys after the merge, all columns of `old`.

    A missing new value never erases a stored one, a missing stored one is always filled; where both speak and
    differ the policy decides. A score and its standard error go together. A row's provenance is the new
    file's where any cell was taken from it.
    """
    keys = list(table.key)
    if policy == "error":
        _refuse_conflicts(table, old, new)
    joined = new.join(old.with_columns(pl.lit(True).alias("_known")), on=keys, how="left", suffix="_old")
    known = pl.col("_known").fill_null(False)
    took = {
        column.name: _takes_new(column.name, policy, numeric=column.type not in ("VARCHAR", "BOOLEAN"))
        for column in table.values
        if column.name in new.columns
    }
    if "metric_stderr" in took:
        same = pl.col("metric_value").eq_missing(pl.col("metric_value_old"))
        took["metric_stderr"] = pl.when(same).then(took["metric_stderr"]).otherwise(took["metric_value"])
    cells = {column.name: _cell(column.name, took) for column in table.values}
    any_new = pl.any_horizontal(*(t.fill_null(False) for t in took.values()), ~known) if took else ~known
    origin = {
        name: pl.when(any_new).then(pl.col(name)).otherwise(pl.col(f"{name}_old"))
        for name in ("source", "line")
    }
    chosen = {**{k: pl.col(k) for k in keys}, **cells, **origin}
    return joined.select(**chosen)


def _takes_new(name: str, policy: Policy, *, numeric: bool) -> pl.Expr:
    new, old = pl.col(name), pl.col(f"{name}_old")
    differs = {
        "error": pl.lit(False),
        "keep": pl.lit(False),
        "replace": pl.lit(True),
        "larger": new > old if numeric else pl.lit(False),
        "smaller": new < old if numeric else pl.lit(False),
    }[policy]
    return new.is_not_null() & (old.is_null() | ((new != old) & differs))


def _cell(name: str, took: dict[str, pl.Expr]) -> pl.Expr:
    if name in took:
        return pl.when(took[name].fill_null(False)).then(pl.col(name)).otherwise(pl.col(f"{name}_old"))
    return pl.col(name)


def _refuse_conflicts(table: Table, old: pl.DataFrame, new: pl.DataFrame) -> None:
    changed = diff(table, old, new).filter(pl.col("kind") == "changed")
    if len(changed):
        row = changed.row(0, named=True)
        raise InputError(
            f"differs from the stored {row['old']} ({len(changed)} such cells); "
            "choose a policy: keep, replace, larger, smaller",
            where=f"{table.name}: {row['key']}",
            field=row["column"],
            value=row["new"],
        )
