"""The report in a real headless Chromium: what a reader can do with it."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.browsing import chromium, opened, printed, screenshot, unreached, violations

from neuneu.curves.table import CurveTable
from neuneu.reports.report_files import report_files

HOSTILE = '</script><img src=x onerror="document.title=1">'
RUNS, TASKS = 3, 10


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; skips where there is none."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(home: CurveTable, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A look back at three runs on ten tasks: a run with a hostile name, a task in two settings."""
    folder = tmp_path_factory.mktemp("report")
    curves = home.one_metric()
    tasks = curves.tasks[:TASKS]
    some = curves.filter(run=curves.runs[:RUNS], task=tasks).frame
    some = some.with_columns(
        pl.when(pl.col("run") == curves.runs[0]).then(pl.lit(HOSTILE)).otherwise("run").alias("run"),
        pl.when(pl.col("task") == tasks[1])
        .then(pl.lit(5))
        .otherwise("n_shot")
        .cast(pl.Int64)
        .alias("n_shot"),
    )
    twice = some.filter(pl.col("task") == tasks[0]).with_columns(variant=pl.lit("mc"))
    CurveTable(
        pl.concat([some, twice]).sort("run", "task", "variant", "step", nulls_last=False)
    ).frame.write_parquet(folder / "runs.parquet")
    report_files([folder / "runs.parquet"], folder / "report.html", context=0.5)
    return f"file://{folder / 'report.html'}"


N_CHARTS = RUNS * (TASKS + 1)


def figures(page: Any) -> Any:
    return page.locator(".charts figure")


def count(page: Any, text: str) -> None:
    """Wait until the page says how many charts are shown."""
    page.locator(".count").get_by_text(text, exact=True).wait_for(timeout=5_000)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_everybody_can_use_it(browser: Any, report: str, look: str) -> None:
    with opened(browser, look) as (page, problems):
        page.goto(report)
        count(page, f"24 of {N_CHARTS} charts shown")
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
        page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
        page.locator("table.ends tbody tr").first.wait_for()
        screenshot(page, f"report-{look}")
        assert violations(page) == []
        page.get_by_label("Overlay runs").check()
        count(page, f"{TASKS + 1} charts shown")
        page.get_by_role("button", name="Large view").first.click()
        screenshot(page, f"report-large-{look}", whole=False)
        assert violations(page) == []
        assert page.title() != "1"
        assert problems == []


def test_charts_are_found_by_choice_and_by_words(browser: Any, report: str) -> None:
    with opened(browser) as (page, problems):
        page.goto(report)
        page.get_by_role("button", name="Show 9 more of 9").click()
        count(page, f"{N_CHARTS} charts shown")
        assert figures(page).count() == N_CHARTS
        page.select_option("[name=run]", HOSTILE)
        count(page, f"{TASKS + 1} charts shown")
        page.select_option("[name=setting]", "5-shot")
        count(page, "1 chart shown")
        assert HOSTILE in figures(page).first.inner_text()
        assert figures(page).first.locator(".ytitle").text_content() == "acc, 5-shot"
        page.get_by_role("button", name="Clear").click()
        task = page.locator("[name=task] option").nth(3).get_attribute("value")
        page.fill("[name=words]", f"{task} script".upper())
        count(page, "1 chart shown")
        page.fill("[name=words]", "no such thing")
        count(page, "nothing matches; take a filter back")
        assert problems == []


def test_tables_sort_and_search(browser: Any, report: str) -> None:
    with opened(browser) as (page, problems):
        page.goto(report)
        runs = page.locator("#runs")
        first = [row.inner_text() for row in runs.locator("tbody th").all()]
        runs.get_by_role("button", name="forecast").click()
        assert runs.locator("th[aria-sort=descending]").inner_text().startswith("forecast")
        runs.get_by_role("button", name="forecast").click()
        values = [
            float(cell)
            for cell in runs.locator("tbody td:nth-child(2)").evaluate_all("a => a.map(c => c.dataset.v)")
        ]
        assert values == sorted(values)
        assert {row.inner_text() for row in runs.locator("tbody th").all()} == set(first)
        page.get_by_text("The end of every curve in numbers").click()
        ends = page.locator("table.ends")
        ends.locator("tbody tr").first.wait_for()
        assert ends.locator("tbody tr").count() == N_CHARTS
        texts = [row.inner_text() for row in ends.locator("tbody tr").all()]
        assert len(set(texts)) == N_CHARTS  # settings keep them apart
        ends.get_by_role("button", name="median").click()
        medians = [
            float(c.removesuffix("\u00a0%")) for c in ends.locator("tbody td:nth-child(9)").all_inner_texts()
        ]
        assert medians == sorted(medians, reverse=True)
        page.get_by_text("Error by task and setting").click()
        trust = page.locator("[data-for=trust-table]")
        page.get_by_text("Noise, spread between seeds").click()
        if trust.count():
            trust.fill("zzz")
            assert page.locator("#trust-table tbody tr:visible").count() == 0
        assert problems == []


