"""Every format becomes the same rows; whatever breaks a rule is refused by file, record, field, value and
rule."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.readers.lm_eval import measurements, metric_rows
from neuneu.curves.readers.parsing import ReadReport
from neuneu.designs import DesignStore
from neuneu.designs.database.metadata import architecture_from_config, read_metadata
from neuneu.designs.database.metric_names import canonical_metrics, default_setting
from neuneu.designs.database.readers import (
    read_export,
    read_features_csv,
    read_lm_eval,
    read_scores_csv,
    read_scores_json,
    read_table_csv,
)
from neuneu.designs.database.schema import EVALUATIONS, FEATURES, MODELS
from neuneu.errors import InputError

HEADER = "id,benchmark,setting,metric,metric_value,metric_stderr\n"
HOSTILE = {
    "overflow": (HEADER + "m,arc,5-shot,accuracy,1e400,\n", "finite number"),
    "percentage": (HEADER + "m,arc,5-shot,accuracy,55.2,\n", "from 0 to 1"),
    "negative error": (HEADER + "m,arc,5-shot,accuracy,0.5,-0.1\n", "at least 0"),
    "brier": (HEADER + "m,anli,0-shot,brier_score,2.5,\n", "from 0 to 2"),
    "perplexity": (HEADER + "m,lambada,0-shot,perplexity,0.5,\n", "at least 1"),
    "word": (HEADER + "m,arc,5-shot,accuracy,good,\n", "finite number"),
    "duplicate key": (HEADER + "m,arc,5-shot,accuracy,0.5,\nm,arc,5-shot,accuracy,0.6,\n", "twice"),
    "setting": (HEADER + "m,arc,five,accuracy,0.5,\n", "5-shot"),
    "no id": (HEADER + ",arc,5-shot,accuracy,0.5,\n", "must not be empty"),
    "control character": (HEADER + "a\x07b,arc,5-shot,accuracy,0.5,\n", "control"),
    "long id": (HEADER + "m" * 300 + ",arc,5-shot,accuracy,0.5,\n", "longer than 256"),
    "ragged": (HEADER + "m,arc,5-shot,accuracy,0.5,,,,,9\n", "record 1: has 10 fields, not 6"),
    "unknown column": (HEADER.strip() + ",evil\nm,arc,5-shot,accuracy,0.5,,1\n", "unknown column"),
    "lost column": ("id,benchmark\nm,arc\n", "column needed"),
    "column twice": ("id,id\nm,n\n", "once"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_scores_are_refused_by_name(tmp_path: Path, name: str) -> None:
    text, rule = HOSTILE[name]
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rule) as error:
        read_table_csv(path, EVALUATIONS)
    assert "scores.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(b"id,\xff\xfe\n1,2\n")
    with pytest.raises(InputError):
        read_scores_csv(path)
    path.write_bytes(HEADER.encode() + b"\xff\xfe,arc,5-shot,accuracy,0.5,\n")
    with pytest.raises(InputError):
        read_scores_csv(path)


def test_sql_in_names_and_paths_as_ids_are_only_text(tmp_path: Path) -> None:
    names = [
        "x'); DROP TABLE model_annotations; --",
        "../../etc/passwd",
        "/etc/shadow",
        '"quoted"',
        "a\\b",
        "$(rm -rf)",
    ]
    path = tmp_path / "models.csv"
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    path.write_text("id,dimension\n" + "".join(f"{name},64\n" for name in quoted))
    store = DesignStore.in_memory()
    store.apply(read_table_csv(path, MODELS))
    assert sorted(store.table("model")["id"]) == sorted(names)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["models.csv"]


def test_sql_of_an_export_is_never_run(tmp_path: Path, export_folder: Path) -> None:
    victim = tmp_path / "victim.csv"
    (export_folder / "load.sql").write_text(f"COPY (SELECT 1) TO '{victim}'; DROP TABLE model_annotations;")
    (export_folder / "schema.sql").write_text(
        "INSTALL httpfs; LOAD httpfs; ATTACH 'https://example.org/x.db';"
    )
    assert len(DesignStore.from_export(export_folder).table("model")) == 3
    assert not victim.exists()
    with pytest.raises(InputError, match=r"model_annotations\.csv"):
        read_export(tmp_path)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "scores.csv"
    path.write_text(HEADER + text, encoding="utf-8")
    message, values = "", pl.Series([], dtype=pl.Float64)
    try:
        values = read_table_csv(path, EVALUATIONS).tables["evaluation_results"]["metric_value"]
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert values.drop_nulls().is_finite().all()


def test_metrics_are_named_and_matched_with_their_errors() -> None:
    found = canonical_metrics(
        measurements(
            {
                "alias": "gsm8k",
                "exact_match,strict-match": 0.25,
                "exact_match_stderr,strict-match": 0.01,
                "exact_match,flexible-extract": 0.5,
                "acc_norm,none": "1e-3",
                "acc_norm_stderr,none": "N/A",
                "ppl,none": 12,
                "pass@1,create_test": 0.125,
                "samples": [1, 2],
                "brier_score,none": float("nan"),
                "timestamp": "2024-01-01",
            }
        )
    )
    assert found == {
        "accuracy": (0.125, None),
        "acc_norm": (0.001, None),
        "perplexity": (12.0, None),
        "brier_score": (None, None),
    }
    strict = {"exact_match,strict-match": 0.25, "exact_match_stderr,strict-match": 0.01}
    assert canonical_metrics(measurements(strict)) == {"accuracy": (0.25, 0.01)}
    with pytest.raises(InputError, match="finite"):
        canonical_metrics(measurements({"acc": float("inf")}))


def test_curves_and_designs_read_the_same_of_a_results_file(tmp_path: Path) -> None:
    """Shots, percent, filters, groups and errors are one reading; names of metrics are each one's own."""
    document = {
        "model_name": "org__model",
        "results": {
            "mmlu": {"acc,none": 0.4},
            "gsm8k": {"exact_match,strict-match": 0.1, "exact_match_stderr,strict-match": 0.02},
            "squadv2": {"exact,none": 61.0, "f1,none": 70.5, "HasAns_f1,none": 55.0},
            "arc_easy": {"alias": "arc", "acc,none": 0.6, "acc_stderr,none": 0.01, "acc_norm,none": 0.7},
        },
        "group_subtasks": {"mmlu": ["mmlu_anatomy"], "gsm8k": []},
        "n-shot": {"gsm8k": 5},
        "configs": {"arc_easy": {"num_fewshot": 25}},
    }
    (tmp_path / "results.json").write_text(json.dumps(document))
    curves = {
        (row["n_shot"] or 0, row["value"], row["stderr"])
        for row in metric_rows(document, ReadReport(), tmp_path)
        if not row["members"]
    }
    stored = read_lm_eval(tmp_path / "results.json").tables[EVALUATIONS.name]
    designs = {
        (int(setting.removesuffix("-shot")), value, error)
        for setting, value, error in stored.select("setting", "metric_value", "metric_stderr").iter_rows()
    }
    assert designs == curves
    assert {(0, 0.61, None), (25, 0.6, 0.01), (5, 0.1, 0.02)} <= curves
    assert len(curves) == 6


