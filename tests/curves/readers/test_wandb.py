"""wandb histories: downloaded from the browser, written from the API, as JSON lines."""

import json
from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.readers.labels import parse_column
from neuneu.curves.readers.parsing import Given, Keep
from neuneu.curves.readers.wandb import read_wandb
from neuneu.errors import InputError


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        ("arc_easy/acc", (None, ("arc_easy", "acc", None, None))),
        ("eval/commonsense_qa/acc_norm", (None, ("csqa", "acc_norm", None, None))),
        ("eval/downstream/arc_easy_test_rc_5shot_len_norm", (None, ("arc_easy", "len_norm", "rc_test", 5))),
        ("my - run - eval/piqa_acc", ("my - run", ("piqa", "acc", None, None))),
        ("eval/mmlu_stem_mc_5shot_test_bpb", (None, ("mmlu_stem", "bpb", "mc_test", 5))),
        (
            "eval/downstream/hellaswag_rc_5shot (length-normalized accuracy)",
            (None, ("hellaswag", "len_norm", "rc", 5)),
        ),
        (
            "eval/downstream/hellaswag_rc_5shot (length-normalized accuracy v2)",
            (None, ("hellaswag", "len_norm", "rc_v2", 5)),
        ),
        ("eval/downstream/arc_easy_test_rc_5shot (BPB v2)", (None, ("arc_easy", "bpb", "rc_test_v2", 5))),
        ("eval/downstream/csqa_rc_5shot_bpb (BPB)", (None, ("csqa", "bpb", "rc", 5))),
        ("eval/downstream/boolq_val_mc_5shot_fast (accuracy)", (None, ("boolq", "acc", "mc_val_fast", 5))),
        (
            "eval/downstream/mmlu_other_test_rc_var (accuracy)",
            (None, ("mmlu_other", "acc", "rc_var_test", None)),
        ),
        ("eval/downstream/hellaswag_rc_5shot (speed)", None),
        (
            "metrics/hellaswag/10-shot/InContextLearningMultipleChoiceAccuracy",
            (None, ("hellaswag", "acc", None, 10)),
        ),
        (
            "metrics/mmlu/5-shot/anatomy/InContextLearningMultipleChoiceAccuracy",
            (None, ("mmlu_anatomy", "acc", None, 5)),
        ),
        ("metrics/piqa/0-shot/InContextLearningMCExpectedCalibrationError", (None, ("piqa", "ece", None, 0))),
        ("icl/metrics/eval_gauntlet/world_knowledge", None),
        ("gsm8k/exact_match,strict-match", (None, ("gsm8k", "exact_match", "strict-match", None))),
        ("hellaswag/acc,none", (None, ("hellaswag", "acc", None, None))),
        ("hellaswag/acc_stderr", None),
        ("leaderboard|arc:challenge|25/acc_norm", (None, ("arc_challenge", "acc_norm", None, 25))),
        ("leaderboard|arc/challenge|25.acc", (None, ("arc_challenge", "acc", None, 25))),
        ("train/loss", None),
        ("eval/loss", None),
        ("_runtime", None),
        ("acc", None),
        ("optim/learning_rate", None),
    ],
)
def test_columns(column: str, parts: object) -> None:
    found = parse_column(column)
    assert (None if found is None else (found[0], tuple(found[1]))) == parts


def test_json_lines_with_gaps(tmp_path: Path) -> None:
    lines = [
        {"_step": 10, "trainer/global_step": 100, "train/loss": 3.0},
        {"_step": 20, "trainer/global_step": 200, "arc_easy/acc": 0.5, "train/tokens": 2000},
        {"_step": 5, "trainer/global_step": 50, "arc_easy/acc": 0.25, "train/tokens": 500},
        {"_step": 30, "trainer/global_step": 300, "arc_easy/acc": None},
        {"_step": 40, "trainer/global_step": 400, "arc_easy/acc": "NaN"},
        {"_step": 50, "arc_easy/acc": 0.9},
    ]
    path = tmp_path / "my-run.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    result = read_wandb([path])
    assert result.table.frame.select("run", "step", "value", "tokens").rows() == [
        ("my-run", 50, 0.25, 500),
        ("my-run", 200, 0.5, 2000),
        ("my-run", 400, 0.9, None),
    ]
    assert dict(result.report.skipped) == {("train/loss", "no task and known metric in its name"): 1}
    assert f"{path}: 1 row without trainer/global_step take the last one logged before" in result.report.notes


