import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuneu.curves.curve import Facts
from neuneu.curves.table import CurveTable
from neuneu.decisions.choices import compare_runs, rank
from neuneu.errors import InputError
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import LEVELS
from neuneu.reports.answer import ask
from neuneu.reports.chart_data import chart_data, read_chart_data
from neuneu.reports.former import read_former
from neuneu.reports.html import ReportOrigin, render_report, report_data
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
    "</script><b>",
    "<!--<script>",
]


class Page(HTMLParser):
    """What a browser would find: tags, attributes, text, and the numbers that charts are drawn from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        self.data: dict[str, Any] = json.loads(text.split('id="data">')[1].split("</script>", maxsplit=1)[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def keys(data: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(run, task, metric, shots, variant) of every curve of the numbers."""
    return [
        (data["runs"][c["r"]]["name"], data["tasks"][c["t"]], data["metrics"][c["m"]]["name"], c.get("n"),
         c.get("v"))
        for c in data["curves"]
    ]  # fmt: skip


def planned(table: CurveTable, times: float) -> CurveTable:
    """The table with every run planned for so many times its tokens."""
    farthest = pl.col("tokens").max().over("run")
    return CurveTable(table.frame.with_columns(planned_tokens=(farthest * times).cast(pl.Int64)))


def unplanned(table: CurveTable) -> CurveTable:
    """The table without plans."""
    return CurveTable(table.frame.with_columns(planned_tokens=pl.lit(None, pl.Int64)))


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
@example(NASTY[6], NASTY[7], NASTY[6], NASTY[7])
def test_no_name_becomes_markup(tiny: CurveTable, run: str, task: str, variant: str, title: str) -> None:
    plain = Page(render_report(ask(tiny, context=0.5), ReportOrigin()))
    table = rename(tiny, run=run, task=task, variant=variant)
    odd = Page(render_report(ask(table, context=0.5), ReportOrigin(title=title, command=task, data=run)))
    assert sorted(set(odd.tags)) == sorted(set(plain.tags))
    assert odd.tags.count("script") == 2
    assert not [name for name, _ in odd.attributes if name.startswith("on") or name in ("src", "href")][1:]
    assert keys(odd.data)[0][:2] == (run, task)
    assert keys(odd.data)[0][4] == variant
    for name in (run, title):
        assert name.strip() in odd.text


def test_the_report_loads_nothing(small: CurveTable) -> None:
    page = render_report(ask(small, context=0.5))
    found = re.findall(r"https?://|//[a-z]+\.|url\((?!#\$)|@import|<link|<img|<iframe|srcset", page)
    assert not found
    assert "default-src 'none'" in page
    assert [value for name, value in Page(page).attributes if name in ("src", "href")] == ["#charts"]