@pytest.mark.parametrize(
    ("task", "setting"),
    [
        ("arc_challenge", "25-shot"),
        ("mmlu_anatomy", "5-shot"),
        ("minerva_math_algebra", "5-shot"),
        ("mystery", None),
    ],
)
def test_usual_shots(task: str, setting: str | None) -> None:
    assert default_setting(task) == setting


def _lm_eval(folder: Path, name: str, date: float, value: float) -> None:
    document = {
        "results": {
            "mmlu": {"acc,none": 0.4},
            "mmlu_anatomy": {"alias": " - anatomy", "acc,none": value, "acc_stderr,none": 0.02},
            "gsm8k": {"exact_match,strict-match": 0.1, "exact_match,flexible-extract": 0.2},
        },
        "groups": {"mmlu": {"acc,none": 0.4}},
        "configs": {"mmlu_anatomy": {"num_fewshot": 5}, "gsm8k": {"num_fewshot": None}},
        "model_name": "org__model",
        "git_hash": "abc123",
        "date": date,
    }
    (folder / name).write_text(json.dumps(document))


def test_native_harness_results_newest_file_wins(tmp_path: Path) -> None:
    _lm_eval(tmp_path, "results_a.json", 200.0, 0.5)
    _lm_eval(tmp_path, "results_b.json", 100.0, 0.4)
    batch = read_lm_eval(tmp_path)
    rows = {
        (r["benchmark"], r["setting"]): r for r in batch.tables["evaluation_results"].iter_rows(named=True)
    }
    assert set(rows) == {("mmlu_anatomy", "5-shot"), ("gsm8k", "0-shot")}
    assert rows["mmlu_anatomy", "5-shot"]["id"] == "org/model"
    assert rows["mmlu_anatomy", "5-shot"]["metric_value"] == 0.5
    assert rows["mmlu_anatomy", "5-shot"]["metric_stderr"] == 0.02
    assert rows["gsm8k", "0-shot"]["metric_value"] == 0.1
    assert set(batch.sources["revision"]) == {"abc123"}
    mapped = read_lm_eval(tmp_path / "results_a.json", names={"org__model": "mine"})
    assert set(mapped.tables["evaluation_results"]["id"]) == {"mine"}


