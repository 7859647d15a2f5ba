import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.atlas.family_laws import HIGHEST, KNOTS, LOWEST, capability, fit_law, monotone
from neuneu.atlas.setting import Setting, check_format, setting_of, usual_format
from neuneu.curves.curve import CurveKey
from neuneu.errors import InputError

RC5 = Setting("rc", 5, True)
numbers = st.floats(1.0, 1e15)


def test_capability_is_the_published_loss_above_its_floor():
    assert capability(7e9, 2e12) == pytest.approx(-np.log(482.01 / 7e9**0.3478 + 2085.43 / 2e12**0.3658))


@given(params=numbers, tokens=numbers, factor=st.floats(1.0, 100.0))
def test_more_parameters_or_tokens_never_make_a_model_less_capable(params, tokens, factor):
    here = capability(params, tokens)
    assert LOWEST <= here <= capability(params * factor, tokens) <= HIGHEST
    assert here <= capability(params, tokens * factor)


def test_a_noisy_rise_is_read_monotone_and_near_the_truth():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 60))
    law = fit_law("a", RC5, 4, x, 0.5 + 0.2 * x + rng.normal(0, 0.01, 60))
    assert (np.diff(law.values) >= 0).all()
    assert np.abs(law.values - 0.5 - 0.2 * KNOTS[law.knots])[1:-1].max() < 0.02
    assert 0.004 < law.spread.mean() < 0.02


def test_a_task_that_falls_falls_in_its_law_and_one_score_is_held():
    x = np.linspace(-1, 1, 20)
    assert (np.diff(fit_law("a", RC5, 2, x, 0.5 - 0.1 * x).values) <= 0).all()
    alone = fit_law("a", RC5, 1, np.array([0.52]), np.array([0.4]))
    assert alone.values == pytest.approx([0.4] * len(alone.knots))
    assert np.abs(KNOTS[alone.knots] - 0.52).max() < 0.06


def test_noise_around_a_level_counts_as_rising_not_falling():
    wave = np.array([0.25, 0.26, 0.25, 0.24, 0.25, 0.26, 0.24, 0.25])
    assert (np.diff(monotone(wave, np.ones(8))) >= 0).all()


@pytest.mark.parametrize(
    ("task", "metric", "variant", "expected"),
    [
        ("hellaswag", "acc_norm", None, Setting("rc", 5, True)),
        ("hellaswag", "acc", "mc", Setting("mc", 5, False)),
        ("mmlu_stem", "len_norm", "mc_test", Setting("mc", 5, True)),
        ("arc_easy", "acc", "rc_val", Setting("rc", 5, False)),
        ("mmlu", "acc", None, Setting("mc", 5, False)),
        ("mmlu", "acc_norm", None, Setting("rc", 5, True)),
        ("commonsense_qa", "acc", None, Setting("mc", 5, False)),
        ("gsm8k", "exact_match", None, Setting("gen", 5, False)),
        ("copa", "score", "p0", Setting("rc", 5, None)),
    ],
)
def test_a_curves_key_tells_its_setting(task, metric, variant, expected):
    assert setting_of(CurveKey("run", task, metric, 5, variant)) == expected


def test_settings_are_the_less_alike_the_more_they_differ():
    assert RC5.likeness(RC5) == 1.0
    assert RC5.likeness(Setting("mc", 5, True)) == 0.0
    assert RC5.likeness(Setting("rc", 0, True)) < RC5.likeness(Setting("rc", 4, True)) < 1.0
    assert RC5.likeness(Setting("rc", 5, False)) < RC5.likeness(Setting("rc", 5, None)) < 1.0
    assert 0.0 < RC5.likeness(Setting(None, 5, True)) < 1.0


def test_formats_are_checked_and_usual_ones_known():
    assert [usual_format(task) for task in ("mmlu", "piqa", "lambada_openai")] == ["mc", "rc", "gen"]
    with pytest.raises(InputError, match="format = 'cloze': unknown; known: rc, mc, gen"):
        check_format("cloze")