def test_the_same_answer_gives_the_same_bytes(small: CurveTable) -> None:
    pages = [render_report(ask(small, context=0.5)) for _ in range(2)]
    assert pages[0] == pages[1]
    shuffled = CurveTable.from_frame(small.frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert render_report(ask(shuffled, context=0.5)) == pages[0]


def test_a_look_back_shows_scores_of_the_forecaster_beside_baselines(small: CurveTable) -> None:
    answer = ask(small, ["log-linear"], context=0.5)
    assert answer.names == ["log-linear", "last-value", "power-law"]
    page = Page(render_report(answer))
    for line in answer.lines:
        assert line.forecaster in page.text
        assert f"{line.mae.value:.2f}" in page.text
    assert answer.scored is not None
    assert f"{100 * answer.scored.noise_floor:.2f}" in page.text
    row = answer.overview.rows[0]
    assert row.truth == pytest.approx(
        np.mean([p.curve.values[-1] for p in answer.panels if p.curve.key.run == row.run])
    )
    assert f"it came to {100 * row.truth:.1f}\u00a0%" in page.text  # no line ends between the two


def test_every_curve_is_in_the_numbers_as_it_was_measured_and_forecast(small: CurveTable) -> None:
    answer = ask(small, context=0.5)
    document = report_data(answer)
    assert sorted(keys(document)) == sorted(tuple(curve.key) for curve in small.curves)
    again = read_chart_data(document)
    for panel in answer.panels:
        forecast, back = panel.answered[answer.chosen], again[panel.curve.key]
        assert np.array_equal(back.horizons, forecast.horizons)
        assert back.levels == LEVELS
        assert np.abs(back.values - forecast.values).max() <= 0.5e-5 + 1e-12
        row = document["curves"][keys(document).index(tuple(panel.curve.key))]
        assert document["clocks"][row["x"]] == panel.curve.clock.tolist()
        assert np.allclose(np.cumsum(row["y"]) / 1e5, panel.curve.values, atol=0.5e-5)
        assert row["s"] == len(panel.context)


@given(st.lists(st.floats(1e-7, 1e9), min_size=2, max_size=40), st.sampled_from(["bpb", "ppl"]))
def test_values_without_a_range_keep_five_digits(tiny: CurveTable, values: list[float], metric: str) -> None:
    panel = ask(tiny, ["last-value"], context=0.5).panels[0]
    n = min(len(values), len(panel.curve))
    curve = replace(
        panel.curve.until(panel.curve.clock[n - 1]),
        values=np.array(values[:n]), key=panel.curve.key._replace(metric=metric),
    )  # fmt: skip
    row = chart_data([replace(panel, curve=curve, end=curve.clock[0], forecasts={})], ["x"], {})["curves"][0]
    back = np.cumsum(row["y"]) / 10.0 ** row.get("k", 5)
    assert np.abs(back - curve.values).max() <= 1e-5 * np.abs(curve.values).max()


def test_runs_in_flight_are_asked_to_their_planned_end_or_three_times_their_clock(small: CurveTable) -> None:
    for table, times in ((planned(small, 2), 2), (unplanned(small), 3)):
        answer = ask(table, ["last-value"])
        for panel in answer.panels:
            assert panel.horizons[-1] == pytest.approx(times * panel.curve.clock[-1])
        assert {row.at for row in answer.overview.rows} == {panel.horizons[-1] for panel in answer.panels}
        page = Page(render_report(answer))
        assert "Runs in flight" in page.text
        assert "cannot be scored yet" in page.text
        words = page.text.split('"use strict"')[0]
        assert "nan" not in re.sub(r"[a-z_]*nan[a-z_]+|[a-z_]+nan", "", words.lower())


def test_runs_without_a_plan_are_compared_each_at_its_own_end(small: CurveTable) -> None:
    half = 0.5 * pl.col("tokens").max()
    cut = unplanned(small).frame.filter((pl.col("run") == small.runs[0]) | (pl.col("tokens") <= half))
    table = CurveTable(cut)
    last = {curve.key.run: float(curve.clock[-1]) for curve in table}
    assert len(set(last.values())) == 2
    rows = ask(table, ["last-value"]).overview.rows
    assert {row.run: row.at for row in rows} == {run: pytest.approx(3 * clock) for run, clock in last.items()}


def test_finished_runs_stay_at_their_own_ends(small: CurveTable) -> None:
    first, second = small.runs
    ends = pl.col("tokens").max().over("run")
    plan = pl.when(pl.col("run") == first).then(ends).otherwise(2 * ends)
    answer = ask(CurveTable(small.frame.with_columns(planned_tokens=plan)), ["last-value"])
    assert {curve.key.run for curve in answer.ended} == {first}
    assert {panel.curve.key.run for panel in answer.panels} == {second}
    rows = {row.run: row for row in answer.overview.rows}
    assert rows[first].ended
    assert rows[first].at == max(c.clock[-1] for c in answer.ended)
    assert 0 < rows[first].p_best < 1  # one checkpoint has noise
    page = Page(render_report(answer))
    assert "1 run at the planned end" in page.text
    assert {key[0] for key in keys(page.data)} == {first, second}
    every = ask(planned(small, 1), ["last-value"])
    assert not every.panels
    assert "nothing left to forecast" in Page(render_report(every)).text


def test_who_leads_is_what_rank_says(small: CurveTable) -> None:
    table = planned(small, 2)
    expected = rank(compare_runs(table, "log-linear"))
    rows = ask(table, ["log-linear"]).overview.rows
    assert [row.run for row in rows] == expected["run"].to_list()
    assert [row.p_best for row in rows] == expected["p_best"].to_list()
    assert [row.q50 for row in rows] == expected["q50"].to_list()


def test_runs_that_share_nothing_are_shown_all_the_same(small: CurveTable) -> None:
    one, other = small.runs
    a, b = small.tasks[:2]
    apart = CurveTable(
        small.frame.filter(
            ((pl.col("run") == one) & (pl.col("task") == a))
            | ((pl.col("run") == other) & (pl.col("task") == b))
        )
    )
    page = Page(render_report(ask(apart, ["last-value"], selection=Selection(runs=small.runs), context=0.5)))
    assert "cannot be compared: " in page.text
    assert len(page.data["curves"]) == 2


def test_each_setting_is_told_apart(small: CurveTable) -> None:
    frames = [
        small.frame.with_columns(n_shot=pl.lit(n, pl.Int64), variant=pl.lit(v))
        for n in (0, 5)
        for v in ("mc", "rc")
    ]
    answer = ask(CurveTable(pl.concat(frames).sort("run", "task", "n_shot", "variant", "step")), context=0.5)
    page = render_report(answer)
    body = page.split('<table class="sortable " id="by-task">')[1].split("</table>")[0]
    rows = [re.sub(r"<[^>]*>", "|", row) for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)]
    assert len(rows) == len(set(rows)) == 1 + 4 * len(small.tasks)
    assert len(set(keys(Page(page).data))) == 4 * len(small.curves)
    assert re.search(r"in \S+ \S+ 0-shot mc", page)  # what the mean is over


