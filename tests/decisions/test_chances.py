import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from neuneu.decisions.chances import (
    below,
    best_probabilities,
    expected_excess,
    reach_probability,
    spread,
    win_probabilities,
)
from neuneu.forecasters.base import LEVELS

quantile_lists = st.lists(st.floats(0, 1), min_size=7, max_size=7).map(sorted)
several = st.lists(quantile_lists, min_size=2, max_size=5)


def normal(mean, deviation):
    return spread(norm.ppf(LEVELS, mean, deviation), LEVELS, -np.inf, np.inf)


@given(quantile_lists)
def test_spread_has_the_quantiles_it_was_given(quantiles):
    points = spread(np.array(quantiles), LEVELS, 0, 1)
    assert (np.diff(points) >= 0).all()
    assert points[0] >= 0
    assert points[-1] <= 1
    for level, value in zip(LEVELS, quantiles, strict=True):
        assert np.mean(points < value - 1e-9) <= level + 2 / len(points)
        assert np.mean(points <= value + 1e-9) >= level - 2 / len(points)


@pytest.mark.parametrize(("low", "width"), [(0.0, 1.0), (0.2, 0.5), (-3.0, 4.0)])
def test_an_even_distribution_keeps_both_its_tails(low, width):
    """Quantiles of a uniform distribution say where it starts and ends, beyond the outermost of them too."""
    quantiles = low + width * np.array(LEVELS)
    points = spread(quantiles, LEVELS, -np.inf, np.inf)
    np.testing.assert_allclose(points, low + width * (np.arange(512) + 0.5) / 512, atol=1e-12)
    cut = spread(quantiles, LEVELS, low + 0.02 * width, low + 0.97 * width)
    assert cut[0] == low + 0.02 * width
    assert cut[-1] == low + 0.97 * width


@pytest.mark.parametrize(("gap", "deviation"), [(0.0, 1.0), (0.5, 1.0), (1.5, 0.7), (-0.4, 2.0)])
def test_wins_of_normal_forecasts_are_close_to_exact(gap, deviation):
    wins = win_probabilities(np.stack([normal(gap, deviation), normal(0, 1)]))
    assert wins[0, 1] == pytest.approx(norm.cdf(gap / np.hypot(deviation, 1)), abs=0.015)


@given(several)
def test_chances_of_each_pair_and_of_all_sum_to_one(quantiles):
    points = np.stack([spread(np.array(q), LEVELS, 0, 1) for q in quantiles])
    wins = win_probabilities(points)
    np.testing.assert_allclose(wins + wins.T, 1, atol=1e-12)
    assert best_probabilities(points).sum() == pytest.approx(1)


def test_best_of_three_agrees_with_sampling():
    random = np.random.default_rng(0)
    parameters = [(0.5, 0.1), (0.55, 0.05), (0.4, 0.2)]
    points = np.stack([normal(*p) for p in parameters])
    draws = np.stack([points[i][random.integers(0, 512, 200_000)] for i in range(3)])
    sampled = np.bincount(draws.argmax(axis=0), minlength=3) / 200_000
    np.testing.assert_allclose(best_probabilities(points), sampled, atol=0.005)


def test_certain_values_win_surely_and_share_ties():
    sure = np.stack([np.full(512, 0.5), np.full(512, 0.5), np.full(512, 0.4)])
    assert win_probabilities(sure)[0].tolist() == [0.5, 0.5, 1.0]
    assert best_probabilities(sure) == pytest.approx([0.5, 0.5, 0])


def test_reaching_and_exceeding_a_target():
    points = np.arange(1, 5) / 4
    assert reach_probability(points, 0.5) == 0.75
    assert reach_probability(points, 2) == 0
    assert expected_excess(points, 0.5) == pytest.approx((0.25 + 0.5) / 4)
    assert below(points, np.array([0.5])) == pytest.approx(0.375)
