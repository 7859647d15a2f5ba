"""What the atlas says of a design: the score over tokens with its quantiles, a panel a task."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neuneu.atlas.atlas import Atlas, Scores
from neuneu.reports import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 60
BEFORE, AFTER = 100.0, 4.0
"""Drawn from a hundredth of the tokens asked to four times as many."""
BANDS = ((0, -1, 0.14), (1, -2, 0.2), (2, -3, 0.3))
"""Levels between which a band is drawn, by their place, and how dense it is."""


@style.house_style
def atlas_chart(atlas: Atlas, scores: Sequence[Scores], without: Sequence[str] = ()) -> "Figure":
    """Bands of 90, 80 and 50 % and the median over tokens, chance dashed, the budget asked as a line."""
    columns = min(3, len(scores))
    lines = -(-len(scores) // columns)
    figure = style.new_figure(1.0 + 3.4 * columns, 1.2 + 2.5 * lines)
    axes = figure.subplots(lines, columns, squeeze=False)
    colour = style.FIXED["neuneu-2"]
    for place, one in zip(axes.flat, scores, strict=False):
        tokens = np.geomspace(one.tokens / BEFORE, one.tokens * AFTER, POINTS)
        along = [
            atlas.scores(one.task, one.params, t, one.setting, without, one.shift).values for t in tokens
        ]
        values = np.array(along)
        for low, high, density in BANDS:
            place.fill_between(tokens, values[:, low], values[:, high], color=colour, alpha=density, lw=0)
        place.plot(tokens, values[:, values.shape[1] // 2], color=colour)
        place.axvline(one.tokens, color=style.MUTED, linewidth=0.9)
        if one.chance is not None:
            place.axhline(one.chance, color=style.MUTED, linestyle="--", linewidth=0.9)
        place.set_xlim(tokens[0], tokens[-1])
        style.clock_axis(place, "tokens", log=True)
        shots = "" if one.setting.n_shot is None else f", {one.setting.n_shot} shots"
        place.set_title(style.shorten(f"{one.task} ({one.setting.format}{shots})", 34))
        style.percent_axis(place.yaxis)
    for place in axes.flat[len(scores) :]:
        place.set_axis_off()
    told = f"from the finished runs of the atlas{' without ' * bool(without)}{', '.join(without)}"
    bands = "median with bands of 50, 80 and 90 %; upright line: the tokens asked; dashed: chance"
    style.caption(figure, f"{told}; {bands}")
    figure.suptitle(f"What models of {style.readable(scores[0].params)} parameters score", x=0.02, ha="left")
    return figure
