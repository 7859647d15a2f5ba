"""import, export and inspect through the real command line."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import neuneu as nn
from neuneu.curves.table import CurveTable

HEADER = "run,task,metric,step,value\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of three lm-eval result files in the old format, and one file that is none."""
    folder = tmp_path / "results"
    folder.mkdir()
    for step, value in ((1000, 0.5), (10, 0.3), (100, 0.4)):
        document = {
            "results": {"arc_easy": {"acc": value, "acc_stderr": 0.01}},
            "config": {"model_args": f"pretrained=me/lm,revision=step{step}", "num_fewshot": 5},
        }
        (folder / f"{len(str(step))}.json").write_text(json.dumps(document))
    (folder / "other.json").write_text("{}")
    return folder


def test_import_says_what_it_read_and_skipped(neuneu: Any, results: Path, tmp_path: Path) -> None:
    output = tmp_path / "curves.parquet"
    done = neuneu("import", "lm-eval", results, "-o", output, "--tokens-per-step", 1024, "--params", 7,
                  "--schedule", "wsd:0.8")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert f"skipped {results / 'other.json'}: no lm-eval results in it" in done.stderr
    told = "1 task; name from the model, steps from the revision"
    assert f"run me/lm: 3 files, 3 checkpoints, steps 10 to 1,000, clock in tokens, {told}" in done.stderr
    assert f"3 values of 1 run on 1 task → {output}" in done.stderr
    (curve,) = CurveTable.read(output)
    assert curve.clock.tolist() == [10_240, 102_400, 1_024_000]
    assert curve.values.tolist() == [0.3, 0.4, 0.5]
    assert (curve.key.run, curve.key.n_shot, curve.facts.params) == ("me/lm", 5, 7)
    assert curve.facts.schedule == "wsd:0.8"
    with pytest.warns(UserWarning, match="no lm-eval results"):
        again = nn.read_lm_eval(results, tokens_per_step=1024, params=7, schedule="cosine")
    assert again.frame["schedule"].unique().to_list() == ["cosine"]


