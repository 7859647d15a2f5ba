"""The fast booster grows XGBoost's trees: the same predictions, bit for bit."""

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from neuneu.designs.prediction.boosting import bin_table, fit


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from([0.01, 0.1, 0.3]),
    st.floats(0, 0.6),
    st.booleans(),
)
def test_predictions_are_those_of_xgboost(
    seed: int, depth: int, rate: float, missing: float, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(12, 70), rng.integers(1, 8)
    X = rng.normal(size=(rows, columns)).astype(np.float32)
    if ties:
        X[:, 1:] = np.round(X[:, 1:])
    X[rng.random(X.shape) < missing] = np.nan
    y = np.round(rng.random(rows), 2).astype(np.float32)
    new = rng.normal(size=(40, columns)).astype(np.float32) * 2
    new[rng.random(new.shape) < missing] = np.nan
    ours = fit(bin_table(X), y, depth=depth, learning_rate=rate, rounds=60)
    theirs = xgboost.train(
        {"max_depth": depth, "learning_rate": rate, "nthread": 1},
        xgboost.QuantileDMatrix(X, y, nthread=1),
        60,
    )
    for rounds in (25, 60):
        expected = theirs.inplace_predict(new, iteration_range=(0, rounds))
        np.testing.assert_allclose(ours.predict(new, rounds), expected, rtol=0, atol=2e-6)


def test_a_column_without_values_is_never_used() -> None:
    X = np.column_stack([np.full(30, np.nan), np.arange(30.0)])
    trees = fit(bin_table(X), np.arange(30.0), depth=3, learning_rate=0.3, rounds=20)
    assert set(np.unique(trees.feature)) <= {-1, 1}


def test_first_trees_do_not_depend_on_later_ones() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.random(40)
    short = fit(bin_table(X), y, depth=3, learning_rate=0.1, rounds=50)
    long = fit(bin_table(X), y, depth=3, learning_rate=0.1, rounds=100)
    assert long.predict(X, 50).tolist() == pytest.approx(short.predict(X).tolist(), abs=0)
