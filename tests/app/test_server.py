"""What the server answers, and that it is what the library says."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.app.conftest import serving

from neuneu.app.asked import AT_ONCE, OFFERED
from neuneu.app.sent_files import describe
from neuneu.app.service import DEFAULT
from neuneu.curves.table import CurveTable
from neuneu.decisions import choices
from neuneu.forecasters.base import DEFAULT_FORECASTER
from neuneu.reports.answer import ask as answer_here
from neuneu.reports.html import render_report


def test_the_forecast_is_that_of_the_library(ask, table: Path) -> None:
    answer = ask("api/forecast?forecaster=power-law&context=0.5&name=t.parquet", table.read_bytes())
    assert answer.status == 200
    here = answer_here(CurveTable.read(table), ["power-law"], context=0.5)
    document = answer.json
    assert document["n_curves"] == len(here.panels)
    assert [score["forecaster"] for score in document["scores"]] == list(here.names)
    for score, line in zip(document["scores"], here.lines, strict=True):
        assert score["mae"] == pytest.approx(line.mae.value)
    cells = pl.DataFrame(document["cells"], schema=here.cells.schema)
    assert cells["q50"].to_list() == pytest.approx(here.cells["q50"].to_list())
    text = ask("api/forecast.csv?forecaster=power-law&context=0.5&name=t.parquet", table.read_bytes())
    assert pl.read_csv(text.body)["q50"].to_list() == pytest.approx(here.cells["q50"].to_list())


def test_the_report_is_the_one_of_the_command_line_but_for_its_origin(ask, table: Path) -> None:
    page = ask("api/report?context=0.5&name=curves.parquet", table.read_bytes()).body.decode()
    here = render_report(answer_here(CurveTable.read(table), context=0.5))
    start, end = here.index("<h2"), here.index("How it was made")
    assert here[start:end] in page


def test_the_ranking_is_that_of_the_library(ask, table: Path) -> None:
    found = choices.compare_runs(CurveTable.read(table), context=0.5, in_flight=True, own_ends=True)
    answer = ask("api/rank?context=0.5").json
    assert answer["at"] == found.at
    assert answer["shared"] == found.shared.in_words
    here = choices.rank(found)
    assert [run["run"] for run in answer["runs"]] == here["run"].to_list()
    assert [run["p_best"] for run in answer["runs"]] == pytest.approx(here["p_best"].to_list())
    assert answer["pairs"] == choices.pairs(found).to_dicts()


def test_without_a_body_the_offered_table_is_used(ask, table: Path) -> None:
    offered = ask("api/forecast?context=0.5", b"")
    assert offered.json == ask("api/forecast?context=0.5", table.read_bytes()).json
    assert offered.body == ask("api/forecast?context=0.5").body
    assert offered.body == ask(f"api/forecast?context=0.5&table={ask('api/tables/served').json['id']}").body


def test_the_same_question_of_the_same_table_is_answered_with_the_same_bytes(ask, table: Path) -> None:
    first = ask("api/report?context=0.7", table.read_bytes())
    again = ask("api/report?context=0.7", table.read_bytes(), Accept_Encoding="gzip")
    assert again.headers["content-encoding"] == "gzip"
    assert gzip.decompress(again.body) == first.body
    assert ask("api/report?context=0.6", table.read_bytes()).body != first.body


def test_a_table_that_was_sent_is_asked_again_by_its_id(ask, table: Path) -> None:
    text = CurveTable.read(table).frame.write_csv().encode()
    info = ask("api/tables?name=mine.csv", text).json
    assert (info["name"], info["n_runs"], info["n_tasks"], info["n_curves"]) == ("mine.csv", 2, 2, 4)
    assert ask(f"api/tables/{info['id']}").json == info
    assert info == ask("api/tables?name=mine.csv", text).json
    one = ask(f"api/forecast?table={info['id']}&run={info['runs'][0]['name']}").json
    assert one["n_curves"] == 2
    gone = ask(f"api/forecast?table={'0' * 32}")
    assert gone.status == 404
    assert "send its files again" in gone.json["error"]


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("context=2", None, "context"),
        ("context=x", None, "context"),
        ("beyond=0.5", None, "beyond"),
        ("metric=bleu", None, "bleu"),
        ("run=nobody", None, "nobody"),
        ("forecaster=/etc", None, "forecaster"),
        ("forecaster=../x", None, "forecaster"),
        ("name=x.pickle", b"x", "x.pickle"),
        ("name=../../x.csv", b"a,b\n1,2\n", "x.csv"),
        ("name=x.csv", b"run,task,metric,step,value\nr,t,acc,1,43.1\n", "divide by 100"),
        ("name=x.parquet", b"PAR1 but not really", "x.parquet: cannot be read"),
        ("name=x.json", b'{"a": [', "x.json"),
        ("format=nothing", b"a", "format = 'nothing': unknown"),
    ],
)
def test_bad_input_is_one_clear_message(ask, table: Path, query: str, body: bytes | None, words: str) -> None:
    answer = ask(f"api/forecast?{query}", table.read_bytes() if body is None else body)
    assert answer.status == 422
    message = answer.json["error"]
    assert words in message
    assert "\n" not in message
    assert "/tmp" not in message
    assert list(answer.json) == ["error"]


def test_the_forecasters_that_are_offered_are_those_that_answer(ask) -> None:
    assert DEFAULT == DEFAULT_FORECASTER
    listed = ask("api/forecasters").json
    assert {entry["name"] for entry in listed} <= set(OFFERED)
    assert [entry["name"] for entry in listed if entry["default"]] == [DEFAULT]


@pytest.mark.parametrize("name", OFFERED)
def test_every_forecaster_that_is_offered_answers(ask, name: str) -> None:
    if name not in [entry["name"] for entry in ask("api/forecasters").json]:
        pytest.skip("its library is not installed")
    assert ask(f"api/forecast?context=0.5&forecaster={name}", b"").json["forecaster"] == name


def test_those_that_are_not_offered_do_not_answer_as_they_ship() -> None:
    from neuneu.errors import NeuneuError
    from neuneu.forecasters.base import REGISTRY
    from neuneu.suite.home import read_home_curves

    curves = read_home_curves().one_metric()
    one = curves.filter(run=curves.runs[:1], task=curves.tasks[:1])
    for name in set(REGISTRY) - set(OFFERED):
        with pytest.raises((NeuneuError, ImportError)):
            answer_here(one, [name], context=0.5)


def test_the_server_loads_nothing_that_forecasts() -> None:
    code = "import sys, neuneu.app.server; print({'polars', 'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_many_curves_are_served_with_something_to_choose() -> None:
    runs, tasks, points = 100, 65, 3
    frame = pl.DataFrame({"i": range(runs * tasks * points)}).select(
        run=pl.format("run-{}", pl.col("i") // (tasks * points)),
        task=pl.format("task_{}", pl.col("i") // points % tasks),
        metric=pl.lit("acc"), step=1000 * (1 + pl.col("i") % points),
        value=0.3 + 0.01 * (pl.col("i") % points),
    )  # fmt: skip
    info = describe(CurveTable.from_frame(frame), "id", "many")
    assert (info.n_curves, len(info.runs), len(info.tasks)) == (6500, 100, 65)
    assert len(info.suggested["run"]) == 1
    assert info.n_curves / info.n_runs <= AT_ONCE


def test_other_methods_are_refused(ask) -> None:
    assert ask("api/tables").status == 405
    assert ask("docs").status == 404


def test_what_cannot_be_served_is_said_before_the_port_is_told(neuneu, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    for arguments, words in [
        (["serve", tmp_path / "none"], "no such file"),
        (["serve", tmp_path / "x.csv"], "run"),
        (["serve", "--references", "nobody"], "references"),
        (["serve", "--host", "0.0.0.0"], "--token"),
        (["serve", "--token", "short"], "16 characters"),
    ]:
        done = neuneu(*arguments, "--port", 0)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_is_empty_yet_is_served(tmp_path: Path) -> None:
    from tests.app.conftest import send

    with serving(tmp_path) as (address, _):
        page = send(address + "api/page").json
        assert page["served"] is None
        assert page["follows"]
        assert re.search("no file of a known format here", page["trouble"])
        assert send(address + "api/report").status == 422
