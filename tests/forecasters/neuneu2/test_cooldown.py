"""What neuneu-2 makes of a schedule that is known to let the learning rate fall late."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.curve import Curve, CurveKey, Facts
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.neuneu2.cooldown import LIFT_ALONE, LIFT_BY_RUNS, decayed, lifted, log_start
from neuneu.forecasters.neuneu2.model import _knots

SHIPPED = load_forecaster("neuneu-2")
PLAN = 100.0


def curve(
    schedule: str | None = None, end: int = 30, name: str = "run", chance: float | None = 0.25
) -> Curve:
    clock = np.arange(2.0, end + 1, 2.0)
    return Curve(
        key=CurveKey(name, "mine", "acc"), steps=clock.astype(np.int64), clock=clock, clock_unit="step",
        values=0.6 - 0.3 * clock**-0.5, stderr=np.full(len(clock), np.nan), chance=chance,
        facts=Facts(family="f", schedule=schedule),
    )  # fmt: skip


def ask(context: Curve, clocks: list[float], plan: float | None = PLAN, **more: object) -> np.ndarray:
    evidence = Evidence(context, planned_end=plan, **more)
    return SHIPPED.forecast(evidence, np.array(clocks)).median


@given(st.integers(2, 98), st.integers(10, 98), st.lists(st.floats(1.01, 50.0), min_size=1, max_size=5))
def test_what_lies_between_two_clocks_of_a_decay_is_counted(start: int, end: int, ahead: list[float]) -> None:
    context = curve(f"wsd:{start / 100:.2f}", end=end)
    last = float(context.clock[-1])

    def fallen(clock: float) -> float:
        return float(np.clip((clock - start) / (PLAN - start), 0.0, 1.0))

    found = decayed(make_batch([Evidence(context, planned_end=PLAN)], [last * np.array(ahead)]))
    assert found == pytest.approx([fallen(last * a) - fallen(last) for a in ahead], abs=1e-12)


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(curve(), planned_end=PLAN), Evidence(curve("cosine"), planned_end=PLAN),
        Evidence(curve("constant"), planned_end=PLAN), Evidence(curve("linear"), planned_end=PLAN),
        Evidence(curve("wsd:0.8")),
    ],
)  # fmt: skip
def test_without_a_known_late_decay_and_plan_nothing_is_added(evidence: Evidence) -> None:
    assert log_start(evidence) is None
    batch = make_batch([evidence], [np.array([40.0, 100.0])])
    assert not decayed(batch).any()
    plain = replace(evidence, context=curve())
    asked = np.array([40.0, 100.0])
    assert (SHIPPED.forecast(evidence, asked).values == SHIPPED.forecast(plain, asked).values).all()


def test_a_decay_lifts_its_end_by_a_share_of_the_distance_to_chance_less_where_runs_show_it() -> None:
    plain, told = (ask(curve(s), [79.0, 90.0, 100.0, 150.0]) for s in (None, "wsd:0.8"))
    assert told[2:] - plain[2:] == pytest.approx(LIFT_ALONE * (plain[2:] - 0.25), rel=1e-6)
    assert told[0] == pytest.approx(plain[0], abs=1e-3)
    assert 0.3 < (told[1] - plain[1]) / (told[2] - plain[2]) < 0.7
    others = (curve(end=100, name="a"), curve(end=100, name="b"))
    plain, told = (ask(curve(s), [100.0], references=others) for s in (None, "wsd:0.8"))
    assert told - plain == pytest.approx(LIFT_BY_RUNS * (plain - 0.25), rel=1e-6)


def test_the_start_of_a_decay_is_forecast_itself_and_not_between_others() -> None:
    context = curve("wsd:0.5")
    knots = _knots(make_batch([Evidence(context, planned_end=PLAN)], [np.array([100.0])]))[0]
    assert np.log(50 / 30) in knots
    assert np.log(100 / 30) in knots
    late = _knots(make_batch([Evidence(curve("wsd:0.2"), planned_end=PLAN)], [np.array([100.0])]))[0]
    assert (late >= 0).all()


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_nothing_is_added_at_chance_below_it_or_where_it_is_unknown(point: float, chance: float) -> None:
    one, alone = np.array([1.0]), np.array([False])
    assert lifted(np.array([point]), np.array([np.nan]), one, alone) == point
    found = float(lifted(np.array([point]), np.array([chance]), one, alone)[0])
    assert found == pytest.approx(point + LIFT_ALONE * max(point - chance, 0.0))
