"""DataDecide's evaluation results: Parquet files, local or from the Hugging Face hub.

Two layouts: long (params, data, task, step, seed, metrics: a row a task, the metrics as an object or as its
text; as in allenai/DataDecide-eval-results) and wide (a row a checkpoint, columns <task>_<metric>).
"""

import ast
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.datadecide_models import RECIPES, SEEDS
from neuneu.curves.readers.labels import number_column, text_column
from neuneu.curves.readers.parsing import Given, ReadReport
from neuneu.curves.readers.reader import Fit, Look, reader, stack
from neuneu.curves.tasks import find_task, olmes_tasks
from neuneu.errors import InputError
from neuneu.files import parse_json
from neuneu.hub import HUB, cache_folder, fetch_files, select_rows, split_address

HUB_DATASET = "allenai/DataDecide-eval-results"
VARIANT, N_SHOT = "olmes_rc", 5
MAX_METRICS_TEXT = 20_000
_FACTS = ("params", "data", "seed", "step")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([MB])")


def _recognise(look: Look) -> Fit:
    return Fit.MARK if set(_FACTS) <= set(look.columns) else Fit.NO


def _fetch(path: str | Path) -> str | Path:
    return download(str(path)) if str(path).startswith(HUB) else path


@reader(
    "datadecide",
    f"DataDecide results in Parquet, wide or long; {HUB}{HUB_DATASET} fetches them",
    names=["*.parquet"],
    recognise=_recognise,
    fetch=_fetch,
)
def read_datadecide(files: Sequence[Path], given: Given, report: ReadReport) -> pl.DataFrame:
    """Read Parquet files, folders of them, or hf://OWNER/DATASET (the network is used only then).

    Runs are datadecide/<data>-<size>-seed<n>; where compute and tokens are known, params is compute / (6
    tokens), else the nominal size. Raises InputError on other columns and on metrics that cannot be parsed.
    """
    frames = []
    for path in files:
        frame = read_frame(path, nested=("metrics",))
        absent = [name for name in _FACTS if name not in frame.columns]
        if absent:
            report.skip(path, f"no DataDecide results: it has no column {absent[0]}")
            continue
        if "metrics" in frame.columns:
            values = _long(frame, path, given.metrics, report)
        else:
            values = _wide(frame, path, given.metrics)
        values = values.drop_nulls("value")
        report.read[str(path)] += len(values)
        frames.append(values)
    return stack(frames)


def download(address: str) -> Path:
    """Fetch the Parquet files of hf://OWNER/DATASET to a cache; the folder they are in.

    A query keeps rows before they are fetched: hf://OWNER/DATASET?params=300M,530M&seed=default. `data` may
    be named as the models are (c4, dolma1_7-no-code).
    Raises MissingExtraError without huggingface_hub, InputError where the hub does not give them.
    """
    place, asked = split_address(address)
    wanted = {column: tuple(RECIPES.get(v, v) for v in values) for column, values in asked.items()}
    name = place.removeprefix(HUB).removeprefix("datasets/").strip("/") or HUB_DATASET
    cache = cache_folder() / "hub" / name.replace("/", "--")
    if wanted:
        query = "&".join(f"{column}={','.join(values)}" for column, values in sorted(wanted.items()))
        return select_rows(name, wanted, _FACTS, cache.with_name(f"{cache.name}--{quote(query, safe='')}"))
    return fetch_files(name, ["*.parquet"], kind="dataset", folder=cache)


