import json
from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.table import CurveTable


@pytest.fixture(scope="module")
def curves(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("decide") / "curves.parquet"
    rows = [
        {
            "run": run, "task": "piqa", "metric": "acc", "step": k, "tokens": 1000 * k, "params": 10**6,
            "value": top - 0.3 * (1 + k) ** -0.5, "planned_tokens": 40_000,
        }
        for run, top in (("better", 0.8), ("worse", 0.6)) for k in range(20)
    ]  # fmt: skip
    CurveTable.from_frame(pl.DataFrame(rows)).write(path)
    return path


def test_rank_says_who_will_win(neuneu, curves):
    done = neuneu("rank", curves, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["run"] for row in rows] == ["better", "worse"]
    assert rows[0]["p_best"] > 0.9
    done = neuneu("rank", curves)
    assert done.returncode == 0, done.stderr
    assert "At clock 4e+04" in done.stderr


def test_advise_says_stop_or_go_on_and_the_rule(neuneu, curves, tmp_path):
    done = neuneu("advise", curves, "--rival", "better")
    assert done.returncode == 0, done.stderr
    assert "stop" in done.stdout
    assert "rule: stop where p_success < 0.05" in done.stderr
    done = neuneu("advise", curves, "--target", "0.6", "-o", tmp_path / "advice.csv")
    assert done.returncode == 0, done.stderr
    advice = dict(pl.read_csv(tmp_path / "advice.csv").select("run", "advice").iter_rows())
    assert advice["better"] == "go on"


@pytest.mark.parametrize("arguments", [["advise"], ["rank", "--run", "bettr"]])
def test_bad_input_is_one_line(neuneu, curves, arguments):
    done = neuneu(arguments[0], curves, *arguments[1:])
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
