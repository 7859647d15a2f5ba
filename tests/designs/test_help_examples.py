"""The examples of `neuneu designs COMMAND --help` on the home suite, run as they stand."""

import re
from pathlib import Path

import pytest
from tests.walking import run

ROOT = Path(__file__).parents[2]
EXAMPLES = re.compile(r"Example: (neuneu designs .*?)(?:\n\n|\n    \"\"\"|\Z)", re.DOTALL)


@pytest.mark.slow
def test_every_example_on_the_home_suite_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = "\n\n".join(path.read_text() for path in sorted((ROOT / "src/neuneu/cli").glob("designs*.py")))
    examples = [" ".join(found.split()) for found in EXAMPLES.findall(sources)]
    ours = [line for line in dict.fromkeys(examples) if "--store home" in line or "--runs home" in line]
    ours.append("neuneu designs home home.duckdb")
    assert len(ours) > 25
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(
        "model: me/tiny\narchitecture: {total_params: 500000, dimension: 96}\n"
        "data: {total_tokens_billions: 0.001, percentage_code: 20, percentage_books: 80}\n"
    )
    for line in sorted(ours, key=lambda line: "cells.parquet" in line and "--cells" not in line):
        run(line, capsys, tasks=("sciq", "arc_easy"))