def test_a_download_from_the_browser_holds_several_runs(tmp_path: Path) -> None:
    header = (
        '"Step","a - eval/piqa/acc","a - eval/piqa/acc__MIN","a - eval/piqa/acc__MAX","b - eval/piqa/acc"\n'
    )
    (tmp_path / "wandb_export.csv").write_text(header + "2,0.6,0.6,0.6,\n1,0.5,0.5,0.5,0.7\n")
    frame = read_wandb([tmp_path], given=Given(tokens_per_step=10)).table.frame
    assert frame.select("run", "step", "value", "tokens").rows() == [
        ("a", 1, 0.5, 10),
        ("a", 2, 0.6, 20),
        ("b", 1, 0.7, 10),
    ]


def test_a_run_that_was_rewound_must_be_settled_by_the_user(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("_step,piqa/acc\n1,0.5\n2,0.6\n3,0.7\n2,0.55\n3,0.65\n")
    with pytest.raises(InputError, match="restarted or merged run"):
        read_wandb([path])
    for keep, values in (("first", [0.5, 0.6, 0.7]), ("last", [0.5, 0.55, 0.65])):
        result = read_wandb([path], given=Given(keep=keep))  # type: ignore[arg-type]
        assert result.table.frame["value"].to_list() == values
        assert sum(result.report.skipped.values()) == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "x,piqa/acc\n1,0.5\n", "no step column"),
        ("a.csv", "_step,loss\n1,0.5\n", "nothing to read (loss: no task"),
        ("a.csv", "_step,piqa/acc\n1,half\n", "must be a number (row 1)"),
        ("a.csv", "_step,piqa/acc\n1,1e400\n", "must be finite (row 1)"),
        ("a.csv", "_step,piqa/acc\n1.5,0.5\n", "must be a whole number"),
        ("a.csv", "_step,piqa/acc\n-1,0.5\n", "must not be negative"),
        ("a.csv", "_step,piqa/acc\n1,55\n", "divide by 100"),
        ("=cmd.csv", "_step,piqa/acc\n1,0.5\n", "which spreadsheets run"),
        ("a.jsonl", '{"_step": 1, "_step": 2}\n', "must not be given twice"),
        ("a.jsonl", '{"_step": 1}\n[1]\n', "a.jsonl:2: each line must be an object"),
        ("a.jsonl", '{"piqa/acc": 1e999}\n', "must be a finite number"),
        ("a.jsonl", "", "the file is empty"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        read_wandb([tmp_path / name])
    assert words in str(caught.value)


def test_a_tokens_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("_step,piqa/acc,seen\n1,0.5,7\n")
    assert read_wandb([tmp_path], tokens_column="seen").table.frame["tokens"].to_list() == [7]
    with pytest.raises(InputError, match="column = 'sean': `tokens_column` names no such column"):
        read_wandb([tmp_path], tokens_column="sean")


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return path


def test_another_axis_is_the_step_when_said(tmp_path: Path) -> None:
    """P-17: browser exports over tokens, and a trainer's step that only training rows have."""
    path = write_rows(
        tmp_path / "ui.csv",
        [{"throughput/total_tokens": n * 10**8, "runA - eval/hellaswag/acc": n / 4} for n in (1, 2)],
    )
    with pytest.raises(InputError, match="`step_column` NAME says which it is"):
        read_wandb([path])
    frame = read_wandb([path], step_column="throughput/total_tokens").table.frame
    assert frame.select("run", "step", "tokens", "value").rows() == [
        ("runA", 10**8, 10**8, 0.25),
        ("runA", 2 * 10**8, 2 * 10**8, 0.5),
    ]
    history = write_rows(
        tmp_path / "h.csv",
        [{"_step": 1, "trainer/global_step": 100, "loss": 2.0}, {"_step": 2, "eval/arc_easy/acc": 0.32},
         {"_step": 3, "trainer/global_step": 200, "loss": 2.0}, {"_step": 4, "eval/arc_easy/acc": 0.34}],
    )  # fmt: skip
    result = read_wandb([history])
    assert result.table.frame.select("step", "value").rows() == [(100, 0.32), (200, 0.34)]
    assert any("2 rows without trainer/global_step" in note for note in result.report.notes)
    assert read_wandb([history], step_column="_step").table.frame["step"].to_list() == [2, 4]


def test_tokens_of_other_rows_are_carried_to_one_step_only(tmp_path: Path) -> None:
    rows = [{"_step": 1, "train/tokens": 100}, {"_step": 2, "piqa/acc": 0.5}, {"_step": 3, "piqa/acc": 0.6},
            {"_step": 4, "train/tokens": 400, "piqa/acc": 0.7}]  # fmt: skip
    frame = read_wandb([write_rows(tmp_path / "h.csv", rows)]).table.frame
    assert frame.select("step", "tokens").rows() == [(2, 100), (3, None), (4, 400)]


def test_tokens_of_the_same_step_win_over_the_last_logged(tmp_path: Path) -> None:
    rows = [{"step": 1, "train/tokens": 100, "piqa/acc": None}, {"step": 2, "piqa/acc": 0.5},
            {"step": 2, "train/tokens": 200, "piqa/acc": None}]  # fmt: skip
    assert read_wandb([write_rows(tmp_path / "h.csv", rows)]).table.frame["tokens"].to_list() == [200]


def test_olmo_core_and_llm_foundry_histories(tmp_path: Path) -> None:
    """P-19 and P-20: names and clocks of other trainers."""
    path = write_rows(
        tmp_path / "core.csv",
        [{"_step": 1000, "eval/downstream/hellaswag_rc_5shot (length-normalized accuracy)": 0.32,
          "eval/downstream/hellaswag_rc_5shot (length-normalized accuracy v2)": 0.33,
          "eval/downstream/mmlu_stem_mc_5shot (accuracy)": 0.25, "throughput/total tokens": 10**9}],
    )  # fmt: skip
    assert read_wandb([path]).table.frame.select(
        "task", "variant", "n_shot", "metric", "value", "tokens"
    ).rows() == [
        ("hellaswag", "rc", 5, "len_norm", 0.32, 10**9),
        ("hellaswag", "rc_v2", 5, "len_norm", 0.33, 10**9),
        ("mmlu_stem", "mc", 5, "acc", 0.25, 10**9),
    ]
    path = write_rows(
        tmp_path / "foundry.csv",
        [{"_step": 7, "time/batch": 1000, "time/token": 10**9,
          "metrics/hellaswag/10-shot/InContextLearningMultipleChoiceAccuracy": 0.32}],
    )  # fmt: skip
    assert read_wandb([path]).table.frame.select("task", "n_shot", "metric", "step", "tokens").rows() == [
        ("hellaswag", 10, "acc", 1000, 10**9)
    ]


def test_standard_errors_stand_beside_their_values(tmp_path: Path) -> None:
    rows = [{"_step": 1, "piqa/acc": 0.5, "piqa/acc_stderr": 0.01, "gsm8k/exact_match,strict-match": 0.1,
             "gsm8k/exact_match_stderr,strict-match": 0.02}]  # fmt: skip
    result = read_wandb([write_rows(tmp_path / "h.csv", rows)])
    assert result.table.frame.select("task", "stderr").rows() == [("gsm8k", 0.02), ("piqa", 0.01)]
    assert not result.report.skipped


def test_lines_of_an_evaluation_with_results_in_objects(tmp_path: Path) -> None:
    line = {"global_step": 1000, "piqa": {"alias": "piqa", "acc,none": 0.32, "acc_stderr,none": 0.004}}
    (tmp_path / "h.jsonl").write_text(json.dumps(line))
    frame = read_wandb([tmp_path]).table.frame
    assert frame.select("task", "metric", "step", "value", "stderr").rows() == [
        ("piqa", "acc", 1000, 0.32, 0.004)
    ]


def test_a_column_named_by_a_task_takes_the_metric_that_is_said(tmp_path: Path) -> None:
    """P-31: a paper's wide table."""
    rows = [{"run_type": "v2", "step": s, "ppl": None, "mmlu_overall": s / 20_000, "mmlu_stem": 0.2}
            for s in (5000, 10000)]  # fmt: skip
    path = write_rows(tmp_path / "t.csv", rows)
    given = Given(metrics=frozenset(["acc"]))
    frame = read_wandb([path], run_column="run_type", given=given).table.frame
    assert frame.select("run", "task", "metric", "step", "value").rows() == [
        ("v2", "mmlu", "acc", 5000, 0.25),
        ("v2", "mmlu", "acc", 10000, 0.5),
        ("v2", "mmlu_stem", "acc", 5000, 0.2),
        ("v2", "mmlu_stem", "acc", 10000, 0.2),
    ]
    with pytest.raises(InputError, match="column = 'run': `run_column` names no such column; here: run_type"):
        read_wandb([path], run_column="run", given=given)


def test_odd_cells_are_left_out_one_by_one_and_block_nothing(tmp_path: Path) -> None:
    rows = ["_step,piqa/acc,boolq/acc,wikitext/ppl,copa/acc", "1,0.5,Infinity,inf,x", "2,oops,0.5,inf,y",
            "3,N/A,0.6,inf,"]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(rows))
    result = read_wandb([tmp_path])
    assert result.table.frame.select("task", "step", "value").rows() == [
        ("boolq", 2, 0.5), ("boolq", 3, 0.6), ("piqa", 1, 0.5),
    ]  # fmt: skip
    assert dict(result.report.skipped) == {
        ("boolq/acc", "'Infinity' must be finite (row 1)"): 1,
        ("piqa/acc", "'oops' must be a number (row 2)"): 1,
        ("wikitext/ppl", "'inf' must be finite (row 1)"): 3,
        ("copa/acc", "'x' must be a number (row 1)"): 2,
    }


