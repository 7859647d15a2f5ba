"""Runs that hold the learning rate and let it fall late, with when that is known beforehand to happen."""

import polars as pl

SCHEDULES = {"open_sci_ref": "wsd:0.8"}
"""By source: open-sci-ref's runs are named WSD, and rise from four fifths on."""
TRUNKS, BRANCHES = "olmo_ladder_moreeval_const", "olmo_ladder_moreeval_decay"
"""Runs of the second source branch off those of the first, of the same size, to cool down."""
MEASURED = ("task", "metric", "n_shot", "variant")


def with_schedules(frame: pl.DataFrame) -> pl.DataFrame:
    """The curves with their schedules; branches begin with what their trunk has measured before.

    Their decay starts at the trunk's last checkpoint before their own first.
    """
    told = pl.col("source").replace_strict(SCHEDULES, default=None, return_dtype=pl.String)
    frame = frame.with_columns(schedule=pl.coalesce("schedule", told))
    branches = frame.filter(source=BRANCHES)
    if branches.is_empty():
        return frame
    size = pl.col("run").str.extract(r"^ladder/([^-]+)-").alias("size")
    ends = branches.group_by(size, "run").agg(first=pl.col("tokens").min(), last=pl.col("tokens").max())
    trunks = frame.filter(source=TRUNKS).with_columns(size, source=pl.lit(BRANCHES)).drop("run")
    before = trunks.join(ends, on="size").filter(pl.col("tokens") < pl.col("first"))
    start = before.group_by("run").agg(start=(pl.col("tokens").max() / pl.col("last").max()).round(3))
    asked = branches.select("run", *MEASURED).unique()
    before = before.join(asked, on=["run", *MEASURED], how="semi", nulls_equal=True).select(branches.columns)
    whole = (
        pl.concat([branches, before])
        .join(start, on="run")
        .with_columns(schedule=pl.concat_str(pl.lit("wsd:"), pl.col("start").cast(pl.String)))
    )
    return pl.concat([frame.filter(pl.col("source") != BRANCHES), whole.select(frame.columns)])
