import polars as pl

n = 1_900_000
pl.select(
    run=pl.lit("r"),
    task=pl.lit("t"),
    metric=pl.lit("acc"),
    step=pl.int_range(n),
    value=pl.lit(0.5),
    source=pl.lit("A" * 490),
    variant=pl.lit("B" * 490),
    recipe=pl.lit("C" * 5000),
).write_parquet("bomb.parquet", compression="zstd")
