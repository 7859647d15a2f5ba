import polars as pl
import pytest

from neuneu.api import plot
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.reports.figure_inputs import Inputs
from neuneu.reports.figures import Options, draw_inputs


@pytest.fixture
def table() -> CurveTable:
    rows = [
        {"run": run, "task": "piqa", "metric": "acc", "step": k, "tokens": 100 * k, "value": level + k / 100}
        for run, level in (("x-seed1", 0.4), ("x-seed2", 0.5), ("y", 0.6)) for k in range(1, 11)
    ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))


def labels(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_seeds_are_drawn_as_one_line_with_a_band(table):
    pytest.importorskip("matplotlib")
    options = Options(["last-value"], context=0.5, seeds="band")
    figure, notes = draw_inputs("fan", Inputs(table), options)
    assert len([axes for axes in figure.axes if axes.axison]) == 2
    assert "lowest to highest seed" in labels(figure)
    assert any("x is the mean of x-seed1, x-seed2" in line for line in notes)
    band = [
        part.get_paths()[0].vertices for axes in figure.axes[:1] for part in axes.collections
        if part.get_alpha() == 0.4
    ]  # fmt: skip
    assert (band[0][:, 1].min(), band[0][:, 1].max()) == pytest.approx((0.41, 0.6))
    apart, _ = draw_inputs("fan", Inputs(table), Options(["last-value"], context=0.5))
    assert "lowest to highest seed" not in labels(apart)
    front = plot(table, seeds="band", runs="x-seed1", context=0.5, forecasters="last-value")
    assert "lowest to highest seed" in labels(front)


def test_evaluated_cells_have_no_seeds_to_join(table):
    with pytest.raises(InputError, match="curve tables"):
        draw_inputs("leaderboard", Inputs(cells=pl.DataFrame()), Options(seeds="band"))