def test_the_keyboard_alone_comes_to_everything(browser: Any, report: str) -> None:
    with opened(browser) as (page, problems):
        page.goto(report)
        page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
        page.locator("table.ends tbody tr").first.wait_for()
        assert unreached(page) == []
        figures(page).first.get_by_role("button", name="Large view").click()
        page.locator("dialog details").evaluate("one => { one.open = true; }")
        dialog = page.get_by_role("dialog")
        dialog.locator("table tbody tr").first.wait_for()
        parts = dialog.locator("button, input, summary, [tabindex='0']")
        reached = set()
        for _ in range(2 * parts.count()):
            page.keyboard.press("Tab")
            reached.add(parts.evaluate_all("all => all.indexOf(document.activeElement)"))
        assert set(range(parts.count())) <= reached
        assert problems == []


def test_the_keyboard_alone_reaches_a_chart_and_its_large_view(browser: Any, report: str) -> None:
    with opened(browser) as (page, problems):
        page.goto(report)
        page.locator("[name=words]").focus()
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.tagName") == "FIGURE":
                break
        chart = figures(page).first
        assert chart.evaluate("one => one === document.activeElement")
        last = chart.locator(".reading").inner_text()
        assert "came true" in last
        assert "80 %" in last
        page.keyboard.press("ArrowLeft")
        assert chart.locator(".reading").inner_text() != last
        page.keyboard.press("Home")
        assert ": seen " in chart.locator(".reading").inner_text()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        dialog.wait_for()
        title = dialog.get_by_role("heading").inner_text()
        dialog.get_by_role("button", name="Next").press("Enter")
        assert dialog.get_by_role("heading").inner_text() != title
        dialog.get_by_text("The numbers").press("Enter")
        dialog.locator("table tbody tr").nth(5).wait_for()
        linear = dialog.locator("svg path.seen").get_attribute("d")
        dialog.get_by_label("Log clock").press("Space")
        assert dialog.locator("svg path.seen").get_attribute("d") != linear
        assert "log scale" in dialog.locator(".picture").inner_text()
        dialog.get_by_label("From").press("End")
        assert dialog.locator("svg path.seen").get_attribute("d") != linear
        page.keyboard.press("Escape")
        assert not page.locator("dialog[open]").count()
        assert chart.locator("button").first.evaluate("one => one === document.activeElement")
        assert problems == []


def test_numbers_and_pictures_are_saved(browser: Any, report: str) -> None:
    with opened(browser, accept_downloads=True) as (page, problems):
        page.goto(report)
        page.select_option("[name=run]", HOSTILE)
        count(page, f"{TASKS + 1} charts shown")
        with page.expect_download() as saved:
            figures(page).first.get_by_role("button", name="CSV").click()
        text = Path(saved.value.path()).read_text()
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {row["run"] for row in rows} == {HOSTILE}
        assert {row["kind"] for row in rows} == {"seen", "came true", "forecast"}
        known = [row for row in rows if row["kind"] == "came true"]
        assert all(float(row["q10"]) <= float(row["q50"]) <= float(row["q90"]) for row in known)
        assert all(0 <= float(row["value"]) <= 1 and float(row["power-law"]) > 0 for row in known)
        with page.expect_download() as every:
            page.get_by_role("button", name="CSV of these").click()
        assert (
            len({row["task"] for row in csv.DictReader(io.StringIO(Path(every.value.path()).read_text()))})
            == TASKS
        )
        page.get_by_label("Overlay runs").check()
        page.locator(".filters").first.get_by_label("Log clock").check()
        page.locator(".filters").first.get_by_label("Smooth").check()
        page.get_by_role("button", name="Clear").click()
        page.get_by_label("Overlay runs").check()
        count(page, f"{TASKS + 1} charts shown")
        with page.expect_download() as picture:
            figures(page).first.get_by_role("button", name="PNG").click()
        from PIL import Image

        image = Image.open(picture.value.path())
        assert image.width == 1920
        colours = image.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 50  # lines, bands and words, not an empty sheet
        figures(page).first.get_by_role("button", name="Large view").click()
        dialog = page.get_by_role("dialog")
        before = dialog.locator("svg path.line").first.get_attribute("d")
        dialog.get_by_label("Smooth").check()
        assert dialog.locator("svg path.line").first.get_attribute("d") != before
        dialog.get_by_label("to", exact=True).press("Home")
        assert dialog.locator("svg path.line").first.get_attribute("d") != before
        for name in ("CSV", "PNG"):
            with page.expect_download() as large:
                dialog.get_by_role("button", name=name).click()
            assert large.value.suggested_filename.endswith(f".{name.lower()}")
        dialog.get_by_role("button", name="Previous").click()
        assert dialog.get_by_text(f"{TASKS + 1} of {TASKS + 1}").is_visible()
        dialog.get_by_role("button", name="Close").click()
        assert problems == []


