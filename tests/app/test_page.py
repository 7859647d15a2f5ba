"""The page as people use it: in a real browser, light, dark and on a phone, by keyboard alone."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.app.conftest import form, result, send, serving
from tests.browsing import LOOKS, opened, screenshot, unreached, violations

from neuneu.curves.table import CurveTable

PATIENCE = 90_000
"""Milliseconds that a busy machine may take."""

HOSTILE = "<img src=x onerror=alert(1)>\"'&</script>"


def done(page: Any) -> None:
    page.locator(".told", has_text="Done.").wait_for(timeout=PATIENCE)


@pytest.fixture(scope="module")
def empty():
    """A server that offers nothing."""
    with serving() as (address, _):
        yield address


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of harness results of two runs."""
    folder = tmp_path_factory.mktemp("page") / "results"
    for run in ("one", "two"):
        for k in range(1, 8):
            path = folder / run / f"step{1000 * k}" / "results.json"
            path.parent.mkdir(parents=True)
            path.write_bytes(result(1000 * k, run, piqa=0.5 + k / 50, sciq=0.6 + k / 90))
    (folder / "samples_piqa.jsonl").write_text("{}\n" * 10)
    return folder


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_in_every_look(browser, address: str, empty: str, look: str) -> None:
    for name, place in (("page-empty", empty), ("page-served", address), ("page-api", address + "api")):
        with opened(browser, look) as (page, problems):
            page.goto(place)
            if name == "page-served":
                done(page)
                page.get_by_text("Drop other result files or folders here").wait_for()
            else:
                page.locator("summary").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            for box in page.locator(".drop, .drop .button").all():
                place_of = box.bounding_box()
                assert place_of["x"] >= 0
                assert place_of["x"] + place_of["width"] <= page.viewport_size["width"]
            assert violations(page) == [], name
            screenshot(page, f"{name}-{look}")
            assert problems == [], name


def test_a_person_sends_a_table_asks_and_reads_the_answer(browser, empty: str, table: Path) -> None:
    with opened(browser) as (page, problems):
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(empty)
        page.set_input_files("input[name=files]", table)
        done(page)
        assert "curves.parquet: 2 runs on 2 tasks" in page.locator(".status.read").inner_text()
        page.select_option("select[name=context]", "0.5")
        page.get_by_role("button", name="Forecast").click()
        page.frame_locator("iframe").get_by_text(re.compile("first 50 ?%|first half")).first.wait_for(
            timeout=PATIENCE
        )
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save the report").click()
        assert "<html" in saved.value.path().read_text()
        with page.expect_download() as saved:
            page.get_by_role("link", name="Save the forecasts").click()
        assert "q50" in pl.read_csv(saved.value.path()).columns
        assert all(url.startswith((empty, "about:", "blob:", "data:")) for url in requests)
        assert problems == []


def test_runs_tasks_and_settings_are_chosen_by_keyboard_alone(browser, empty: str, table: Path) -> None:
    with opened(browser) as (page, problems):
        page.goto(empty)
        page.set_input_files("input[name=files]", table)
        done(page)
        page.locator("body").click(position={"x": 2, "y": 2})
        reached, seen = set(), []
        for _ in range(60):
            page.keyboard.press("Tab")
            here = page.evaluate(
                "(() => { const e = document.activeElement;"
                " return e.name || e.getAttribute('aria-label') || e.textContent.trim().slice(0, 40) })()"
            )
            seen.append(here)
            reached.add(here)
            if here == "runs: all 2":
                page.keyboard.press("Enter")
                page.keyboard.press("Tab")
                page.keyboard.type("balanced")
                for _ in range(3):
                    page.keyboard.press("Tab")
                page.keyboard.press("Space")
                page.keyboard.press("Escape")
            if here == "Forecast":
                page.keyboard.press("Enter")
                break
        assert {"files", "folder", "runs: all 2", "setting", "forecaster", "context", "beyond"} <= reached, (
            seen
        )
        page.locator(".told", has_text="1 of 2 runs").wait_for(timeout=PATIENCE)
        assert problems == []


def test_the_keyboard_alone_comes_to_everything(browser, address: str) -> None:
    with opened(browser) as (page, problems):
        page.goto(address)
        done(page)
        for part in ("details.facts", "details.comparison"):
            page.locator(part).evaluate("one => { one.open = true; }")
        assert unreached(page) == []
        page.goto(address + "api")
        page.locator("summary").first.wait_for()
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert unreached(page, 1500) == []
        assert problems == []


