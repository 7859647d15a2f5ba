"""Files → batches of rows: the published export, harness results, score and feature CSVs, JSON metadata."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from neuneu.curves.readers.lm_eval import (
    Measurement,
    is_results,
    measurements,
    results_file,
    task_results,
)
from neuneu.curves.readers.lm_eval_schema import check_results
from neuneu.designs.database.aliases import standard_id
from neuneu.designs.database.metric_names import (
    STDERR_SUFFIXES,
    canonical_metrics,
    check_setting,
    default_setting,
)
from neuneu.designs.database.records import (
    NewRows,
    cast_column,
    check_names,
    check_rows,
    drop_placeholders,
    errors_in,
    merge_batches,
    object_at,
    read_names,
    read_provenance,
    read_text_csv,
    source_row,
    typed_rows,
)
from neuneu.designs.database.schema import (
    ALIAS_TABLES,
    DATASETS,
    EVALUATIONS,
    FEATURES,
    MODELS,
    SOURCES,
    Table,
)
from neuneu.errors import InputError
from neuneu.files import read_json

AGGREGATES = frozenset(
    {"mmlu", "mmlu_stem", "mmlu_humanities", "mmlu_social_sciences", "mmlu_other", "xnli", "reasoning-mcq"}
)
"""Groups that harness results list beside their own subtasks; left out."""

_COLUMN = re.compile(r"(?P<benchmark>.+)_(?P<setting>[0-9]+-shot)_(?P<metric>.+)")


def read_export(folder: str | Path, *, revision: str | None = None) -> NewRows:
    """The export of a DuckDB database in CSV form, by parsing its three CSVs with the fixed schema.

    `schema.sql` and `load.sql` are never opened, let alone executed. Of an own export, which has more files,
    generation features, aliases and where each row comes from are kept.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("must be a folder with model_annotations.csv", where=folder)
    own = folder / "sources.csv"
    sources = read_names(own, SOURCES, 1) if own.exists() else None
    batches = []
    for table in (MODELS, DATASETS, EVALUATIONS, FEATURES):
        path = folder / f"{table.name}.csv"
        if table is FEATURES and not path.exists():
            continue
        batches.append(read_table_csv(path, table, kind="export", revision=revision, sources=sources))
    aliases = {
        name: read_names(folder / f"{name}.csv", columns, count)
        for name, (columns, count) in ALIAS_TABLES.items()
        if (folder / f"{name}.csv").exists()
    }
    return replace(merge_batches(batches), aliases=aliases)


def read_table_csv(
    path: str | Path,
    table: Table,
    *,
    kind: str = "csv",
    revision: str | None = None,
    sources: pl.DataFrame | None = None,
) -> NewRows:
    """A CSV with the key columns and any other columns of one table; provenance columns are made anew.

    sources: the table sources of an own export; given, the columns source and line are kept as they are.
    `pretraining_summary:x` is read as `pretraining_summary_x`; `safetensors:total` wins over `total_params`.
    """
    path = Path(path)
    text = read_text_csv(path)
    text = text.rename({name: name.replace(":", "_") for name in text.columns})
    if "safetensors_total" in text.columns:
        total = pl.col("safetensors_total").replace(["0", "0.0"], None)
        known = pl.col("total_params") if "total_params" in text.columns else pl.lit(None, pl.String)
        text = text.with_columns(pl.coalesce(total, known).alias("total_params")).drop("safetensors_total")
    source = source_row(path, kind, revision=revision)
    facts = text.drop([name for name in ("source", "line") if name in text.columns])
    rows = typed_rows(table, facts, path, source["source"][0])
    if sources is None:
        return NewRows({table.name: rows}, source)
    kept = read_provenance(text, sources, path)[rows["line"] - 1]
    return NewRows({table.name: rows.with_columns(kept)}, sources)


def read_features_csv(path: str | Path) -> NewRows:
    """A wide table of model-level features: id, then one number a column.

    Rows of one id may repeat, and complete, each other. Raises InputError where they differ.
    """
    path = Path(path)
    text = read_text_csv(path)
    if "id" not in text.columns:
        raise InputError("column needed by generation_features", where=path, field="column", value="id")
    if text.width < 2:
        raise InputError("must have a column besides id", where=path)
    number = FEATURES.column("value")
    kinds = [FEATURES.column("id") if name == "id" else replace(number, name=name) for name in text.columns]
    wide = pl.DataFrame([cast_column(text[kind.name], kind, path) for kind in kinds])
    long = (
        wide.with_row_index("line", offset=1)
        .unpivot(index=["id", "line"], variable_name="feature")
        .drop_nulls("value")
    )
    check_names(long, "id", path)
    first = long.select("id", "feature", pl.col("value", "line").first().over("id", "feature"))
    differs = (long["value"] != first["value"]).arg_true()
    if len(differs):
        row = long.row(differs[0], named=True)
        rule = f"not as in record {first['line'][differs[0]]}, which has the same id"
        where = f"{path}, record {row['line']}"
        raise InputError(rule, where=where, field=row["feature"], value=row["value"])
    source = source_row(path, "features")
    origin = pl.lit(source["source"][0]).alias("source"), pl.col("line").cast(pl.Int64)
    rows = long.sort("line", maintain_order=True).select("id", "feature", "value", *origin)
    return NewRows({FEATURES.name: check_rows(FEATURES, rows, path)}, source)


