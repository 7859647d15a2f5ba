import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.curve import Curve, CurveKey
from neuneu.errors import InputError
from neuneu.evaluation.protocol import Protocol, questions
from neuneu.evidence.cut import check_share, context_size, seen
from neuneu.evidence.evidence import Evidence
from neuneu.forecasts.forecast import make_questions
from neuneu.forecasts.horizons import later_checkpoints

PYTHIA = 2_097_152 * np.arange(1000, 144_000, 1000, dtype=np.float64)


def curve_of(clock) -> Curve:
    clock = np.asarray(clock, dtype=np.float64)
    values = np.linspace(0.2, 0.6, len(clock))
    steps = np.arange(1, len(clock) + 1)
    return Curve(CurveKey("run", "task", "acc"), steps, clock, "tokens", values, np.full(len(clock), np.nan))


@given(st.integers(8, 143), st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.35, 0.5, 0.7]))
def test_a_share_that_is_a_checkpoint_holds_it_whatever_the_rounding(n, share):
    clock = PYTHIA[:n]
    exact = [k for k in range(1, n + 1) if k * 1000 <= round(share * n * 1000, 6)]
    assert context_size(clock, share * clock[-1]) == len(exact)


@given(st.integers(8, 143), st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.35, 0.5, 0.7]))
def test_all_that_cut_agree(n, share):
    """Evaluation, forecasts and the run's own past end a context at the same checkpoint."""
    curve = curve_of(PYTHIA[:n])
    size = seen(curve, share)
    if not size:
        return
    (evaluated,) = questions([curve], Protocol(context=share))
    asked, _ = make_questions([curve], share, later_checkpoints)  # type: ignore[arg-type]
    again = Evidence(context=curve).earlier(curve, share)
    assert again is not None
    assert evaluated.size == asked[0].size == len(again.context) == size
    assert evaluated.horizons.tolist() == asked[0].horizons.tolist() == curve.clock[size:].tolist()


def test_a_share_that_falls_short_of_its_checkpoint_by_rounding_holds_it():
    clock = PYTHIA[:90]
    assert 0.7 * clock[-1] < clock[62]  # 0.7 × 90 checkpoints are 63, but not in floating point
    assert context_size(clock, 0.7 * clock[-1]) == 63
    assert context_size(clock, 0.7 * clock[-1] * (1 - 1e-6)) == 62


def test_nothing_is_seen_before_the_first_clock_above_zero():
    assert seen(curve_of([0.0, 50.0, 100.0]), 0.4) == 0
    assert seen(curve_of([0.0, 50.0, 100.0]), 0.5) == 2
    assert seen(curve_of([10.0, 50.0]), 1) == 2


@pytest.mark.parametrize("wrong", [0, -1, 1.01, float("nan"), True, "all"])
def test_shares_are_in_zero_to_one(wrong):
    with pytest.raises(InputError, match="context"):
        check_share(wrong)
    assert check_share(None) == check_share(1) == 1
