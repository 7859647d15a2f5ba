import re
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.files import read_json, write_json, write_table
from neuneu.forecasts.cells import read_cells
from neuneu.reports.decision_charts import TOO_FEW, decisions_chart
from neuneu.reports.figures import KINDS, Options, write_figure

PNG = b"\x89PNG\r\n\x1a\n"
EVALUATED = [kind for kind in KINDS if kind not in ("fan", "compute", "ranking", "decisions")]


def draw(kind: str, paths: list[Path], output: Path, **options: object) -> str:
    """Draw a figure as SVG; returns its text."""
    write_figure(kind, paths, output, Options(**options))  # type: ignore[arg-type]
    return output.read_text()


def labels(svg: str) -> list[str]:
    """Every piece of text in an SVG."""
    return [
        " ".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")
    ]


def panels(svg: str) -> int:
    return len(set(re.findall(r'id="(axes_\d+)"', svg)))


def pixels(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(PNG)
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


@pytest.mark.parametrize("kind", EVALUATED)
def test_each_figure_of_an_evaluation_is_drawn(kind: str, evaluation: Path, tmp_path: Path) -> None:
    text = labels(draw(kind, [evaluation], tmp_path / f"{kind}.svg"))
    assert {"last-value", "power-law", "log-linear"} <= set(text)


def test_a_fan_of_curves_has_a_panel_for_each_run_and_task(
    small_file: Path, small: CurveTable, tmp_path: Path
) -> None:
    svg = draw("fan", [small_file], tmp_path / "fan.svg", forecasters=["power-law"], context=0.5)
    assert panels(svg) == len(small.curves) == len(small.runs) * len(small.tasks)
    text = " ".join(labels(svg))
    for name in ("power-law", "seen", "came true", "context", "training tokens", *small.tasks):
        assert name in text
    assert "2026" not in svg
    assert "<dc:date>" not in svg


def test_a_fan_of_cells_shows_each_forecaster(evaluation: Path, small_file: Path, tmp_path: Path) -> None:
    one = read_first_run(small_file)
    svg = draw("fan", [evaluation, small_file], tmp_path / "fan.svg", runs=[one], context=0.2)
    assert {"last-value", "power-law", "log-linear", "50 % band"} <= set(labels(svg))


def read_first_run(path: Path) -> str:
    return CurveTable.read(path).runs[0]


@pytest.mark.parametrize("log", [False, True])
def test_figures_are_the_same_bytes_twice(log: bool, small_file: Path, tmp_path: Path) -> None:
    for ending in ("png", "svg"):
        paths = [tmp_path / f"{name}.{ending}" for name in ("one", "two")]
        for path in paths:
            write_figure(
                "fan", [small_file], path, Options(["power-law", "last-value"], context=0.5, log=log)
            )
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_png_is_wide_enough_to_read(small_file: Path, tmp_path: Path) -> None:
    write_figure("fan", [small_file], tmp_path / "fan.png", Options(context=0.5))
    width, height = pixels(tmp_path / "fan.png")
    assert 1200 <= width <= 2400
    assert 400 <= height <= 2000


def test_the_axis_of_compute_is_in_flops(small_file: Path, small: CurveTable, tmp_path: Path) -> None:
    svg = draw("compute", [small_file], tmp_path / "c.svg", runs=small.runs[:1], tasks=small.tasks[:1])
    assert "training compute (FLOPs)" in labels(svg)
    assert panels(svg) == 1


def test_the_leaderboard_shows_the_measured_errors_and_the_noise_floor(
    evaluation: Path, tmp_path: Path
) -> None:
    text = labels(draw("leaderboard", [evaluation / "leaderboard.json"], tmp_path / "l.svg"))
    board = read_json(evaluation / "leaderboard.json")
    for row in board["overall"]:
        assert f"{100 * row['mae']:.2f}" in text
    assert any("noise floor" in label for label in text)
    assert "best-constant (sees the future)" in text


def test_the_ranking_is_drawn_where_runs_can_be_ranked(evaluation: Path, tmp_path: Path) -> None:
    board = read_json(evaluation / "leaderboard.json")
    for row in board["overall"]:
        row |= {"ranking_within_size": 0.75, "n_pairs_ranking_within_size": 8}
        row["intervals"]["ranking_within_size"] = [0.5, 1.0]
    write_json(tmp_path / "board.json", board)
    text = labels(draw("ranking", [tmp_path / "board.json"], tmp_path / "r.svg"))
    assert "75.0 %" in text
    assert any("8 pairs" in label for label in text)
    for row in board["overall"]:
        row |= {"ranking_within_size": None, "ranking_across_sizes": None}
    write_json(tmp_path / "board.json", board)
    with pytest.raises(InputError, match="nothing to rank"):
        draw("ranking", [tmp_path / "board.json"], tmp_path / "none.svg")


def test_names_in_figures_are_text_not_formulas(small: CurveTable, tmp_path: Path) -> None:
    names = {name: f"$x^{{{i}}}$ <b>&" for i, name in enumerate(small.runs)}
    frame = small.frame.with_columns(run=small.frame["run"].replace_strict(names))
    CurveTable(frame).write(tmp_path / "odd.parquet")
    text = " ".join(labels(draw("fan", [tmp_path / "odd.parquet"], tmp_path / "odd.svg", context=0.5)))
    assert "$x^{0}$ <b>&" in text


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("pie", "unknown; known: fan"),
        ("horizon", "cells of `neuneu evaluate"),
        ("leaderboard", "leaderboard.json"),
    ],
)
def test_what_cannot_be_drawn_says_what_it_needs(
    kind: str, match: str, small_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=match):
        write_figure(kind, [small_file], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_error_against_context_needs_several_contexts(evaluation: Path, tmp_path: Path) -> None:
    first = pl.col("context_clock") == pl.col("context_clock").min().over("run", "task", "metric")
    write_table(tmp_path / "cells.parquet", read_cells(evaluation).filter(first))
    with pytest.raises(InputError, match="rolling"):
        write_figure("context", [tmp_path / "cells.parquet"], tmp_path / "x.png")


@pytest.mark.parametrize("options", [{"runs": ["nobody"]}, {"tasks": ["nothing"]}, {"metric": "no-metric"}])
def test_names_that_are_not_there_are_refused(
    options: dict[str, object], small_file: Path, evaluation: Path, tmp_path: Path
) -> None:
    for path in (small_file, evaluation):
        with pytest.raises(InputError):
            write_figure("fan", [path], tmp_path / "x.png", Options(**options))  # type: ignore[arg-type]


def test_too_few_pairs_are_said_in_place_of_an_empty_figure() -> None:
    row = {"forecaster": "neuneu-2", "rule": "rank", "tenth": "0.9", "p": 0.95, "right": 1.0}
    for pairs, told in ((19, True), (20, False)):
        figure = decisions_chart({"reliability": [row | {"pairs": pairs}], "dropping": []})
        assert (TOO_FEW in [text.get_text() for text in figure.axes[0].texts]) is told
