"""The page on own forecasters is true: its class runs, by every way that it names."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.forecasters.forecaster_cases import family

PAGE = (ROOT / "docs" / "own-forecasters.md").read_text(encoding="utf-8")


def test_the_class_of_the_page_runs_from_the_command_line(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[0]
    (tmp_path / "mymodule.py").write_text(code)
    family().write(tmp_path / "curves.parquet")
    command = [sys.executable, "-m", "neuneu", "evaluate", "curves.parquet", "--no-fit", "--output", "out"]
    command += ["--forecasters", "last-value,mymodule:Halfway"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Halfway" in (tmp_path / "out" / "leaderboard.json").read_text()
