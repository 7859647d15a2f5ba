import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.evaluation.metrics import (
    PINBALL_LEVELS,
    SCORES,
    Grouping,
    average,
    binomial_noise,
    curve_means,
    draw_runs,
    interval,
    pinball_loss,
    ranking_accuracy,
    score_cells,
    skill,
)
from neuneu.forecasters.base import LEVELS

unit = st.floats(0, 1)


@given(st.lists(st.tuples(st.lists(unit, min_size=7, max_size=7), unit), min_size=1, max_size=20))
def test_scores_agree_with_their_definitions_written_out(cells):
    quantiles = np.array([sorted(q) for q, _ in cells])
    values = np.array([value for _, value in cells])
    for row, q, y in zip(score_cells(quantiles, values), quantiles, values, strict=True):
        at = dict(zip(LEVELS, q, strict=True))
        loss = [tau * (y - at[tau]) if y >= at[tau] else (1 - tau) * (at[tau] - y) for tau in PINBALL_LEVELS]
        expected = {
            "mae": abs(y - at[0.5]), "mse": (y - at[0.5]) ** 2, "pinball": sum(loss) / 5,
            "coverage50": at[0.25] <= y <= at[0.75], "width50": at[0.75] - at[0.25],
            "coverage80": at[0.1] <= y <= at[0.9], "width80": at[0.9] - at[0.1],
            "coverage90": at[0.05] <= y <= at[0.95], "width90": at[0.95] - at[0.05],
        }  # fmt: skip
        assert dict(zip(SCORES, row, strict=True)) == pytest.approx(
            {name: float(value) for name, value in expected.items()}, abs=1e-12
        )


def test_pinball_is_least_at_the_true_quantile():
    random = np.random.default_rng(0)
    values = random.normal(size=20_000)
    for tau, best in ((0.1, -1.2816), (0.5, 0.0), (0.9, 1.2816)):
        losses = [
            pinball_loss(np.full((len(values), 1), q), values, [tau]).mean()
            for q in (best - 0.2, best, best + 0.2)
        ]
        assert losses[1] == min(losses)


def test_levels_that_a_method_does_not_give_have_no_score():
    quantiles = np.array([[np.nan, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan]])
    row = dict(zip(SCORES, score_cells(quantiles, np.array([0.3]))[0], strict=True))
    assert np.isnan(row["coverage90"])
    assert np.isnan(row["width90"])
    assert row["coverage80"] == 1
    assert np.isfinite(row["pinball"])


@st.composite
def layouts(draw):
    """Cells with a curve each, curves with a run, runs with a source; every code used."""
    source = np.repeat(np.arange(2), draw(st.tuples(st.integers(1, 4), st.integers(1, 4))))
    run = np.repeat(
        np.arange(len(source)), draw(st.lists(st.integers(1, 3), min_size=len(source), max_size=len(source)))
    )
    curve = np.repeat(
        np.arange(len(run)), draw(st.lists(st.integers(1, 4), min_size=len(run), max_size=len(run)))
    )
    return Grouping(curve, run, source)


@given(layouts(), st.integers(0, 99))
def test_averages_are_cells_then_curves_then_sources(grouping, seed):
    scores = np.random.default_rng(seed).uniform(size=(len(grouping.curve), 2))
    means = average(curve_means(scores, grouping), grouping, draw_runs(grouping.source, 0, 5))
    for source in range(2):
        runs = np.flatnonzero(grouping.source == source)
        curves = [c for c in range(len(grouping.run)) if grouping.run[c] in runs]
        by_hand = np.mean([scores[grouping.curve == c].mean(axis=0) for c in curves], axis=0)
        np.testing.assert_allclose(means.point[source], by_hand)
    np.testing.assert_allclose(means.overall().point[0], means.point.mean(axis=0))
    assert (means.draws >= 0).all()
    assert (means.draws <= 1).all()


