"""Figures say how they came about, keep every text on the canvas, and mark what their axes cut."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.canvas import check_on_canvas

from neuneu.curves.curve import Facts
from neuneu.curves.table import CurveTable
from neuneu.decisions.outcomes import decisions_document, outcomes
from neuneu.evaluation.comparison import evaluate, write_results
from neuneu.files import write_json
from neuneu.forecasters.fitted import fitted_in_words
from neuneu.reports import style
from neuneu.reports.captions import of_evaluation
from neuneu.reports.fans import fan_chart
from neuneu.reports.figures import (
    KINDS,
    MANY,
    OF_CURVES,
    Inputs,
    Options,
    draw,
    draw_inputs,
    make_panels,
    write_figures,
)

LONG = "a-source-with-a-name-as-long-as-names-of-collections-are-{}"
EVALUATED = (
    "leaderboard", "ranking", "decisions", "horizon", "context", "coverage", "runs", "tasks", "steps",
)  # fmt: skip


def rows(source: str, seed: int) -> list[dict[str, object]]:
    noise = np.random.default_rng(seed)
    return [
        {
            "run": f"{source}/run-with-a-long-name-{run}", "task": task, "metric": metric, "n_shot": 5,
            "variant": "mc", "source": source, "family": source, "step": 100 * k, "tokens": 10**9 * k,
            "params": 10**9, "recipe": f"mix{run}",
            "value": float(0.5 - 0.2 * k**-0.5 + 0.03 * run + noise.normal(0, 0.02)),
        }
        for run in range(2) for task in ("hellaswag", "mmlu_high_school_european_history")
        for metric in ("acc", "acc_norm") for k in range(1, 21)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of three sources whose names are long, at rolling contexts."""
    folder = tmp_path_factory.mktemp("three")
    tables = [CurveTable.from_frame(pl.DataFrame(rows(LONG.format(i), i))).one_metric() for i in range(3)]
    results = evaluate(tables, ["mean-k"], protocol="rolling", fit=False)
    write_results(results, folder / "results")
    write_json(folder / "results" / "decisions.json", decisions_document(outcomes(results)))
    return folder / "results"


@pytest.fixture(scope="module")
def table() -> CurveTable:
    return CurveTable.from_frame(pl.DataFrame(rows("mine", 0)))


def test_every_kind_of_figure_is_checked() -> None:
    assert {*EVALUATED, *OF_CURVES, *MANY} == {*KINDS, *MANY}
    assert set(MANY) == {"all", "trajectories"}


@pytest.mark.parametrize("kind", EVALUATED)
def test_figures_of_evaluations_say_how_and_keep_their_texts_whole(kind: str, three: Path) -> None:
    figure, _ = draw(kind, [three])
    said = figure.get_supxlabel()
    for part in (
        "context: 10 %, 20 %",
        "by clock (rolling)",
        "references: none",
        "fitted: as they ship",
        "metric: ",
    ):
        assert part in said
    check_on_canvas(figure)


def test_figures_of_an_evaluation_say_what_was_fitted_on_its_runs() -> None:
    known = {"one": Facts(family="pythia"), "two": Facts()}
    rows = [
        {"forecaster": name, "fitted": f"as it ships; {fitted_in_words([name], known)}"}
        for name in ("neuneu-2", "power-law", "mine")
    ]
    told = of_evaluation({"protocol": {"kind": "fraction"}, "overall": rows})
    assert (
        "The shipped weights of neuneu-2 and the widths of the intervals of power-law were fitted on" in told
    )
    assert "mine" not in told
    assert "were fitted on" not in of_evaluation({"protocol": {"kind": "fraction"}, "overall": rows[2:]})


def test_the_source_names_of_a_leaderboard_are_there_in_full(three: Path) -> None:
    figure, _ = draw("leaderboard", [three])
    style.fit_texts(figure)
    titles = ["".join(axes.get_title(loc="left").split()) for axes in figure.axes]
    for number in range(3):
        assert any(title.startswith(LONG.format(number)) for title in titles)


