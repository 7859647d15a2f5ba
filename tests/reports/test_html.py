import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.select import Selection
from neuneu.reports.answer import ask
from neuneu.reports.drawing import readings
from neuneu.reports.html import ReportOrigin, render_report
from neuneu.reports.report_files import report_files

NAMES = st.text(
    st.one_of(st.sampled_from("<>&\"'`=/\\{}%$();: "), st.characters(exclude_categories=["Cs", "Cc"])),
    min_size=1,
    max_size=30,
).filter(str.strip)
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=HYPERLINK(1)",
    "{{7*7}}",
    "</svg><b>",
    "../../x",
]


class Page(HTMLParser):
    """What a browser would find: tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def tiny(small: CurveTable) -> CurveTable:
    """One curve."""
    return small.filter(run=small.runs[0], task=small.tasks[0])


def rename(table: CurveTable, **columns: str) -> CurveTable:
    """The table with other names, past the checks that would refuse some of them: the report escapes all."""
    return CurveTable(table.frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()}))


@settings(max_examples=25)
@given(NAMES, NAMES, NAMES, NAMES)
@example(*NASTY[:4])
@example(NASTY[1], NASTY[4], NASTY[0], NASTY[5])
def test_no_name_becomes_markup(tiny: CurveTable, run: str, task: str, variant: str, title: str) -> None:
    plain = Page(render_report(ask(tiny, context=0.5), ReportOrigin()))
    table = rename(tiny, run=run, task=task, variant=variant)
    odd = Page(render_report(ask(table, context=0.5), ReportOrigin(title=title, command=task, data=run)))
    assert sorted(set(odd.tags)) == sorted(set(plain.tags))
    assert odd.tags.count("script") == 1
    assert not [name for name, _ in odd.attributes if name.startswith("on") or name in ("src", "href")][1:]
    assert ("data-run", run) in odd.attributes
    for name in (run, title):
        assert name.strip() in odd.text


def test_the_report_loads_nothing(small: CurveTable) -> None:
    page = render_report(ask(small, context=0.5))
    assert not re.findall(r"https?://|//[a-z]+\.|url\(|@import|<link|<img|<iframe|srcset", page)
    assert "default-src 'none'" in page
    assert [value for name, value in Page(page).attributes if name in ("src", "href")] == ["#charts"]


def test_the_same_answer_gives_the_same_bytes(small: CurveTable) -> None:
    pages = [render_report(ask(small, context=0.5)) for _ in range(2)]
    assert pages[0] == pages[1]
    shuffled = CurveTable.from_frame(small.frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert render_report(ask(shuffled, context=0.5)) == pages[0]


def test_the_report_shows_scores_of_the_forecaster_beside_baselines(small: CurveTable) -> None:
    answer = ask(small, ["log-linear"], context=0.5)
    assert answer.names == ["log-linear", "last-value", "power-law"]
    page = Page(render_report(answer))
    for line in answer.lines:
        assert line.forecaster in page.text
        assert f"{line.mae.value:.2f}" in page.text
    assert page.tags.count("svg") == page.tags.count("figure") == len(small.curves)
    assert answer.scored is not None
    assert f"{100 * answer.scored.noise_floor:.2f}" in page.text


def test_each_chart_can_be_read_at_every_horizon(small: CurveTable) -> None:
    answer = ask(small, context=0.5)
    page = Page(render_report(answer))
    given_readings = [json.loads(value or "") for name, value in page.attributes if name == "data-readings"]
    for panel, found in zip(answer.panels, given_readings, strict=True):
        expected = readings(panel, answer.names[:1])
        assert found == [[reading.x, reading.text] for reading in expected]
        truth = f"came true {100 * panel.truth.values[-1]:.1f} %"
        assert expected[-1].text.endswith(truth)
        assert [r.x for r in expected] == sorted(r.x for r in expected)


def test_without_truth_the_report_says_so(small: CurveTable) -> None:
    answer = ask(small, context=1.0)
    page = Page(render_report(answer))
    assert "cannot be scored yet" in page.text
    assert "NaN" not in page.text
    assert "nan" not in re.sub(r"[a-z_]*nan[a-z_]+|[a-z_]+nan", "", page.text)


def test_where_not_every_curve_is_drawn_the_report_says_so(small: CurveTable) -> None:
    page = Page(render_report(ask(small, context=0.5), max_charts=4))
    assert page.tags.count("figure") == 4
    assert f"4 of {len(small.curves)} curves are drawn" in page.text


def test_metrics_without_a_range_have_no_per_cent(home: CurveTable) -> None:
    bits = home.filter(metric="bpb")
    few = bits.filter(task=bits.tasks[:2])
    page = Page(render_report(ask(few, selection=Selection(metric="bpb"), context=0.5)))
    assert "metric units" in page.text
    assert "(points)" not in page.text


def test_files_become_a_report_and_nothing_is_written_on_bad_input(small_file: Path, tmp_path: Path) -> None:
    report_files([small_file], tmp_path / "r.html", context=0.5, title="Mine")
    text = (tmp_path / "r.html").read_text()
    assert "<h1>Mine</h1>" in text
    assert "neuneu report small.parquet --context 0.5" in text
    assert str(small_file.parent) not in text
    with pytest.raises(InputError, match=r"\.html"):
        report_files([small_file], tmp_path / "r.pdf")
    with pytest.raises(InputError, match="nobody"):
        report_files([small_file], tmp_path / "x.html", selection=Selection(["nobody"]))
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
