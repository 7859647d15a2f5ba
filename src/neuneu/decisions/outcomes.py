"""How decisions from forecasts would have turned out on finished runs: pairs named, picks, runs dropped.

From the cells of an evaluation: of each curve and context end, the forecast at the curve's own end, and what
came true there. Runs compete within one size and budget across recipes, per task and over all benchmarks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, Floats
from neuneu.curves.tasks import find_metric
from neuneu.decisions.chances import best_probabilities, spread, win_probabilities
from neuneu.decisions.peers import contest_points, deviation, present_level, present_noise, separation
from neuneu.decisions.shared import Setting, Shared, shared_settings
from neuneu.errors import InputError
from neuneu.evaluation.leaderboard import SAME_BUDGET, Results
from neuneu.evaluation.metrics import Index
from neuneu.evidence.cut import Question
from neuneu.forecasters.base import LEVELS

TENTHS = np.linspace(0.5, 1.0, 6)
"""Bins of the probability that the favourite of a pair wins."""
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Runs are dropped as soon as P(best) falls below; a table has a row each."""
N_DRAWS = 500
"""Bootstrap draws of runs."""
RANK, PLAIN = "rank", "plain"
"""How runs compete: as `rank` has it (`peers`), or by each forecast's own quantiles, all independent."""
OF_RACE = ("source", "params", "task", "context", "forecaster", "rule")
MEAN = "mean over benchmarks"
"""In place of a task: the mean over all that the runs of a race share."""
SINGLE = "single tasks"
"""What decisions over one task are called beside those over MEAN."""


@dataclass(frozen=True)
class Race:
    """Runs of one source, size and budget on one task, or on the mean over benchmarks, at one context.

    points: (forecaster, rule) → equally likely final values of each run, higher is better, (n_runs,
    n_points); truth: (n_runs,) final values; share: of the clock that is seen; recipes: of each run.
    """

    source: str
    params: int
    task: str
    share: float
    runs: Sequence[str]
    points: Mapping[tuple[str, str], Floats]
    truth: Floats
    recipes: Sequence[str | None]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Every race of an evaluation. seed: of the bootstrap."""

    races: Sequence[Race]
    seed: int = 0

    def pairs(self) -> pl.DataFrame:
        """A row a pair of recipes, race and forecaster: P(the favourite wins), and whether it did (a tie ½).

        Runs of one recipe, such as its seeds, are no pair.
        """
        rows = []
        for race in self.races:
            for (name, rule), points in race.points.items():
                wins = win_probabilities(points)
                for i, j in combinations(range(len(race.runs)), 2):
                    if race.truth[i] == race.truth[j] or race.recipes[i] == race.recipes[j]:
                        continue
                    first, second = (i, j) if wins[i, j] >= 0.5 else (j, i)
                    right = 0.5 if wins[i, j] == 0.5 else float(race.truth[first] > race.truth[second])
                    rows.append(
                        (race.source, race.params, race.task, race.share, name, rule, race.runs[first],
                         race.runs[second], float(max(wins[i, j], wins[j, i])), right)
                    )  # fmt: skip
        names = [
            "source",
            "params",
            "task",
            "context",
            "forecaster",
            "rule",
            "favourite",
            "other",
            "p",
            "right",
        ]
        if not rows:
            raise InputError(
                "no two runs of one size and budget with different recipes", field="curves", value=0
            )
        return pl.DataFrame(rows, schema=names, orient="row")

    def picks(self) -> pl.DataFrame:
        """A row a race and forecaster: the regret of picking its likeliest best run, expected and real."""
        rows = []
        for race in self.races:
            for (name, rule), points in race.points.items():
                pick = int(np.argmax(best_probabilities(points)))
                expected = expected_best(points) - float(points[pick].mean())
                real = float(race.truth.max() - race.truth[pick])
                where = race.source, race.params, race.task, race.share, name, rule
                rows.append((*where, len(race.runs), expected, real))
        names = [
            "source",
            "params",
            "task",
            "context",
            "forecaster",
            "rule",
            "runs",
            "expected_regret",
            "regret",
        ]
        return pl.DataFrame(rows, schema=names, orient="row")

    def dropping(self, thresholds: Sequence[float] = THRESHOLDS) -> pl.DataFrame:
        """Regret against compute saved: a row a race (all of its contexts), forecaster and threshold.

        At each context in turn, runs whose P(best) among those left is below the threshold are dropped; the
        rest of their compute is saved. regret: best final value of all runs less the best of those left.
        """
        fields: dict[tuple[str, int, str], list[Race]] = {}
        for race in self.races:
            fields.setdefault((race.source, race.params, race.task), []).append(race)
        rows = []
        for (source, params, task), races in fields.items():
            for key in races[0].points:
                for threshold in thresholds:
                    saved, regret = _drop(sorted(races, key=lambda race: race.share), key, threshold)
                    rows.append((source, params, task, *key, threshold, saved, regret))
        names = ["source", "params", "task", "forecaster", "rule", "threshold", "compute_saved", "regret"]
        return pl.DataFrame(rows, schema=names, orient="row")


def expected_best(points: Floats) -> float:
    """E[max] of independent runs. points: (n_runs, n_points), rows increasing."""
    values = np.unique(points)
    below = np.prod([np.searchsorted(row, values, "right") / len(row) for row in points], axis=0)
    return float(np.sum(values * np.diff(below, prepend=0.0)))


def _drop(races: Sequence[Race], key: tuple[str, str], threshold: float) -> tuple[float, float]:
    """Share of all compute saved, and the regret, of dropping by one forecaster's P(best)."""
    truth = {run: value for race in races for run, value in zip(race.runs, race.truth, strict=True)}
    left, saved = set(truth), 0.0
    for race in races:
        alive = [i for i, run in enumerate(race.runs) if run in left]
        if len(alive) < 2:
            continue
        best = best_probabilities(race.points[key][alive])
        bar = min(threshold, float(best.max()))  # the likeliest stays, however many share the chances
        dropped = [race.runs[i] for i, chance in zip(alive, best, strict=True) if chance < bar]
        left -= set(dropped)
        saved += len(dropped) * (1 - race.share)
    return saved / len(truth), max(truth.values()) - max(truth[run] for run in left)


