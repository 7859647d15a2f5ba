import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable


@pytest.fixture(scope="module")
def two_files(tmp_path_factory) -> list[Path]:
    """Two curve tables of different families, 4 runs each."""
    folder = tmp_path_factory.mktemp("curves")
    random = np.random.default_rng(0)
    paths = []
    for source in ("alpha", "beta"):
        rows = [
            {
                "run": f"{source}{run}", "task": task, "metric": "acc", "step": 50 * k, "tokens": 10**6 * k,
                "value": float(0.6 - 0.3 * (1 + k) ** -0.5 + 0.02 * run + random.normal(0, 0.01)),
                "family": source, "source": source, "params": 10**8, "recipe": f"mix{run}",
            }
            for run in range(4) for task in ("hellaswag", "piqa") for k in range(15)
        ]  # fmt: skip
        paths.append(folder / f"{source}.parquet")
        CurveTable.from_frame(pl.DataFrame(rows)).write(paths[-1])
    return paths


def test_prints_a_leaderboard_and_writes_cells(neuneu, two_files, tmp_path):
    names = "mean-k,log-linear"
    done = neuneu("evaluate", *two_files, "--forecasters", names, "--published", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for name in ("last-value", "power-law", "mean-k", "log-linear", "alpha", "beta", "mae"):
        assert name in done.stdout
    cells = pl.read_parquet(tmp_path / "out/cells.parquet")
    assert cells.columns == [
        "source", "run", "task", "metric", "n_shot", "variant", "forecaster", "context_step", "step",
        "context_clock", "clock", "value", "q05", "q10", "q25", "q50", "q75", "q90", "q95", "refused",
        "reason", "clock_unit",
    ]  # fmt: skip
    assert (cells["step"] > cells["context_step"]).all()
    assert cells.group_by("forecaster").len()["len"].n_unique() == 1
    board = json.loads((tmp_path / "out/leaderboard.json").read_text())
    assert set(board["sources"]) == {"alpha", "beta"}
    assert board["overall"][0]["n_runs"] == 8
    timings = json.loads((tmp_path / "out/timings.json").read_text())
    assert set(timings) == {"last-value", "power-law", "mean-k", "log-linear"}
    document = json.loads((tmp_path / "out/mean-k/alpha0_results.json").read_text())
    assert document["tasks"] == ["hellaswag", "piqa"]


def test_the_same_bytes_every_time_and_with_one_or_two_threads(neuneu, two_files, tmp_path):
    for name, threads in (("a", "1"), ("b", "1"), ("c", "2")):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "POLARS_MAX_THREADS": threads}
        done = neuneu("evaluate", *two_files, "-f", "mean-k", "-o", tmp_path / name, env=environment)
        assert done.returncode == 0, done.stderr
    for file in ("cells.parquet", "leaderboard.json"):
        first, *others = [(tmp_path / name / file).read_bytes() for name in "abc"]
        assert all(other == first for other in others)


def test_json_is_one_document_and_nothing_else(neuneu, two_files):
    done = neuneu("evaluate", two_files[0], "--json", "--protocol", "rolling")
    assert done.returncode == 0, done.stderr
    board = json.loads(done.stdout)
    assert board["protocol"]["context"] == [0.1, 0.2, 0.3, 0.5, 0.7]
    assert "folds by run" in board["protocol"]["fitting"]


def test_a_manifest_splits(neuneu, two_files, tmp_path):
    path = tmp_path / "split.yaml"
    path.write_text("train: {source: [alpha]}\ntest: {source: [beta], recipe: [mix0, mix1]}\n")
    done = neuneu("evaluate", *two_files, "--manifest", path, "--json")
    assert done.returncode == 0, done.stderr
    board = json.loads(done.stdout)
    assert list(board["sources"]) == ["beta"]
    assert board["overall"][0]["n_runs"] == 2


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--context", "nan"], "context"),
        (["--forecasters", "oracle"], "forecaster"),
        (["--metric", "bleu"], "metric"),
        (["--losses", "nowhere"], "nowhere"),
        (["--anchor", "0"], "anchor"),
        (["--delta", "cumulative"], "delta"),
        (["--device", "cpu"], "device"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(neuneu, two_files, tmp_path, arguments, field):
    done = neuneu("evaluate", two_files[0], "-o", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert field in done.stderr
    assert not (tmp_path / "out").exists()


def test_errors_on_real_curves_are_the_known_ones(neuneu, shared):
    """Last value is exact; the power law is another fit of the same law, and within a tenth of a point."""
    done = neuneu("evaluate", shared / "data/curves/olmo_ladder_final_new.parquet", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["forecaster"]: row for row in json.loads(done.stdout)["overall"]}
    assert rows["last-value"]["n_curves"] == 1060
    assert 100 * rows["last-value"]["mae"] == pytest.approx(2.90, abs=0.006)
    assert 100 * rows["power-law"]["mae"] == pytest.approx(1.98, abs=0.11)
    assert 100 * rows["best-constant"]["mae"] == pytest.approx(1.42, abs=0.006)
