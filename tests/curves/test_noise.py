import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.noise import checkpoint_deviation, noise_deviation, noise_floor


@given(st.floats(1e-4, 0.1), st.floats(-1, 1), st.integers(0, 20))
def test_known_noise_is_found_again_whatever_the_trend_and_the_spacing(noise, slope, seed):
    random = np.random.default_rng(seed)
    clock = np.cumsum(random.uniform(0.1, 3, 2000))
    values = slope * clock + random.normal(0, noise, len(clock))
    assert checkpoint_deviation(clock, values) == pytest.approx(noise, rel=0.1)


def test_a_straight_line_has_no_noise_and_few_values_say_little():
    clock = np.array([1.0, 2.0, 4.0, 8.0])
    assert checkpoint_deviation(clock, 3 * clock) == pytest.approx(0, abs=1e-12)
    assert checkpoint_deviation(clock[:2], np.array([0.1, 0.3])) == pytest.approx(
        0.2 * math.sqrt(math.pi) / 2
    )
    assert math.isnan(checkpoint_deviation(clock[:1], clock[:1]))


def test_a_floor_is_the_mean_size_of_the_noise_whatever_the_trend():
    noise = np.random.default_rng(0).normal(0, 0.02, 100_000)
    clock = np.arange(1.0, 100_001)
    for trend in (0 * clock, 1e-3 * clock):
        assert noise_floor(clock, trend + noise) == pytest.approx(np.abs(noise).mean(), rel=0.02)
    for number in (1, 2):  # a trend and noise cannot be told apart
        assert math.isnan(noise_floor(clock[:number], noise[:number]))
        assert math.isnan(noise_deviation(clock[:number], noise[:number]))
