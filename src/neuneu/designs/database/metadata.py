"""JSON metadata of models and their pretraining data → rows of the model and dataset tables."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.designs.database.records import (
    NewRows,
    check_rows,
    errors_in,
    merge_batches,
    object_at,
    source_row,
)
from neuneu.designs.database.schema import DATASETS, MODELS, Table
from neuneu.errors import InputError
from neuneu.files import read_json

CONFIG_KEYS: dict[str, tuple[str, ...]] = {
    "dimension": ("hidden_size", "n_embd", "d_model"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads"),
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "num_kv_heads": ("num_key_value_heads", "num_kv_heads"),
    "activation": ("hidden_act", "activation_function", "activation"),
    "sequence_length": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
    "weight_tying": ("tie_word_embeddings",),
    "vocab_size": ("vocab_size",),
}
"""Column → the keys of a Hugging Face config.json that hold it, best first."""

_FEED_FORWARD = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
_ROPE_TYPES = frozenset(
    {"llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma", "gemma2", "gpt_neox", "olmo", "olmo2", "phi"}
)
_RMSNORM_TYPES = frozenset({"llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma", "gemma2", "olmo2"})
_LEARNED_TYPES = frozenset({"gpt2", "opt", "gpt_neo"})


def architecture_from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a Hugging Face config.json says of the architecture: column of model_annotations → value.

    Nothing is guessed: a fact is filled only where the configuration or its model type settles it.
    """
    facts: dict[str, Any] = {}
    for column, keys in CONFIG_KEYS.items():
        value = next((config[key] for key in keys if config.get(key) is not None), None)
        if value is not None:
            facts[column] = value
    width = next((config[key] for key in _FEED_FORWARD if config.get(key)), None)
    if _is_number(width) and _is_number(facts.get("dimension")) and facts["dimension"] > 0:
        facts["mlp_ratio"] = width / facts["dimension"]
    heads, groups = facts.get("num_heads"), facts.get("num_kv_heads")
    if config.get("multi_query") is True or groups == 1:
        facts["attention_variant"] = "mqa"
    elif isinstance(groups, int) and isinstance(heads, int):
        facts["attention_variant"] = "gqa" if groups < heads else "full"
    kind = str(config.get("model_type"))
    if config.get("alibi") is True or kind == "bloom":
        facts["positional_embeddings"] = "alibi"
    elif kind in _ROPE_TYPES or "rope_theta" in config or "rotary_dim" in config:
        facts["positional_embeddings"] = "rope"
    elif kind in _LEARNED_TYPES:
        facts["positional_embeddings"] = "learned"
    attention, feed_forward = config.get("attention_bias"), config.get("mlp_bias")
    if isinstance(attention, bool) and isinstance(feed_forward, bool):
        names = {(False, False): "none", (True, False): "attn_only", (True, True): "some"}
        facts["biases"] = names.get((attention, feed_forward), "some")
    if kind in _RMSNORM_TYPES:
        facts["layer_norm_type"] = "rmsnorm"
    if isinstance(config.get("use_parallel_residual", config.get("parallel_attn")), bool):
        parallel = config.get("use_parallel_residual", config.get("parallel_attn"))
        facts["block_type"] = "parallel" if parallel else "sequential"
    return facts


def read_config(path: str | Path) -> dict[str, Any]:
    """The architecture in a config.json, given as the file or as the folder of a checkpoint."""
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    config = read_json(path)
    if not isinstance(config, dict):
        raise InputError("must be a JSON object", where=path)
    return architecture_from_config(config)


def read_metadata(folder: str | Path, *, refused: list[str] | None = None) -> NewRows:
    """A folder with model_metadata/*.json and dataset_metadata/*.json → model and dataset rows.

    A model's tokens are those of its stage named pretraining (else the first); its composition is the
    summary of the data set that stage names, whose domains, with their types, go into the column metadata.
    Summaries whose percentages sum to at most 1.5 are fractions: × 100; so are those up to 1 of a summary
    that only then sums to about 100. refused: where given, files
    that break a rule, and second files of one model, are left out and their errors put here.
    """
    folder = Path(folder)
    files = sorted((folder / "model_metadata").glob("*.json"))
    if not files:
        raise InputError("no model_metadata/*.json here", where=folder)
    summaries = {file.stem: _data(file) for file in sorted((folder / "dataset_metadata").glob("*.json"))}
    batches: dict[str, NewRows] = {}
    for file in files:
        try:
            batch = _model_file(file, summaries)
            name = batch.tables[MODELS.name]["id"][0]
            if name in batches:
                raise InputError("described by another file before", where=file, field="id", value=name)
            batches[name] = batch
        except InputError as error:
            if refused is None:
                raise
            refused.append(str(error))
    return merge_batches(list(batches.values()))


