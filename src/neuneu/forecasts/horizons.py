"""Where curves are asked for: clock values or multiples of the context end, and what is asked by default."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.errors import InputError
from neuneu.evidence.finished import FINISHED, planned_end

MULTIPLES = (2.0, 5.0, 10.0)
"""Default horizons of a run in flight, as multiples of the context end."""
AHEAD = 24
"""Points that a drawn forecast has beyond the last checkpoint."""
UNPLANNED = 3.0
"""A run in flight of which no plan is known is taken to go on to this multiple of its clock."""
MOST_BEYOND = 1000
START = 0.02
"""A drawn forecast starts at this share of the way from the context end to the first horizon."""

Plan = Callable[[Curve, float], Floats]
"""Curve and clock of its context end → (n_horizons,) clock values; InputError where there is none."""


@dataclass(frozen=True)
class Horizon:
    """A clock value, or a multiple of the context end where `relative`."""

    value: float
    relative: bool = False

    @classmethod
    def parse(cls, text: str) -> "Horizon":
        """Read `3e11` (a clock value) or `2x` (twice the context end). Raises InputError."""
        relative = text.strip().lower().endswith("x")
        try:
            value = float(text.strip()[:-1] if relative else text)
        except ValueError as error:
            rule = "must be a clock value such as 3e11, or a multiple of the context end such as 2x"
            raise InputError(rule, field="horizon", value=text) from error
        if not math.isfinite(value):
            raise InputError("must be finite", field="horizon", value=text)
        if value < 0:
            raise InputError("must not be negative", field="horizon", value=text)
        if relative and value == 1:
            raise InputError("is the context end itself; ask for a later one", field="horizon", value=text)
        if relative and value < 1:
            raise InputError("is in the past; a multiple must be above 1", field="horizon", value=text)
        return cls(value, relative)

    def at(self, curve: Curve, end: float) -> float:
        """The clock value for a context that ends at `end`. Raises InputError where it is not after it."""
        clock = self.value * end if self.relative else self.value
        if not math.isfinite(clock):
            raise InputError("is too far: the clock overflows", field="horizon", value=self.value)
        if clock <= end:
            what = "is the context end itself" if clock == end else "is in the past"
            rule = f"{what}: the context of {curve.key.run} ends at {end:g} {curve.clock_unit}"
            raise InputError(rule, field="horizon", value=self.value)
        return clock


def read_horizons(horizons: Any) -> list[Horizon]:
    """Clock values (3e11), or texts such as `2x`, in a list. Raises InputError on anything else."""
    if isinstance(horizons, str) or not isinstance(horizons, Sequence | np.ndarray):
        rule = "must be a list of clock values or multiples of the context end, such as [3e11] or ['2x']"
        raise InputError(rule, field="horizons", value=horizons)
    return [h if isinstance(h, Horizon) else Horizon.parse(str(h)) for h in horizons]


def given(horizons: Sequence[Horizon]) -> Plan:
    """These horizons for every curve."""
    return lambda curve, end: np.array(sorted({horizon.at(curve, end) for horizon in horizons}))


def later_checkpoints(curve: Curve, end: float) -> Floats:
    """Every checkpoint after the context."""
    return curve.after(end).clock


def end_in_flight(curve: Curve) -> float:
    """Clock where a run in flight will end: by its plan, else UNPLANNED times its clock.

    A run that has reached its planned end stays there.
    """
    last = float(curve.clock[-1])
    if curve.facts.planned_tokens is None or curve.clock_unit != "tokens":
        return UNPLANNED * last
    planned = planned_end(curve)
    return last if last >= FINISHED * planned else planned


def in_flight(curve: Curve, end: float) -> Floats:
    """2, 5 and 10 times the context end; where the planned end is known, that and what lies before it."""
    if end <= 0:
        raise InputError(f"must be given: the context of {curve.key.run} ends at clock 0", field="horizon")
    planned = planned_end(curve)
    if planned > end:
        return np.array([*(m * end for m in MULTIPLES if m * end < planned), planned])
    return np.array(MULTIPLES) * end


def drawn(beyond: float | None = None) -> Plan:
    """Horizons of a drawn forecast, see `_drawn`. Raises InputError on a `beyond` outside (1, 1000]."""
    if beyond is not None and not 1 < beyond <= MOST_BEYOND:
        rule = f"must be in (1, {MOST_BEYOND}], in final clocks"
        raise InputError(rule, field="beyond", value=beyond)
    return partial(_drawn, beyond)


def _drawn(beyond: float | None, curve: Curve, end: float) -> Floats:
    """Later checkpoints, then points up to `beyond` final clocks where that is asked or all has been seen.

    Without `beyond` a run that is all seen goes on to `end_in_flight`: there is nothing to ask of one that
    has ended. Before them a point close to the context end, so that a drawn fan starts there.
    """
    later = later_checkpoints(curve, end)
    last = float(curve.clock[-1])
    if beyond is not None:
        final = beyond * last
    elif len(later):
        final = last
    else:
        final = end_in_flight(curve)
    ahead = np.linspace(last, final, AHEAD + 1)[1:] if final > last else np.empty(0)
    horizons = np.concatenate([later, ahead])
    return np.concatenate([end + START * (horizons[:1] - end), horizons])
