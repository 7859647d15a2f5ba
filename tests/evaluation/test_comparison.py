import pytest

from neuneu.cli.evaluate import print_leaderboard
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
