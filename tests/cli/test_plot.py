from pathlib import Path

import pytest

from neuneu.curves.table import CurveTable


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packaged runs on two tasks."""
    from neuneu.suite.home import read_home_curves

    table = read_home_curves().one_metric()
    path = tmp_path_factory.mktemp("plot") / "curves.parquet"
    table.filter(run=table.runs[:2], task=table.tasks[:2]).write(path)
    return path


def test_plot_draws_curves_and_evaluations(neuneu, curves: Path, tmp_path: Path) -> None:
    fan = neuneu("plot", "fan", curves, "-f", "power-law", "--context", "0.5", "-o", tmp_path / "fan.png")
    assert fan.returncode == 0, fan.stderr
    assert (tmp_path / "fan.png").read_bytes().startswith(b"\x89PNG")
    done = neuneu("evaluate", curves, "--no-fit", "--context", "0.5", "-o", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    board = neuneu("plot", "leaderboard", tmp_path / "results", "-o", tmp_path / "board.svg")
    assert board.returncode == 0, board.stderr
    assert "power-law" in (tmp_path / "board.svg").read_text()
    labelled = neuneu("plot", "tasks", f"A b={tmp_path / 'results'}", "-o", tmp_path / "tasks.svg")
    assert labelled.returncode == 0, labelled.stderr
    every = neuneu("plot", "all", tmp_path / "results", "-o", tmp_path / "figures")
    assert every.returncode == 0, every.stderr
    assert (tmp_path / "figures" / "leaderboard.png").is_file()


def test_report_is_the_same_bytes_twice(neuneu, curves: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        done = neuneu("report", curves, "--context", "0.5", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert "4 curves" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot", "pie"], "kind = 'pie'"),
        (["plot", "fan", "-f", "oracle"], "forecaster = 'oracle'"),
        (["plot", "leaderboard"], "leaderboard.json"),
        (["report", "--context", "1.5"], "context = 1.5"),
        (["report", "--metric", "bleu"], "bleu"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    neuneu, curves: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    output = tmp_path / ("x.png" if arguments[0] == "plot" else "x.html")
    place = 2 if arguments[0] == "plot" else 1
    done = neuneu(*arguments[:place], curves, *arguments[place:], "-o", output)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_table_with_a_missing_column_is_refused(neuneu, tmp_path: Path, curves: Path) -> None:
    CurveTable.read(curves).frame.drop("value").write_parquet(tmp_path / "bad.parquet")
    done = neuneu("report", tmp_path / "bad.parquet", "-o", tmp_path / "x.html")
    assert (done.returncode, (tmp_path / "x.html").exists()) == (2, False)
    assert "value" in done.stderr
