"""Which tasks to trust: how much of what a task shows is noise, and when it tells recipes apart.

Of each task in one setting, from the runs of a table:

- noise σ: standard deviation of single checkpoints around the line of their neighbours, after the first fifth
  of the clock (`curves.noise`), root mean square over curves;
- spread between seeds τ: standard deviation of the end levels of runs that differ in their seed alone, noise
  taken off: τ² = Σ (ℓ − ℓ̄)² / Σ (n − 1) − σ² / k. An end level ℓ is the mean of a run's last k = 5 values;
- signal S: standard deviation of the end levels of recipes within one size and budget, what noise and seeds
  make of it taken off: S² = Σ (ℓ − ℓ̄)² / Σ (m − 1) − mean of (τ² + σ² / k) / n over the recipes. A recipe is
  what remains of a run without its seed; ℓ is the mean over its n seeds;
- signal to noise: S / √(σ² + τ²), of a single checkpoint of a single run;
- decided right at b: share of pairs of runs of different recipes, of one size and budget, that are in the
  order of their end levels already after the share b of the clock, by the mean of the last k values there;
- checkpoints: of how many a mean must be of so that two typical recipes, √2 · S apart, are told apart at 95 %
  (z = 1.96) by one run each: ⌈σ² / (S² / z² − τ²)⌉; seeds: how many runs each, one checkpoint:
  ⌈z² · (σ² + τ²) / S²⌉. None where no number is enough.

Only finished runs say levels, signal and shares; what cannot be told is null, never zero.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey
from neuneu.curves.inspect import CONTEXT
from neuneu.curves.noise import noise_deviation
from neuneu.curves.seeds import seed_groups
from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_metric
from neuneu.decisions.outcomes import MEAN, same_budget
from neuneu.decisions.peers import present_level
from neuneu.decisions.shared import Setting, Shared, shared_curves, widest_settings
from neuneu.errors import InputError
from neuneu.evaluation.protocol import ROLLING_ORIGINS
from neuneu.evidence.cut import seen
from neuneu.evidence.finished import FINISHED, planned_end
from neuneu.evidence.select import Selection
from neuneu.forecasters.baselines import MEAN_POINTS

Z = 1.96
"""Two levels are told apart where they differ by so many standard deviations of their difference: 95 %."""

RIGHT = {f"right_{share:.0%}".rstrip("%"): share for share in ROLLING_ORIGINS}
"""Columns of the shares of pairs decided right → share of the clock."""

SCHEMA = {
    "task": pl.String(), "metric": pl.String(), "n_shot": pl.Int64(), "variant": pl.String(),
    "runs": pl.Int64(), "recipes": pl.Int64(), "pairs": pl.Int64(), "noise": pl.Float64(),
    "between_seeds": pl.Float64(), "signal": pl.Float64(), "signal_to_noise": pl.Float64(),
    **dict.fromkeys(RIGHT, pl.Float64()), "checkpoints_needed": pl.Int64(), "seeds_needed": pl.Int64(),
}  # fmt: skip
"""Columns of `Trust.table`."""

BRIEF = {
    "noise": "noise", "between_seeds": "seeds", "signal": "signal", "signal_to_noise": "s/n",
    **{name: f"{share:.0%}" for name, share in RIGHT.items()},
    "checkpoints_needed": "ckpts", "seeds_needed": "runs",
}  # fmt: skip
"""What a narrow table shows → what it is called there."""


@dataclass(frozen=True)
class Trust:
    """What each task of a table is worth for telling recipes apart.

    table: a row a task, the best signal to noise first, with the columns of SCHEMA; values in the metric's
    own numbers, shares in [0, 1], null where it cannot be told. The mean over benchmarks, where runs share
    some, is a task of its own (`outcomes.MEAN`). notes: what was left out and why, for people.

    A page or terminal takes `brief` with `title` above and `notes` below.
    """

    table: pl.DataFrame
    notes: Sequence[str] = ()
    title: str = (
        "Noise between checkpoints, spread between seeds, signal between recipes (points); pairs decided "
        "right at 10 to 70 % of the run; checkpoints or runs until two recipes are told apart"
    )

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p>{escape(self.title)}</p>{self.brief._repr_html_()}{notes}"

    @property
    def brief(self) -> pl.DataFrame:
        """The table for people: accuracies in points, shares in whole per cent, 80 columns."""
        metrics = self.table["metric"].drop_nulls().unique().to_list()
        accurate = [name for name in metrics if find_metric(name).accuracy]
        shares = pl.col("metric").is_in(accurate).fill_null(value=len(accurate) == len(metrics))
        scale = pl.when(shares).then(100.0).otherwise(1.0)
        values = [(pl.col(name) * scale).alias(BRIEF[name]) for name in ("noise", "between_seeds", "signal")]
        return self.table.select(
            "task",
            *values,
            pl.col("signal_to_noise").alias("s/n"),
            *((pl.col(name) * 100).round().cast(pl.Int64).alias(BRIEF[name]) for name in RIGHT),
            *(pl.col(name).alias(BRIEF[name]) for name in ("checkpoints_needed", "seeds_needed")),
        )


def trust(table: CurveTable, selection: Selection | None = None) -> Trust:
    """What each task of a table is worth for telling recipes apart; formulas above.

    selection: only these runs and tasks, in this metric and setting: of two runs, when those two are told
    apart. Of each task the setting is taken that most runs have, then as `shared_settings` prefers.
    Raises InputError where nothing is left.
    """
    selection = selection or Selection()
    chosen = selection.of(table)
    of_run: dict[str, dict[Setting, Curve]] = {}
    for curve in chosen:
        of_run.setdefault(curve.key.run, {})[curve.key[1:]] = curve
    recipes = {run: name for name, runs in seed_groups(chosen.frame).items() for run in runs}
    rows = []
    for setting in widest_settings(of_run):
        curves = {run: own[setting] for run, own in of_run.items() if setting in own}
        rows.append(_row(setting, curves, recipes))
    notes = list(_notes(of_run, recipes))
    try:
        shared, found = shared_curves(chosen, named=bool(selection.runs))
    except InputError as error:
        notes.append(f"no mean over benchmarks: {error.rule}")
    else:
        means = {run: mean for run, own in found.items() if (mean := _mean(own, shared)) is not None}
        if len(shared.settings) > 1 and means:
            metrics = {setting[1] for setting in shared.settings}
            metric = metrics.pop() if len(metrics) == 1 else None
            rows.append(_row((MEAN, metric or "", None, None), means, recipes))
            notes.append(f"{shared.in_words}; {len(means)} of {len(of_run)} runs")
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    order = frame.sort(pl.col("signal_to_noise"), "task", descending=[True, False], nulls_last=True)
    return Trust(order, notes)


def _row(setting: Setting, curves: Mapping[str, Curve], recipes: Mapping[str, str]) -> tuple[object, ...]:
    """A row of the table. recipes: run → what remains of it without its seed, itself where not given."""
    sign = 1 if find_metric(setting[1]).higher_is_better else -1
    squares = [noise**2 for curve in curves.values() if math.isfinite(noise := _noise(curve))]
    noise2 = float(np.mean(squares)) if squares else math.nan
    ended = {run: curve for run, curve in curves.items() if _has_ended(curve)}
    levels = {run: sign * present_level(curve) for run, curve in ended.items()}
    of_recipe: dict[str, list[str]] = {}
    for run in sorted(ended):
        of_recipe.setdefault(recipes.get(run, run), []).append(run)
    seeds2 = _pooled([[levels[run] for run in runs] for runs in of_recipe.values()])
    seeds2 = None if seeds2 is None else max(seeds2 - noise2 / MEAN_POINTS, 0.0)
    fields = [
        {recipes.get(run, run): of_recipe[recipes.get(run, run)] for run in group}
        for group in same_budget(ended)
    ]
    signal2 = _signal(fields, levels, noise2 / MEAN_POINTS + (seeds2 or 0.0))
    pairs = [
        (one, two)
        for field in fields
        for a, b in combinations(sorted(field), 2)
        for one in field[a]
        for two in field[b]
        if levels[one] != levels[two]
    ]
    total2 = noise2 + (seeds2 or 0.0)
    return (
        *setting[:1], setting[1] or None, *setting[2:], len(curves), len(of_recipe), len(pairs),
        _root(noise2), _root(seeds2), _root(signal2),
        None if signal2 is None or not total2 > 0 else math.sqrt(signal2 / total2),
        *(_right(pairs, levels, _early(ended, sign, share)) for share in RIGHT.values()),
        _ceiling(noise2, None if signal2 is None else signal2 / Z**2 - (seeds2 or 0.0)),
        None if seeds2 is None else _ceiling(Z**2 * total2, signal2),
    )  # fmt: skip


def _noise(curve: Curve) -> float:
    later = curve.after(CONTEXT * float(curve.clock[-1]))
    return noise_deviation(later.clock, later.values)


def _has_ended(curve: Curve) -> bool:
    return float(curve.clock[-1]) >= FINISHED * planned_end(curve)


def _pooled(groups: Sequence[Sequence[float]]) -> float | None:
    """Variance within groups, n − 1 each; None where no group has two."""
    squares = sum(float(np.var(group)) * len(group) for group in groups)
    free = sum(len(group) - 1 for group in groups)
    return squares / free if free else None


def _signal(
    fields: Sequence[Mapping[str, Sequence[str]]], levels: Mapping[str, float], error2: float
) -> float | None:
    """S²: the variance of recipes within their fields less what chance makes of it; None without a pair.

    fields: of one size and budget, recipe → its runs; error2: variance of one run's end level.
    """
    means = [[float(np.mean([levels[run] for run in runs])) for runs in field.values()] for field in fields]
    between = _pooled(means)
    if between is None or not math.isfinite(error2):
        return None
    chance = np.mean([error2 / len(runs) for field in fields if len(field) > 1 for runs in field.values()])
    return max(between - float(chance), 0.0)


def _early(curves: Mapping[str, Curve], sign: int, share: float) -> dict[str, float]:
    """Run → its level after this share of its clock; runs without a checkpoint there are not in it."""
    sizes = {run: seen(curve, share) for run, curve in curves.items()}
    return {
        run: sign * present_level(curves[run].until(float(curves[run].clock[size - 1])))
        for run, size in sizes.items()
        if size
    }


def _right(
    pairs: Sequence[tuple[str, str]], levels: Mapping[str, float], early: Mapping[str, float]
) -> float | None:
    """Share of pairs of runs that are in the order of their ends early on; a tie counts ½.

    levels, early: run → its end level and that at some share of the clock; pairs without one do not count.
    """
    right = [
        0.5 + 0.5 * float(np.sign(early[one] - early[two]) * np.sign(levels[one] - levels[two]))
        for one, two in pairs
        if one in early and two in early
    ]
    return float(np.mean(right)) if right else None


def _mean(curves: Sequence[Curve], shared: Shared) -> Curve | None:
    """The mean over benchmarks of a run at the checkpoints that all of its curves have; None without one."""
    common = sorted(set.intersection(*(set(curve.clock.tolist()) for curve in curves)))
    if not common:
        return None
    total = np.zeros(len(common))
    for curve in curves:
        sign = 1 if find_metric(curve.key.metric).higher_is_better else -1
        total += sign * shared.weights[curve.key.task] * curve.values[np.isin(curve.clock, common)]
    first = curves[0]
    inside = np.isin(first.clock, common)
    key = CurveKey(first.key.run, MEAN, "")
    return replace(
        first, key=key, steps=first.steps[inside], clock=first.clock[inside], values=total,
        stderr=np.full(len(common), np.nan), chance=None, n_items=None,
    )  # fmt: skip


def _notes(of_run: Mapping[str, Mapping[Setting, Curve]], recipes: Mapping[str, str]) -> Iterator[str]:
    """What the table cannot say, for people."""
    first = {run: next(iter(own.values())) for run, own in of_run.items()}
    flying = sum(not _has_ended(curve) for curve in first.values())
    unknown = sum(curve.facts.params is None for curve in first.values())
    if flying:
        have = "run has not reached its" if len(first) == 1 else "runs have not reached their"
        yield f"{flying} of {len(first)} {have} planned end: only their noise counts"
    if unknown:
        runs = "run of unknown size is" if unknown == 1 else "runs of unknown size are"
        yield f"{unknown} {runs} not compared with others: give `params` when importing"
    if not recipes:
        yield "no two runs differ in their seed alone: what is needed is told as if seeds did not matter"


def _root(square: float | None) -> float | None:
    return None if square is None or not math.isfinite(square) else math.sqrt(square)


def _ceiling(above: float, below: float | None) -> int | None:
    """⌈above / below⌉, at least 1; None where no number is enough or it cannot be told."""
    if below is None or not below > 0 or not math.isfinite(above):
        return None
    return max(1, math.ceil(above / below))