def outcomes(results: Results) -> Outcomes:
    """The races of an evaluation's finished runs: per task, and over all benchmarks that they share."""
    cells = results.cells
    last = np.flatnonzero(np.diff(cells.owner, append=-1))
    fields: dict[tuple[int, float], dict[str, dict[Setting, int]]] = {}
    for place, question in enumerate(cells.questions):
        key = (int(cells.source[place]), question.share)
        fields.setdefault(key, {}).setdefault(question.curve.key.run, {})[question.curve.key[1:]] = place
    races = []
    for (source, share), held in fields.items():
        curves = {run: cells.questions[next(iter(s.values()))].curve for run, s in held.items()}
        for group in same_budget(curves):
            if len({curves[run].facts.recipe for run in group}) < 2:
                continue
            own = {run: held[run] for run in group}
            races += list(_races(results, own, last, cells.sources[source], share))
    return Outcomes(races, results.setting.seed)


def same_budget(curves: Mapping[str, Curve]) -> list[list[str]]:
    """Runs of one size and one budget (ends within SAME_BUDGET), in groups; of unknown size none.

    curves: run → one of its curves.
    """
    known = [run for run, curve in curves.items() if curve.facts.params is not None]
    order = sorted(known, key=lambda run: (curves[run].facts.params, curves[run].clock[-1], run))
    groups: list[list[str]] = []
    for run in order:
        curve = curves[run]
        first = curves[groups[-1][0]] if groups else None
        if (
            first is not None
            and first.facts.params == curve.facts.params
            and first.clock_unit == curve.clock_unit
            and curve.clock[-1] <= first.clock[-1] * (1 + SAME_BUDGET)
        ):
            groups[-1].append(run)
        else:
            groups.append([run])
    return groups


