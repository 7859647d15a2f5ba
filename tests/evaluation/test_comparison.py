import polars as pl
import pytest

import neuneu as nn
from neuneu.cli.evaluate import print_leaderboard
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.comparison import check_output, evaluate
from neuneu.evaluation.leaderboard import leaderboard
from neuneu.evidence.select import Selection


@pytest.fixture
def path(make_table, tmp_path):
    make_table("a").write(tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"context": 1.5}, "context"),
        ({"context": float("nan")}, "context"),
        ({"protocol": "leap"}, "protocol"),
        ({"by": "sun"}, "by"),
        ({"feed": "lies"}, "feed"),
        ({"forecasters": []}, "forecasters"),
        ({"forecasters": ["mean-k", "mean-k"]}, "forecasters"),
        ({"forecasters": ["oracle"]}, "forecaster"),
        ({"references": "all"}, "references"),
        ({"selection": Selection(metric="bleu")}, "metric"),
        ({"selection": Selection(["a-run9"])}, "run"),
        ({"losses": "finished"}, None),
    ],
)
def test_what_cannot_be_asked_is_refused(path, wrong, field):
    asked = {"forecasters": ["last-value"], **wrong}
    with pytest.raises(InputError) as error:
        evaluate([path], asked.pop("forecasters"), **asked)
    assert error.value.field == field


def test_a_file_in_the_place_of_the_folder_is_refused(path):
    with pytest.raises(InputError, match="folder"):
        check_output(path)


def test_the_piped_board_has_every_digit_and_says_what_sees_the_future(path, capsys):
    document = leaderboard(evaluate([path], ["last-value", "log-linear"]))
    print_leaderboard(document)
    printed = "\n".join(capsys.readouterr())
    best = min(row["mae"] for row in document["sources"]["a"] if not row["sees_future"])
    assert str(best) in printed
    assert "sees_future" in printed
    assert "folds by run" in printed


def tasks_asked(results):
    return sorted({question.curve.key.task for question in results.cells.questions})


def test_each_benchmark_of_a_run_is_asked_once_unless_tasks_are_named(make_table, tmp_path):
    whole = make_table("a", n_runs=2, tasks=("mmlu", "mmlu_virology", "arc_easy", "ai2_arc")).frame
    parts = make_table("a", n_runs=3, tasks=("mmlu_virology", "piqa", "suite")).frame.with_columns(
        members=pl.when(task="suite").then(pl.lit("piqa,mmlu_virology"))
    )
    parts = parts.filter(run="a-run2")  # has MMLU in parts alone
    path = tmp_path / "t.parquet"
    CurveTable.from_frame(pl.concat([whole, parts], how="diagonal")).write(path)
    results = evaluate([path], ["last-value"])
    asked = {(q.curve.key.run[-1], q.curve.key.task) for q in results.cells.questions}
    once = {("0", "mmlu"), ("1", "mmlu"), ("0", "arc_easy"), ("1", "arc_easy")}
    assert asked == once | {("2", "mmlu_virology"), ("2", "piqa")}
    assert results.cells.notes == (
        "left out: ai2_arc (a group of arc_easy)",
        "left out: mmlu_virology (part of mmlu, which counts as a whole)",
        "left out: suite (a group of mmlu_virology, piqa)",
    )
    named = evaluate([path], ["last-value"], selection=Selection(tasks=["mmlu", "mmlu_virology"]))
    assert tasks_asked(named) == ["mmlu", "mmlu_virology"]
    assert named.cells.notes == ()
    published = evaluate([path], ["last-value"], protocol="anchored")
    assert tasks_asked(published) == ["ai2_arc", "arc_easy", "mmlu", "mmlu_virology", "piqa", "suite"]


def test_a_broken_curve_blocks_only_who_asks_for_it(make_table, tmp_path):
    frame = make_table("a").frame
    repeated = frame.filter(run="a-run0", task="hellaswag", step=100).with_columns(value=0.5)
    path = tmp_path / "t.csv"
    pl.concat([frame, repeated]).write_csv(path)
    with pytest.raises(InputError, match="given twice in run 'a-run0', task 'hellaswag'"):
        evaluate([path], ["last-value"])
    results = evaluate([path], ["last-value"], selection=Selection(tasks=["mmlu_virology"]))
    assert tasks_asked(results) == ["mmlu_virology"]
    (told,) = results.cells.notes
    assert told.startswith("left out: ")
    assert "given twice in run 'a-run0', task 'hellaswag'" in told
    with pytest.warns(UserWarning, match="left out: .*hellaswag"):
        nn.forecast(path, forecasters="last-value", tasks=["mmlu_virology"], context=0.5)
