"""Tests reject at their level, and correct for overlap and for many tasks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neuneu.designs.prediction.significance import benjamini_hochberg, half_width, paired_t


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_reject_what_benjamini_and_hochberg_reject(values: list[float]) -> None:
    """At level α, the k smallest of n, k the largest with p₍ₖ₎ ≤ k α / n; of no p value there is none."""
    p = np.array(values)
    adjusted = benjamini_hochberg(p)
    for level in (0.05, 0.2, 0.5):
        passes = np.flatnonzero(np.sort(p) <= level * np.arange(1, len(p) + 1) / len(p) * (1 + 1e-12))
        rejected = 0 if not len(passes) else int(passes[-1]) + 1
        assert np.count_nonzero(adjusted <= level * (1 + 1e-12)) == rejected
    assert not len(benjamini_hochberg(np.empty(0)))


def test_plain_paired_t_is_scipys() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 20)
    assert paired_t(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    assert half_width(d) == pytest.approx(np.diff(stats.t.interval(0.95, 19, d.mean(), stats.sem(d)))[0] / 2)


def test_the_correction_keeps_p_from_shrinking_with_repetition() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 20)
    many = np.tile(d, 50)
    assert paired_t(many) < 0.001 * paired_t(d)
    assert paired_t(many, test_share=0.5) > 0.5 * paired_t(d, test_share=0.5) > 0.05
    assert paired_t(np.zeros(5), test_share=0.5) == 1.0
