"""What neuneu-2 takes from the atlas of benchmarks, and that it does without."""

from dataclasses import replace

import numpy as np
import pytest

from neuneu.atlas.atlas import shipped_atlas
from neuneu.atlas.family_laws import capability
from neuneu.curves.curve import Curve, CurveKey, Facts
from neuneu.evidence.batch import make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.neuneu2.augment import _reflected
from neuneu.forecasters.neuneu2.candidates import CANDIDATES, FACTS, make_candidates, units_of
from neuneu.forecasters.neuneu2.expected import ATLAS_FACTS, FROM_ATLAS, MEAN_SHARE, laws_for, process_mean
from neuneu.forecasters.neuneu2.process import Process

SHIPPED = load_forecaster("neuneu-2")
AHEAD = np.log([2.0, 5.0, 20.0])


def curve(
    task="hellaswag", params=10**9, values=(0.28, 0.31), metric="acc_norm", family="mine", **more
) -> Curve:
    n = len(values)
    return Curve(
        key=CurveKey("run", task, metric, more.pop("n_shot", None)),
        steps=np.arange(1, n + 1),
        clock=5e9 * np.arange(1.0, n + 1),
        clock_unit=more.pop("clock_unit", "tokens"),
        values=np.array(values),
        stderr=np.full(n, np.nan),
        chance=0.25,
        facts=Facts(family=family, params=params, planned_tokens=200_000_000_000),
    )


def forecast(context: Curve, horizons=(2e11,)) -> np.ndarray:
    evidence = Evidence(context, planned_end=2e11)
    return SHIPPED.forecast(evidence, np.array(horizons)).values


@pytest.mark.parametrize(
    "context",
    [
        curve(params=None), curve(params=800_000), curve(task="my-benchmark"), curve(metric="bpb"),
        curve(clock_unit="step"), curve(task="upside down hellaswag"),
    ],
)  # fmt: skip
def test_nothing_is_expected_where_nothing_is_known(context):
    assert laws_for([Evidence(context)]) == [None]
    batch = make_batch([Evidence(context)], [context.clock[-1] * np.exp(AHEAD)])
    found = make_candidates(batch, Process(), [None])
    assert np.isnan(found.values[:, [CANDIDATES.index(name) for name in FROM_ATLAS]]).all()
    assert np.isnan(found.facts[:, [FACTS.index(name) for name in ATLAS_FACTS[:-2]]]).all()
    assert (found.knowledge == 0).all()


def test_a_mirrored_question_is_of_a_task_that_the_atlas_does_not_know():
    assert laws_for([_reflected(Evidence(curve()))]) == [None]


def test_own_family_and_those_left_out_are_not_asked():
    everyone, pythia = laws_for([Evidence(curve()), Evidence(curve(family="pythia"))])
    assert "pythia" in everyone.families
    assert "pythia" not in pythia.families
    assert laws_for([Evidence(curve())], frozenset(shipped_atlas().families)) == [None]


def test_the_process_rises_as_the_atlas_expects_where_the_curve_says_nothing():
    evidence = Evidence(curve(values=(0.3,)))
    batch = make_batch([evidence], [evidence.end * np.exp(AHEAD)])
    laws = laws_for([evidence])
    start, later = (capability(1e9, evidence.end * np.exp(x)) for x in (0.0, AHEAD))
    rise = process_mean(laws[0], later, start)
    middle = laws[0].values[:, 3]
    np.testing.assert_allclose(rise, MEAN_SHARE * (laws[0].at(middle, later) - laws[0].at(middle, start)))
    assert process_mean(laws[0], start, start) == 0
    mean, _, _ = Process().forecast([evidence], [AHEAD], units_of(batch), laws)
    np.testing.assert_allclose(mean, 0.3 + rise, atol=1e-6)
    plain, _, _ = Process().forecast([evidence], [AHEAD], units_of(batch))
    np.testing.assert_allclose(plain, 0.3, atol=1e-6)


def test_what_the_atlas_does_not_know_is_forecast_as_without_it():
    context = curve(task="my-benchmark", values=(0.28, 0.31, 0.33, 0.36))
    known = replace(context, key=context.key._replace(task="hellaswag"))
    bare = load_forecaster("neuneu-2").load_shipped()
    bare.model = replace(bare.model, informed=None)
    ours, plain = (
        [one.forecast(Evidence(c, planned_end=2e11), [1e11]).values for c in (context, known)]
        for one in (SHIPPED, bare)
    )
    np.testing.assert_array_equal(ours[0], plain[0])
    assert np.abs(ours[1] - plain[1]).max() > 0.01


def test_a_law_is_read_for_a_run_as_column_by_column():
    law = laws_for([Evidence(curve())])[0]
    x = np.array([-0.5, 0.13, 0.8])
    found = law.look(0.3, -1.0, x)
    np.testing.assert_allclose(found.middle, law.at(law.values[:, 3], x), atol=1e-12)
    np.testing.assert_allclose(found.deviation, law.at(law.deviation, x), atol=1e-12)
    np.testing.assert_allclose(found.relatives, law.at(law.relatives, x), atol=1e-12)
    assert found.now == pytest.approx(float(law.at(law.values[:, 3], np.array(-1.0))), abs=1e-12)


def test_questions_of_both_kinds_are_answered_in_their_order():
    known, unknown = curve(values=(0.28, 0.31, 0.33)), curve(task="mine", values=(0.5, 0.52, 0.53))
    evidences = [Evidence(c, planned_end=2e11) for c in (unknown, known, unknown, known)]
    together = SHIPPED.forecast_many(evidences, [np.array([1e11])] * 4)
    for evidence, answer in zip(evidences, together, strict=True):
        alone = SHIPPED.forecast(evidence, [1e11]).values
        np.testing.assert_allclose(answer.values, alone, atol=1e-9)


def test_an_early_forecast_rises_as_models_of_this_size_do_and_without_the_atlas_less():
    context = curve()
    known, unknown = (
        forecast(context)[0],
        forecast(replace(context, key=context.key._replace(task="mine")))[0],
    )
    assert 0.45 < known[3] < 0.65
    assert abs(known[3] - 0.56) < abs(unknown[3] - 0.56)


def test_a_task_at_chance_keeps_a_tail_where_models_of_this_size_take_off():
    listed = {"task": "mmlu", "metric": "acc", "n_shot": 5, "values": (0.25, 0.252, 0.249)}
    tiny, large = (forecast(curve(params=params, **listed), (2e11,))[0] for params in (10**8, 7 * 10**9))
    assert large[-1] > tiny[-1] + 0.03
    assert tiny[-1] < 0.32
