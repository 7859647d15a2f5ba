"""`neuneu designs`, end to end through the real command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
MODELS = "id,dimension,total_params\norg/a,512,100000000\norg/b,1024,200000000\n"
DATASETS = "id,pretraining_summary_total_tokens_billions\norg/a,300\norg/b,600\n"
EVALUATIONS = (
    "id,benchmark,setting,metric,metric_value,metric_stderr\n"
    "org/a,arc_challenge,25-shot,accuracy,0.3,0.01\norg/b,arc:challenge,25-shot,accuracy,0.4,0.01\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    for name, text in (
        ("model_annotations", MODELS),
        ("dataset_info", DATASETS),
        ("evaluation_results", EVALUATIONS),
    ):
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_import_query_export_and_diff(neuneu: Run, tmp_path: Path, folder: Path) -> None:
    store = tmp_path / "designs.duckdb"
    dry = neuneu("designs", "import", "export", folder, "--store", store, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not store.exists()
    assert neuneu("designs", "import", "export", folder, "--store", store).returncode == 0
    found = neuneu("designs", "query", "SELECT count(*) AS n FROM evaluation_results", "-s", store, "--json")
    assert json.loads(found.stdout) == [{"n": 2}]
    assert neuneu("designs", "export", "--store", store, tmp_path / "again").returncode == 0
    assert (tmp_path / "again" / "load.sql").exists()
    profile = neuneu("designs", "profile", "org/b", "-s", store, "--json")
    assert json.loads(profile.stdout)["evaluation"][0]["benchmark"] == "arc_challenge"
    two = tmp_path / "two.csv"
    two.write_text(EVALUATIONS.splitlines()[0] + "\norg/a,arc:challenge,25-shot,accuracy,0.123456789,\n")
    both = tmp_path / "both.duckdb"
    for path in (folder / "evaluation_results.csv", two):
        assert neuneu("designs", "import", "scores", path, "--store", both).returncode == 0
    shown = neuneu("designs", "conflicts", "-s", both).stdout
    assert "0.123456789" in shown
    assert "two.csv@" in shown  # a pipe gets what a file gets
    told = json.loads(neuneu("designs", "conflicts", "-s", both, "--json").stdout)
    assert "0.123456789" in told[0]["values"]
    assert "two.csv@" in told[0]["origins"]
    for command in ("stats", "conflicts", "gaps"):
        assert neuneu("designs", command, "-s", store).returncode == 0
    same = neuneu("designs", "diff", store, store, "--json")
    assert json.loads(same.stdout) == []


def test_bad_input_is_one_line_and_exit_two(neuneu: Run, tmp_path: Path, folder: Path) -> None:
    (folder / "evaluation_results.csv").write_text(EVALUATIONS + "org/c,arc,25-shot,accuracy,1e400,\n")
    store = tmp_path / "designs.duckdb"
    done = neuneu("designs", "import", "export", folder, "--store", store)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "evaluation_results.csv, record 3: metric_value = '1e400': must be a finite number" in done.stderr
    assert not store.exists()
    for arguments in (("stats", "-s", store), ("query", "DROP TABLE x", "-s", store)):
        assert neuneu("designs", *arguments).returncode == 2


def test_places_that_cannot_be_written_are_one_line(neuneu: Run, tmp_path: Path, folder: Path) -> None:
    store, taken, texts = tmp_path / "designs.duckdb", tmp_path / "taken", tmp_path / "texts.jsonl"
    assert neuneu("designs", "import", "export", folder, "--store", store).returncode == 0
    taken.write_text("a file")
    texts.write_text('{"text": "a"}\n')
    for arguments in (
        ("stats", "-s", store, "--output", taken / "x.csv"),
        ("export", "-s", store, taken / "x"),
        ("import", "export", folder, "-s", taken / "x.duckdb"),
        ("tag", "counts", "-i", texts, "-o", taken / "x.parquet"),
    ):
        done = neuneu("designs", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert str(taken) in done.stderr
    assert taken.read_text() == "a file"


def test_contributions_are_validated_and_added(neuneu: Run, tmp_path: Path, folder: Path) -> None:
    store = tmp_path / "designs.duckdb"
    assert neuneu("designs", "import", "export", folder, "--store", store).returncode == 0
    made = neuneu("designs", "template", "org/new")
    path = tmp_path / "new.yaml"
    path.write_text(made.stdout.replace("dimension:", "dimension: 256"))
    assert neuneu("designs", "validate", path).returncode == 0
    assert neuneu("designs", "add", path, "--store", store, "--dry-run").returncode == 0
    count = ("designs", "query", "SELECT count(*) AS n FROM model_annotations", "-s", store, "--json")
    assert json.loads(neuneu(*count).stdout) == [{"n": 2}]
    assert neuneu("designs", "add", path, "--store", store).returncode == 0
    assert json.loads(neuneu(*count).stdout) == [{"n": 3}]
    path.write_text("model: org/new\narchitecture: {dimension: wide}\n")
    bad = neuneu("designs", "validate", path)
    assert bad.returncode == 2
    assert "dimension" in bad.stderr


def test_texts_are_tagged_and_aggregated(neuneu: Run, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"How do you do, {i}?"}) + "\n" for i in range(5)))
    counts, entropy = tmp_path / "counts.parquet", tmp_path / "entropy.json"
    for feature, output in (("counts", counts), ("entropy", entropy)):
        done = neuneu("designs", "tag", feature, "--input", texts, "--output", output)
        assert done.returncode == 0, done.stderr
    assert json.loads(entropy.read_text())["num_unique_contexts"] > 3
    tagged = (f"--tagged=counts={counts}", f"--tagged=entropy={entropy}")
    features, store = tmp_path / "features.csv", tmp_path / "designs.duckdb"
    assert neuneu("designs", "aggregate", "org/m", *tagged, "-o", features).returncode == 0
    assert neuneu("designs", "import", "features", features, "-s", store).returncode == 0
    sql = "SELECT feature, value FROM generation_features"
    found = neuneu("designs", "query", sql, "-s", store, "--json").stdout
    values = {row["feature"]: row["value"] for row in json.loads(found)}
    assert values["ttr_mean"] > 0.5
    assert values["entropy_mean"] > 0
    assert values["question_words_ratio"] > 0
    per_document = tmp_path / "documents.parquet"
    done = neuneu("designs", "tag", "entropy", "-i", texts, "-o", entropy, "--documents", per_document)
    assert done.returncode == 0, done.stderr
    assert pl.read_parquet(per_document)["entropy_max"].max() > 0
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "e.json").write_text('{"mean_corpus_entropy": "high", "corrected_entropy": 1}')
    for arguments in (
        ("tag", "colour", "--input", texts, "--output", tmp_path / "c.parquet"),
        ("tag", "entropy", "--input", tmp_path / "empty.jsonl", "--output", tmp_path / "c.json"),
        ("aggregate", "org/m", f"--tagged=entropy={tmp_path / 'e.json'}", "-o", tmp_path / "c.csv"),
        ("aggregate", "org/m", f"--tagged=repetition={counts}", *tagged, "-o", tmp_path / "c.csv"),
        ("aggregate", "org/m\nx", *tagged, "-o", tmp_path / "c.csv"),
        ("sweep", "org/m", "code", "-s", store, "--high", "1e400"),
    ):
        bad = neuneu("designs", *arguments)
        assert (bad.returncode, bad.stderr.count("\n")) == (2, 1), bad.stderr
    assert not list(tmp_path.glob("c.*"))


def test_scores_are_predicted_by_both_protocols(neuneu: Run, tmp_path: Path, shared: Path) -> None:
    data = shared / "data" / "designs"
    store = tmp_path / "designs.duckdb"
    export = data / "metadata" / "duckdb" / "2025_03_03.duckdb"
    features = data / "performance_prediction" / "all_models_feature_stats_3_03_with_ratios.csv"
    assert neuneu("designs", "import", "export", export, "-s", store).returncode == 0
    assert neuneu("designs", "import", "features", features, "-s", store).returncode == 0
    selected = data / "performance_prediction" / "selected_feats" / "forward_generation_results_303.csv"
    common = ("-s", store, "--task", "arc_challenge", "--seeds", "2", "--json")
    figure = tmp_path / "errors.svg"
    published = ("--protocol", "published", "--selected", selected)
    done = neuneu("designs", "predict", *published, "--figure", figure, *common)
    assert "log-linear" in figure.read_text()
    assert "noise" not in figure.read_text()
    assert "differs from scale" in figure.read_text()
    assert (
        neuneu("designs", "predict", *published, "--cells", tmp_path / "c.parquet", *common).returncode == 2
    )
    row = json.loads(done.stdout)[0]
    assert row["models"] == 92
    assert row["selected"] < row["scaling_laws"] < row["median"]
    cells = tmp_path / "cells.parquet"
    methods = ("--predictor", "median,log-linear,xgboost", "--split", "organisation", "--cells", cells)
    done = neuneu("designs", "predict", "--protocol", "nested", *methods, *common)
    rows = {row["method"]: row for row in json.loads(done.stdout)}
    assert rows["log-linear"]["mae"] < rows["median"]["mae"]
    assert cells.exists()
    nested = ("--predictor", "published-nested", "-s", store, "--task", "arc_challenge", "--seeds", "1")
    done = neuneu("designs", "predict", *nested)  # the published methods have no intervals
    assert done.returncode == 0, done.stderr
    assert neuneu("designs", "predict", "--protocol", "published", *common).returncode == 2


def test_facts_of_the_database_reach_a_forecast(neuneu: Run, tmp_path: Path, folder: Path) -> None:
    store, curves, more = tmp_path / "designs.duckdb", tmp_path / "curves.csv", tmp_path / "more.parquet"
    assert neuneu("designs", "import", "export", folder, "--store", store).returncode == 0
    rows = [f"mine,piqa,acc,{step},{0.5 + step / 100},{step * 10**9}" for step in range(1, 10)]
    curves.write_text("\n".join(["run,task,metric,step,value,tokens", *rows]) + "\n")
    done = neuneu("designs", "facts", curves, "-s", store, "--model", "mine=org/a", "-o", more, "--json")
    assert done.returncode == 0, done.stderr
    told = {"run": "mine", "model": "org/a", "params": 10**8, "planned_tokens": 300 * 10**9, "recipe": None}
    assert json.loads(done.stdout) == [told]
    forecast = neuneu("forecast", more, "--json")
    assert forecast.returncode == 0, forecast.stderr
    refused = neuneu(
        "designs", "facts", curves, "-s", store, "--model", "org/a", "-o", tmp_path / "no.parquet"
    )
    assert refused.returncode == 2
    assert "RUN=ID" in refused.stderr
    assert not (tmp_path / "no.parquet").exists()