def _run_facts(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The columns that say which run and step a row belongs to, a row a row of the frame."""
    frame = frame.with_columns(
        *(text_column(frame, name, path) for name in ("data", "params", "seed")),
        *(
            number_column(frame, name, path)
            for name in ("step", "tokens", "compute")
            if name in frame.columns
        ),
    )
    sizes = {name: _nominal(name, path) for name in frame["params"].cast(pl.String).unique() if name}
    nominal = pl.col("params").cast(pl.String).replace_strict(sizes, default=None, return_dtype=pl.Int64)
    seed = pl.col("seed").cast(pl.String)
    seed = seed.replace({name: str(number) for name, number in SEEDS.items()})
    tokens = pl.col("tokens") if "tokens" in frame.columns else pl.lit(None, pl.Float64)
    compute = pl.col("compute") if "compute" in frame.columns else pl.lit(None, pl.Float64)
    facts = frame.select(
        pl.format("datadecide/{}-{}-seed{}", pl.col("data"), pl.col("params"), seed).alias("run"),
        pl.col("step").cast(pl.Float64),
        tokens.cast(pl.Float64).alias("tokens"),
        compute.cast(pl.Float64).alias("flops"),
        pl.col("data").cast(pl.String).alias("recipe"),
        seed.alias("seed"),
        nominal.alias("nominal"),
        pl.lit("datadecide").alias("family"),
        pl.lit("datadecide").alias("source"),
        pl.lit(VARIANT).alias("variant"),
        pl.lit(N_SHOT, pl.Int64).alias("n_shot"),
    )
    exact = pl.when(pl.col("tokens") > 0).then((pl.col("flops") / (6 * pl.col("tokens"))).round(0))
    params = (
        exact.fill_nan(None).median().over("run").cast(pl.Int64, strict=False).fill_null(pl.col("nominal"))
    )
    return facts.with_columns(params.alias("params")).drop("nominal")


def _nominal(size: str, path: Path) -> int:
    found = _SIZE.fullmatch(size)
    if found is None:
        raise InputError("must be a size like 150M or 1B", where=path, field="params", value=size)
    return round(float(found[1]) * (10**6 if found[2] == "M" else 10**9))


def _wide(frame: pl.DataFrame, path: Path, metrics: frozenset[str]) -> pl.DataFrame:
    facts = _run_facts(frame, path)
    tasks = sorted([*olmes_tasks(), "mmlu_average"], key=len, reverse=True)
    parts = []
    for column in frame.columns:
        task = next((task for task in tasks if column.startswith(task + "_")), None)
        if task is None or not frame[column].dtype.is_numeric():
            continue
        metric = column[len(task) + 1 :]
        if metrics and metric not in metrics:
            continue
        names = pl.lit(task).alias("task"), pl.lit(metric).alias("metric")
        parts.append(facts.with_columns(*names, frame[column].cast(pl.Float64).fill_nan(None).alias("value")))
    if not parts:
        raise InputError("no column <task>_<metric> of an OLMES task: no DataDecide results", where=path)
    return pl.concat(parts)


def _long(frame: pl.DataFrame, path: Path, metrics: frozenset[str], report: ReadReport) -> pl.DataFrame:
    if "task" not in frame.columns:
        raise InputError("the column is missing: no DataDecide results", where=path, field="task")
    facts = _run_facts(frame, path)
    facts = facts.with_columns(pl.Series("task", [find_task(str(name)).name for name in frame["task"]]))
    rows: list[int] = []
    names: list[str] = []
    values: list[float] = []
    for row, item in enumerate(frame["metrics"].to_list()):
        for name, value in _metrics_of(item, path).items():
            if metrics and name not in metrics:
                continue
            if not isinstance(value, int | float) or math.isnan(value):
                report.skip(path, f"{name} is no number")
                continue
            rows.append(row)
            names.append(name)
            values.append(float(value))
    return facts[rows].with_columns(
        pl.Series("metric", names, dtype=pl.String), pl.Series("value", values, dtype=pl.Float64)
    )


def _metrics_of(item: Any, path: Path) -> dict[str, Any]:
    """Metrics as an object, as JSON, or as the text of a Python dictionary of plain values."""
    if isinstance(item, str) and len(item) <= MAX_METRICS_TEXT:
        try:
            item = parse_json(item, path) if '"' in item else ast.literal_eval(item)
        except (InputError, ValueError, SyntaxError, RecursionError, MemoryError):
            item = item[:120]
    if not isinstance(item, dict):
        raise InputError("must be an object of numbers", where=path, field="metrics", value=item)
    return {str(name): value for name, value in item.items()}