def test_wide_score_sheets(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(
        "id,arc_challenge_25-shot_acc,arc_challenge_25-shot_acc_stderr,note\nm,0.5,0.01,x\nn,,,\n"
    )
    row = read_scores_csv(path).tables["evaluation_results"].row(0, named=True)
    assert (row["benchmark"], row["setting"], row["metric"]) == ("arc_challenge", "25-shot", "accuracy")
    assert (row["metric_value"], row["metric_stderr"]) == (0.5, 0.01)


def test_score_json_of_leaderboards_and_own_runs(tmp_path: Path) -> None:
    document = {
        "model_name": "m",
        "results": {
            "harness": {
                "arc:challenge": {"25-shot": {"acc": 0.5, "acc_stderr": 0.1, "timestamp": "2024"}},
                "anli_r1": {"brier_score": 0.9, "brier_score_stderr": "N/A"},
                "harness|hellaswag|10": {"acc_norm": 0.6},
                "mystery": {"acc": 0.3},
            }
        },
    }
    (tmp_path / "good.json").write_text(json.dumps(document))
    (tmp_path / "bad.json").write_text('{"model_name": "m", "model_name": "n", "results": {}}')
    with pytest.raises(InputError, match="twice"):
        read_scores_json(tmp_path)
    refused: list[str] = []
    rows = read_scores_json(tmp_path, refused=refused).tables["evaluation_results"]
    assert len(refused) == 1
    assert sorted(zip(rows["benchmark"], rows["setting"], strict=True)) == [
        ("anli_r1", "0-shot"),
        ("arc:challenge", "25-shot"),
        ("hellaswag", "10-shot"),
    ]


def test_feature_tables_become_long(tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    path.write_text("id,entropy_mean,ttr_mean\nm,2.5,\nm,2.50,nan\nn,1.5,0.5\nm,,3\n")
    rows = read_features_csv(path).tables["generation_features"].sort(FEATURES.key)
    assert list(rows.select("id", "feature", "value", "line").iter_rows()) == [
        ("m", "entropy_mean", 2.5, 1),
        ("m", "ttr_mean", 3.0, 4),
        ("n", "entropy_mean", 1.5, 3),
        ("n", "ttr_mean", 0.5, 3),
    ]


def test_rows_of_one_id_that_differ_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    path.write_text("id,entropy_mean,ttr_mean\nn,1.5,0.5\nm,2.5,1\nm,2.5,9\n")
    rule = r"features.csv, record 3: ttr_mean = 9.0: not as in record 2, which has the same id"
    with pytest.raises(InputError, match=rule):
        read_features_csv(path)
    path.write_text("id,entropy_mean,ttr_mean\nn,1.5,0.5\nm,2.5,high\n")
    with pytest.raises(InputError, match="record 2: ttr_mean = 'high': must be a finite number"):
        read_features_csv(path)


def test_published_features_are_read_whole(published: Path) -> None:
    name = "all_models_feature_stats_3_03_with_ratios.csv"
    batch = read_features_csv(published / "performance_prediction" / name)
    assert len(batch.tables["generation_features"]) == 4354


def test_configurations_fill_what_they_settle_and_nothing_else() -> None:
    llama = {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "hidden_act": "silu",
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "vocab_size": 128256,
    }
    facts = architecture_from_config(llama)
    assert facts["attention_variant"] == "gqa"
    assert facts["mlp_ratio"] == 3.5
    assert facts["positional_embeddings"] == "rope"
    assert facts["num_kv_heads"] == 8
    assert "biases" not in facts
    assert architecture_from_config({"model_type": "bloom", "n_head": 16})["positional_embeddings"] == "alibi"
    assert architecture_from_config({}) == {}


def test_metadata_takes_tokens_from_pretraining_and_percentages_from_its_data(tmp_path: Path) -> None:
    (tmp_path / "model_metadata").mkdir()
    (tmp_path / "dataset_metadata").mkdir()
    model = {
        "id": "org/m",
        "config": {"hidden_size": 64},
        "safetensors": {"total": 1000},
        "num_heads": -1,
        "training_stages": [
            {"name": "sft", "data": "chat", "total_tokens_billions": 1},
            {"name": "pretraining", "data": "mix", "total_tokens_billions": 300, "batch_tokens": 512},
        ],
    }
    (tmp_path / "model_metadata" / "m.json").write_text(json.dumps(model))
    summary = {"summary": {"total_tokens_billions": 1, "percentage_web": 0.8, "percentage_code": 0.2}}
    (tmp_path / "dataset_metadata" / "mix.json").write_text(json.dumps(summary))
    batch = read_metadata(tmp_path)
    row = batch.tables["model_annotations"].row(0, named=True)
    assert (row["dimension"], row["num_heads"], row["total_params"], row["batch_tokens"]) == (
        64,
        None,
        1000,
        512,
    )
    data = batch.tables["dataset_info"].row(0, named=True)
    assert data["pretraining_summary_total_tokens_billions"] == 300
    assert data["pretraining_summary_percentage_web"] == 80
    (tmp_path / "model_metadata" / "m.json").write_text(json.dumps(model | {"dimension": "wide"}))
    with pytest.raises(InputError, match="dimension"):
        read_metadata(tmp_path)


@pytest.mark.parametrize(
    ("summary", "shares"),
    [
        ({"web": 0.82, "code": 0.13, "books": 0.002, "academic": 2.29, "english": 1.0}, (82, 2.29, 100)),
        ({"web": 0.8, "code": 0.1, "academic": 9.0, "english": 75.0}, (80, 9, 75)),
        ({"web": 90.0, "code": 9.5, "academic": 0.5, "english": 1.0}, (90, 0.5, 1)),
        ({"code": 13.4, "academic": 0.5, "english": 31.3}, (None, 0.5, 31.3)),
    ],
)
def test_shares_of_the_data_in_mixed_units(
    tmp_path: Path, summary: dict[str, float], shares: tuple[float | None, ...]
) -> None:
    for folder in ("model_metadata", "dataset_metadata"):
        (tmp_path / folder).mkdir()
    stages = [{"name": "pretraining", "data": "mix", "total_tokens_billions": 300}]
    (tmp_path / "model_metadata" / "m.json").write_text(json.dumps({"id": "m", "training_stages": stages}))
    named = {f"percentage_{name}": value for name, value in summary.items()}
    (tmp_path / "dataset_metadata" / "mix.json").write_text(json.dumps({"summary": named}))
    row = read_metadata(tmp_path).tables["dataset_info"].row(0, named=True)
    found = tuple(
        row.get(f"pretraining_summary_percentage_{name}") for name in ("web", "academic", "english")
    )
    assert found == pytest.approx(shares)


def test_published_metadata_reads(published: Path) -> None:
    refused: list[str] = []
    batch = read_metadata(published / "metadata", refused=refused)
    assert len(batch.tables["model_annotations"]) + len(refused) == 108
    scores = read_scores_json(published / "metadata" / "model_scores", refused=refused)
    assert len(scores) > 15_000
