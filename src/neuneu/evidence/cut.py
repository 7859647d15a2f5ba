"""Where a context ends, by one rule; a question: a curve, the end of its context, and horizons."""

from dataclasses import dataclass

import numpy as np

from neuneu.curves.curve import Curve, Floats
from neuneu.errors import InputError, percentage

ROUNDING = 1e-9
"""Share by which a clock may exceed its limit and still count as at it: float rounding of share × clock."""


def context_size(clock: Floats, limit: float) -> int:
    """How many checkpoints a context holds that ends at `limit`: those at or before it, rounding forgiven.

    clock: (n,) increasing; limit: a clock value, such as a share of the final clock.
    """
    return int(np.searchsorted(clock, limit * (1 + ROUNDING), side="right"))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one curve: its first `size` checkpoints are the context, `horizons` are forecast.

    curve: all that is known of it; horizons: (n_horizons,) clock values after the context end, increasing;
    share: the share of the final clock that the context was to be, NaN where all that is known is context.
    """

    curve: Curve
    size: int
    horizons: Floats
    share: float = float("nan")

    @property
    def end(self) -> float:
        """Clock of the context end."""
        return float(self.curve.clock[self.size - 1])

    @property
    def context(self) -> Curve:
        """The part of the curve that may be seen."""
        return self.curve.until(self.end)

    @property
    def future(self) -> Curve:
        """The part of the curve after the context."""
        return self.curve.after(self.end)

    def truth(self) -> tuple[Floats, Floats]:
        """Step and value measured at each horizon, (n_horizons,) each, NaN where there is none."""
        return truth_at(self.curve, self.horizons)


def truth_at(curve: Curve, clock: Floats) -> tuple[Floats, Floats]:
    """Step and value of the checkpoint at each clock value, (n,) each, NaN where there is none."""
    if not len(curve):
        return np.full(len(clock), np.nan), np.full(len(clock), np.nan)
    place = np.searchsorted(curve.clock, clock)
    inside = np.minimum(place, len(curve) - 1)
    known = (place < len(curve)) & (curve.clock[inside] == clock)
    return np.where(known, curve.steps[inside], np.nan), np.where(known, curve.values[inside], np.nan)


def check_share(share: float | None) -> float:
    """The share of the clock that may be seen, in (0, 1]; None means all, which is 1. Raises InputError."""
    if share is None:
        return 1.0
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        hint = percentage(share) if isinstance(share, int | float) else ""
        rule = f"must be a share in (0, 1]; 1 sees all that is known{hint}"
        raise InputError(rule, field="context", value=share)
    return float(share)


def seen(curve: Curve, share: float) -> int:
    """Checkpoints in a context of this share of the curve's final clock, 0 where none is after clock 0.

    share: in (0, 1]; 1 is the whole curve.
    """
    size = len(curve) if share == 1 else context_size(curve.clock, share * float(curve.clock[-1]))
    return size if size and curve.clock[size - 1] > 0 else 0