def read_scores_csv(path: str | Path) -> NewRows:
    """Scores: long (id, benchmark, setting, metric, …), or wide with columns `<benchmark>_<k>-shot_<metric>`.

    Wide columns that say no shots are left out; a column that ends in _stderr goes with its metric.
    """
    path = Path(path)
    text = read_text_csv(path)
    if "benchmark" in text.columns:
        return read_table_csv(path, EVALUATIONS, kind="scores")
    if "id" not in text.columns:
        raise InputError("column needed by evaluation_results", where=path, field="column", value="id")
    parts = []
    for name in text.columns:
        match = _COLUMN.fullmatch(name)
        if match is None or name.endswith(STDERR_SUFFIXES):
            continue
        stderr = next((name + s for s in STDERR_SUFFIXES if name + s in text.columns), None)
        metric = {"acc": "accuracy"}.get(match["metric"], match["metric"])
        parts.append(
            text.select(
                "id",
                pl.lit(match["benchmark"]).alias("benchmark"),
                pl.lit(match["setting"]).alias("setting"),
                pl.lit(metric).alias("metric"),
                pl.col(name).alias("metric_value"),
                (pl.lit(None, pl.String) if stderr is None else pl.col(stderr)).alias("metric_stderr"),
            ).drop_nulls("metric_value")
        )
    if not parts:
        raise InputError("no column is named <benchmark>_<k>-shot_<metric>", where=path)
    source = source_row(path, "scores")
    return NewRows(
        {EVALUATIONS.name: typed_rows(EVALUATIONS, pl.concat(parts), path, source["source"][0])}, source
    )


def read_lm_eval(
    path: str | Path, *, names: Mapping[str, str] | None = None, exclude: Collection[str] = AGGREGATES
) -> NewRows:
    """Results of lm-evaluation-harness (0.4 and later): a results file, or a folder searched for them.

    names: model as the file calls it → id; org__name is read as org/name. Group results are left out. Where a
    folder holds the same measurement twice, the newest file (by its date field) wins. The folder of `neuneu
    suite harness` (RUN/stepN.json) is read too: each run is a model, with the scores of its last step.
    """
    path = Path(path)
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    batches = [
        (date, batch)
        for file in files
        for date, batch in [_lm_eval_file(file, names or {}, exclude)]
        if batch is not None
    ]
    if not batches:
        raise InputError("no results of lm-evaluation-harness here", where=path)
    return _newest_wins(batches, EVALUATIONS)


def _newest_wins(batches: Sequence[tuple[Any, NewRows]], table: Table) -> NewRows:
    ordered = [batch for _, batch in sorted(batches, key=lambda pair: pair[0])]
    frame = pl.concat([batch.tables[table.name] for batch in ordered], how="diagonal")
    frame = frame.unique(table.key, keep="last", maintain_order=True)
    return NewRows(
        {table.name: check_rows(table, frame)},
        pl.concat([batch.sources for batch in ordered]).unique("source", maintain_order=True),
    )


def _lm_eval_file(
    path: Path, names: Mapping[str, str], exclude: Collection[str]
) -> tuple[float, NewRows | None]:
    document = read_json(path)
    if not is_results(document):
        return 0.0, None
    check_results(document, path)
    with errors_in(path):
        if _is_suite(document):
            document = _from_suite(document, path)
        rows = _lm_eval_rows(document, path, names, exclude)
    date = document.get("date")
    revision = document.get("git_hash") or document.get("lm_eval_version")
    source = source_row(path, "lm-eval", revision=revision, date=date)
    frame = _evaluation_frame(rows, source["source"][0])
    return (float(date) if isinstance(date, int | float) else 0.0), NewRows(
        {EVALUATIONS.name: check_rows(EVALUATIONS, frame, path)}, source
    )