def _races(
    results: Results, held: Mapping[str, Mapping[Setting, int]], last: Index, source: str, share: float
) -> Iterator[Race]:
    settings = sorted({setting for own in held.values() for setting in own}, key=str)
    asked = [[results.cells.questions[own[s]] for own in held.values() if s in own] for s in settings]
    apart = separation([_today(questions) for questions in asked])
    for setting in settings:
        runs = [run for run, own in held.items() if setting in own]
        if len(runs) > 1:
            places = {run: [held[run][setting]] for run in runs}
            yield _race(results, places, {setting[0]: 1.0}, [setting], last, source, share, setting[0], apart)
    try:
        shared: Shared = shared_settings(held)
    except InputError:
        return
    if len(shared.settings) > 1 and len(shared.runs) > 1:
        places = {run: [held[run][setting] for setting in shared.settings] for run in shared.runs}
        yield _race(results, places, shared.weights, shared.settings, last, source, share, MEAN, None)


def _today(questions: Sequence[Question]) -> tuple[Floats, Floats]:
    """Levels and noises of runs on one task, (n_runs,) each."""
    contexts = [question.context for question in questions]
    return np.array([present_level(c) for c in contexts]), np.array([present_noise(c) for c in contexts])


def _race(
    results: Results,
    places: Mapping[str, Sequence[int]],
    weights: Mapping[str, float],
    settings: Sequence[Setting],
    last: Index,
    source: str,
    share: float,
    task: str,
    apart: float | None,
) -> Race:
    """A race on these settings. apart: separation of the runs over all their tasks, None: on these."""
    cells = results.cells
    weight = np.array([weights[setting[0]] for setting in settings])
    sign = np.array([1.0 if find_metric(setting[1]).higher_is_better else -1.0 for setting in settings])
    ends = [[int(last[place]) for place in own] for own in places.values()]
    asked = [[cells.questions[place] for place in own] for own in places.values()]
    truth = np.array([weight @ (sign * cells.values[own]) for own in ends])
    today = [_today(own) for own in asked]
    levels = np.array([weight @ (sign * level) for level, _ in today])
    noises = np.array([np.sqrt(weight**2 @ noise**2) for _, noise in today])
    apart = separation([(levels, noises)]) if apart is None else apart
    shares = np.array([min(q.end / q.curve.clock[-1] for q in own) for own in asked])
    points: dict[tuple[str, str], Floats] = {}
    for answers in results.answers:
        quantiles = np.stack([answers.quantiles[own] for own in ends])
        medians = np.array([weight @ (sign * own[:, LEVELS.index(0.5)]) for own in quantiles])
        wide = np.sqrt([weight**2 @ deviation(own) ** 2 for own in quantiles])
        group = np.zeros(len(places), dtype=np.intp)
        points[answers.name, RANK] = contest_points(
            medians, levels, wide, shares, group, np.full(len(places), apart)
        )
        points[answers.name, PLAIN] = np.stack(
            [
                weight @ np.stack([_points(q, given) for q, given in zip(own, row, strict=True)])
                for own, row in zip(asked, quantiles, strict=True)
            ]
        )
    params = asked[0][0].curve.facts.params
    recipes = [own[0].curve.facts.recipe for own in asked]
    return Race(source, int(params or 0), task, share, list(places), points, truth, recipes)


def _points(question: Question, quantiles: Floats) -> Floats:
    """Equally likely end values of a question, higher is better, increasing. quantiles: (len(LEVELS),)."""
    known = np.isfinite(quantiles)
    levels = [level for level, there in zip(LEVELS, known, strict=True) if there]
    values = spread(quantiles[known], levels, question.curve.low, question.curve.high)
    return values if find_metric(question.curve.key.metric).higher_is_better else -values[::-1]