def test_columns_that_are_not_asked_for_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("_step,piqa/acc,wikitext/ppl\n1,0.5,x\n")
    result = read_wandb([tmp_path], given=Given(metrics=frozenset({"acc"})))
    assert dict(result.report.skipped) == {("metric ppl", "not asked for"): 1}


ROWS = {
    # evaluations alone
    "100,,.3 400,,.35 700,,.4 1000,,.43 500,,.31 800,,.33 1100,,.36": "after row 4 (1000 → 500)",
    # training shows what evaluations do not: restarted from 400, evaluated again at 1300 only
    "300,2,.3 400,2, 700,2,.4 1000,2, 450,2, 800,2, 1200,2, 1300,2,.5": "after row 4 (1000 → 450)",
    # no restarts: evaluations logged late, and a table in falling order
    "100,2, 200,2, 300,2, 100,,.3 200,,.4 400,2, 300,,.5": None,
    "300,,.5 200,,.4 100,,.3": None,
    "100,,.3 100,2, 200,2, 190,2, 300,2,.4": None,
}


@pytest.mark.parametrize("rows", ROWS)
def test_steps_that_go_back_are_a_restart(tmp_path: Path, rows: str) -> None:
    (tmp_path / "h.csv").write_text("global_step,train/loss,eval/piqa/acc\n" + rows.replace(" ", "\n"))
    words = ROWS[rows]
    if words is None:
        steps = read_wandb([tmp_path]).table.frame["step"].to_list()
        assert steps == sorted({int(row.split(",")[0]) for row in rows.split() if row.split(",")[2]})
    else:
        with pytest.raises(InputError) as caught:
            read_wandb([tmp_path])
        assert f"run = 'h': its steps go back {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "keep", "steps"),
    [
        ("100,,.3 400,,.3 700,,.4 1000,,.4 500,,.3 800,,.3 1100,,.3", "first", [100, 400, 700, 1000]),
        ("100,,.3 400,,.3 700,,.4 1000,,.4 500,,.3 800,,.3 1100,,.3", "last", [100, 400, 500, 800, 1100]),
        ("300,2,.3 400,2, 700,2,.4 1000,2, 450,2, 800,2, 1200,2, 1300,2,.5", "last", [300, 1300]),
        ("300,2,.3 400,2, 700,2,.4 1000,2, 450,2, 800,2, 1200,2, 1300,2,.5", "first", [300, 700]),
        ("1,,.1 2,,.1 3,,.1 2,,.2 3,,.2 4,,.2 3,,.3 5,,.3", "last", [1, 2, 3, 5]),
    ],
)
def test_one_branch_of_a_restarted_run_stays(tmp_path: Path, rows: str, keep: Keep, steps: list[int]) -> None:
    (tmp_path / "h.csv").write_text("global_step,train/loss,eval/piqa/acc\n" + rows.replace(" ", "\n"))
    result = read_wandb([tmp_path], given=Given(keep=keep))
    assert result.table.frame["step"].to_list() == steps
    values = sum(bool(row.split(",")[2]) for row in rows.split())
    assert sum(result.report.skipped.values()) - (1 if "train/loss" in str(result.report.skipped) else 0) == (
        values - len(steps)
    )
