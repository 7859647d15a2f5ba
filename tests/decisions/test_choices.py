import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.decisions.choices import advise, candidates, pairs, rank
from neuneu.errors import CannotForecastError, InputError


def test_runs_are_compared_at_the_farthest_planned_end(table, steady):
    runs, at = candidates(table, table, steady)
    assert at == 100
    assert [run.run for run in runs] == ["small", "strong", "weak"]
    small = runs[0]
    # finished at 40 and never at 100: a forecast from its last value, 0.44
    assert small.quantile(0.5) == pytest.approx(0.44, abs=1e-3)
    early, _ = candidates(table, table, steady, horizon=10)
    assert early[0].points.tolist() == [pytest.approx(0.41)] * 512  # known by then, so certain


def test_the_run_ahead_is_likeliest_to_win(table, steady):
    frame = rank(candidates(table, table, steady)[0])
    assert frame["run"].to_list() == ["strong", "weak", "small"]
    assert frame["p_best"].sum() == pytest.approx(1)
    assert frame["p_beats_favourite"][0] is None
    wins = pairs(candidates(table, table, steady)[0])
    both = wins.filter(run="strong", other="weak")["p_run_wins"][0], wins.filter(run="weak", other="strong")
    assert both[0] + both[1]["p_run_wins"][0] == pytest.approx(1)


def test_where_lower_is_better_the_lower_run_wins(table, steady):
    losses = CurveTable(table.frame.with_columns(metric=pl.lit("bpb")))
    assert rank(candidates(losses, losses, steady)[0])["run"][0] == "small"


def test_tasks_of_a_run_are_fully_dependent(table, steady):
    (one, *_), _ = candidates(table, table.filter(task="piqa"), steady)
    (two, *_), _ = candidates(table, table, steady)
    # two equal tasks: a mean of independent ones would be narrower
    np.testing.assert_allclose(one.points, two.points)


def test_advice_follows_the_threshold_and_states_its_regret(table, steady):
    runs, at = candidates(table, table, steady)
    sure = advise(runs, at, target=0.3)
    assert set(sure["advice"]) == {"go on"}
    assert (sure["p_success"] == 1).all()
    hopeless = advise(runs, at, target=0.9)
    assert set(hopeless["advice"]) == {"stop"}
    assert (hopeless["regret"] == 0).all()
    strong = hopeless.filter(run="strong").row(0, named=True)
    assert strong["compute_saved"] == pytest.approx(0.8)
    assert strong["flops_saved"] == 6 * 200 * 80
    between = advise(runs, at, target=0.63, threshold=0.5).filter(run="strong").row(0, named=True)
    assert between["advice"] == ("stop" if between["p_success"] < 0.5 else "go on")
    assert 0 < between["regret"] < 0.05


def test_a_rival_is_the_bar(table, steady):
    runs, at = candidates(table, table, steady)
    against = advise(runs, at, rival="strong")
    assert "strong" not in against["run"].to_list()
    wins = pairs(runs).filter(run="weak", other="strong")["p_run_wins"][0]
    assert against.filter(run="weak")["p_success"][0] == pytest.approx(wins, abs=0.01)


def test_what_cannot_be_decided_is_an_error(table, steady, decliner):
    runs, at = candidates(table, table, steady)
    for wrong in (
        {},
        {"target": 0.5, "rival": "weak"},
        {"rival": "nobody"},
        {"target": 0.5, "threshold": 0.0},
    ):
        with pytest.raises(InputError):
            advise(runs, at, **wrong)
    with pytest.raises(InputError, match="before the horizon"):
        advise(runs, 10, target=0.5)
    with pytest.raises(InputError, match="two runs"):
        rank(runs[:1])
    for horizon in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="positive and finite"):
            candidates(table, table, steady, horizon=horizon)
    with pytest.raises(CannotForecastError, match="not this task"):
        candidates(table, table, decliner)
    apart = table.filter((pl.col("run") == "weak") == (pl.col("task") == "piqa"))
    with pytest.raises(InputError, match="share no task"):
        candidates(table, apart, steady)
