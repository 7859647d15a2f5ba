"""Questions to the atlas: what a design scores on some tasks, as one table."""

from collections.abc import Iterable, Sequence

import polars as pl

from neuneu.atlas.atlas import Atlas, Scores, shipped_atlas
from neuneu.atlas.combine import SCORE_LEVELS
from neuneu.atlas.corpora import check_corpus, shipped_corpora
from neuneu.atlas.setting import NORMALISED, PLAIN, Setting, check_format
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, check_known

CERTAIN, LIKELY = 4.0, 1.5
"""So many families nearby make an answer well founded; fewer than the second leave it a guess."""

QUANTILES = tuple(f"q{round(100 * level):02d}" for level in SCORE_LEVELS)
"""Names of the columns of quantiles."""


def ask_atlas(
    tasks: Sequence[str],
    params: float,
    tokens: float,
    *,
    form: str | None = None,
    n_shot: int | None = None,
    metric: str | None = None,
    data: str | None = None,
    finished: CurveTable | None = None,
    without: Iterable[str] = (),
) -> list[Scores]:
    """What models of so many parameters score on each task after so many tokens, before any training.

    params: without embeddings where that is known; form: rc, mc or gen, by default the one that the task is
    mostly asked in; n_shot, metric: None where they are not known; data: the corpus it is trained on
    (`shipped_corpora().names`), by default one of which nothing is known; finished: own runs that extend the
    atlas that ships; without: families to leave out. Raises InputError on a task or corpus that the atlas
    does not know.
    """
    if not tasks:
        raise InputError("name at least one task", field="tasks")
    if metric is not None:
        check_known(metric, sorted(NORMALISED | PLAIN), "metric", "unknown")
    check_format(form)
    atlas = shipped_atlas() if finished is None else shipped_atlas().extended(finished)
    left_out = frozenset(without)
    for family in sorted(left_out):
        check_known(family, atlas.families, "without", "is no family of the atlas")
    shift = None if data is None else shipped_corpora().shift(check_corpus(data), left_out)
    return [
        atlas.scores(task, params, tokens, _setting(atlas, task, form, n_shot, metric), left_out, shift)
        for task in tasks
    ]


def _setting(atlas: Atlas, task: str, form: str | None, n_shot: int | None, metric: str | None) -> Setting:
    normalised = None if metric is None else metric in NORMALISED
    return Setting(form or atlas.usual(task, normalised=bool(normalised)), n_shot, normalised)


def certainty(scores: Scores) -> str:
    """How well founded an answer is, in a word: by how many families stand near it."""
    if scores.relatives >= CERTAIN:
        return "good"
    return "fair" if scores.relatives >= LIKELY else "poor"


def scores_frame(scores: Sequence[Scores]) -> pl.DataFrame:
    """A row a task: its setting, quantiles (q05, q10, …), chance, and what the answer rests on."""
    return pl.DataFrame(
        [
            {
                "task": one.task,
                "format": one.setting.format,
                "n_shot": one.setting.n_shot,
                "normalised": one.setting.normalised,
                "params": one.params,
                "tokens": one.tokens,
                **dict(zip(QUANTILES, one.values.tolist(), strict=True)),
                "chance": one.chance,
                "p_above_chance": one.above_chance,
                "relatives": one.relatives,
                "families": one.families,
                "runs": one.runs,
                "data_shift": one.shift,
                "certainty": certainty(one),
            }
            for one in scores
        ],
        schema_overrides={"n_shot": pl.Int64, "normalised": pl.Boolean, "chance": pl.Float64,
                          "p_above_chance": pl.Float64, "data_shift": pl.Float64},
    )  # fmt: skip


BRIEF = ("task", "format", "q10", "q50", "q90", "chance", "p_above_chance", "families", "certainty")
"""The columns for the terminal."""
