"""Scaling laws as predictors: their gradients are right, and they find back what made noise-free scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from neuneu.designs.prediction.design_table import SCALE, DesignTable
from neuneu.designs.prediction.folds import largest_fold
from neuneu.designs.prediction.forms import FORMS, fit_form, form_predictor
from neuneu.designs.prediction.nested import evaluate
from neuneu.designs.prediction.targets import DesignTask
from neuneu.errors import InputError

RNG = np.random.default_rng(0)
N, D = RNG.normal(0, 2, 40), RNG.normal(0, 1.5, 40)


@pytest.mark.parametrize("name", FORMS)
@given(seed=st.integers(0, 2**32 - 1))
def test_gradients_are_those_of_the_law(name: str, seed: int) -> None:
    form, rng = FORMS[name], np.random.default_rng(seed)
    start = np.array(form.starts[rng.integers(len(form.starts))])
    theta = np.clip(start + rng.normal(0, 0.05, len(start)), np.array(form.low) + 1e-3, form.high)
    model = rng.integers(len(N))
    off = check_grad(lambda t: form.law(t, N, D)[0][model], lambda t: form.law(t, N, D)[1][model], theta)
    assert off < 1e-5


@pytest.mark.parametrize("name", FORMS)
def test_a_law_is_found_again_from_its_own_points(name: str) -> None:
    form = FORMS[name]
    theta = np.array(form.starts[0])
    loss = form.law(theta, N, D)[0]
    fitted = form.law(fit_form(form, N, D, loss), N, D)[0]
    assert np.abs(fitted - loss).max() < 1e-3


def table_of(scores: np.ndarray, metric: str) -> DesignTable:
    task = DesignTask("made", "0-shot", metric, "made")
    ids = tuple(f"org{i}/m-{i}" for i in range(len(N)))
    return DesignTable(
        (task,), ids, dict(zip(SCALE, (N + 20, D + 6), strict=True)), {}, dict.fromkeys(SCALE, "scale"),
        scores[:, None], np.full((len(N), 1), np.nan), {"organisation": ids}, (None,) * len(ids),
    )  # fmt: skip


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("brier_score", -1)])
def test_scores_that_rise_and_fall_are_both_predicted(metric: str, sign: int) -> None:
    loss = FORMS["chinchilla"].law(np.array([0.2, -1.5, 0.1, -1.5, 0.1]), N, D)[0]
    table = table_of(1 - loss if sign > 0 else loss, metric)
    rows = np.arange(len(N))
    found = form_predictor("chinchilla")(table, rows[:30], rows[30:])[:, 0]
    assert np.abs(found - table.y[30:, 0]).max() < 1e-3
    with pytest.raises(InputError, match="known: kaplan"):
        form_predictor("gompertz")


def test_the_largest_models_are_held_out_together_with_their_groups() -> None:
    size, groups = np.arange(20.0), np.array([*range(18), 3, 19])
    train, test = largest_fold(size, groups, 2)
    assert test.tolist() == [18, 19]
    assert 3 not in train
    assert len(train) == 17
    with pytest.raises(InputError, match="leaves 5 models"):
        largest_fold(size, np.arange(20), 15)
    rows = evaluate(
        table_of(1 / (1 + np.exp(-N)), "accuracy"), ["sigmoid"], split="largest-5", seeds=range(3)
    )
    assert rows["id"].n_unique() == 5
    assert rows["seed"].n_unique() == 1
    for split in ("largest-0", "largest-x"):
        with pytest.raises(InputError, match="largest-5"):
            evaluate(table_of(N, "accuracy"), ["median"], split=split)