def _is_suite(document: Mapping[str, Any]) -> bool:
    """Whether a results file is one that `neuneu suite harness` keeps of a checkpoint."""
    return "asked" in document and "items" in document


def _from_suite(document: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """RUN/stepN.json of `neuneu suite harness`: the model is the run, and later steps are newer."""
    step = path.stem.removeprefix("step")
    if not step.isdecimal():
        raise InputError("must be named stepN.json", where=path)
    return {**document, "model_name": unquote(path.parent.name), "date": int(step)}


def _model_name(document: dict[str, Any], path: Path) -> Any:
    """The model as the file calls it: by name, or the place of the weights that the harness was given."""
    told = document.get("model_name") or results_file(document, path).model
    return told or object_at(document, "config").get("model")


def _lm_eval_rows(
    document: dict[str, Any], path: Path, names: Mapping[str, str], exclude: Collection[str]
) -> list[tuple[Any, ...]]:
    name = _model_name(document, path)
    if not isinstance(name, str):
        raise InputError("must name the model", field="model_name", value=name)
    model, rows = names.get(name, standard_id(name)), []
    for task in document["results"]:
        object_at(object_at(document, "configs"), task)
    object_at(document, "groups")
    for task in task_results(document):
        if task.name not in exclude and not task.group:
            setting = check_setting(f"{task.n_shot or 0}-shot")
            rows += _metric_rows(model, task.name, setting, task.measurements)
    return rows


def _metric_rows(model: str, task: str, setting: str, found: Iterable[Measurement]) -> list[tuple[Any, ...]]:
    metrics = canonical_metrics(found).items()
    return [(model, task, setting, metric, value, stderr) for metric, (value, stderr) in metrics]


def _evaluation_frame(rows: list[tuple[Any, ...]], source: str) -> pl.DataFrame:
    schema = {column.name: column.dtype for column in EVALUATIONS.columns}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.lit(source).alias("source"), pl.int_range(1, len(rows) + 1, dtype=pl.Int64).alias("line")
    )


def read_scores_json(path: str | Path, *, refused: list[str] | None = None) -> NewRows:
    """Scores as {"model_name", "results": {harness: {benchmark: …}}}: one file or a folder of them.

    refused: where given, files that break a rule are left out and their errors put here.

    A benchmark holds either {"5-shot": {metric: value}} or the metrics themselves, whose shots are then the
    usual ones of the task; benchmarks without usual shots and placeholder ids are left out.
    """
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    batches = []
    for file in files:
        try:
            batches.append(_scores_file(file))
        except InputError as error:
            if refused is None:
                raise
            refused.append(str(error))
    if not batches:
        raise InputError("no scores here", where=path)
    return _newest_wins(batches, EVALUATIONS)


def _scores_file(path: Path) -> tuple[str, NewRows]:
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("results"), dict):
        raise InputError('must be an object with "model_name" and "results"', where=path)
    with errors_in(path):
        rows = _score_file_rows(document)
    date = document.get("last_updated")
    source = source_row(path, "scores", date=date)
    frame = drop_placeholders(_evaluation_frame(rows, source["source"][0]))
    frame = frame.unique(EVALUATIONS.key, keep="last", maintain_order=True)
    return str(date or ""), NewRows({EVALUATIONS.name: check_rows(EVALUATIONS, frame, path)}, source)


def _score_file_rows(document: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    model, rows = document.get("model_name"), []
    if not isinstance(model, str):
        raise InputError("must name the model", field="model_name", value=model)
    for harness in document["results"]:
        for name, entry in object_at(document["results"], harness).items():
            benchmark, setting = _split_key(name)
            rows += _score_rows(model, benchmark, setting, entry)
    return rows


def _split_key(name: str) -> tuple[str, str | None]:
    """harness|arc:challenge|25, as leaderboards write, → (arc:challenge, 25-shot)."""
    parts = name.split("|")
    if len(parts) == 3 and parts[2].isdigit():
        return parts[1], f"{parts[2]}-shot"
    return name, None


def _score_rows(model: str, benchmark: str, setting: str | None, entry: Any) -> list[tuple[Any, ...]]:
    if not isinstance(entry, dict):
        return []
    shots = {key: value for key, value in entry.items() if re.fullmatch(r"[0-9]+-shot", key)}
    if shots:
        found = {key: object_at(shots, key) for key in shots}
        return [
            row
            for key, value in found.items()
            for row in _metric_rows(model, benchmark, key, measurements(value, errors=STDERR_SUFFIXES))
        ]
    usual = setting or default_setting(benchmark)
    if usual is None:
        return []
    return _metric_rows(model, benchmark, usual, measurements(entry, errors=STDERR_SUFFIXES))
