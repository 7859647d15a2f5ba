"""The Gemstones' evaluations (mcleish7/gemstone-scaling-laws): benchmarks/light_eval_df.parquet, wide.

A row a checkpoint, named Gemstone-WIDTHxDEPTH-step_00002385 or -main (the last) in __index_level_0__, a
column a task; light_eval_df_err.parquet beside it has the standard errors. lighteval took 1,000 questions a
task at most.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.labels import parse_lighteval, text_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.errors import InputError
from neuneu.files import refuse_library_errors

STEP_TOKENS = 4_194_304
"""Tokens a step (McLeish et al. 2025: 2,048 sequences of 2,048)."""

LAST_STEP = 83_475
"""The step of main: 350 billion tokens."""

HEAD = 128
"""Size of an attention head."""

METRIC, N_SHOT, VARIANT = "acc_norm", 0, "lighteval_max1000"
INDEX = "__index_level_0__"
_NAME = re.compile(r"(?P<model>Gemstone-(?P<width>\d+)x(?P<depth>\d+))-(?:step_(?P<step>\d+)|main)")


def _recognise(look: Look) -> Fit:
    return Fit.MARK if look.path.name == "light_eval_df.parquet" and INDEX in look.columns else Fit.NO


@reader(
    "gemstones",
    "the Gemstones' light_eval_df.parquet",
    names=["light_eval_df.parquet"],
    recognise=_recognise,
)
def read_gemstones(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read the table; runs are gemstone/<width>x<depth>. Rows of other names are skipped and counted."""
    frames = []
    for path in files:
        values = _long(path, "value")
        beside = path.with_name("light_eval_df_err.parquet")
        if beside.is_file():
            values = values.join(_long(beside, "stderr"), on=["name", "task"], how="left")
        facts = [{"name": name, **_facts_of(name, path, report)} for name in values["name"].unique().sort()]
        kinds = {
            "run": pl.String,
            "step": pl.Int64,
            "tokens": pl.Int64,
            "params": pl.Int64,
            "flops": pl.Float64,
        }
        known = pl.DataFrame(facts, schema={"name": pl.String, **kinds}).drop_nulls("run")
        rows = values.join(known, on="name", how="inner", maintain_order="left").drop("name")
        report.read[str(path)] += len(rows)
        frames.append(rows)
    return stack(frames).with_columns(
        pl.lit(METRIC).alias("metric"),
        pl.lit(N_SHOT, pl.Int64).alias("n_shot"),
        pl.lit(VARIANT).alias("variant"),
        pl.lit("gemstones").alias("source"),
        pl.lit("gemstone").alias("family"),
        pl.lit("dolma1.7").alias("recipe"),
    )


def count_params(width: int, depth: int) -> int:
    """Parameters without embeddings.

    A layer has a query and an output of width², keys and values of half as many heads (rounded down), three
    matrices of 4 width², and two norms; the model one more norm.
    """
    keys = width * HEAD * (width // HEAD // 2)
    return depth * (14 * width**2 + 2 * keys + 2 * width) + width


def _long(path: Path, value: str) -> pl.DataFrame:
    """A row a checkpoint and task: name, task and the value."""
    frame = read_frame(path)
    if INDEX not in frame.columns:
        raise InputError("the column is missing: no table of the Gemstones", where=path, field=INDEX)
    frame = frame.with_columns(text_column(frame, INDEX, path))
    if frame[INDEX].null_count():
        raise InputError("must not be missing", where=path, field=INDEX)
    tasks = {name: parse_lighteval(name)[0] for name in frame.columns if name != INDEX}
    for name in tasks:
        if not frame[name].dtype.is_numeric():
            raise InputError("must be a column of numbers", where=path, field=name)
    with refuse_library_errors(path, "a table of the Gemstones"):  # two columns of one task
        return (
            frame.rename(tasks | {INDEX: "name"})
            .unpivot(list(tasks.values()), index="name", variable_name="task", value_name=value)
            .drop_nulls(value)
        )


def _facts_of(name: str, path: Path, report: ReadReport) -> dict[str, object]:
    found = _NAME.fullmatch(name)
    if found is None:
        report.skip(path, f"{name} is no checkpoint of a Gemstone")
        return {}
    step = int(found["step"] or LAST_STEP)
    params = count_params(int(found["width"]), int(found["depth"]))
    return {
        "run": f"gemstone/{found['width']}x{found['depth']}",
        "step": step,
        "tokens": step * STEP_TOKENS,
        "params": params,
        "flops": 6.0 * params * step * STEP_TOKENS,
    }
