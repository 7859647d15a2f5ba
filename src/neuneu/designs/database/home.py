"""The packaged home suite as a design database: 42 small models, their recipes and final scores."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs.database.dataset_records import Domain, shares
from neuneu.designs.database.metadata import rows_from_facts
from neuneu.designs.database.records import NewRows, check_rows, merge_batches, source_row
from neuneu.designs.database.schema import DATASETS, EVALUATIONS, MODELS
from neuneu.designs.database.store import DesignStore
from neuneu.files import read_json

HOME = "home"
"""The name of the packaged suite in place of a database's path."""

CONTENTS: dict[str, str] = {
    "prose": "books/literary/nonfiction",
    "dictionary": "reference/dictionaries",
    "manuals": "code/documentation",
    "tutorials": "reference/textbooks",
    "code": "code/source_code",
}
"""Source of text of the suite → what it is in the taxonomy of data sets."""

HOME_BENCHMARKS: tuple[tuple[str, str, str], ...] = (
    ("blimp", "accuracy", "blimp_.*"),
    ("word_order", "accuracy", "word_order_.*"),
    ("continuation", "accuracy", "continuation_.*"),
    ("text_code", "token_accuracy", "text_code"),
    ("text_prose", "token_accuracy", "text_prose"),
    ("sciq", "accuracy", "sciq"),
    ("arc_easy", "accuracy", "arc_easy"),
    ("piqa", "accuracy", "piqa"),
)
"""(task, metric, pattern of its benchmarks) that are predicted of the suite."""

_FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"activation": "silu", "positional_embeddings": "rope", "layer_norm_type": "rmsnorm"},
    "mixtral": {"activation": "silu", "positional_embeddings": "rope", "layer_norm_type": "rmsnorm"},
    "gptneox": {"activation": "gelu", "positional_embeddings": "rope", "layer_norm_type": "parametric"},
    "mamba": {"activation": "silu", "layer_norm_type": "rmsnorm"},
}
"""Family of a run → what its transformers configuration settles."""
_ATTENTION = ("llama", "mixtral", "gptneox")


def open_store(path: str | Path) -> DesignStore:
    """A design database, read-only: a file, or for `home` the packaged suite, made in memory."""
    if str(path) != HOME or Path(path).is_file():
        return DesignStore(path)
    store = DesignStore.in_memory()
    store.apply(home_batch())
    return store


def home_batch() -> NewRows:
    """The rows of the packaged suite: architecture and data of each run, and its last checkpoint's scores.

    total_params are those outside embeddings and head, as everywhere in the suite. Shares of the data follow
    CONTENTS; the recipe's own sources stay in the column metadata. There are no features of what the models
    write: their weights are not in the package.
    """
    from neuneu.suite.home import CURVES, read_home_curves

    curves = read_home_curves().frame
    path = CURVES.parent / "provenance.json"
    config = read_json(path)["suite"]["config"]
    source = source_row(path, "home")
    name = source["source"][0]
    runs = curves.group_by("run", maintain_order=True).last()
    batches = [NewRows(_facts(row, config, path, name), source) for row in runs.iter_rows(named=True)]
    scored = source_row(CURVES, "home")
    scores = NewRows({EVALUATIONS.name: _scores(curves, CURVES, scored["source"][0])}, scored)
    return merge_batches([*batches, scores])


def _facts(run: dict[str, Any], config: dict[str, Any], path: Path, source: str) -> dict[str, pl.DataFrame]:
    family, size, *_ = run["run"].removeprefix("home/").split("-")
    shape, schedule = config["sizes"][size], config["schedule"]
    architecture = {
        "dimension": shape["hidden"],
        "num_layers": shape["layers"],
        "sequence_length": schedule["sequence"],
        "batch_instances": schedule["batch"],
        "vocab_size": config["tokenizer"]["vocabulary"],
        "weight_tying": schedule["tied_embeddings"],
        "is_instruction_tuned": False,
        "total_params": run["params"],
        **_FAMILIES[family],
    }
    if family in _ATTENTION:
        architecture |= {
            "num_heads": shape["heads"],
            "mlp_ratio": shape["intermediate"] / shape["hidden"],
            "attention_variant": "full",
        }
    weights = config["recipes"][run["recipe"]]
    total = sum(weights.values())
    domains = [Domain(name, (CONTENTS[name],), weight / total) for name, weight in weights.items()]
    data = {
        "pretraining_summary_total_tokens_billions": run["tokens"] / 1e9,
        **{f"pretraining_summary_percentage_{part}": value for part, value in shares(domains).items()},
        "pretraining_summary_percentage_english": 100.0,
        "metadata": json.dumps({"recipe": run["recipe"], "weights": weights}, sort_keys=True),
    }
    tables = ((MODELS, architecture), (DATASETS, data))
    return {t.name: rows_from_facts(t, {"id": run["run"], **facts}, path, source) for t, facts in tables}


def _scores(curves: pl.DataFrame, path: Path, source: str) -> pl.DataFrame:
    """The last checkpoint's scores; a BLiMP paradigm is named so that one pattern finds them all."""
    keys = ["run", "task", "metric"]
    last = curves.sort("step").group_by(keys, maintain_order=True).last().sort(keys)
    rows = last.select(
        pl.col("run").alias("id"),
        pl.col("task").alias("benchmark"),
        pl.lit("0-shot").alias("setting"),
        pl.col("metric").replace({"acc": "accuracy"}),
        pl.col("value").alias("metric_value"),
        pl.col("stderr").alias("metric_stderr"),
    ).with_row_index("line", offset=1)
    found = rows.with_columns(pl.col("line").cast(pl.Int64), pl.lit(source).alias("source"))
    return check_rows(EVALUATIONS, found.select(*EVALUATIONS.polars_schema), path)