def test_a_million_points_and_deep_json_leave_the_page_usable(browser, empty: str, tmp_path: Path) -> None:
    n = 1_000_000
    (tmp_path / "deep.json").write_bytes(b"[" * (n * 5) + b"]" * (n * 5))
    pl.select(
        run=pl.lit("r"), task=pl.lit("t"), metric=pl.lit("acc"), step=pl.int_range(1, n + 1),
        value=0.3 + pl.int_range(n) / (4 * n),
    ).write_parquet(tmp_path / "long.parquet")  # fmt: skip
    with opened(browser) as (page, problems):
        page.goto(empty)
        page.set_input_files("input[name=files]", tmp_path / "deep.json")
        page.locator(".status.read.bad", has_text="deep.json").wait_for(timeout=PATIENCE)
        page.set_input_files("input[name=files]", tmp_path / "long.parquet")
        page.locator(".status.read", has_text="1,000,000 values").wait_for(timeout=PATIENCE)
        page.select_option("select[name=forecaster]", "last-value")
        page.get_by_role("button", name="Forecast").click()
        page.locator(".told", has_text=re.compile("Done|memory|time")).wait_for(timeout=PATIENCE)
        page.get_by_text("Say more about the files").click()
        assert page.locator("input[name=planned_tokens]").is_visible()
        assert [one for one in problems if not re.search("41[34]|422", one)] == []


def test_a_folder_of_harness_results_is_dropped_in(browser, empty: str, results: Path) -> None:
    with opened(browser) as (page, problems):
        sent: list[int] = []
        page.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
        page.goto(empty)
        page.wait_for_load_state("networkidle")
        page.set_input_files("input[name=folder]", results)
        done(page)
        assert "results: 2 runs on 2 tasks, 28 values" in page.locator(".status.read").inner_text()
        page.get_by_text("What was recognised").click()
        page.locator(".lines li", has_text="lm-eval").first.wait_for()
        page.get_by_text("Compare runs").click()
        page.get_by_role("button", name="Compare the two").click()
        page.locator(".compared", has_text="at clock 21k, by neuneu-2").wait_for(timeout=PATIENCE)
        assert page.locator(".ranking tbody tr").count() == 2
        screenshot(page, "page-compared")
        page.get_by_role("button", name="Rank all").click()
        page.locator(".compared", has_text="likeliest best").wait_for(timeout=PATIENCE)
        assert violations(page) == []
        assert problems == []


