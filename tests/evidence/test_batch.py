"""Batches joined, and other metrics of many questions at once, say what each says alone."""

from dataclasses import fields

import numpy as np
import pytest
from tests.forecasters.forecaster_cases import family

from neuneu.evidence.batch import join_batches, make_batch
from neuneu.evidence.evidence import EvidenceBuilder, other_metrics_of
from neuneu.evidence.features import context_features
from neuneu.forecasters.baselines import smooth


@pytest.mark.parametrize("n", [0, 2, 6])
def test_joined_batches_are_the_batch_of_all_their_questions(n: int) -> None:
    builder = EvidenceBuilder(family())
    curves = builder.table.one_metric().curves[:6]
    given = [builder.at(curve, 0.4 * curve.clock[-1]) for curve in curves]
    asked = [curve.clock[-3:] for curve in curves]
    whole = make_batch(given, asked)
    joined = join_batches(make_batch(given[:n], asked[:n]), make_batch(given[n:], asked[n:]))
    for name in ("unit", "last", "low", "high", "log_horizon", "cell"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    ours, theirs = context_features(joined), context_features(whole)
    for field in fields(ours):
        np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))


def test_other_metrics_are_found_for_many_as_for_one() -> None:
    builder = EvidenceBuilder(family())
    given = [builder.at(curve, 0.4 * curve.clock[-1]) for curve in builder.table]
    for evidence, found in zip(given, other_metrics_of(given, lambda _: True), strict=True):
        assert [curve.key for curve in found] == [curve.key for curve in evidence.other_metrics]
        assert all(curve.clock[-1] <= evidence.end for curve in found)


@pytest.mark.parametrize(("n", "width"), [(9, 5), (9, 4), (3, 5), (1, 3)])
def test_a_running_mean_is_of_the_values_around(n: int, width: int) -> None:
    values = np.random.default_rng(n).standard_normal((2, n))
    own = min(width, n)
    ones = np.convolve(np.ones(n), np.ones(own), "same")
    expected = [np.convolve(row, np.ones(own), "same") / ones for row in values]
    np.testing.assert_allclose(smooth(values, width), expected, atol=1e-12)
