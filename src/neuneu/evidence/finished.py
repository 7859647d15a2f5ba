"""Finished runs that a forecaster may look at whole: by rule among those of the same table, or a table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neuneu.curves.curve import Curve
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, offered

References = Callable[[Curve, Curve], bool]
"""Whether the second curve's run is a finished run that a forecaster of the first may look at."""

FINISHED = 0.99
"""Share of its planned end that a finished run has reached."""


def planned_end(curve: Curve) -> float:
    """Clock where a run will end: planned tokens if known, else the last clock (it had been planned)."""
    planned = curve.facts.planned_tokens
    if planned is not None and curve.clock_unit == "tokens":
        return float(planned)
    return float(np.max(curve.clock))


def smaller_finished_runs(curve: Curve, other: Curve) -> bool:
    """References = runs of the same family whose whole training took less compute than this run's will.

    Compute is parameters × final clock; a run of unknown size has no smaller ones. Such runs would have
    ended before this one was started. A run that has not reached its planned end is not finished.
    """
    own, others = curve.facts, other.facts
    if own.params is None or others.params is None or not finished_runs(curve, other):
        return False
    smaller = others.params * planned_end(other) < own.params * planned_end(curve)
    return others.params <= own.params and smaller


def finished_runs(curve: Curve, other: Curve) -> bool:
    """References = all runs of the same family that have reached their planned end, of whatever size.

    What is known of one more run of a finished family: another recipe, another seed, a size between others.
    """
    own, others = curve.facts, other.facts
    if curve.clock_unit != other.clock_unit:
        return False
    same = (own.family or own.source) == (others.family or others.source)
    return same and float(np.max(other.clock)) >= FINISHED * planned_end(other)


RULES: dict[str, References | None] = {
    "none": None,
    "smaller": smaller_finished_runs,
    "finished": finished_runs,
}
"""Rules by name, for runs of the same table."""

ALIASES = {"same-source": "smaller"}
"""Former names of rules."""

IN_WORDS = {
    "none": "none",
    "smaller": "smaller finished runs of the same family",
    "finished": "all finished runs of the same family",
}
"""Rules as tables and pages say them."""


@dataclass(frozen=True)
class FinishedRuns:
    """What a question may look at besides its own run. As a function it is a rule (`References`).

    name: of the rule, or of the table; rule: for runs of the same table; table: runs that are finished
    whatever they say of themselves, from elsewhere; those of the asked table with the same name are left out.
    """

    name: str = "none"
    rule: References | None = None
    table: CurveTable | None = None

    def __call__(self, curve: Curve, other: Curve) -> bool:
        """Whether the rule lets the first run see the second."""
        return self.rule is not None and self.rule(curve, other)

    @property
    def in_words(self) -> str:
        """The rule, or the table, for people."""
        return IN_WORDS.get(self.name, self.name)


def read_references(value: Any) -> FinishedRuns:
    """What `references` may be: a rule's name, the path of a curve table, a table (Polars, pandas, Arrow).

    None is `none`; a function of two curves is taken as a rule. Raises InputError on anything else.
    """
    if value is None:
        return FinishedRuns()
    if isinstance(value, FinishedRuns):
        return value
    if isinstance(value, str) and ALIASES.get(value, value) in RULES:
        name = ALIASES.get(value, value)
        return FinishedRuns(name, RULES[name])
    if isinstance(value, str | Path):
        if not Path(value).suffix and not Path(value).exists():
            rule = "is no curve table and no rule" + offered(value, RULES)
            raise InputError(rule, field="references", value=str(value))
        table = CurveTable.read(value)
        return FinishedRuns(f"{Path(value).name} ({_count(table)})", table=table)
    if callable(value):
        named = [name for name, rule in RULES.items() if rule is value]
        return FinishedRuns(named[0] if named else getattr(value, "__name__", "a rule of its own"), value)
    table = CurveTable.from_frame(value, "references")
    return FinishedRuns(f"a table of {_count(table)}", table=table)


def _count(table: CurveTable) -> str:
    n = len(table.runs)
    return f"{n} finished run{'' if n == 1 else 's'}"
