"""`neuneu designs`, end to end through the real command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

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
