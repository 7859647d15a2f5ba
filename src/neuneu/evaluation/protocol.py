"""Which cells are asked: where the context of a curve ends and which checkpoints after it are forecast."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from neuneu.curves.curve import Curve
from neuneu.errors import InputError, check_known, percentage
from neuneu.evidence.cut import Question
from neuneu.evidence.cut import seen as seen_checkpoints

Kind = Literal["fraction", "anchored", "sequential", "rolling", "every"]
By = Literal["clock", "checkpoints"]
Feed = Literal["median", "truth"]

ROLLING_ORIGINS = (0.1, 0.2, 0.3, 0.5, 0.7)
MIN_CHECKPOINTS = 8


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a curve becomes cells.

    kind: `fraction`: context = the checkpoints at or before context × final clock (`by` clock), or the first
    int(N × context) checkpoints and at least one (`by` checkpoints); all later checkpoints are asked at once.
    `anchored`: as the NeuNeu code does it: step 0 is dropped, context = checkpoints 0 … int(N × context)
    inclusive, all later ones are asked at once. `sequential`: the same cells, one at a time, each answer's
    median appended to the context before the next is asked (`feed` median), or the truth (`feed` truth,
    which sees the future of the context end and is labelled so). `rolling`: `fraction` at 10, 20, 30, 50 and
    70 %. `every`: context = the first checkpoint after step 0, all later ones are asked, as NeuNeu's code
    scores its probes and its logistic law; for methods that see the future. context: in (0, 1).
    min_checkpoints: shorter curves are left out, and counted.
    """

    kind: Kind = "fraction"
    context: float = 0.2
    by: By = "clock"
    feed: Feed = "median"
    min_checkpoints: int = MIN_CHECKPOINTS

    def __post_init__(self) -> None:
        """Refuse what no protocol can mean."""
        for name, value, known in (
            ("protocol", self.kind, Kind),
            ("by", self.by, By),
            ("feed", self.feed, Feed),
        ):
            check_known(value, get_args(known), name, "unknown")
        if not 0 < self.context < 1:
            rule = f"must lie between 0 and 1, both excluded{percentage(self.context)}"
            raise InputError(rule, field="context", value=self.context)
        if self.min_checkpoints < 2:
            raise InputError("must be at least 2", field="min_checkpoints", value=self.min_checkpoints)

    @property
    def origins(self) -> tuple[float, ...]:
        """Context fractions: one, the rolling ones, or 0 where the first checkpoint alone is seen."""
        if self.kind == "every":
            return (0.0,)
        return ROLLING_ORIGINS if self.kind == "rolling" else (self.context,)

    @property
    def every_task(self) -> bool:
        """Whether each task of a run is asked, as NeuNeu's code does, groups beside their members too."""
        return self.kind in ("anchored", "sequential", "every")

    @property
    def sees_future(self) -> bool:
        """Whether forecasts are given true values from after the context end."""
        return self.kind == "sequential" and self.feed == "truth"


def questions(curves: Iterable[Curve], protocol: Protocol) -> list[Question]:
    """The questions of a protocol, curve by curve, then by origin.

    A curve that is too short, has no context point with a clock above 0, or nothing after its context
    yields none. Origins of one curve that cut it at the same checkpoint are asked once.
    """
    asked = []
    for curve in curves:
        if len(curve) < protocol.min_checkpoints:
            continue
        seen = set()
        for origin in protocol.origins:
            question = _ask(curve, protocol, origin)
            if question is not None and question.size not in seen:
                seen.add(question.size)
                asked.append(question)
    return asked


def _ask(curve: Curve, protocol: Protocol, share: float) -> Question | None:
    if protocol.kind in ("anchored", "sequential", "every"):
        curve = curve.after(float(curve.clock[0])) if curve.steps[0] == 0 else curve
        size = int(len(curve) * share) + 1
    elif protocol.by == "checkpoints":
        size = max(1, int(len(curve) * share))
    else:
        size = seen_checkpoints(curve, share)
    if not 0 < size < len(curve) or curve.clock[size - 1] <= 0:
        return None
    return Question(curve, size, curve.clock[size:], share)
