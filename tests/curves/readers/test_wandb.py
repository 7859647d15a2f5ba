"""wandb histories: downloaded from the browser, written from the API, as JSON lines."""

import json
from pathlib import Path

import pytest

from neuneu.curves.readers.parsing import Given
from neuneu.curves.readers.wandb import parse_column, read_wandb
from neuneu.errors import InputError


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        ("arc_easy/acc", (None, ("arc_easy", "acc", None, None))),
        ("eval/commonsense_qa/acc_norm", (None, ("csqa", "acc_norm", None, None))),
        ("eval/downstream/arc_easy_test_rc_5shot_len_norm", (None, ("arc_easy", "len_norm", "rc_test", 5))),
        ("my - run - eval/piqa_acc", ("my - run", ("piqa", "acc", None, None))),
        ("eval/mmlu_stem_mc_5shot_test_bpb", (None, ("mmlu_stem", "bpb", "mc_test", 5))),
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
    ]
    assert dict(result.report.skipped) == {
        ("train/loss", "no task and known metric in its name"): 1,
        ("arc_easy/acc", "values in rows without trainer/global_step"): 1,
    }


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
        ("a.csv", "_step,piqa/acc\n1,0.5\n2,Infinity\n", "must be finite (row 2)"),
        ("a.csv", "_step,piqa/acc\n1,1e400\n", "must be finite (row 1)"),
        ("a.csv", "_step,piqa/acc\n1.5,0.5\n", "must be a whole number"),
        ("a.csv", "_step,piqa/acc\n-1,0.5\n", "must not be negative"),
        ("a.csv", "_step,piqa/acc\n1,55\n", "divide by 100"),
        ("=cmd.csv", "_step,piqa/acc\n1,0.5\n", "which spreadsheets run"),
        ("a.jsonl", '{"_step": 1, "_step": 2}\n', "must not be given twice"),
        ("a.jsonl", '{"_step": 1}\n[1]\n', "line 2: each line must be an object"),
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
    with pytest.raises(InputError, match="tokens-column = 'sean': no such column"):
        read_wandb([tmp_path], tokens_column="sean")