def test_a_forecaster_that_was_fitted_on_what_is_shown_is_told(tiny: CurveTable) -> None:
    plain = Page(render_report(ask(tiny, context=0.5))).text
    assert "were fitted on" not in plain
    for known in ({"run": "pythia-v1/pythia-1b"}, {"family": "gemstone"}, {"source": "open_sci_ref"}):
        text = Page(render_report(ask(rename(tiny, **known), context=0.5))).text
        assert "shipped weights of neuneu-2 were fitted on these runs or their family" in text
        assert "widths of the intervals of last-value and power-law were fitted on" in text


def test_metrics_without_a_range_have_no_per_cent(home: CurveTable) -> None:
    bits = home.filter(metric="bpb")
    few = bits.filter(task=bits.tasks[:2])
    page = Page(render_report(ask(few, selection=Selection(metric="bpb"), context=0.5)))
    assert "metric units" in page.text
    assert "(points)" not in page.text
    assert page.data["metrics"] == [{"name": "bpb", "percent": False}]


def test_seeds_are_one_with_a_band_when_asked(home: CurveTable) -> None:
    curves = home.one_metric()
    some = curves.filter(
        run=[run for run in curves.runs if re.search(r"llama-50k-(prose|code)-seed", run)],
        task=curves.tasks[:2],
    )
    answer = ask(some, ["last-value"], context=0.5, seeds="band")
    document = report_data(answer)
    assert len(document["runs"]) == 2
    assert answer.seeds is not None
    for row in document["curves"]:
        low, high = (np.cumsum(edge) for edge in row["e"])
        assert (low <= np.cumsum(row["y"])).all()
        assert (np.cumsum(row["y"]) <= high).all()
        assert (low < high).any()


def test_what_changed_since_an_earlier_report(small: CurveTable, tmp_path: Path) -> None:
    table = planned(small, 1)
    early = CurveTable(table.frame.filter(pl.col("tokens") <= 0.5 * pl.col("planned_tokens")))
    later = CurveTable(table.frame.filter(pl.col("tokens") <= 0.8 * pl.col("planned_tokens")))
    early.write(tmp_path / "runs.parquet")
    report_files([tmp_path / "runs.parquet"], tmp_path / "r.html")
    before = ask(early)
    later.write(tmp_path / "runs.parquet")
    report_files([tmp_path / "runs.parquet"], tmp_path / "r.html", since=tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text())
    answer = ask(later)
    n = len(later.frame) - len(early.frame)
    assert f"{n} checkpoints came since" in page.text
    assert "What changed since r.html" in page.text
    was = {row.run: row.q50 for row in before.overview.rows}
    for row in answer.overview.rows:
        change = 100 * (row.q50 - was[row.run])
        told = re.search(rf"{re.escape(row.run)}.*?([+-]\d+\.\d) points", page.text, re.DOTALL)
        assert told is not None
        assert float(told[1]) == pytest.approx(change, abs=0.15)


def test_what_changed_since_forecasts_of_a_ledger(small: CurveTable, tmp_path: Path) -> None:
    from neuneu.decisions.ledger import enter
    from neuneu.forecasts.forecast import forecast

    table = planned(small, 1)
    early = CurveTable(table.frame.filter(pl.col("tokens") <= 0.5 * pl.col("planned_tokens")))
    enter(forecast(early, ["last-value"]), tmp_path / "l.jsonl")
    former = read_former(tmp_path / "l.jsonl", "last-value")
    assert set(former.forecasts) == {curve.key for curve in early}
    page = Page(render_report(ask(planned(small, 1.5), ["last-value"]), former=former))
    assert "What changed since l.jsonl" in page.text
    assert "0 of " not in page.text.split("forecasts settled")[0][-40:]
    with pytest.raises(InputError, match="holds no forecast by power-law"):
        read_former(tmp_path / "l.jsonl", "power-law")