def _model_file(path: Path, summaries: Mapping[str, Mapping[str, Any]]) -> NewRows:
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise InputError('must be an object with the text "id"', where=path)
    with errors_in(path):
        config, weights = object_at(document, "config"), object_at(document, "safetensors")
    facts = architecture_from_config(config)
    facts |= {c.name: document[c.name] for c in MODELS.values if document.get(c.name) is not None}
    if isinstance(document.get("created_at"), str):
        facts.setdefault("released", document["created_at"][:10])
    if weights.get("total"):
        facts.setdefault("total_params", weights["total"])
    stages = [stage for stage in document.get("training_stages") or [] if isinstance(stage, dict)]
    first = next((s for s in stages if s.get("name") == "pretraining"), stages[0] if stages else {})
    if first.get("batch_tokens"):
        facts.setdefault("batch_tokens", first["batch_tokens"])
    data: dict[str, Any] = dict(summaries.get(str(first.get("data")), {}))
    if first.get("total_tokens_billions") is not None:
        data["pretraining_summary_total_tokens_billions"] = first["total_tokens_billions"]
    source = source_row(path, "metadata", revision=document.get("sha"), date=document.get("last_modified"))
    tables = {
        table.name: rows_from_facts(table, {"id": document["id"], **values}, path, source["source"][0])
        for table, values in ((MODELS, facts), (DATASETS, data))
    }
    return NewRows(tables, source)


def rows_from_facts(table: Table, facts: Mapping[str, Any], path: Path, source: str) -> pl.DataFrame:
    """One checked row of a table from column → value; values of the wrong type are refused by name."""
    clean = {name: _check_value(table, name, value, path) for name, value in facts.items()}
    schema = {name: table.column(name).dtype for name in clean}
    frame = pl.DataFrame({name: [value] for name, value in clean.items()}, schema=schema)
    return check_rows(
        table, frame.with_columns(pl.lit(source).alias("source"), pl.lit(1, pl.Int64).alias("line")), path
    )


def _check_value(table: Table, name: str, value: Any, path: Path) -> Any:
    try:
        column = table.column(name)
    except InputError as error:
        raise InputError(f"unknown field of {table.name}", where=path, field=name) from error
    if value is None or (column.missing_code and value == -1):
        return None
    if column.type == "VARCHAR":
        good, rule = isinstance(value, str), "must be text"
    elif column.type == "BOOLEAN":
        good, rule = isinstance(value, bool), "must be true or false"
    elif column.type == "DOUBLE":
        good, rule = _is_number(value) and abs(value) < 1e300, "must be a number"
    else:
        good = _is_number(value) and (isinstance(value, int) or value.is_integer()) and abs(value) < 2**53
        rule = "must be a whole number"
        value = int(value) if good else value
    if not good:
        raise InputError(rule, where=path, field=name, value=value)
    return float(value) if column.type == "DOUBLE" else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _data(path: Path) -> dict[str, Any]:
    """What a record of a data set says: its summary, and in the column metadata its name and domains."""
    document = read_json(path)
    found: dict[str, Any] = dict(_summary(document))
    domains = document.get("domains") if isinstance(document, dict) else None
    if isinstance(domains, list) and domains:
        found["metadata"] = json.dumps({"data": path.stem, "domains": domains}, sort_keys=True)
    return found


def _summary(document: Any) -> dict[str, float]:
    summary = document.get("summary") if isinstance(document, dict) else None
    if not isinstance(summary, dict):
        return {}
    named = {
        c.name: summary[c.name.removeprefix("pretraining_summary_")]
        for c in DATASETS.values
        if _is_number(summary.get(c.name.removeprefix("pretraining_summary_")))
    }
    parts = [name for name in named if "percentage" in name and not name.endswith("english")]
    scaled = {n: v * 100 if "percentage" in n and 0 <= v <= 1 else v for n, v in named.items()}
    total, mended = (sum(values[name] for name in parts) for values in (named, scaled))
    fractions = total <= 1.5 or (total < 50 and 90 <= mended <= 110)
    return {name: float(value) for name, value in (scaled if parts and fractions else named).items()}
