"""A curve: one run on one task and metric, as arrays."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class CurveKey(NamedTuple):
    """What makes a curve one curve."""

    run: str
    task: str
    metric: str
    n_shot: int | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run besides its curves; None where it is not. schedule: as in `schedules`."""

    source: str | None = None
    family: str | None = None
    params: int | None = None
    recipe: str | None = None
    seed: str | None = None
    planned_tokens: int | None = None
    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """One run on one task and metric.

    steps, clock, values, stderr: shape (n,), ordered by clock; clock is in clock_unit (tokens, flops or
    step), strictly increasing, ≥ 0; stderr is NaN where unknown. low, high: the metric's range.
    """

    key: CurveKey
    steps: Integers
    clock: Floats
    clock_unit: str
    values: Floats
    stderr: Floats
    low: float = 0.0
    high: float = 1.0
    chance: float | None = None
    n_items: int | None = None
    facts: Facts = field(default_factory=Facts)

    def __len__(self) -> int:
        return len(self.values)

    def until(self, clock: float) -> "Curve":
        """The part of the curve at or before this clock."""
        return self._part(slice(0, int(np.searchsorted(self.clock, clock, side="right"))))

    def after(self, clock: float) -> "Curve":
        """The part of the curve after this clock."""
        return self._part(slice(int(np.searchsorted(self.clock, clock, side="right")), None))

    def _part(self, part: slice) -> "Curve":
        return Curve(  # much faster than `replace`
            self.key,
            self.steps[part],
            self.clock[part],
            self.clock_unit,
            self.values[part],
            self.stderr[part],
            self.low,
            self.high,
            self.chance,
            self.n_items,
            self.facts,
        )