def test_a_caption_whose_later_words_are_wider_stays_on_the_canvas() -> None:
    figure = style.new_figure(4.0, 2.0)
    style.caption(figure, " ".join(["illi"] * 40 + ["WMWM"] * 40))
    style.fit_texts(figure)
    assert figure._supxlabel.get_window_extent().x1 <= figure.bbox.width
    assert len(figure.get_supxlabel().split()) == 80


@pytest.mark.parametrize("kind", OF_CURVES)
def test_figures_of_curves_say_context_references_fit_metric_and_setting(
    kind: str, table: CurveTable
) -> None:
    options = Options(forecasters=["power-law"], metric="acc", context=0.3, references="finished")
    figure, _ = draw_inputs(kind, Inputs(table), options)
    said = figure.get_supxlabel()
    for part in ("the first 30 % of the clock", "references: ", "metric: acc, 5-shot, mc", "as they ship"):
        assert part in said
    assert "references: none" not in said
    check_on_canvas(figure)


def test_panels_of_several_metrics_name_theirs(table: CurveTable) -> None:
    panels = []
    for metric in ("acc", "acc_norm"):
        panels += make_panels(Inputs(table), Options(forecasters=["last-value"], metric=metric))
    titles = " ".join(axes.get_title(loc="left") for axes in fan_chart(panels).axes)
    assert "hellaswag acc mmlu" in titles
    assert "hellaswag acc_norm mmlu" in titles


def test_bands_that_the_axis_cuts_are_marked(table: CurveTable) -> None:
    options = Options(forecasters=["last-value"], metric="acc", beyond=30)
    figure = fan_chart(make_panels(Inputs(table), options))
    marks = [line for axes in figure.axes for line in axes.lines if line.get_marker() in ("^", "v")]
    assert marks
    for line in marks:
        low, high = line.axes.get_ylim()
        assert set(line.get_ydata()) <= {low, high}
        assert not line.get_clip_on()
    assert "band goes on" in [text.get_text() for text in figure.legends[0].texts]
    whole = fan_chart(
        make_panels(Inputs(table), Options(forecasters=["last-value"], metric="acc", beyond=1.01))
    )
    cut = [line for axes in whole.axes for line in axes.lines if line.get_marker() in ("^", "v")]
    assert bool(cut) == ("band goes on" in [text.get_text() for text in whole.legends[0].texts])


def test_files_of_many_figures_are_whole_and_say_what_they_show(
    three: Path, on_canvas: list[Any], tmp_path: Path
) -> None:
    write_figures("all", [three], tmp_path / "all")
    write_figures("trajectories", [three], tmp_path / "runs", Options(context=0.5))
    assert len(on_canvas) == len(list(tmp_path.glob("*/*.png"))) == len(EVALUATED) + 6
    for figure in on_canvas[-6:]:
        said = figure.get_supxlabel()
        assert "context: the first 50 % of the clock; references: none; fitted: as they ship" in said
        assert "metric: acc_norm, 5-shot, mc" in said
        assert LONG.format(0)[:-1] in "".join(figure.legends[0].get_title().get_text().split())


def test_long_names_keep_what_tells_them_apart() -> None:
    differ = (("0.1b", "pile", 17), ("0.1b", "web", 18), ("1b", "web", 19))
    names = [f"lab/model-{size}_data-{mix}_tokenizer-GPT_batch-1008_{job}" for size, mix, job in differ]
    told = style.tell_apart([*names, "short"], 34)
    assert list(told.values()) == ["…0.1b…pile…17", "…0.1b…web…18", "…1b…web…19", "short"]
    assert style.tell_apart(["a/one", "b/one"]) == {"a/one": "a/one", "b/one": "b/one"}
    (alone,) = style.tell_apart(names[:1], 34).values()
    assert len(alone) == 34