def test_a_refused_file_leaves_nothing_of_the_one_before(
    browser, empty: str, table: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("run,task,metric,step,value\nr,t,acc,1,43.1\n")
    with opened(browser) as (page, problems):
        page.goto(empty)
        page.set_input_files("input[name=files]", table)
        done(page)
        page.set_input_files("input[name=files]", bad)
        page.locator(".status.read.bad", has_text="divide by 100").wait_for(timeout=PATIENCE)
        assert page.locator("iframe").count() == 0
        assert not page.locator(".question").is_visible()
        assert not page.locator(".answer").is_visible()
        screenshot(page, "page-refused")
        page.set_input_files("input[name=files]", table)
        done(page)
        page.evaluate("document.querySelector('select[name=setting]').add(new Option('x', JSON.stringify("
                      "{metric: 'bleu', n_shot: null, variant: null}), true, true))")  # fmt: skip
        page.get_by_role("button", name="Forecast").click()
        page.locator(".told.bad", has_text="bleu").wait_for(timeout=PATIENCE)
        assert page.locator("iframe").count() == 0
        assert not page.get_by_role("link", name="Save the report").is_visible()
        assert [one for one in problems if "422" not in one] == []


def test_an_open_page_shows_a_new_checkpoint_without_reload(browser, tmp_path: Path) -> None:
    from playwright.sync_api import expect  # where there is a browser there is playwright

    def checkpoint(k: int) -> None:
        path = tmp_path / "grow" / "one" / f"step{1000 * k}" / "results.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(result(1000 * k, piqa=0.5 + k / 50, sciq=0.6 + k / 90))

    for k in range(1, 7):
        checkpoint(k)
    with serving(tmp_path / "grow") as (address, _), opened(browser) as (page, problems):
        page.goto(address)
        done(page)
        page.evaluate("window.here = true")
        page.get_by_text("following grow").wait_for()
        page.locator("summary", has_text="Compare runs").wait_for(state="hidden")
        page.evaluate("document.querySelector('select[name=forecaster]').value = 'power-law'")
        frame = page.frame_locator("iframe")
        frame.locator("body").evaluate("() => scrollTo(0, 150)")
        page.wait_for_timeout(500)
        checkpoint(7)
        page.get_by_text(re.compile("following grow: .* grew")).wait_for(timeout=PATIENCE)
        page.get_by_text("14 values").wait_for(timeout=PATIENCE)
        expect(page.locator("iframe")).to_have_count(1, timeout=PATIENCE)
        page.wait_for_timeout(1500)
        assert page.evaluate("window.here")
        assert page.evaluate("document.querySelector('select[name=forecaster]').value") == "power-law"
        assert frame.locator("body").evaluate("() => scrollY") == 150
        page.get_by_role("button", name="Pause updates").click()
        checkpoint(8)
        page.wait_for_timeout(3000)
        assert "14 values" in page.locator(".status.read").inner_text()
        page.get_by_role("button", name="Go on updating").click()
        page.get_by_text("16 values").wait_for(timeout=PATIENCE)
        screenshot(page, "page-live")
        assert problems == []


def test_names_that_hold_code_are_shown_as_they_are(browser, empty: str, tmp_path: Path) -> None:
    rows = pl.DataFrame({"k": list(range(1, 9)) * 2, "run": ["a"] * 8 + ["b"] * 8}).select(
        run=pl.lit(HOSTILE) + pl.col("run"), task=pl.lit(HOSTILE), metric=pl.lit("acc"),
        step=10 * pl.col("k"), value=0.3 + pl.col("k") / 50,
    )  # fmt: skip
    CurveTable.from_frame(rows).write(tmp_path / "x.parquet")
    with opened(browser) as (page, problems):
        alerts: list[str] = []
        page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        page.goto(empty)
        page.set_input_files("input[name=files]", tmp_path / "x.parquet")
        done(page)
        page.get_by_text("Compare runs").click()
        page.get_by_role("button", name="Rank all").click()
        page.locator(".ranking th", has_text=HOSTILE).first.wait_for(timeout=PATIENCE)
        page.locator(".names summary").first.click()
        page.wait_for_timeout(500)
        assert page.locator("img").count() == 0
        assert page.frame_locator("iframe").locator("img").count() == 0
        assert alerts == []
        assert problems == []


def test_a_report_in_the_page_reaches_nothing_of_it(browser, address: str) -> None:
    with opened(browser) as (page, _):
        page.goto(address)
        done(page)
        frame = page.frames[-1]
        assert frame.evaluate("origin") == "null"
        reached = frame.evaluate(
            "async () => { try { await fetch('/api/page'); return 'asked' } catch { return 'refused' } }"
        )
        assert reached == "refused"


def test_another_sites_page_gets_nothing(browser, address: str, tmp_path: Path) -> None:
    body, kind = form({"x.csv": b"run,task\n"})
    assert send(address + "api/tables", body, Content_Type=kind, Origin="http://evil.example").status == 403
    elsewhere = address.replace("127.0.0.1", "localhost")
    with opened(browser) as (page, _):
        page.goto(elsewhere + "openapi.json")
        got = page.evaluate(
            "async (place) => { try { const a = await fetch(place, {method: 'POST', body: 'x'});"
            " return a.status } catch { return 'nothing' } }",
            address + "api/forecast",
        )
        assert got == "nothing"


def test_a_hundred_runs_of_sixty_five_tasks_are_chosen_from(browser, empty: str, tmp_path: Path) -> None:
    runs, tasks, points = 100, 65, 4
    frame = pl.DataFrame({"i": range(runs * tasks * points)}).select(
        run=pl.format("family/run-{}", pl.col("i") // (tasks * points)),
        task=pl.format("task_{}", pl.col("i") // points % tasks), metric=pl.lit("acc"),
        step=1000 * (1 + pl.col("i") % points), value=0.3 + 0.01 * (pl.col("i") % points),
    )  # fmt: skip
    CurveTable.from_frame(frame).write(tmp_path / "many.parquet")
    with opened(browser) as (page, problems):
        page.goto(empty)
        page.set_input_files("input[name=files]", tmp_path / "many.parquet")
        done(page)
        assert "1 of 100 runs, all 65 tasks" in page.locator(".told").inner_text()
        page.locator("[data-name=run] summary").click()
        page.locator("[data-name=run] input[type=search]").fill("run-7")
        page.locator("[data-name=run] .panel").get_by_role("button", name="all").click()
        page.locator("[data-name=run] input[type=search]").fill("run-99")
        page.locator("[data-name=run] .panel").get_by_role("button", name="none").click()
        page.keyboard.press("Escape")
        screenshot(page, "page-many")
        page.get_by_role("button", name="Forecast").click()
        page.locator(".told", has_text="11 of 100 runs").wait_for(timeout=PATIENCE)
        assert problems == []
