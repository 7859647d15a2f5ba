import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from neuneu.curves.table import CurveTable
from neuneu.decisions.chances import win_probabilities
from neuneu.decisions.outcomes import (
    MEAN,
    PLAIN,
    RANK,
    decisions_document,
    expected_best,
    outcomes,
    pair_scores,
)
from neuneu.decisions.peers import (
    CARRY,
    MOST_CARRIED,
    PRESENT,
    PRESENT_MORE,
    contest_points,
    deviation,
    same_clock,
    separation,
)
from neuneu.errors import InputError
from neuneu.evaluation.comparison import evaluate
from neuneu.forecasters.base import LEVELS

NAMES = ["last-value", "mean-k"]


@pytest.fixture(scope="module")
def table() -> CurveTable:
    """Six runs of one size and budget, three recipes that truly differ, two seeds each; a larger run."""
    rng = np.random.default_rng(0)
    rows = []
    for recipe, top in (("a", 0.7), ("b", 0.65), ("c", 0.5)):
        for seed in (0, 1):
            for task, shift in (("piqa", 0.0), ("hellaswag", -0.1)):
                for k in range(1, 21):
                    value = top + shift - 0.3 * k**-0.5 + rng.normal(0, 0.003)
                    rows.append((f"{recipe}{seed}", task, recipe, 10**8, k, float(value)))
    rows += [("large", "piqa", "a", 10**9, k, 0.9) for k in range(1, 21)]
    frame = pl.DataFrame(rows, schema=["run", "task", "recipe", "params", "step", "value"], orient="row")
    tokens = (pl.col("step") * 1000).alias("tokens")
    return CurveTable.from_frame(frame.with_columns(tokens, metric=pl.lit("acc"), source=pl.lit("s")))


@pytest.fixture(scope="module")
def found(table: CurveTable):
    return outcomes(evaluate([table], NAMES, protocol="rolling", fit=False))


def test_runs_compete_within_their_size_per_task_and_over_benchmarks(found):
    assert {race.task for race in found.races} == {"piqa", "hellaswag", MEAN}
    assert {race.params for race in found.races} == {10**8}
    assert all(sorted(race.runs) == ["a0", "a1", "b0", "b1", "c0", "c1"] for race in found.races)
    mean = next(race for race in found.races if race.task == MEAN)
    single = [r for r in found.races if r.share == mean.share and r.task != MEAN]
    np.testing.assert_allclose(mean.truth, np.mean([race.truth for race in single], axis=0))


def test_pairs_are_those_of_the_races_and_scores_follow_by_hand(found):
    pairs = found.pairs()
    one = pairs.filter(task="piqa", context=0.5, forecaster="last-value", rule=PLAIN)
    assert len(one) == 12  # of fifteen pairs three are seeds of one recipe
    assert all(row["favourite"][0] != row["other"][0] for row in one.iter_rows(named=True))
    assert ((one["p"] >= 0.5) & (one["p"] <= 1)).all()
    race = next(r for r in found.races if r.task == "piqa" and r.share == 0.5)
    worth = dict(zip(race.runs, race.truth, strict=True))
    for row in one.iter_rows(named=True):
        assert row["right"] == float(worth[row["favourite"]] > worth[row["other"]])
    coin = one.with_columns(p=pl.lit(0.5), right=pl.lit(0.5))
    assert pair_scores(coin)["brier"].to_list() == [0.25]
    scores = pair_scores(one).row(0, named=True)
    assert scores["brier"] == pytest.approx(((one["p"] - one["right"]) ** 2).mean())
    assert scores["right"] > 0.8  # the recipes differ by far more than the noise


def test_a_pick_regrets_what_the_best_is_better_by(found):
    for row in found.picks().filter(rule=RANK, forecaster="last-value").iter_rows(named=True):
        assert 0 <= row["regret"] < 0.05
        assert row["expected_regret"] >= -1e-9


def test_dropping_more_readily_saves_more_and_never_drops_the_likeliest(found):
    dropped = found.dropping((0.01, 0.2, 1.0)).filter(forecaster="mean-k", rule=PLAIN, task="piqa")
    saved = dropped.sort("threshold")["compute_saved"].to_list()
    assert saved == sorted(saved)
    assert 0.6 < saved[-1] < 1  # all but one, from the first context on
    assert dropped["regret"].min() == 0


