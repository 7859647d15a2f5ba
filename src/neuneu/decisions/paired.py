"""Is a difference real? Two checkpoints on the same items: paired bootstrap and McNemar, corrected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import binomtest, false_discovery_control

from neuneu.curves.curve import Floats
from neuneu.curves.groups import benchmarks_of
from neuneu.curves.items import Items
from neuneu.curves.tasks import ACCURACIES
from neuneu.errors import InputError

N_DRAWS = 2000
"""Bootstrap draws of items."""
OVER = "mean over benchmarks"


@dataclass(frozen=True)
class Paired:
    """Scores of the same items by two checkpoints on one task, each (n_items,) in [0, 1]."""

    task: str
    metric: str
    first: Floats
    second: Floats
    n_apart: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test: items that only one gets right, as a fair coin would part them; two-sided.

        Where scores are not all 0 or 1, of the items that one scores higher on (a sign test).
        """
        wins, losses = int((self.second > self.first).sum()), int((self.second < self.first).sum())
        return 1.0 if wins + losses == 0 else float(binomtest(wins, wins + losses).pvalue)


def pair_items(first: Items, second: Items, tasks: Sequence[str] = ()) -> list[Paired]:
    """Each task that both have, in the preferred metric that both have, on the items that both have.

    Raises InputError where they share no task, or a task no item, and on a task that one of them lacks.
    """
    held = [{task for task, _ in items.scores} for items in (first, second)]
    for task in tasks:
        for items, own in zip((first, second), held, strict=True):
            if task not in own:
                raise InputError("is not evaluated here", where=items.where, field="task", value=task)
    shared = sorted(set(tasks) or held[0] & held[1])
    if not shared:
        raise InputError("shares no task with the other", where=second.where, field="task")
    pairs = []
    for task in shared:
        metric = next(
            (m for m in ACCURACIES if (task, m) in first.scores and (task, m) in second.scores), None
        )
        if metric is None:
            raise InputError("the two share no metric", where=second.where, field="task", value=task)
        one, two = first.scores[task, metric], second.scores[task, metric]
        both = [item for item in one if item in two]
        if not both:
            rule = "the two share no item: other versions or splits of the task"
            raise InputError(rule, where=second.where, field="task", value=task)
        values = [np.array([scores[item] for item in both]) for scores in (one, two)]
        pairs.append(Paired(task, metric, values[0], values[1], len(one) + len(two) - 2 * len(both)))
    return pairs


def compare(pairs: Sequence[Paired], seed: int = 0) -> pl.DataFrame:
    """A row a task, and one for the mean over benchmarks where there are several.

    difference: second − first, with its 95 % interval by paired bootstrap over items; p: McNemar's, of the
    mean by bootstrap; p_fdr: Benjamini and Hochberg over the tasks; apart: items that only one of them has.
    """
    random = np.random.default_rng(seed)
    gaps = [pair.second - pair.first for pair in pairs]
    draws = [_draws(gap, random) for gap in gaps]
    p = np.array([pair.p_value for pair in pairs])
    rows: list[tuple[object, ...]] = [
        (pair.task, pair.metric, len(gap), float(pair.first.mean()), float(pair.second.mean()),
         float(gap.mean()), *_interval(drawn), float(own), float(corrected), pair.n_apart)
        for pair, gap, drawn, own, corrected in zip(
            pairs, gaps, draws, p, false_discovery_control(p), strict=True
        )
    ]  # fmt: skip
    if len(pairs) > 1:
        rows.append(_over(pairs, gaps, draws))
    names = ["task", "metric", "items", "first", "second", "difference", "low", "high", "p", "p_fdr", "apart"]
    return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)


def _over(pairs: Sequence[Paired], gaps: Sequence[Floats], draws: Sequence[Floats]) -> tuple[object, ...]:
    """The row of the mean over benchmarks, each counted once."""
    weights = benchmarks_of([pair.task for pair in pairs]).weights()
    weight = np.array([weights.get(pair.task, 0.0) for pair in pairs])
    first, second = (
        float(weight @ [getattr(pair, side).mean() for pair in pairs]) for side in ("first", "second")
    )
    drawn = weight @ np.stack(draws)
    beyond = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    p = min(1.0, 2 * max(beyond, 1 / len(drawn)))
    items = sum(len(gap) for gap in gaps)
    apart = sum(pair.n_apart for pair in pairs)
    return (OVER, None, items, first, second, second - first, *_interval(drawn), p, None, apart)


def _draws(gap: Floats, random: np.random.Generator) -> Floats:
    """Bootstrap means of paired differences, (N_DRAWS,), by how often each value is drawn."""
    values, counts = np.unique(gap, return_counts=True)
    drawn = random.multinomial(len(gap), counts / len(gap), N_DRAWS)
    return np.asarray(drawn @ values / len(gap))


def _interval(drawn: Floats) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
