"""Models of a design database as finished runs: what the atlas of benchmarks can be extended with."""

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.designs.database.store import DesignStore
from neuneu.designs.database.views import evaluations, facts
from neuneu.errors import InputError

ACCURACY = {"accuracy": "acc"}
"""Names of the database's metrics → those of curves, where they differ."""


def finished_models(store: DesignStore) -> CurveTable:
    """Accuracies of the models whose parameters and tokens are known, each a run of one checkpoint.

    A model's family is its organisation, where its id names one, else itself. Models tuned to instructions or
    preferences are left out. Raises InputError where no model is left.
    """
    known = facts(store).select(
        "id",
        pl.col("total_params").alias("params"),
        (pl.col("pretraining_summary_total_tokens_billions") * 1e9).round().cast(pl.Int64).alias("tokens"),
        pl.any_horizontal("is_instruction_tuned", "is_preference_tuned")
        .fill_null(value=False)
        .alias("tuned"),
    )
    scores = evaluations(store).with_columns(pl.col("metric").replace(ACCURACY))
    accuracies = [name for name in scores["metric"].unique() if find_metric(name).accuracy]
    rows = (
        scores.filter(pl.col("metric").is_in(accuracies), pl.col("metric_value").is_between(0, 1))
        .join(known, on="id")
        .filter(pl.col("params") > 0, pl.col("tokens") > 0, ~pl.col("tuned"))
    )
    if not len(rows):
        rule = "has no accuracy of an untuned model whose total_params and tokens are known"
        raise InputError(rule, where="design database")
    return CurveTable.from_frame(
        rows.select(
            pl.col("id").alias("run"),
            pl.col("benchmark").alias("task"),
            "metric",
            pl.col("setting").str.extract(r"^(\d+)-shot$").cast(pl.Int64).alias("n_shot"),
            pl.lit(0).alias("step"),
            pl.col("metric_value").alias("value"),
            pl.col("metric_stderr").alias("stderr"),
            "tokens",
            "params",
            pl.col("id").str.extract(r"^([^/]+)/").fill_null(pl.col("id")).alias("family"),
        ),
        "design database",
    )
