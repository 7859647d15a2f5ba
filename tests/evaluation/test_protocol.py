import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.curve import Curve, CurveKey
from neuneu.errors import InputError
from neuneu.evaluation.protocol import ROLLING_ORIGINS, Protocol, questions


def make_curve(steps, clock=None, values=None):
    steps = np.asarray(steps, dtype=np.int64)
    clock = steps.astype(np.float64) if clock is None else np.asarray(clock, dtype=np.float64)
    values = np.linspace(0.2, 0.6, len(steps)) if values is None else np.asarray(values)
    return Curve(CurveKey("run", "task", "acc"), steps, clock, "step", values, np.full(len(steps), np.nan))


clocks = st.lists(st.integers(0, 10**6), min_size=8, max_size=60, unique=True).map(sorted)


@given(clocks, st.floats(0.01, 0.99))
def test_fraction_by_clock_asks_every_checkpoint_after_the_context_and_no_other(steps, context):
    curve = make_curve(steps)
    inside = [step for step in steps if step <= context * steps[-1] * (1 + 1e-9)]
    asked = questions([curve], Protocol(context=context))
    if not inside or inside[-1] == 0:
        assert asked == []
        return
    (question,) = asked
    assert question.context.steps.tolist() == inside
    assert question.future.steps.tolist() == steps[len(inside) :]
    assert question.end == inside[-1]


@given(st.integers(8, 80), st.floats(0.01, 0.99))
def test_fraction_by_checkpoints_counts_them(n, context):
    (question,) = questions([make_curve(range(1, n + 1))], Protocol(context=context, by="checkpoints"))
    assert len(question.context) == max(1, int(n * context))


def test_anchored_context_is_the_published_one(shared: Path):
    golden = json.loads((shared / "goldens/neuneu.json").read_text())["eval_protocol"]
    curve = make_curve(golden["steps"], values=golden["acc"])
    for kind in ("anchored", "sequential"):
        (question,) = questions([curve], Protocol(kind, 0.2))
        assert question.size - 1 == golden["ctx_end"]
        assert len(question.future) == len(golden["baseline_anchored"]) == len(golden["baseline_sequential"])


def test_anchored_drops_step_zero_and_fraction_keeps_it():
    with_zero, without = make_curve(range(0, 40)), make_curve(range(1, 40))
    anchored = [questions([curve], Protocol("anchored"))[0] for curve in (with_zero, without)]
    assert anchored[0].curve.steps.tolist() == anchored[1].curve.steps.tolist()
    assert anchored[0].context.steps.tolist() == list(range(1, 9))  # int(39 · 0.2) = 7, inclusive
    assert questions([with_zero], Protocol())[0].context.steps[0] == 0


def test_rolling_asks_at_five_origins_and_once_where_they_coincide():
    asked = questions([make_curve(range(1, 101))], Protocol("rolling"))
    assert [q.share for q in asked] == list(ROLLING_ORIGINS)
    assert [q.size for q in asked] == [10, 20, 30, 50, 70]
    few = questions([make_curve([1, 1000, 2000, 3000, 4000, 5000, 6000, 10000])], Protocol("rolling"))
    assert [q.size for q in few] == [2, 3, 4, 6, 7]
    coarse = questions([make_curve([5, 900, 910, 920, 930, 940, 950, 1000])], Protocol("rolling"))
    assert [q.size for q in coarse] == [1]


def test_short_curves_and_contexts_at_clock_zero_ask_nothing():
    assert questions([make_curve(range(1, 8))], Protocol()) == []
    assert questions([make_curve([0, 50, 60, 70, 80, 90, 95, 100])], Protocol()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "leap"},
        {"context": 0.0},
        {"context": 1.0},
        {"context": float("nan")},
        {"by": "x"},
        {"feed": "x"},
    ],
)
def test_protocols_that_mean_nothing_are_refused(wrong):
    with pytest.raises(InputError):
        Protocol(**wrong)
