import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable

ROWS = [
    {
        "run": run, "task": task, "metric": "acc", "step": 100 * k, "tokens": 10**6 * k,
        "value": 0.7 - 0.4 * (1 + k) ** -0.5, "family": "f", "params": params, "planned_tokens": planned,
    }
    for run, params, planned, n in (("flying", 2 * 10**8, 10**8, 12), ("landed", 10**8, 19 * 10**6, 20))
    for task in ("hellaswag", "piqa") for k in range(n)
]  # fmt: skip


@pytest.fixture(scope="module")
def curves(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("forecast") / "curves.parquet"
    CurveTable.from_frame(pl.DataFrame(ROWS)).write(path)
    return path


def read(done) -> list[dict]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_in_flight_is_forecast_up_to_its_planned_end(neuneu, curves):
    rows = read(neuneu("forecast", curves, "--run", "flying", "--json"))
    assert {row["task"] for row in rows} == {"hellaswag", "piqa"}
    assert [row["clock"] for row in rows if row["task"] == "piqa"] == [2.2e7, 5.5e7, 1e8]
    for row in rows:
        quantiles = [row[f"q{level:02d}"] for level in (5, 10, 25, 50, 75, 90, 95)]
        assert quantiles == sorted(quantiles)
        assert 0 <= quantiles[0] <= quantiles[-1] <= 1
        assert row["context_clock"] == 1.1e7
        assert row["value"] is None


def test_a_finished_run_is_forecast_from_its_first_part_beside_the_truth(neuneu, curves):
    rows = read(neuneu("forecast", curves, "--run", "landed", "--task", "piqa", "--context", "0.2", "--json"))
    truth = {row["tokens"]: row["value"] for row in ROWS if row["run"] == "landed" and row["task"] == "piqa"}
    assert [row["clock"] for row in rows] == [10**6 * k for k in range(4, 20)]
    assert [row["value"] for row in rows] == [truth[row["clock"]] for row in rows]


def test_horizons_are_clocks_or_multiples(neuneu, curves):
    asked = ("--run", "flying", "--task", "piqa", "--horizon", "3x", "--horizon", "2e7")
    assert [row["clock"] for row in read(neuneu("forecast", curves, *asked, "--json"))] == [2e7, 3.3e7]


def test_the_table_for_people_and_the_file(neuneu, curves, tmp_path):
    done = neuneu("forecast", curves, "--run", "flying")
    assert done.returncode == 0, done.stderr
    assert "flying" in done.stdout
    assert "neuneu-2, flying, 2 curves, clock in tokens" in done.stderr
    assert "q90" in done.stdout
    done = neuneu("forecast", curves, "-o", tmp_path / "f.parquet")
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(tmp_path / "f.parquet")
    assert set(frame["run"]) == {"flying", "landed"}
    assert frame["q50"].null_count() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "flyin"], "did you mean flying"),
        (["--run", "flying", "--horizon", "5e6"], "in the past"),
        (["--references", "nowhere.parquet"], "nowhere.parquet"),
        (["--output", "table.xlsx"], "output"),
    ],
)
def test_bad_input_is_one_line(neuneu, curves, tmp_path, arguments, message):
    done = neuneu("forecast", curves, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_far_horizons_stay_in_range_and_do_not_narrow(neuneu, curves):
    rows = read(
        neuneu(
            "forecast",
            curves,
            "--run",
            "flying",
            "--task",
            "piqa",
            "--horizon",
            "1e9x",
            "--horizon",
            "2x",
            "--json",
        )
    )
    widths = [row["q90"] - row["q10"] for row in rows]
    assert widths == sorted(widths)
    assert all(row["q05"] >= 0 and row["q95"] <= 1 for row in rows)
    assert np.isfinite([row["q50"] for row in rows]).all()
