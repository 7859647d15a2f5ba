"""What analyses ask of a design database: one value a measurement, profiles, wide tables, conflicts, gaps."""

from typing import Literal, get_args

import polars as pl

from neuneu.designs.database.aliases import Aliases
from neuneu.designs.database.schema import DATASETS, EVALUATIONS, MODELS
from neuneu.designs.database.store import DesignStore, canonical
from neuneu.errors import InputError, check_known, offered

Choice = Literal["first", "last", "largest", "smallest", "mean"]
"""Which of several values of one measurement is taken, in the order of source files and their records."""

_KEY = list(EVALUATIONS.key)


def evaluations(
    store: DesignStore, *, aliases: Aliases | None = None, choice: Choice = "first"
) -> pl.DataFrame:
    """One row a measurement under canonical names, sorted by key; rows without a value are left out.

    Where aliases bring several values together `choice` takes one: the first of the database (source, then
    record), the last, the largest, the smallest, or the mean (with the mean of the standard errors).
    """
    check_known(choice, get_args(Choice), "choice", "unknown")
    frame = canonical(store, store.table("evaluation"), aliases).drop_nulls("metric_value")
    order = {"largest": "metric_value", "smallest": "metric_value"}.get(choice)
    if choice == "mean":
        grouped = frame.group_by(_KEY, maintain_order=True)
        return grouped.agg(pl.mean("metric_value", "metric_stderr"), pl.first("source", "line")).sort(_KEY)
    by = [order, "source", "line"] if order else ["source", "line"]
    descending = [choice == "largest", False, False] if order else [False, False]
    keep: Literal["first", "last"] = "last" if choice == "last" else "first"
    return frame.sort(by, descending=descending).unique(_KEY, keep=keep, maintain_order=True).sort(_KEY)


def conflicts(store: DesignStore, *, aliases: Aliases | None = None) -> pl.DataFrame:
    """Measurements that several rows tell differently once names are canonical, largest difference first."""
    frame = canonical(store, store.table("evaluation"), aliases).drop_nulls("metric_value")
    grouped = frame.sort("source", "line").group_by(_KEY, maintain_order=True)
    return (
        grouped.agg(
            pl.col("metric_value").alias("values"),
            pl.format("{}:{}", "source", "line").alias("origins"),
            (pl.max("metric_value") - pl.min("metric_value")).alias("difference"),
        )
        .filter(pl.col("difference") > 0)
        .sort("difference", *_KEY, descending=[True, False, False, False, False])
    )


def facts(store: DesignStore) -> pl.DataFrame:
    """One row a model: architecture and pretraining data, without provenance; models known to either
    table."""
    models = store.table("model").drop("source", "line")
    data = store.table("dataset").drop("source", "line", "metadata")
    return models.join(data, on="id", how="full", coalesce=True).sort("id")


def analysis_data(store: DesignStore, layout: Literal["long", "wide"] = "long") -> pl.DataFrame:
    """Facts joined with evaluations, of models that have facts: a row a measurement, or a row a model.

    Wide columns are `<benchmark>_<setting>_<metric>` and the same with `_stderr`.
    """
    if layout == "long":
        return facts(store).join(evaluations(store), on="id").sort("id", *_KEY[1:])
    if layout == "wide":
        return facts(store).join(to_wide(evaluations(store)), on="id", how="left").sort("id")
    raise InputError("must be long or wide", field="layout", value=layout)


def to_wide(frame: pl.DataFrame) -> pl.DataFrame:
    """One row a model from one row a measurement; the setting is part of the column's name."""
    name = pl.concat_str(["benchmark", "setting", "metric"], separator="_").alias("name")
    named = frame.with_columns(name)
    values = named.pivot("name", index="id", values="metric_value")
    errors = named.pivot("name", index="id", values="metric_stderr")
    errors = errors.rename({c: f"{c}_stderr" for c in errors.columns if c != "id"})
    wide = values.join(errors, on="id")
    return wide.select("id", *sorted(c for c in wide.columns if c != "id")).sort("id")


def profile(store: DesignStore, model: str) -> dict[str, pl.DataFrame]:
    """All that is known of one model, under any of its ids: model, dataset, evaluation and features tables.

    Raises InputError where nothing is known of it.
    """
    tables = {
        name: canonical(store, store.table(name)) for name in ("model", "dataset", "evaluation", "features")
    }
    name = canonical(store, pl.DataFrame({"id": [model]}))["id"][0]
    found = {kind: frame.filter(pl.col("id") == name) for kind, frame in tables.items()}
    if not any(map(len, found.values())):
        known = sorted({id_ for frame in tables.values() for id_ in frame["id"]})
        raise InputError("nothing is known of this model" + offered(model, known), field="model", value=model)
    return found


def missing_facts(store: DesignStore, ids: list[str] | None = None) -> pl.DataFrame:
    """Column → how many models lack it, and the share, most lacking first."""
    frame = facts(store)
    if ids is not None:
        frame = frame.filter(pl.col("id").is_in(ids))
    names = [c.name for c in (*MODELS.values, *DATASETS.values) if c.name in frame.columns]
    counts = [frame[name].null_count() for name in names]
    table = pl.DataFrame({"column": names, "missing": counts})
    share = pl.col("missing") / max(len(frame), 1)
    return table.with_columns(share.alias("share")).sort("missing", "column", descending=[True, False])


def missing_evaluations(
    store: DesignStore, *, models: list[str] | None = None, least: int = 30
) -> pl.DataFrame:
    """Model × measurement pairs that nobody has made: id, benchmark, setting, metric; sorted.

    Only measurements of at least `least` of the models are asked for; `models` defaults to those with facts.
    """
    ids = models if models is not None else facts(store)["id"].to_list()
    have = evaluations(store).filter(pl.col("id").is_in(ids)).select(_KEY)
    wanted = have.group_by(_KEY[1:]).len().filter(pl.col("len") >= least).select(_KEY[1:])
    everything = pl.DataFrame({"id": sorted(ids)}).join(wanted, how="cross")
    return everything.join(have, on=_KEY, how="anti").sort(_KEY)