def test_what_changed_is_not_told_of_another_forecasters_report(small_file: Path, tmp_path: Path) -> None:
    report_files([small_file], tmp_path / "a.html", forecasters=["last-value"])
    before, now = tmp_path / "a.html", tmp_path / "b.html"
    with pytest.raises(InputError, match=r"a\.html: since = 'last-value': .*power-law's; name last-value"):
        report_files([small_file], now, forecasters=["power-law"], since=before)
    assert not now.exists()
    report_files([small_file], now, forecasters=["last-value", "mean-k"], since=before)


def test_what_changed_is_told_of_a_forecaster_in_a_folder(small: CurveTable, tmp_path: Path) -> None:
    from neuneu.decisions.ledger import enter
    from neuneu.forecasts.forecast import forecast, ready_forecaster

    own, table = tmp_path / "own", tmp_path / "runs.parquet"
    ready_forecaster("last-value").save(own)
    planned(small, 1.5).write(table)
    enter(forecast(planned(small, 1.5), [own]), tmp_path / "l.jsonl")
    report_files([table], tmp_path / "a.html", forecasters=[str(own)])
    for since in ("l.jsonl", "a.html"):
        report_files([table], tmp_path / "b.html", forecasters=[str(own)], since=tmp_path / since)
        assert f"What changed since {since}" in Page((tmp_path / "b.html").read_text()).text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        '<script type="application/json" id="data">[]</script>',
        '<script type="application/json" id="data">{"schema": 1, "curves": [{}]}</script>',
        '<script type="application/json" id="data">{"schema": 99}</script>',
    ],
)
def test_what_is_no_earlier_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.html").write_text(text)
    with pytest.raises(InputError, match="no report that"):
        read_former(tmp_path / "x.html", "neuneu-2")


def test_files_become_a_report_and_nothing_is_written_on_bad_input(small_file: Path, tmp_path: Path) -> None:
    said = report_files([small_file], tmp_path / "r.html", context=0.5, title="Mine")
    text = (tmp_path / "r.html").read_text()
    assert said.startswith("6 curves → ")
    assert "<h1>Mine</h1>" in text
    assert "neuneu report small.parquet --context 0.5" in text
    assert str(small_file.parent) not in text
    assert "look back with --context 0.2" in report_files([small_file], tmp_path / "r.html")
    with pytest.raises(InputError, match=r"\.html"):
        report_files([small_file], tmp_path / "r.pdf")
    with pytest.raises(InputError, match="nobody"):
        report_files([small_file], tmp_path / "x.html", selection=Selection(["nobody"]))
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_a_broken_curve_that_nobody_asked_for_is_told(small_file: Path, tmp_path: Path) -> None:
    frame = CurveTable.read(small_file).frame
    run, task, other = frame["run"][0], frame["task"][0], frame["task"].unique().sort()[-1]
    broken = frame.filter(run=run, task=task).head(1).with_columns(value=0.123)
    pl.concat([frame, broken]).write_csv(tmp_path / "t.csv")
    said = report_files([tmp_path / "t.csv"], tmp_path / "r.html", selection=Selection(tasks=[other]))
    assert said.splitlines()[0].startswith("left out: ")
    assert f"given twice in run '{run}', task '{task}'" in said
    page = (tmp_path / "r.html").read_text()
    assert f"since the table breaks a rule there: {task} " in page
    assert str(tmp_path) not in page


def test_what_ships_is_listed_as_fitted() -> None:
    from importlib.resources import files

    from neuneu.forecasters.fitted import fitted_in_words

    shipped = json.loads(files("neuneu.forecasters").joinpath("calibration.json").read_text())
    for source in shipped["sources"]:
        for method in (*shipped["methods"], "neuneu-2"):
            assert fitted_in_words([method], {"x": Facts(source=source)}), (method, source)
    assert not fitted_in_words(["neuneu-2", "lc-pfn", "mine"], {"x": Facts(source="home")})
    assert "1 of these 2 runs" in fitted_in_words(["neuneu-2"], {"a": Facts(family="pythia"), "b": Facts()})