def test_the_same_input_gives_the_same_bytes(neuneu: Any, results: Path, tmp_path: Path) -> None:
    for ending in ("parquet", "json"):
        first, second = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
        for output in (first, second):
            assert neuneu("import", "lm-eval", results, "-o", output).returncode == 0
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lm-evil", "results"], "format = 'lm-evil': unknown; did you mean lm-eval"),
        (["lm-eval", "none"], "none: no such file"),
        (["wandb", "results", "--step-pattern", "x"], "step-pattern = 'x': is no option of wandb"),
        (["neuneu-npy", "results"], "no .npy file here"),
        (["lm-eval", "results", "--metric", "bpb"], "metric acc: not asked for"),
    ],
)
def test_bad_input_exits_2_and_writes_nothing(
    neuneu: Any, results: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = neuneu("import", *arguments, "-o", "out/curves.parquet", cwd=results.parent)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (results.parent / "out").exists()


def test_out_to_neuneu_and_back(neuneu: Any, results: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    assert neuneu("import", "lm-eval", results, "-o", first).returncode == 0
    done = neuneu("export", "neuneu-npy", first, "-o", tmp_path / "npy")
    assert (done.returncode, done.stderr) == (0, f"1 file → {tmp_path / 'npy'}\n")
    assert (tmp_path / "npy" / "me--lm" / "arc_easy.npy").is_file()
    again = neuneu("export", "neuneu-npy", first, "-o", tmp_path / "npy")
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    back = ["import", "neuneu-npy", tmp_path / "npy", "--run", "me/lm", "--values-are", "acc"]
    assert neuneu(*back, "-o", second).returncode == 0
    told = ["run", "task", "metric", "step", "value"]
    assert CurveTable.read(second).frame.select(told).equals(CurveTable.read(first).frame.select(told))
    other = neuneu("export", "csv", first, "-o", tmp_path / "x")
    assert (other.returncode, "known: neuneu-npy" in other.stderr) == (2, True)


def test_inspect_shows_everything_that_is_wrong_at_once(neuneu: Any, tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(HEADER + "a,piqa,acc,1,0.5\na,piqa,acc,2,55\na,piqa,acc,1,0.6\na,piqa,acc,3,\n")
    done = neuneu("inspect", path, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["runs"][0]["run"] == "a"
    assert document["tasks"][0]["task"] == "piqa"
    assert [row["problem"] for row in document["problems"]] == [
        "missing value",
        "value out of range",
        "repeated step",
        "rewound",
    ]
    text = neuneu("inspect", path)
    assert text.returncode == 0
    assert all(words in text.stderr for words in ("1 run\n", "1 task\n", "4 problems\n"))
    assert "rewound" in text.stdout


def test_inspect_writes_one_table(neuneu: Any, tmp_path: Path) -> None:
    path, output = tmp_path / "curves.csv", tmp_path / "tasks.csv"
    path.write_text(HEADER + "a,piqa,acc,1,0.5\na,piqa,acc,2,0.6\n")
    done = neuneu("inspect", path, "--show", "tasks", "--output", output)
    assert done.returncode == 0
    assert pl.read_csv(output).select("task", "runs", "chance").rows() == [("piqa", 1, 0.5)]


def test_inspect_refuses_what_is_no_curve_table(neuneu: Any, tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("a,b\n1,2\n")
    done = neuneu("inspect", path)
    assert done.returncode == 2
    assert "run: the column is missing; columns here: a, b" in done.stderr


def test_inspect_real_curves(neuneu: Any, shared: Path) -> None:
    done = neuneu("inspect", shared / "data" / "curves" / "gemstones.parquet", "--json")
    document = json.loads(done.stdout)
    assert (len(document["runs"]), len(document["tasks"]), document["problems"]) == (16, 9, [])


def test_a_dry_run_says_the_same_and_writes_nothing(neuneu: Any, results: Path, tmp_path: Path) -> None:
    schedule, output = tmp_path / "schedule.csv", tmp_path / "out.csv"
    schedule.write_text("step,tokens_per_step\n0,10\n100,20\n")
    arguments = ["import", "lm-eval", results, "--batch-schedule", schedule]
    dry = neuneu(*arguments, "--dry-run", "-o", output)
    assert (dry.returncode, dry.stdout, output.exists()) == (0, "", False)
    assert "3 values of 1 run on 1 task → nothing written (--dry-run)" in dry.stderr
    done = neuneu(*arguments, "-o", output)
    assert done.stderr.splitlines()[:-1] == dry.stderr.splitlines()[:-1]
    assert pl.read_csv(output)["tokens"].to_list() == [100, 1000, 19_000]
    nowhere = neuneu("import", "lm-eval", results)
    assert nowhere.returncode == 2
    assert "must say where to write (-o curves.parquet), or --dry-run" in nowhere.stderr


def test_a_schedule_is_read_off_a_table_in_any_order(neuneu: Any, results: Path, tmp_path: Path) -> None:
    rates, output = tmp_path / "rates.csv", tmp_path / "curves.parquet"
    rates.write_text("learning_rate,step\n0,1000\n0.001,100\n0.001,750\n0.0004,900\n0.0005,0\n")
    done = neuneu("import", "lm-eval", results, "--schedule", rates, "-o", output)
    assert done.returncode == 0
    (curve,) = CurveTable.read(output)
    assert curve.facts.schedule == "wsd:0.75"
    rates.write_text("step,learning_rate\n0,1\n1,0\n2,1\n")
    refused = neuneu("import", "lm-eval", results, "--schedule", rates, "-o", tmp_path / "no.parquet")
    assert refused.returncode == 2
    assert f"{rates}: learning_rate: must fall once at most" in refused.stderr
    assert not (tmp_path / "no.parquet").exists()


def test_rank_says_where_a_curve_ends_early(neuneu: Any, tmp_path: Path) -> None:
    rows = [f"{run},piqa,acc,{5 * (run == 'a' or step < 4)},{step},{0.5 + step / 100}"
            for run in "ab" for step in range(1, 9)]  # fmt: skip
    path = tmp_path / "t.csv"
    path.write_text("run,task,metric,n_shot,step,value\n" + "\n".join(rows) + "\n")
    done = neuneu("rank", path, "--forecaster", "last-value")
    assert "note: b, piqa acc 5-shot ends at clock 3, other curves of this run go on to 8" in done.stderr
    assert "(5-shot until step 3, 0-shot from step 4)" in done.stderr