def test_a_source_without_cells_does_not_count():
    grouping = Grouping(np.array([0, 1]), np.array([0, 1]), np.array([0, 1]))
    kept = curve_means(np.array([[0.2], [0.8]]), grouping, np.array([True, False]))
    assert average(kept, grouping, draw_runs(grouping.source, 0, 3)).overall().point[0, 0] == 0.2


def test_draws_take_whole_runs_as_many_as_there_are():
    weights = draw_runs(np.array([0, 0, 0, 1, 1]), seed=1, n_draws=200)
    assert (weights[:, :3].sum(axis=1) == 3).all()
    assert (weights[:, 3:].sum(axis=1) == 2).all()
    assert (draw_runs(np.array([0, 0, 0, 1, 1]), seed=1, n_draws=200) == weights).all()


def test_the_bootstrap_interval_covers_the_mean_of_clustered_data_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits, naive_hits, n_runs, per_run = 0, 0, 30, 8
    grouping = Grouping(
        np.arange(n_runs * per_run), np.repeat(np.arange(n_runs), per_run), np.zeros(n_runs, dtype=np.intp)
    )
    for trial in range(300):
        errors = np.repeat(random.normal(0, 1, n_runs), per_run) + random.normal(0, 0.3, n_runs * per_run)
        low, high = interval(
            average(errors[:, None], grouping, draw_runs(grouping.source, trial, 400)).draws[:, 0, 0]
        )
        hits += low <= 0 <= high
        naive_hits += abs(errors.mean()) <= 1.96 * errors.std() / np.sqrt(len(errors))
    assert 0.88 <= hits / 300 <= 0.98
    assert naive_hits / 300 < 0.7  # what curves taken as independent would claim


def test_no_interval_where_there_is_no_spread():
    assert interval(np.full(50, 0.3)) is None
    assert interval(np.full(50, np.nan)) is None


def test_ranking_counts_ties_as_agreed():
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    weights = np.ones((4, 3))
    true = np.array([0.1, 0.2, 0.3])
    assert ranking_accuracy(np.array([1.0, 2, 3]), true, pairs, weights)[0] == 1
    assert ranking_accuracy(np.array([3.0, 2, 1]), true, pairs, weights)[0] == 0
    assert ranking_accuracy(np.array([1.0, 1, 2]), true, pairs, weights)[0] == pytest.approx(2.5 / 3)
    tied = np.array([0.1, 0.1, 0.3])
    point, draws = ranking_accuracy(np.array([5.0, 1, 2]), tied, pairs, weights)
    assert point == 0.5  # the truly tied pair is left out
    assert draws.tolist() == [0.5] * 4
    assert np.isnan(ranking_accuracy(np.ones(3), np.ones(3), pairs, weights)[0])


def test_ranking_draws_weigh_a_pair_by_both_of_its_runs():
    pairs = np.array([[0, 1], [0, 2]])
    _, draws = ranking_accuracy(
        np.array([1.0, 2, 0]), np.array([1.0, 2, 3]), pairs, np.array([[1, 2, 0], [1, 1, 2.0], [0, 3, 0]])
    )
    assert draws[:2].tolist() == pytest.approx([1, 1 / 3])
    assert np.isnan(draws[2])


def test_binomial_noise_is_the_mean_size_of_the_noise():
    random = np.random.default_rng(0)
    accuracies = random.binomial(400, 0.3, 100_000) / 400
    assert binomial_noise(np.array([0.3]), 400) == pytest.approx(np.abs(accuracies - 0.3).mean(), rel=0.02)
    assert np.isnan(binomial_noise(np.array([0.5]), None))


def test_skill_is_relative_to_the_reference():
    assert skill(np.array([1.0, 4.0, 1.0]), np.array([2.0, 2.0, 0.0]))[:2].tolist() == [0.5, -1.0]
    assert np.isnan(skill(np.array([1.0]), np.array([0.0]))[0])
