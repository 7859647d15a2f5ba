import json
import re
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.cli.terminal import Terminal, check_snapshot

from neuneu.cli.demo import print_demo
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.reports.demo import run_demo


def test_the_demo_forecasts_real_runs_and_writes_everything(neuneu, tmp_path: Path) -> None:
    done = neuneu("demo", "--output", tmp_path / "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("context\tforecaster\terror")
    assert all(name in done.stdout for name in ("last-value", "power-law"))
    assert all(
        text in done.stderr
        for text in ("noise between checkpoints", "fitted on 12 of these 18 runs", "report.html")
    )
    curves = CurveTable.read(tmp_path / "demo" / "curves.parquet")
    assert len(curves.runs) >= 2
    cells = pl.read_parquet(tmp_path / "demo" / "forecasts.parquet")
    truth = cells.filter(pl.col("value").is_not_null())
    assert set(truth["run"]) == set(curves.runs)
    assert (truth["clock"] > truth["context_clock"]).all()
    page = (tmp_path / "demo" / "report.html").read_text()
    assert not re.search(r"https?://", page)
    assert (tmp_path / "demo" / "fan.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo_writes_the_same_bytes_again_and_speaks_json(neuneu, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = neuneu("demo", "--output", name, "--forecaster", "power-law", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["curves.parquet", "fan.png", "forecasts.parquet", "report.html"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    scores = json.loads(done.stdout)["scores"]
    assert {row["forecaster"] for row in scores} == {"last-value", "power-law"}


def test_the_demo_looks_at_references_as_other_commands_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run_demo(Path("demo"), "power-law", references="finished")
    command = "neuneu demo --forecaster power-law --references finished"
    assert command in (tmp_path / "demo" / "report.html").read_text()
    assert {answer.forecasts.references for answer in found.answers.values()} == {
        "all finished runs of the same family"
    }
    with monkeypatch.context() as patch:
        stream = Terminal()
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", stream)
        patch.setenv("COLUMNS", "80")
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "dumb")
        print_demo(found)
    check_snapshot("demo", stream.getvalue())
    with pytest.raises(InputError, match="references = 'all'"):
        run_demo(tmp_path / "other", "power-law", references="all")
    assert not (tmp_path / "other").exists()


def test_a_demo_folder_that_is_a_file_is_refused(neuneu, tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    done = neuneu("demo", "--output", tmp_path / "demo")
    assert done.returncode == 2
    assert "a folder is to be written here" in done.stderr
    assert (tmp_path / "demo").read_text() == "mine"
