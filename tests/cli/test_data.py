"""data: list and get."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from neuneu.cli.main import main
from neuneu.curves.table import CurveTable


def test_get_from_a_clone(neuneu: Any, shared: Path, tmp_path: Path) -> None:
    output = tmp_path / "g.parquet"
    done = neuneu("data", "get", "gemstones", "--from", shared / "data" / "raw" / "gemstones", "-o", output)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert "5f4204" not in done.stderr  # the catalogue's commit, which need not be the clone's
    assert "github.com/mcleish7/gemstone-scaling-laws at whatever commit" in lines[1]
    assert "licence MIT" in lines[1]
    assert lines[-1].startswith("630 values of 2 runs on 9 tasks")
    assert len(CurveTable.read(output)) == 630


def ask(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["neuneu", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_list_needs_no_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(monkeypatch, "data", "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"pythia", "olmo-ladder", "open-sci-ref", "gemstones"}
    assert all(row["licence"] in ("MIT", "Apache-2.0") and row["revision"] for row in rows)


def test_nothing_is_written_where_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = tmp_path / "g.parquet"
    assert ask(monkeypatch, "data", "get", "gemstones", "--from", tmp_path, "-o", output) == 2
    assert "none of the files of gemstones here" in capsys.readouterr().err
    assert not output.exists()