def test_runs_lie_over_each_other(browser: Any, report: str) -> None:
    with opened(browser) as (page, problems):
        page.goto(report)
        page.get_by_label("Overlay runs").check()
        count(page, f"{TASKS + 1} charts shown")
        chart = figures(page).first
        assert chart.locator("path.line").count() == RUNS
        assert chart.locator("path.ahead").count() == RUNS
        assert chart.locator("ol.runs .key").count() == RUNS
        assert "dashed: forecast; band: 80 %" in chart.locator("ol.runs").inner_text()
        assert chart.locator("text.mark").all_inner_texts() != []
        page.locator(".filters").first.get_by_label("Smooth").check()
        page.fill("[name=words]", "script")
        count(page, f"{TASKS + 1} charts shown")
        chart.locator("path.line").nth(1).wait_for(state="detached")
        assert problems == []


def test_early_checkpoints_that_lie_on_each_other_are_told_and_set_apart(
    browser: Any, tmp_path: Path
) -> None:
    steps = [0, *(2**k for k in range(10)), *range(1000, 144_000, 10_000)]  # Pythia's
    frame = pl.DataFrame(
        {"run": "one", "task": "piqa", "metric": "acc", "step": steps, "tokens": [s << 21 for s in steps],
         "value": [0.5 + s / 500_000 for s in steps]}
    )  # fmt: skip
    frame.write_parquet(tmp_path / "runs.parquet")
    report_files([tmp_path / "runs.parquet"], tmp_path / "report.html", context=0.3)

    def gaps(page: Any) -> list[float]:
        drawn = figures(page).first.locator("path.seen").get_attribute("d")
        x = [float(place) for place in re.findall(r"M([\d.]+)", drawn)]
        return [later - earlier for earlier, later in pairwise(x)]

    with opened(browser) as (page, problems):
        page.goto(f"file://{tmp_path / 'report.html'}")
        figures(page).first.wait_for()
        assert "lie on each other" in page.locator(".crowded").inner_text()
        assert min(gaps(page)) < 1
        page.locator(".filters").first.get_by_label("Log clock").check()
        page.locator(".crowded").wait_for(state="hidden")
        assert min(gaps(page)) > 2
        assert "log scale" in figures(page).first.inner_text()
        screenshot(page, "report-log-clock", whole=False)
        assert problems == []


def test_it_prints_whole(browser: Any, report: str, tmp_path: Path) -> None:
    with opened(browser) as (page, problems):
        page.goto(report)
        count(page, f"24 of {N_CHARTS} charts shown")
        sheets = printed(page, tmp_path)
        rows = [w for _, w in sheets if re.search(r"(?m)^[^:\n]* acc[^:\n]*\d\s% to \d", w)]
        assert len(rows) > 1
        for words in rows:
            assert re.search(r"run\s+task\s+metric", words), words  # a head on every sheet
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("main details:not([open])").count() == 0
        assert page.locator("table.ends tbody tr").count() == N_CHARTS
        assert page.locator(".charts svg:visible").count() == 24
        assert (
            page.locator(".legend .swatch").first.evaluate("one => getComputedStyle(one).printColorAdjust")
            == "exact"
        )
        assert not page.locator(".filters").first.is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("main details[open]").count() == 0
        assert page.locator(".charts svg").count() == 24
        assert problems == []


@pytest.mark.parametrize(("runs", "tasks"), [(1, 4), (3, 4), (4, 30)])
@pytest.mark.parametrize("context", [None, 0.3])
def test_no_printed_sheet_but_the_last_is_a_quarter_empty(
    browser: Any, home: CurveTable, tmp_path: Path, runs: int, tasks: int, context: float | None
) -> None:
    curves = home.one_metric()
    frame = curves.filter(run=curves.runs[:runs], task=curves.tasks[:tasks]).frame
    planned = frame.with_columns(planned_tokens=2 * pl.col("tokens").max().over("run"))
    planned.write_parquet(tmp_path / "runs.parquet")
    report_files([tmp_path / "runs.parquet"], tmp_path / "report.html", context=context)
    with opened(browser) as (page, problems):
        page.goto(f"file://{tmp_path / 'report.html'}")
        figures(page).first.wait_for()
        sheets = printed(page, tmp_path)
        assert len(sheets) > 1
        assert min(filled for filled, _ in sheets[:-1]) > 0.75
        for _, words in sheets:  # the heading stands with the first charts
            assert "charts shown" not in words or "training tokens" in words
        assert problems == []
