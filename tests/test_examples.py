"""Each example runs as it stands, in an empty folder, and is short enough to read at a glance."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.py"))
MOST_LINES = 30
SHOWS = {
    "01": "2 runs", "02": "text_prose", "03": "report.html", "04": "finished", "05": "log-linear",
    "06": "Mine", "07": "p_best", "08": "go on", "09": "trained", "10": "ensemble",
}  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_shows_what_it_is_about(path: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    assert len(path.read_text().splitlines()) < MOST_LINES
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    assert SHOWS[path.stem[:2]] in capsys.readouterr().out


def test_there_is_an_example_of_each() -> None:
    assert [path.stem[:2] for path in EXAMPLES] == sorted(SHOWS)
