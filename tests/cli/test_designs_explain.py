"""`neuneu designs`: predictions and what they rest on, through the real command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
MODEL = "EleutherAI/pythia-6.9b"


@pytest.fixture(scope="module")
def store(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published export with its generation features, in a file."""
    from neuneu.designs import DesignStore
    from neuneu.designs.database.readers import read_export, read_features_csv

    data = shared / "data" / "designs"
    path = tmp_path_factory.mktemp("designs") / "designs.duckdb"
    features = data / "performance_prediction" / "all_models_feature_stats_3_03_with_ratios.csv"
    with DesignStore.create(path) as made:
        made.apply(read_export(data / "metadata" / "duckdb" / "2025_03_03.duckdb"))
        made.apply(read_features_csv(features))
    return path


def test_what_predictions_rest_on(neuneu: Run, store: Path, tmp_path: Path) -> None:
    common = ("--store", store, "--json")
    figure = tmp_path / "figure.svg"
    arguments = ("explain", "--task", "humaneval", "--seeds", "1", "--figure", figure)
    done = neuneu("designs", *arguments, *common)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["importance"] > 0.01
    assert "sequence length" in figure.read_text()
    chosen = neuneu("designs", "select", "--task", "humaneval", "--figure", figure, *common)
    assert chosen.returncode == 0, chosen.stderr
    assert {row["task"] for row in json.loads(chosen.stdout)} == {"humaneval"}
    assert "forward selection" in figure.read_text()
    sweep = ("sweep", MODEL, "code", "--steps", "3", "--task", "humaneval", "--predictor", "gaussian-process")
    rows = json.loads(neuneu("designs", *sweep, *common).stdout)
    assert [row["value"] for row in rows] == [0, 50, 100]
    assert all(row["q10"] <= row["q50"] <= row["q90"] for row in rows)
    assert neuneu("designs", "sweep", "nobody", "code", *common).returncode == 2


def test_what_goes_with_what(neuneu: Run, store: Path, tmp_path: Path) -> None:
    common = ("--store", store, "--json")
    pairs = json.loads(neuneu("designs", "correlate", *common).stdout)
    assert len(pairs) == 13 * 12 / 2
    loadings = json.loads(neuneu("designs", "components", "--count", "1", *common).stdout)
    assert loadings[0]["share"] > 0.6
    figure = tmp_path / "generation.svg"
    done = neuneu("designs", "components", "generation", "--count", "2", "--figure", figure, *common)
    assert "entropy_mean" in {row["feature"] for row in json.loads(done.stdout)}
    assert "correlation of feature and component" in figure.read_text()
    assert neuneu("designs", "components", "moons", *common).returncode == 2
    domains = json.loads(neuneu("designs", "composition", *common).stdout)
    assert {row["domain"] for row in domains} == {"web", "code", "books", "reference", "academic"}
    missing = json.loads(neuneu("designs", "coverage", *common).stdout)
    assert {row["id"] for row in missing if row["lacks"] == 5} == {"Qwen/Qwen-7B"}


def test_a_design_is_forecast_before_it_is_trained(neuneu: Run, store: Path, tmp_path: Path) -> None:
    design = tmp_path / "mine.yaml"
    design.write_text(
        "model: me/mine-3b\narchitecture:\n  total_params: 3000000000\n  dimension: 2560\n"
        "data:\n  total_tokens_billions: 1000\n  percentage_code: 20\n"
    )
    options = ("--store", store, "--task", "mmlu", "--predictor", "gaussian-process", "--json")
    done = neuneu("designs", "forecast", design, *options)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["setting"] for row in rows} == {"0-shot", "5-shot"}
    assert all(0.2 < row["q50"] < 0.6 for row in rows)
    home = ("--store", "home", "--task", "sciq", "--predictor", "log-linear")
    alone = neuneu("designs", "forecast", design, *home)  # all packaged models are of one organisation
    assert (alone.returncode, alone.stderr.count("\n")) == (2, 1)
    assert "--split: all models are one group of this split" in alone.stderr
    design.write_text("model: me/mine-3b\narchitecture:\n  dimension: 2560\n")
    bad = neuneu("designs", "forecast", design, *options)
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)


def test_runs_are_predicted_by_the_same_command(neuneu: Run, tmp_path: Path) -> None:
    cells, figure = tmp_path / "cells.parquet", tmp_path / "errors.svg"
    arguments = ("--predictor", "median,log-linear", "--seeds", "1", "--task", "arc_easy", "--workers", "1")
    done = neuneu("designs", "predict", "--runs", "home", *arguments, "--cells", cells, "--json")
    assert done.returncode == 0, done.stderr
    assert {row["method"] for row in json.loads(done.stdout)} == {"median", "log-linear"}
    done = neuneu("designs", "errors", cells, "--predictor", "log-linear", "--figure", figure, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) >= 8
    assert figure.exists()
    assert neuneu("designs", "errors", cells, "--predictor", "oracle").returncode == 2
    assert neuneu("designs", "predict").returncode == 2
