"""The tables of the design database: columns, units, keys, value ranges and migrations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from neuneu.errors import InputError, offered

VERSION = 2
"""Schema version that this package writes."""

MAX_ID = 256
"""Longest id, benchmark or label that is taken, in characters."""


@dataclass(frozen=True)
class Column:
    """One column: its SQL type, its unit and meaning, and the values it may take.

    `low` and `high` bound numbers (inclusive); `missing_code` says that −1 stands for missing.
    """

    name: str
    type: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    missing_code: bool = False

    @property
    def dtype(self) -> pl.DataType:
        """The Polars type of the column."""
        return _DTYPES[self.type]()


@dataclass(frozen=True)
class Table:
    """One table: its key columns first, then its values, then where each row comes from."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def values(self) -> tuple[Column, ...]:
        """The columns that are not part of the key."""
        return tuple(column for column in self.columns if column.name not in self.key)

    def column(self, name: str) -> Column:
        """The column of this name; InputError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        rule = "unknown" + offered(name, [column.name for column in self.columns])
        raise InputError(rule, field="column", value=name)

    @property
    def polars_schema(self) -> dict[str, pl.DataType]:
        """Column → Polars type, with the provenance columns `source` and `line` at the end."""
        return {column.name: column.dtype for column in (*self.columns, *PROVENANCE)}


_DTYPES: dict[str, type[pl.DataType]] = {
    "VARCHAR": pl.String,
    "INTEGER": pl.Int64,
    "BIGINT": pl.Int64,
    "DOUBLE": pl.Float64,
    "BOOLEAN": pl.Boolean,
}

PROVENANCE = (
    Column("source", "VARCHAR", "file that the row comes from: a key of the table sources"),
    Column("line", "BIGINT", "record of that file, counted from 1; first wins where policies say first"),
)

_ID = Column("id", "VARCHAR", "model: org/name as on the Hugging Face hub, or a bare name")


def _count(name: str, meaning: str, high: float = 2**31 - 1, kind: str = "INTEGER") -> Column:
    return Column(name, kind, meaning, 1, high, missing_code=True)


def _label(name: str, meaning: str) -> Column:
    return Column(name, "VARCHAR", meaning)


def _percentage(name: str, meaning: str) -> Column:
    return Column(f"pretraining_summary_percentage_{name}", "DOUBLE", f"%: {meaning}", 0, 100, True)


MODELS = Table(
    "model_annotations",
    ("id",),
    (
        _ID,
        _count("dimension", "hidden width"),
        _count("num_heads", "attention heads"),
        Column("mlp_ratio", "DOUBLE", "feed-forward width ÷ hidden width", 0.01, 1000, True),
        _label("layer_norm_type", "rmsnorm, parametric, non-parametric"),
        _label("positional_embeddings", "rope, alibi, learned, …"),
        _label("attention_variant", "full, local, mqa, gqa, …"),
        _label("biases", "where bias terms sit: none, attn_only, ln_only, …"),
        _label("block_type", "sequential or parallel"),
        _label("activation", "silu, swiglu, gelu, relu, …"),
        _count("sequence_length", "context, tokens"),
        _count("batch_instances", "sequences a batch"),
        _count("batch_tokens", "tokens a batch"),
        Column("weight_tying", "BOOLEAN", "input and output embeddings are one matrix"),
        Column("is_instruction_tuned", "BOOLEAN", "trained on instructions after pretraining"),
        Column("is_preference_tuned", "BOOLEAN", "trained on preferences (RLHF, DPO, …)"),
        _count("total_params", "parameters, absolute", 1e15, "BIGINT"),
        _count("num_layers", "transformer blocks"),
        _count("num_kv_heads", "key-value heads"),
        _count("vocab_size", "tokens in the vocabulary"),
        _label("released", "first published, ISO date"),
    ),
)
DATASETS = Table(
    "dataset_info",
    ("id",),
    (
        _ID,
        Column(
            "pretraining_summary_total_tokens_billions",
            "DOUBLE",
            "10⁹ tokens seen in pretraining",
            0,
            1e9,
            True,
        ),
        _percentage("web", "web pages"),
        _percentage("code", "source code"),
        _percentage("books", "books"),
        _percentage("reference", "encyclopedias, dictionaries, textbooks"),
        _percentage("academic", "papers and patents"),
        _percentage("english", "natural language that is English"),
        _label("metadata", "free JSON"),
    ),
)
EVALUATIONS = Table(
    "evaluation_results",
    ("id", "benchmark", "setting", "metric"),
    (
        _ID,
        _label("benchmark", "harness task name, subtask level"),
        _label("setting", "number of shots: 5-shot"),
        _label("metric", "canonical metric name"),
        Column("metric_value", "DOUBLE", "fraction for accuracies, Brier 0–2, perplexity from 1"),
        Column("metric_stderr", "DOUBLE", "standard error of the value, same unit", 0),
    ),
)
FEATURES = Table(
    "generation_features",
    ("id", "feature"),
    (
        _ID,
        _label("feature", "column name of the model-level feature table, such as entropy_mean"),
        Column("value", "DOUBLE", "in the unit of the feature"),
    ),
)
TABLES: dict[str, Table] = {table.name: table for table in (MODELS, DATASETS, EVALUATIONS, FEATURES)}
"""The tables that a design database holds; model, dataset and evaluation are also known by these short
names."""

SHORT_NAMES = {
    "model": "model_annotations",
    "dataset": "dataset_info",
    "evaluation": "evaluation_results",
    "features": "generation_features",
}

SOURCES = ("source", "kind", "sha256", "revision", "date")
"""Columns of the table sources, all text: where rows come from, and which version of it."""

ALIAS_TABLES: dict[str, tuple[tuple[str, ...], int]] = {
    "model_aliases": (("alias", "id"), 1),
    "task_aliases": (("benchmark", "metric", "to_benchmark", "to_metric"), 2),
}
"""Table of aliases → its columns, all names, and how many of them, from the first, are its key."""

_PROPORTIONS = (
    "accuracy",
    "acc_norm",
    "em",
    "f1",
    "mc1",
    "mc2",
    "bleu_acc",
    "rouge1_acc",
    "rouge2_acc",
    "rougeL_acc",
)
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_PROPORTIONS, (0.0, 1.0)),
    "brier_score": (0.0, 2.0),
    "perplexity": (1.0, math.inf),
    **{f"{name}_max": (0.0, 100.0) for name in ("bleu", "rouge1", "rouge2", "rougeL")},
    **{f"{name}_diff": (-100.0, 100.0) for name in ("bleu", "rouge1", "rouge2", "rougeL")},
}


def metric_range(metric: str) -> tuple[float, float]:
    """Lowest and highest value that a metric can take; unknown metrics may be any finite number."""
    return _RANGES.get(metric, (-math.inf, math.inf))


def find_table(name: str) -> Table:
    """The table of this name or short name (model, dataset, evaluation, features)."""
    full = SHORT_NAMES.get(name, name)
    if full not in TABLES:
        raise InputError("unknown" + offered(name, [*SHORT_NAMES, *TABLES]), field="table", value=name)
    return TABLES[full]


def published_columns(table: Table) -> tuple[str, ...]:
    """The columns of the published export, which lacks those that version 2 of the schema added."""
    return tuple(column.name for column in table.columns if column.name not in _ADDED_IN_2)


_ADDED_IN_2 = ("num_layers", "num_kv_heads", "vocab_size", "released")


def create_statements(table: Table, columns: Sequence[str] | None = None) -> str:
    """The CREATE TABLE statement of a table with these of its columns (default all) and its provenance."""
    wanted = [c for c in table.columns if columns is None or c.name in columns]
    lines = [f"{c.name} {c.type}{' NOT NULL' if c.name in table.key else ''}" for c in (*wanted, *PROVENANCE)]
    return f"CREATE TABLE {table.name} ({', '.join(lines)}, PRIMARY KEY ({', '.join(table.key)}));"


OTHER_TABLES = (
    f"CREATE TABLE sources ({', '.join(f'{name} VARCHAR' for name in SOURCES)}, PRIMARY KEY (source));",
    "CREATE TABLE model_aliases (alias VARCHAR NOT NULL, id VARCHAR NOT NULL, PRIMARY KEY (alias));",
    "CREATE TABLE task_aliases (benchmark VARCHAR NOT NULL, metric VARCHAR NOT NULL, "
    "to_benchmark VARCHAR NOT NULL, to_metric VARCHAR NOT NULL, PRIMARY KEY (benchmark, metric));",
    "CREATE TABLE schema_version (version INTEGER NOT NULL);",
)


def migrations() -> dict[int, tuple[str, ...]]:
    """Version → statements that lead to it from the version before; 1 starts from an empty database."""
    return {
        1: (
            *(create_statements(table, published_columns(table)) for table in TABLES.values()),
            *OTHER_TABLES,
            "INSERT INTO schema_version VALUES (1);",
        ),
        2: (
            *(
                f"ALTER TABLE model_annotations ADD COLUMN {name} {MODELS.column(name).type};"
                for name in _ADDED_IN_2
            ),
            "UPDATE schema_version SET version = 2;",
        ),
    }
