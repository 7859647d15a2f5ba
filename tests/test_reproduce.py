"""`make reproduce`: tables from clones, evaluated, beside the committed leaderboard."""

from pathlib import Path

import pytest
from benchmarks import reproduce

from neuneu.curves.table import CurveTable
from neuneu.files import read_json


def test_the_tables_of_clones_are_compared_with_what_is_committed(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = shared / "data" / "raw"
    asked = [
        "--from",
        raw,
        "--folder",
        tmp_path,
        "--names",
        "gemstones",
        "open-sci-ref",
        "--forecasters",
        "last-value",
    ]
    reproduce.main(list(map(str, asked)))
    printed = capsys.readouterr().out
    assert "licence MIT" in printed
    table = CurveTable.read(tmp_path / "gemstones.parquet")
    assert set(table.runs) <= set(read_json(reproduce.RUNS)["gemstones"])
    assert "14 of the 16 runs that were measured are not here" in printed
    lines = [line.split() for line in printed.splitlines()]
    row = next(line for line in lines if line[:2] == ["gemstones", "last-value"])
    assert row[3] == "1.39"  # docs/neuneu-2.md
    assert row[6:] == ["18", "144"]
    mean = next(line for line in lines if line[:2] == ["all", "power-law"])
    assert mean[3] == "1.57"  # of 1.06 and 2.08


def test_only_known_forecasters_and_sources_have_committed_cells() -> None:
    here = {"forecaster": "mine", "mae": 0.01, "coverage80": float("nan"), "n_curves": 3}
    lines = reproduce.compare({"new": [here]}, {})
    assert lines[1].split() == ["new", "mine", "1.00", "–", "–", "–", "3", "–"]
