"""What the published AnalysisStore promises works on the published export: each method's counterpart here."""

import json
from pathlib import Path

import duckdb
import polars as pl
import pytest

from neuneu.designs import DesignStore
from neuneu.designs.database import views
from neuneu.designs.database.exporting import export
from neuneu.designs.database.readers import read_lm_eval, read_scores_csv, read_scores_json, read_table_csv
from neuneu.designs.database.records import NewRows, frame_rows
from neuneu.designs.database.schema import DATASETS, EVALUATIONS, MODELS
from neuneu.errors import InputError

SCORE = {"id": "openai-community/gpt2", "benchmark": "hellaswag", "setting": "10-shot", "metric": "accuracy"}


@pytest.fixture
def store(published: Path) -> DesignStore:
    """from_existing → DesignStore.from_export."""
    return DesignStore.from_export(published / "metadata" / "duckdb" / "2025_03_03.duckdb")


def _score(value: float, **other: object) -> NewRows:
    frame = pl.DataFrame([{**SCORE, "metric_value": value, "metric_stderr": 0.01, **other}])
    return frame_rows(EVALUATIONS, frame, "mine")


def _stored(store: DesignStore) -> float:
    return float(store.table("evaluation").filter(**SCORE)["metric_value"].item())


def test_data_long_and_wide(store: DesignStore) -> None:
    """get_analysis_data, transform_to_wide_format, get_model_profile, load_table_from_db."""
    long, wide = views.analysis_data(store), views.analysis_data(store, "wide")
    assert long["id"].n_unique() <= len(wide)
    assert {"hellaswag_10-shot_accuracy", "hellaswag_10-shot_accuracy_stderr", "dimension"} <= set(
        wide.columns
    )
    assert wide["id"].is_unique().all()
    profile = views.profile(store, "gpt2")
    assert set(profile) == {"model", "dataset", "evaluation", "features"}
    assert profile["evaluation"]["benchmark"].n_unique() > 10
    assert set(store.table("evaluation", metric="mc1")["metric"]) == {"mc1"}
    assert len(store.table("model")) == 121
    with pytest.raises(InputError, match="unknown"):
        store.table("modell")


def test_imports(store: DesignStore, tmp_path: Path) -> None:
    """import_model_features_from_csv, import_dataset_features_from_csv, import_scores_from_csv,
    import_scores_from_json_dir, import_scores_from_lm_eval_json, _standardize_model_id."""
    before = store.table("model").filter(id="openai-community/gpt2").row(0, named=True)
    path = tmp_path / "a.csv"
    path.write_text(
        "id,activation,total_params,safetensors:total\nopenai-community/gpt2,,5,0\nnew/one,relu,5,7\n"
    )
    store.apply(read_table_csv(path, MODELS), policy="keep")
    after = store.table("model").filter(id="openai-community/gpt2").row(0, named=True)
    assert after["activation"] == before["activation"]
    assert store.table("model").filter(id="new/one")["total_params"].item() == 7
    path.write_text("id,pretraining_summary:percentage_web\nnew/one,60\n")
    store.apply(read_table_csv(path, DATASETS))
    path.write_text(
        "id,arc_challenge_25-shot_acc,arc_challenge_25-shot_acc_stderr,loss\nnew/one,0.3,0.01,9\n"
    )
    store.apply(read_scores_csv(path))
    document = {"model_name": "new/one", "results": {"h": {"gsm8k": {"exact_match,strict-match": 0.2}}}}
    (tmp_path / "scores.json").write_text(json.dumps(document))
    store.apply(read_scores_json(tmp_path / "scores.json"))
    document = {"model_name": "new__one", "results": {"xnli_de": {"acc,none": 0.4, "alias": "x"}}}
    (tmp_path / "results.json").write_text(json.dumps(document))
    store.apply(read_lm_eval(tmp_path / "results.json"))
    document["model_name"] = "path/of/mine"
    (tmp_path / "results.json").write_text(json.dumps(document))
    store.apply(read_lm_eval(tmp_path / "results.json", names={"path/of/mine": "new/one"}))
    rows = views.profile(store, "new/one")["evaluation"]
    assert set(rows.select("benchmark", "setting").iter_rows()) == {
        ("arc_challenge", "25-shot"),
        ("gsm8k", "5-shot"),
        ("xnli_de", "0-shot"),
    }


@pytest.mark.parametrize("policy", ["keep", "replace", "larger", "smaller"])
def test_conflicts_from_frames(store: DesignStore, policy: str) -> None:
    """_insert_score, safe_import_scores, resolve_conflicts (older, newer, larger, smaller),
    check_for_conflicts, import_scores_safely; none asks on stdin."""
    old = _stored(store)
    batch = _score(round(old + 0.1, 6))
    changes = store.diff(batch)
    assert dict(changes.group_by("kind").len().iter_rows())["changed"] >= 1
    with pytest.raises(InputError, match="differs from the stored"):
        store.apply(batch)
    store.apply(batch, policy=policy)
    assert _stored(store) == pytest.approx(old + 0.1 if policy in ("replace", "larger") else old)
    assert len(views.conflicts(store)) > 0
    for bad in ({"metric_value": 1.5}, {"setting": "five"}, {"colour": 1}):
        with pytest.raises(InputError):
            _score(0.5, **bad)


def test_previews_saves_and_columns(store: DesignStore, tmp_path: Path) -> None:
    """preview_changes, save_database, verify_data, verify_scores, update_specific_columns."""
    other = DesignStore.from_export(export(store, tmp_path / "2026_01_01.duckdb"))
    assert other.compare(store).is_empty()
    heads = pl.DataFrame(
        {"id": ["openai-community/gpt2", "new/one"], "num_layers": [12, 3], "num_heads": [-1, -1]}
    )
    store.apply(frame_rows(MODELS, heads, "layers"))
    changes = store.compare(other)
    assert set(changes.select("key", "column", "kind").iter_rows()) == {
        ("new/one", "num_layers", "added"),
        ("openai-community/gpt2", "num_layers", "filled"),
    }
    assert store.stats().filter(table="model_annotations", what="rows")["count"].item() == 122
    export(store, tmp_path / "2026_01_02.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"IMPORT DATABASE '{tmp_path / '2026_01_02.duckdb'}'")
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            for table in ("model_annotations", "dataset_info", "evaluation_results")
        ]
    assert counts == [122, 124, 27_150]
