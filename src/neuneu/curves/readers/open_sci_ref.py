"""open-sci-ref's tables (OpenEuroLLM/notebooks, plot_results_release/data/results-DD-MM.csv.zip), long.

A row a value: model_name, model_path (…/iter_0002000), benchmark, metric, value, n_few_shot, source. Rows
from Weights & Biases do not say their shots: where a row that does has the same place, they are its repeats
and are left out, else they stay without. Where one value is given twice the last counts. The dated tables
hold the same runs, so read one of them.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from neuneu.curves.readers.bulk import each_file
from neuneu.curves.readers.identity import read_place
from neuneu.curves.readers.labels import number_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.tasks import find_task
from neuneu.errors import InputError, TooLargeError
from neuneu.files import open_file, refuse_library_errors

COLUMNS = ("model_name", "model_path", "benchmark", "metric", "value", "n_few_shot")
MAX_BYTES = 2**28
"""Largest unpacked table: the newest has 15 MB."""

PARAMS = {"0.13": 99_303_424, "0.4": 351_797_248, "1.3": 1_204_813_824, "1.7": 1_610_612_736}
"""Parameters without embeddings by the size in a name, layers × (4 width² + 3 width × feed-forward width)."""

FIRST_OF_1_7B = 11_844_147
"""The job of the first run on C4 that has the 1.7b in its name; those before it have the size of 1.3b."""

_NAME = re.compile(
    r"open-sci-ref_model-(?P<size>[\d.]+)b_data-(?P<data>.+?)_tokenizer-.*?_global_bs-(?P<batch>\d+)"
    r"_context-(?P<context>\d+)_.*?(?:_(?P<job>\d{6,}))?"
)


def _recognise(look: Look) -> Fit:
    named = re.fullmatch(r"results-.*\.csv\.zip", look.path.name)
    return Fit.MARK if named and look.start.startswith(b"PK") else Fit.NO


@reader(
    "open-sci-ref",
    "open-sci-ref's result tables (results-DD-MM.csv.zip)",
    names=["results-*.csv.zip"],
    recognise=_recognise,
)
def read_open_sci_ref(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read a table; runs have the names of its models. Rows of other models are skipped and counted."""
    return stack([table for _, table in each_file(files, _read_table, given, report, "open-sci-ref")])


def _read_table(path: Path, report: ReadReport) -> pl.DataFrame:
    frame = _unzip(path)
    for name in COLUMNS:
        if name not in frame.columns:
            raise InputError("the column is missing: no table of open-sci-ref", where=path, field=name)
    steps = {text: read_place(text or "").step for text in frame["model_path"].unique()}
    tasks = {name: find_task(name).name for name in frame["benchmark"].drop_nulls().unique()}
    rows = frame.select(
        pl.col("model_name").alias("run"),
        pl.col("benchmark").replace(tasks).alias("task"),
        "metric",
        number_column(frame, "n_few_shot", path).cast(pl.Int64).alias("n_shot"),
        pl.col("model_path").replace_strict(steps, return_dtype=pl.Int64).alias("step"),
        number_column(frame, "value", path).alias("value"),
    )
    known = rows.filter(
        pl.col("run").str.starts_with("open-sci-ref_").fill_null(value=False)
        & pl.all_horizontal(pl.col("task", "metric", "step", "value").is_not_null())
    )
    if len(known) < len(rows):
        report.skip(path, "rows of other models, or without step or value", len(rows) - len(known))
    told = _without_repeats(known, path, report)
    facts = [_facts_of(name) for name in told["run"].unique().sort()]
    schema = {"run": pl.String, "params": pl.Int64, "recipe": pl.String, "step_tokens": pl.Int64}
    report.read[str(path)] += len(told)
    return (
        told.join(pl.DataFrame(facts, schema=schema), on="run", how="left", maintain_order="left")
        .with_columns((pl.col("step") * pl.col("step_tokens")).alias("tokens"))
        .with_columns(
            (6.0 * pl.col("params") * pl.col("tokens")).alias("flops"),
            pl.lit("open_sci_ref").alias("source"),
            pl.lit("open-sci-ref").alias("family"),
        )
        .drop("step_tokens")
    )


def _without_repeats(rows: pl.DataFrame, path: Path, report: ReadReport) -> pl.DataFrame:
    """Rows without shots only where no row with shots has their place, and one value a place."""
    place = ["run", "task", "metric", "step"]
    shots_known = pl.col("n_shot").is_not_null()
    told = rows.filter(shots_known | ~shots_known.any().over(place))
    if len(told) < len(rows):
        report.skip(path, "values without shots beside the same with shots", len(rows) - len(told))
    last = told.unique([*place, "n_shot"], keep="last", maintain_order=True)
    if len(last) < len(told):
        report.skip(path, "a value given twice: the last counts", len(told) - len(last))
    return last


def _facts_of(run: str) -> dict[str, object]:
    found = _NAME.fullmatch(run)
    if found is None:
        return {"run": run}
    early = found["size"] == "1.7" and found["data"] == "C4" and int(found["job"] or 0) < FIRST_OF_1_7B
    return {
        "run": run,
        "params": PARAMS.get("1.3" if early else found["size"]),
        "recipe": "C4" if found["data"] == "c4" else found["data"],
        "step_tokens": int(found["batch"]) * int(found["context"]),
    }


def _unzip(path: Path) -> pl.DataFrame:
    """The one table in the archive, every column as text."""
    with open_file(path) as packed, refuse_library_errors(path, "a zip archive of one .csv"):
        with zipfile.ZipFile(packed) as archive:
            tables = [item for item in archive.infolist() if item.filename.endswith(".csv")]
            if len(tables) != 1:
                raise InputError("must hold one .csv", where=path, value=archive.namelist()[:5])
            with archive.open(tables[0]) as stream:
                content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise TooLargeError(f"unpacks to more than {MAX_BYTES} bytes", where=path)
        return pl.read_csv(content, infer_schema=False)
