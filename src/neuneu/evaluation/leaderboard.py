"""Results → tables: the leaderboard by source, task group and horizon, and the file of all cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.noise import noise_floor
from neuneu.curves.tasks import find_metric, find_task
from neuneu.evaluation.benchmark import YARDSTICKS, Cells, EvaluationSettings, Scored
from neuneu.evaluation.correlation import correlations
from neuneu.evaluation.metrics import (
    N_DRAWS,
    SCORES,
    Averages,
    Bools,
    Index,
    average,
    binomial_noise,
    curve_means,
    draw_runs,
    interval,
    ranking_accuracy,
    score_cells,
    skill,
)
from neuneu.evaluation.side_by_side import average_seeds
from neuneu.evidence.cut import Question
from neuneu.forecasters.base import LEVELS
from neuneu.forecasts.cells import FALLBACK, cells_frame

ORACLE = "best-constant"
"""The row of the median of each curve's asked values: no flat forecast errs by less. It sees the future."""

HORIZONS = ((0.0, 1.5), (1.5, 3.0), (3.0, 5.0), (5.0, float("inf")))
"""Buckets of horizon clock over context-end clock: low < ratio ≤ high."""

SAME_BUDGET = 0.05
"""Two runs end at the same budget where their final clocks differ by at most this share."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """What `run_benchmark` gave, ready to be averaged."""

    cells: Cells
    answers: Sequence[Scored]
    setting: EvaluationSettings

    @cached_property
    def scores(self) -> dict[str, Floats]:
        """Scores of each cell by forecaster, (n_cells, len(SCORES)); the oracle has errors only."""
        cells = self.cells
        scored = {a.name: score_cells(a.quantiles, cells.values) for a in self.answers}
        constant = np.array([np.median(q.curve.values[q.size :]) for q in cells.questions])[cells.owner]
        oracle = np.full((len(cells.values), len(SCORES)), np.nan)
        oracle[:, 0] = np.abs(cells.values - constant)
        oracle[:, 1] = oracle[:, 0] ** 2
        return {**scored, ORACLE: oracle}

    @cached_property
    def correlations(self) -> dict[str, Floats]:
        """Pearson's and Spearman's correlation of each cell's question by forecaster, (n_cells, 2)."""
        cells, median = self.cells, LEVELS.index(0.5)
        return {
            a.name: correlations(a.quantiles[:, median], cells.values, cells.owner)[cells.owner]
            for a in self.answers
        }

    @cached_property
    def weights(self) -> Floats:
        """Bootstrap draws of runs, (n_draws, n_runs)."""
        return draw_runs(self.cells.grouping.source, self.setting.seed)

    @cached_property
    def groups(self) -> dict[str, Bools]:
        """Cells of each task group (core, mmlu, blimp, other), (n_cells,)."""
        names = [find_task(q.curve.key.task).group for q in self.cells.questions]
        each = np.array(names)[self.cells.owner]
        return {name: each == name for name in sorted(set(names))}

    @cached_property
    def horizons(self) -> dict[str, Bools]:
        """Cells of each bucket of horizon over context end, (n_cells,)."""
        ends = np.array([q.end for q in self.cells.questions])[self.cells.owner]
        ratio = self.cells.clock / ends
        buckets = {}
        for low, high in HORIZONS:
            inside = (ratio > low) & (ratio <= high)
            if inside.any():
                buckets[f"{max(low, 1):g}x to {high:g}x" if high < np.inf else f"over {low:g}x"] = inside
        return buckets


def leaderboard(results: Results) -> dict[str, Any]:
    """The document of leaderboard.json: every number in the metric's own units (accuracies in [0, 1])."""
    return {
        "protocol": _protocol(results),
        **_section(results, None, whole=True),
        "task_groups": {name: _section(results, keep) for name, keep in results.groups.items()},
        "horizons": {name: _section(results, keep) for name, keep in results.horizons.items()},
        "noise_floor": _noise_floors(results),
    }


def _protocol(results: Results) -> Row:
    cells, setting = results.cells, results.setting
    protocol = setting.protocol
    return {
        "kind": protocol.kind,
        "context": list(protocol.origins),
        "by": protocol.by if protocol.kind in ("fraction", "rolling") else "checkpoints",
        "feed": protocol.feed if protocol.kind == "sequential" else None,
        "min_checkpoints": protocol.min_checkpoints,
        "metric": setting.selection.metric or "one accuracy a curve, length-normalised where present",
        "n_shot": setting.selection.n_shot,
        "variant": setting.selection.variant,
        "clock": sorted({q.curve.clock_unit for q in cells.questions}),
        "fitting": setting.split.rule if setting.fit else "as they ship",
        "references": setting.references.in_words,
        "losses": None if setting.losses is None else setting.losses.fingerprint,
        "averages": "cells of a curve, curves of a source, sources; unweighted",
        "refusals": f"scored with {FALLBACK}'s forecast, counted in n_refused",
        "intervals": f"95 %, bootstrap over runs within each source, {N_DRAWS} draws",
        "seed": setting.seed,
        "n_curves_left_out": cells.left_out,
        "sources_without_cells": sorted(
            set(cells.sources) - {cells.sources[s] for s in cells.source.tolist()}
        ),
    }


