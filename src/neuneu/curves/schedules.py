"""Learning-rate schedules: what is known beforehand of when a run cools down."""

import re

from neuneu.errors import InputError

RULE = (
    "must be constant, cosine, linear, or wsd: and the share of the plan where the rate starts to fall, "
    "such as wsd:0.8"
)
PATTERN = r"^(constant|cosine|linear|wsd:0?\.\d*[1-9]\d*)$"
"""A schedule as it is written: a name, for warm-up-stable-decay with the share of the plan where the decay
starts."""


def decay_start(schedule: str) -> float | None:
    """Share of the plan, in (0, 1), until which the rate is held and where it starts to fall.

    None where it never falls, or all along. Raises InputError on a schedule that is none of `RULE`.
    """
    if not re.fullmatch(PATTERN, schedule):
        raise InputError(RULE, field="schedule", value=schedule)
    _, _, start = schedule.partition(":")
    return float(start) if start else None