def test_the_document_keeps_single_tasks_and_means_apart(found):
    document = decisions_document(found)
    assert {row["over"] for row in document["pairs"]} == {MEAN, "single tasks"}
    assert {row["rule"] for row in document["reliability"]} == {RANK, PLAIN}
    many = [row for row in document["reliability"] if row["pairs"] > 30]
    assert all(row["low"] <= row["right"] <= row["high"] for row in many)


def test_runs_without_a_rival_are_an_error(table):
    alone = table.filter(recipe=["a"])
    with pytest.raises(InputError, match="different recipes"):
        outcomes(evaluate([alone], NAMES, fit=False)).pairs()


spans = st.floats(0.01, 0.2)
values = st.floats(0.2, 0.8)


@given(values, values, values, values, spans, spans, st.floats(0.05, 0.95), st.floats(0.1, 9))
def test_peers_win_by_the_formula(m, n, k, q, s, t, share, apart):
    points = contest_points(
        np.array([m, n]), np.array([k, q]), np.array([s, t]), np.full(2, share), np.zeros(2, dtype=np.intp),
        np.full(2, apart),
    )  # fmt: skip
    present = PRESENT + PRESENT_MORE * share
    carried = np.clip(apart ** (CARRY * (1 - share)), 1 / MOST_CARRIED, MOST_CARRIED)
    exact = norm.cdf(carried * (share * (m - n) + present * (k - q)) / np.hypot(s, t))
    assert win_probabilities(points)[0, 1] == pytest.approx(exact, abs=0.01)


@given(values, values, values, values, spans, spans)
def test_runs_of_other_sizes_and_ended_ones_differ_by_their_medians(m, n, k, q, s, t):
    exact = norm.cdf((m - n) / np.hypot(s, t))
    for shares, groups in ((np.full(2, 0.3), np.array([0, 1])), (np.ones(2), np.zeros(2, dtype=np.intp))):
        points = contest_points(
            np.array([m, n]), np.array([k, q]), np.array([s, t]), shares, groups, np.full(2, 3.0)
        )
        assert win_probabilities(points)[0, 1] == pytest.approx(exact, abs=0.01)


def test_a_deviation_is_that_of_a_normal_with_these_quantiles():
    assert deviation(norm.ppf(LEVELS, 0.5, 0.03)) == pytest.approx(0.03)
    assert deviation(np.full(len(LEVELS), 0.5)) > 0


def test_the_best_of_several_is_expected_above_each():
    points = np.sort(np.random.default_rng(0).normal(size=(3, 2000)), axis=1)
    drawn = np.random.default_rng(1).normal(size=(100_000, 3)).max(axis=1).mean()
    assert expected_best(points) == pytest.approx(drawn, abs=0.05)


def test_peers_farther_apart_than_their_noise_carry_their_differences_on():
    random = np.random.default_rng(0)
    noise = np.full(50, 0.01)
    far = separation([(random.normal(0, 0.05, 50), noise)] * 4)
    near = separation([(random.normal(0, 0.004, 50), noise)] * 4)
    assert far == pytest.approx(5, rel=0.2)
    assert near == pytest.approx(0.4, rel=0.2)
    assert separation([]) == 1
    assert separation([(np.array([0.1, 0.9]), np.array([0.01, np.nan]))]) == 1
    assert separation([(np.array([0.1, 0.9]), np.zeros(2))]) == 1
    # one pair says little: it is drawn to 1
    assert 1 < separation([(np.array([0.1, 0.12]), np.full(2, 0.01))]) < np.sqrt(2)


def test_runs_at_other_clocks_are_no_peers():
    ends = np.array([100.0, 110.0, 300.0, 105.0, 320.0])
    groups = same_clock(ends, np.array([0, 0, 0, 1, 0]))
    assert groups[0] == groups[1]
    assert groups[2] == groups[4]
    assert len(set(groups.tolist())) == 3
