"""Whether all of a figure is on its canvas, nothing on anything else."""

from itertools import combinations
from typing import Any

import pytest

TOUCH = 1.0
"""Pixels that neighbours may share."""


def check_on_canvas(figure: Any) -> None:
    """Every text as the renderer puts it lies within the figure; titles, legend and caption lie apart."""
    from matplotlib.text import Text

    from neuneu.reports import style

    style.fit_texts(figure)
    figure.draw_without_rendering()  # as saving does: wrapped titles take room
    box, width, height = figure.get_tightbbox(), *figure.get_size_inches()
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= width + 0.01
    assert box.y1 <= height + 0.01
    labels = [
        tick_label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for tick_label in (tick.label1, tick.label2)
    ]  # fmt: skip
    unseen = {id(text) for text in labels}  # those that are drawn lie in the tight box
    unseen |= {id(text) for axes in figure.axes if not axes.axison for text in axes.findobj(Text)}
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and id(text) not in unseen:
            place = text.get_window_extent()
            assert place.x0 >= -TOUCH, text
            assert place.y0 >= -TOUCH, text
            assert place.x1 <= figure.bbox.width + TOUCH, text
            assert place.y1 <= figure.bbox.height + TOUCH, text
    titles = [
        (axes.get_window_extent().y1, axes._left_title.get_window_extent())
        for axes in figure.axes
        if axes.get_title(loc="left")
    ]
    for row, one in titles:
        for other_row, other in titles:
            assert one is other or abs(row - other_row) > 1 or not one.overlaps(other)
    around = [part for part in (figure._suptitle, figure._supxlabel, *figure.legends) if part is not None]
    places = [part.get_window_extent() for part in around]
    for one, other in combinations(places, 2):
        assert not _overlap(one, other)
    for axes in figure.axes:
        if axes.get_visible() and axes.axison:
            for part, one in zip(around, places, strict=True):
                assert not _overlap(axes.get_tightbbox(), one), part


def _overlap(one: Any, other: Any) -> bool:
    return bool(
        one.x0 + TOUCH < other.x1 and other.x0 + TOUCH < one.x1
        and one.y0 + TOUCH < other.y1 and other.y0 + TOUCH < one.y1
    )  # fmt: skip


@pytest.fixture
def on_canvas(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Check every figure that is saved; the list of them."""
    from neuneu.reports import style

    save, saved = style.save, []

    def checked(figure: Any, path: Any) -> None:
        check_on_canvas(figure)
        saved.append(figure)
        save(figure, path)

    monkeypatch.setattr(style, "save", checked)
    return saved