def _section(results: Results, keep: Bools | None, *, whole: bool = False) -> dict[str, Any]:
    """Rows over all sources and of each source, over the kept cells; ranking and correlation if whole."""
    cells, grouping = results.cells, results.cells.grouping
    asked = np.ones(len(cells.values), dtype=bool) if keep is None else keep
    averages = {
        name: average(curve_means(scores, grouping, asked), grouping, results.weights)
        for name, scores in results.scores.items()
    }
    cell_source = cells.source[cells.owner]
    present = [s for s in range(len(cells.sources)) if (asked & (cell_source == s)).any()]
    ranked = _rankings(results) if whole else {}
    correlated = _correlated(results) if whole else {}
    overall = [
        _row(results, name, each.overall(), averages, asked, None, ranked.get(name), correlated.get(name))
        for name, each in averages.items()
    ]
    sources = {
        cells.sources[s]: [
            _row(
                results, name, each, averages, asked & (cell_source == s), s, ranked.get(name),
                correlated.get(name),
            )
            for name, each in averages.items()
        ]
        for s in present
    }  # fmt: skip
    overall = average_seeds(overall)
    sources = {name: average_seeds(rows) for name, rows in sources.items()}
    return {"overall": overall, "sources": sources}


def _row(
    results: Results,
    name: str,
    averages: Averages,
    others: dict[str, Averages],
    asked: Bools,
    source: int | None,
    ranked: "dict[str, list[Rank]] | None",
    correlated: Floats | None,
) -> Row:
    """One forecaster's line: of one source, or of all where `source` is None."""
    answers = next((a for a in results.answers if a.name == name), None)
    at = 0 if source is None else source
    values: dict[str, float] = {}
    draws: dict[str, Floats] = {}
    for index, score in enumerate(SCORES):
        root = np.sqrt if score == "mse" else np.asarray
        values["rmse" if score == "mse" else score] = float(root(averages.point[at, index]))
        draws["rmse" if score == "mse" else score] = root(averages.draws[:, at, index])
    for yardstick in YARDSTICKS:
        base = others[yardstick].overall() if source is None else others[yardstick]
        label = f"skill_vs_{yardstick.replace('-', '_')}"
        values[label] = float(skill(averages.point[at, 0], base.point[at, 0]))
        draws[label] = skill(averages.draws[:, at, 0], base.draws[:, at, 0])
    counts: Row = {}
    for kind, ranks in (ranked or {}).items():
        values[kind], draws[kind], counts[f"n_pairs_{kind}"] = _mean_rank(ranks, source)
    if correlated is not None:
        every = np.nanmean(correlated, axis=0) if np.isfinite(correlated).any() else correlated[0]
        own = every if source is None else correlated[source]
        counts |= {"pearson": float(own[0]), "spearman": float(own[1])}
    intervals = {label: interval(drawn) for label, drawn in draws.items()}
    grouping = results.cells.grouping
    curves = np.unique(grouping.curve[asked])
    return {
        "forecaster": name,
        **values,
        **counts,
        "n_runs": len(np.unique(grouping.run[curves])),
        "n_curves": len(curves),
        "n_cells": int(asked.sum()),
        "n_refused": 0 if answers is None else int((answers.refused & asked).sum()),
        "sees_future": answers is None or answers.sees_future,
        "fitted": None if answers is None else answers.fitted,
        "intervals": {label: list(bounds) if bounds else None for label, bounds in intervals.items()},
    }


def _correlated(results: Results) -> dict[str, Floats]:
    """Pearson's and Spearman's correlation by forecaster, (n_sources, 2), NaN where no curve has one.

    Of each context's forecasts with what came true, averaged over the contexts of a curve, then its curves.
    """
    grouping = results.cells.grouping
    found: dict[str, Floats] = {}
    for name, values in results.correlations.items():
        known = [np.isfinite(values[:, kind]) for kind in (0, 1)]
        means = np.full((len(results.cells.sources), 2), np.nan)
        for kind in (0, 1):
            of_curve = curve_means(values[:, [kind]], grouping, known[kind])[:, 0]
            source = grouping.source[grouping.run]
            for code in np.unique(source[np.isfinite(of_curve)]).tolist():
                means[code, kind] = np.nanmean(of_curve[source == code])
        found[name] = means
    return found


@dataclass(frozen=True)
class Rank:
    """Ranking accuracy within one source: as measured, in draws, and over how many pairs."""

    source: int
    point: float
    draws: Floats
    n_pairs: int