def pair_scores(pairs: pl.DataFrame, by: Sequence[str] = ("forecaster", "rule", "context")) -> pl.DataFrame:
    """Pairs named right, mean P and Brier score, by these columns.

    The score of a pair is (1 − p)² where the favourite won, p² where not; of a coin, p = ½, a quarter.
    """
    p, right = pl.col("p"), pl.col("right")
    brier = right * (1 - p) ** 2 + (1 - right) * p**2
    return (
        pairs.group_by(list(by), maintain_order=True)
        .agg(
            pl.len().alias("pairs"),
            pl.col("right").mean(),
            pl.col("p").mean(),
            brier.mean().alias("brier"),
        )
        .sort(list(by))
    )


def reliability(pairs: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """P said against how often it was right, by forecaster, context and tenth, with a 95 % interval over
    runs.

    The interval is of bootstrap draws of runs: a pair counts the product of how often its two were drawn.
    """
    rows = []
    for (name, rule, share), part in pairs.group_by(["forecaster", "rule", "context"], maintain_order=True):
        runs = pl.concat([part["favourite"], part["other"]]).unique(maintain_order=True).to_list()
        place = {run: i for i, run in enumerate(runs)}
        one = np.array([place[run] for run in part["favourite"]])
        two = np.array([place[run] for run in part["other"]])
        p, right = part["p"].to_numpy(), part["right"].to_numpy()
        tenth = np.clip(np.digitize(p, TENTHS) - 1, 0, len(TENTHS) - 2)
        drawn = np.random.default_rng(seed).multinomial(len(runs), np.full(len(runs), 1 / len(runs)), N_DRAWS)
        weight = drawn[:, one] * drawn[:, two]
        for k in range(len(TENTHS) - 1):
            inside = tenth == k
            if not inside.any():
                continue
            total = weight[:, inside].sum(axis=1)
            share_right = (weight[:, inside] @ right[inside])[total > 0] / total[total > 0]
            low, high = np.quantile(share_right, [0.025, 0.975]) if len(share_right) else (np.nan, np.nan)
            rows.append(
                (name, rule, share, f"{TENTHS[k]:.1f} to {TENTHS[k + 1]:.1f}", int(inside.sum()),
                 float(p[inside].mean()), float(right[inside].mean()), float(low), float(high))
            )  # fmt: skip
    names = ["forecaster", "rule", "context", "tenth", "pairs", "p", "right", "low", "high"]
    return pl.DataFrame(rows, schema=names, orient="row")


def decisions_document(found: Outcomes) -> dict[str, Any]:
    """What decisions.json holds: pairs, their reliability, picks and dropped runs, averaged over races.

    Single tasks and means over benchmarks apart; regrets in the metric's own numbers.
    """
    kind = pl.when(pl.col("task") == MEAN).then(pl.lit(MEAN)).otherwise(pl.lit(SINGLE)).alias("over")
    pairs = found.pairs().with_columns(kind)
    means = pl.col("expected_regret").mean(), pl.col("regret").mean(), pl.len().alias("races")
    saved = pl.col("compute_saved").mean(), pl.col("regret").mean(), pl.len().alias("races")
    by = ["over", "forecaster", "rule"]
    tenths = [
        reliability(part, found.seed).select(pl.lit(over).alias("over"), pl.all())
        for over in (SINGLE, MEAN)
        if len(part := pairs.filter(over=over))
    ]
    picks = found.picks().with_columns(kind).group_by([*by, "context"], maintain_order=True).agg(*means)
    dropping = (
        found.dropping().with_columns(kind).group_by([*by, "threshold"], maintain_order=True).agg(*saved)
    )
    return {
        "rules": {
            RANK: "as rank has it: runs of one size and budget inform each other",
            PLAIN: "each forecast's own quantiles, all independent",
        },
        "n_races": len(found.races),
        "pairs": pair_scores(pairs, (*by, "context")).to_dicts(),
        "reliability": pl.concat(tenths).to_dicts(),
        "picks": picks.to_dicts(),
        "dropping": dropping.to_dicts(),
    }
