import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.table import CurveTable
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


def test_the_report_is_the_one_of_the_command_line_but_for_its_origin(ask, table: Path) -> None:
    page = ask("api/report?context=0.5", table.read_bytes()).body.decode()
    here = render_report(answer_here(CurveTable.read(table), context=0.5))
    start, end = here.index("<h2"), here.index("How it was made")
    assert here[start:end] in page


def test_without_a_body_the_offered_table_is_used(ask, table: Path) -> None:
    assert (
        ask("api/forecast?context=0.5", b"").json == ask("api/forecast?context=0.5", table.read_bytes()).json
    )


def test_csv_is_read_too(ask, table: Path) -> None:
    text = CurveTable.read(table).frame.write_csv().encode()
    from_csv = ask("api/forecast?context=0.5&name=curves.csv", text)
    assert from_csv.json["scores"] == ask("api/forecast?context=0.5", table.read_bytes()).json["scores"]


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
        ("name=../../x.csv", b"a,b\n1,2\n", "x.csv: run"),
        ("name=x.csv", b"run,task,metric,step,value\nr,t,acc,1,43.1\n", "divide by 100"),
        ("name=x.parquet", b"PAR1 but not really", "x.parquet: cannot be read"),
        ("name=x.json", b'{"a": [', "x.json"),
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


def test_an_upload_that_is_too_large_is_refused(ask) -> None:
    answer = ask("api/forecast", b"x" * (33 * 2**20))
    assert answer.status == 413
    assert "32 MB" in answer.json["error"]


def test_other_names_for_this_host_are_refused(ask) -> None:
    assert ask("", Host="evil.example").status == 400
    assert ask("", Host="localhost").status == 200


def test_the_page_loads_nothing_from_elsewhere(ask) -> None:
    answer = ask("")
    assert answer.status == 200
    assert not re.search(rb"https?://", answer.body)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "curves.parquet" in answer.body.decode()


def test_every_forecaster_that_is_offered_answers(ask) -> None:
    names = [entry["name"] for entry in ask("api/forecasters").json]
    assert {"last-value", "power-law"} <= set(names)
    for name in names:
        assert ask(f"api/forecast?context=0.5&forecaster={name}", b"").json["forecaster"] == name


def test_openapi_describes_the_answers_that_come(ask) -> None:
    document = ask("openapi.json").json
    assert set(document["paths"]) == {"/api/forecasters", "/api/forecast", "/api/report"}
    operation = document["paths"]["/api/forecast"]["post"]
    assert set(operation["responses"]) >= {"200", "413", "422"}
    schema = document["components"]["schemas"]["ForecastAnswer"]
    assert set(schema["required"]) == set(ask("api/forecast?context=0.5", b"").json)
    assert {p["name"] for p in operation["parameters"]} == {
        "forecaster", "context", "beyond", "metric", "run", "task", "n_shot", "variant", "references",
        "name",
    }  # fmt: skip


def test_other_methods_are_refused(ask) -> None:
    assert ask("api/forecast").status == 405
    assert ask("docs").status == 404


@pytest.fixture
def browser():
    """A headless Chromium; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(
        (path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None
    )
    if program is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=["--headless", "--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("width", [1200, 400])
def test_a_person_drops_a_table_and_reads_the_report(browser, address: str, table: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.set_input_files("input[type=file]", table)
    page.fill("input[name=context]", "0.5")
    page.get_by_role("button", name="Forecast").click()
    page.get_by_text("Done.").wait_for(timeout=60_000)
    report = page.frame_locator("iframe")
    report.get_by_role("heading", name="How close it came").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    chart = report.locator("figure").first
    before = chart.locator(".reading").inner_text()
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert chart.locator(".reading").inner_text() != before
    report.locator("select[name=task]").select_option(index=1)
    assert report.locator("figure:visible").count() == 2
    page.fill("input[name=metric]", "bleu")
    page.get_by_role("button", name="Forecast").click()
    page.get_by_text("no curve of bleu").wait_for(timeout=60_000)
    assert all(url.startswith((address, "about:", "blob:")) for url in requests)
    assert not [problem for problem in problems if "422" not in problem]
    page.close()
