"""Figures say how they came about, keep every text on the canvas, and mark what their axes cut."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.evaluation.comparison import evaluate, write_results
from neuneu.reports import style
from neuneu.reports.fans import fan_chart
from neuneu.reports.figures import KINDS, Inputs, Options, draw, draw_inputs, make_panels

LONG = "a-source-with-a-name-as-long-as-names-of-collections-are-{}"
EVALUATED = [kind for kind in KINDS if kind not in ("fan", "compute", "decisions")]


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
    write_results(evaluate(tables, ["mean-k"], protocol="rolling", fit=False), folder / "results")
    return folder / "results"


@pytest.fixture(scope="module")
def table() -> CurveTable:
    return CurveTable.from_frame(pl.DataFrame(rows("mine", 0)))


def check_on_canvas(figure: object) -> None:
    """Every text as the renderer puts it lies within the figure."""
    style.fit_texts(figure)  # type: ignore[arg-type]
    figure.draw_without_rendering()  # type: ignore[attr-defined] # as saving does: wrapped titles take room
    box = figure.get_tightbbox()  # type: ignore[attr-defined]
    width, height = figure.get_size_inches()  # type: ignore[attr-defined]
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= width + 0.01
    assert box.y1 <= height + 0.01
    titles = [
        (axes.get_window_extent().y1, axes._left_title.get_window_extent())
        for axes in figure.axes if axes.get_title(loc="left")  # type: ignore[attr-defined]
    ]  # fmt: skip
    for row, one in titles:
        for other_row, other in titles:
            assert one is other or abs(row - other_row) > 1 or not one.overlaps(other)


@pytest.mark.parametrize("kind", EVALUATED)
def test_figures_of_evaluations_say_how_and_keep_their_texts_whole(kind: str, three: Path) -> None:
    figure, _ = draw(kind, [three])
    said = figure.get_supxlabel()
    for part in (
        "context: 10%",
        "by clock (rolling)",
        "references: none",
        "fitted: as they ship",
        "metric: ",
    ):
        assert part in said
    check_on_canvas(figure)


def test_the_source_names_of_a_leaderboard_are_there_in_full(three: Path) -> None:
    figure, _ = draw("leaderboard", [three])
    style.fit_texts(figure)
    titles = ["".join(axes.get_title(loc="left").split()) for axes in figure.axes]
    for number in range(3):
        assert any(title.startswith(LONG.format(number)) for title in titles)


@pytest.mark.parametrize("kind", ["fan", "compute"])
def test_figures_of_curves_say_context_references_fit_metric_and_setting(
    kind: str, table: CurveTable
) -> None:
    options = Options(forecasters=["power-law"], metric="acc", context=0.3, references="finished")
    figure, _ = draw_inputs(kind, Inputs(table), options)
    said = figure.get_supxlabel()
    for part in ("the first 30% of the clock", "references: ", "metric: acc, 5-shot, mc", "as they ship"):
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