def _rankings(results: Results) -> dict[str, dict[str, list[Rank]]]:
    """Ranking accuracy of final values by forecaster and kind of pair, per source.

    A pair: two runs of a source on the same task, metric and setting at the same context fraction, each
    forecast at its last checkpoint, with the same budget (final clocks within 5 %). `ranking_within_size`:
    same parameters, different recipes. `ranking_across_sizes`: different parameters.
    """
    cells = results.cells
    last = np.flatnonzero(np.diff(cells.owner, append=-1))
    truth = np.array([q.curve.values[-1] for q in cells.questions])
    run = cells.grouping.run[cells.grouping.curve[last]]
    weights = results.weights[:, run]
    pairs = {
        source: _pairs(cells.questions, np.flatnonzero(cells.source == source))
        for source in np.unique(cells.source).tolist()
    }
    ranks: dict[str, dict[str, list[Rank]]] = {}
    for answers in results.answers:
        predicted = answers.quantiles[last, LEVELS.index(0.5)]
        ranks[answers.name] = {}
        for kind in ("ranking_within_size", "ranking_across_sizes"):
            ranks[answers.name][kind] = [
                Rank(source, *ranking_accuracy(predicted, truth, of[kind], weights), len(of[kind]))
                for source, of in pairs.items()
                if len(of[kind])
            ]
    return ranks


def _pairs(questions: Sequence[Question], places: Index) -> dict[str, Index]:
    settings: dict[object, list[int]] = {}
    for place in places.tolist():
        question = questions[place]
        settings.setdefault((*question.curve.key[1:], question.share), []).append(place)
    found: dict[str, list[tuple[int, int]]] = {"ranking_within_size": [], "ranking_across_sizes": []}
    for members in settings.values():
        for i, j in combinations(members, 2):
            kind = pair_kind(questions[i].curve, questions[j].curve)
            if kind is not None and questions[i].curve.values[-1] != questions[j].curve.values[-1]:
                found[kind].append((i, j))
    return {kind: np.array(pairs, dtype=np.intp).reshape(-1, 2) for kind, pairs in found.items()}


def pair_kind(one: Curve, other: Curve) -> str | None:
    """Whether two runs of one setting make a ranking pair, and of which kind (see `_rankings`)."""
    ends = one.clock[-1], other.clock[-1]
    if one.facts.params is None or other.facts.params is None:
        return None
    if one.clock_unit != other.clock_unit or abs(ends[0] - ends[1]) > SAME_BUDGET * max(ends):
        return None
    if one.facts.params != other.facts.params:
        return "ranking_across_sizes"
    return None if one.facts.recipe == other.facts.recipe else "ranking_within_size"


def _mean_rank(ranks: Iterable[Rank], source: int | None) -> tuple[float, Floats, int]:
    chosen = [rank for rank in ranks if source is None or rank.source == source]
    if not chosen:
        return float("nan"), np.full(N_DRAWS, np.nan), 0
    draws = np.mean([rank.draws for rank in chosen], axis=0)
    return float(np.mean([rank.point for rank in chosen])), draws, sum(rank.n_pairs for rank in chosen)


def _noise_floors(results: Results) -> dict[str, Row]:
    """Mean over curves of each source of the error that a perfect forecast would still make."""
    cells = results.cells
    first = {
        (int(s), q.curve.key): q for s, q in reversed(list(zip(cells.source, cells.questions, strict=True)))
    }
    floors: dict[str, Row] = {}
    for code, source in enumerate(cells.sources):
        asked = [question for (s, _), question in first.items() if s == code]
        if not asked:
            continue
        jitter = [noise_floor(q.future.clock, q.future.values) for q in asked]
        accurate = [q for q in asked if find_metric(q.curve.key.metric).accuracy]
        chance = [binomial_noise(q.future.values, q.curve.n_items) for q in accurate]
        floors[source] = {
            "checkpoint": _known_mean(jitter),
            "binomial": _known_mean(chance),
            "n_curves_with_items": int(np.isfinite(chance).sum()),
        }
    return floors


def _known_mean(values: Sequence[float]) -> float | None:
    known = np.array([value for value in values if np.isfinite(value)])
    return float(known.mean()) if len(known) else None


def results_frame(results: Results) -> pl.DataFrame:
    """Every forecast, a row a cell: forecasters in turn, cells in order; levels not given are null."""
    cells = results.cells
    asked = cells.questions
    return cells_frame(
        [question.curve for question in asked],
        [question.end for question in asked],
        [question.horizons for question in asked],
        {answers.name: answers.given for answers in results.answers},
        [cells.sources[source] for source in cells.source.tolist()],
    )


def leaderboard_frame(document: Row) -> pl.DataFrame:
    """A row a source and forecaster of a leaderboard, "all" the mean over several; accuracies in [0, 1]."""
    sections = dict(document["sources"])
    if len(sections) > 1:
        sections = {"all": document["overall"], **sections}
    rows = [
        {"source": source, **{name: value for name, value in row.items() if not isinstance(value, dict)}}
        for source, section in sections.items()
        for row in section
    ]
    return pl.DataFrame(rows, infer_schema_length=None)
