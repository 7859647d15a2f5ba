"""Nothing of the tested models reaches the predictor; errors, intervals and flags are what they say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.designs import DesignStore
from neuneu.designs.prediction import nested
from neuneu.designs.prediction.design_table import COMPOSITION, SCALE, DesignTable, build_table
from neuneu.designs.prediction.ensemble import MEMBERS, ensemble
from neuneu.designs.prediction.folds import family, folds, joined, organisation, time_folds, twins
from neuneu.designs.prediction.gaussian import fit_gaussian
from neuneu.designs.prediction.predictors import MAKERS, log_linear, predictor
from neuneu.designs.prediction.score_summaries import comparisons, error_table, overall, summary
from neuneu.designs.prediction.selection import forward_selection
from neuneu.designs.prediction.targets import PUBLISHED_TASKS, DesignTask, find_tasks, labels
from neuneu.designs.prediction.warping import Warp, warped
from neuneu.errors import InputError

TASKS = (
    DesignTask("made", "0-shot", "accuracy", "made"),
    DesignTask("noisy", "0-shot", "brier_score", "noisy"),
)
FAST = {name: member for name, member in MEMBERS.items() if name in ("forest-composition", "gaussian-all")}


@pytest.fixture(scope="module")
def table() -> DesignTable:
    """Scores that rise with scale and with code, from eight organisations; two pairs of twins; a second task
    that a quarter of the models lack."""
    rng = np.random.default_rng(0)
    n = 64
    size, tokens, code = rng.uniform(18, 25, n), rng.uniform(4, 9, n), rng.uniform(0, 60, n)
    size[1], tokens[1], code[1] = size[0], tokens[0], code[0]
    code[rng.random(n) < 0.2] = np.nan
    code[:2] = 30.0
    y = (
        0.03 * (size - 18)
        + 0.02 * (tokens - 4)
        + 0.004 * np.nan_to_num(code, nan=30)
        + rng.normal(0, 0.01, n)
    )
    second = 1.5 - y + rng.normal(0, 0.05, n)
    second[rng.random(n) < 0.25] = np.nan
    numbers = {SCALE[0]: size, SCALE[1]: tokens, COMPOSITION[1]: code}
    kinds = {
        SCALE[0]: "scale",
        SCALE[1]: "scale",
        COMPOSITION[1]: "composition",
        "activation": "architecture",
    }
    ids = tuple(f"org{i % 8}/fam{chr(97 + i % 16)}-{i}b" for i in range(n))
    activation = tuple(["gelu", "silu", ""][i % 3] for i in range(n))
    activation = (activation[0], activation[0], *activation[2:])
    return DesignTable(
        TASKS,
        ids,
        numbers,
        {"activation": activation},
        kinds,
        np.column_stack([y, second]),
        np.full((n, 2), 0.01),
        {"family": tuple(map(family, ids)), "organisation": tuple(map(organisation, ids))},
        tuple(f"202{i % 5}-01-01" if i % 7 else None for i in range(n)),
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ensemble of two members, for tests of what is around it."""
    monkeypatch.setattr("neuneu.designs.prediction.ensemble.MEMBERS", FAST)


def test_families_are_organisation_and_name_up_to_the_size() -> None:
    assert family("EleutherAI/pythia-1.4b-deduped") == "EleutherAI/pythia"
    assert family("Qwen/Qwen1.5-14B") == family("Qwen/Qwen2-72B") == "Qwen/qwen"
    assert family("cerebras/Cerebras-GPT-13B") == "cerebras/cerebras-gpt"


@given(st.lists(st.integers(0, 12), min_size=20, max_size=60), st.integers(0, 99))
def test_folds_cover_every_row_once_and_split_no_group(labels: list[int], seed: int) -> None:
    groups = np.array([*labels, 20, 21, 22])
    tested = np.zeros(len(groups), int)
    for train, test in folds(groups, 3, seed):
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(groups)
        tested[test] += 1
    assert (tested == 1).all()


def test_twins_are_equal_rows_and_groups_join_through_them() -> None:
    X = np.array([[1.0, np.nan], [1.0, np.nan], [1.0, 2.0]])
    assert twins(X)[0] == twins(X)[1] != twins(X)[2]
    assert len(set(joined(["a", "b", "c"], [0, 0, 1]))) == 2


@pytest.mark.parametrize("split", ["random", "family", "organisation"])
def test_twins_are_never_on_both_sides(table: DesignTable, split: str) -> None:
    groups = table.groups(split)
    assert groups[0] == groups[1]
    for seed in range(5):
        for train, test in nested.outer(table, split, groups, seed):
            assert (0 in train) == (1 in train)
            assert not set(groups[train]) & set(groups[test])


def test_published_twins_are_found(published_store: DesignStore) -> None:
    table = build_table(published_store, find_tasks(["arc_challenge"]))
    groups = table.groups("random")
    labels, counts = np.unique(groups, return_counts=True)
    assert counts[counts > 1].sum() == 12
    assert len(labels) == 86
    for train, test in nested.outer(table, "random", groups, 0):
        assert not set(groups[train]) & set(groups[test])


def test_published_models_are_92_with_truthfulqa_through_aliases(published_store: DesignStore) -> None:
    table = build_table(published_store)
    counts = dict(zip((task.name for task in table.tasks), (~np.isnan(table.y)).sum(0), strict=True))
    assert counts["truthfulqa"] == counts["mmlu"] == counts["arc_challenge"] == 92


def test_time_folds_train_on_older_models_only(table: DesignTable) -> None:
    groups = table.groups("time")
    for train, test in time_folds(table.dates, groups, 3):
        newest = max(str(table.dates[i]) for i in train if table.dates[i])
        assert newest <= min(str(table.dates[i]) for i in test)
    with pytest.raises(InputError, match="release date"):
        time_folds([None] * 20, np.arange(20), 3)


@pytest.mark.parametrize("name", [*MEMBERS, *MAKERS])
def test_no_member_sees_the_scores_it_is_asked_for(table: DesignTable, name: str) -> None:
    train, test = nested.outer(table, "organisation", table.groups("organisation"), 0)[0]
    hidden = table.y.copy()
    hidden[test] = np.random.default_rng(1).random((len(test), 2))
    predict = MEMBERS[name] if name in MEMBERS else predictor(name)
    before = predict(table, train, test)
    after = predict(replace(table, y=hidden), train, test)
    np.testing.assert_array_equal(before, after)
    assert before.shape == (len(test), 2)
    assert np.isfinite(before).all()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["ensemble", "xgboost-tuned", "published-scale", "published-nested"])
def test_selection_tuning_and_intervals_use_training_rows_only(table: DesignTable, name: str) -> None:
    groups = table.groups("organisation")
    train, test = nested.outer(table, "organisation", groups, 0)[0]
    hidden = table.y.copy()
    hidden[test] = 0.5
    found = [nested.predict_rows(t, name, train, test, groups) for t in (table, replace(table, y=hidden))]
    np.testing.assert_array_equal(found[0].value, found[1].value)
    np.testing.assert_array_equal(found[0].low, found[1].low)
    stated = not name.startswith("published")
    assert ((found[0].low <= found[0].value) == stated).all()
    assert ((found[0].value <= found[0].high) == stated).all()


def test_features_beyond_scale_are_found(table: DesignTable) -> None:
    chosen = forward_selection(table, 0, np.arange(len(table)), table.groups("random"))
    assert chosen.features[2] == COMPOSITION[1]
    assert chosen.errors[1] < chosen.errors[0]


@pytest.mark.usefixtures("quick")
def test_the_ensemble_beats_scale_alone_and_workers_change_nothing(table: DesignTable) -> None:
    rows = nested.evaluate(table, ["log-linear", "ensemble"], seeds=[0])
    again = nested.evaluate(table, ["log-linear", "median"], seeds=[0], workers=2)
    assert rows.filter(method="log-linear").equals(again.filter(method="log-linear"))
    result = summary(rows)
    ours = result.filter(method="ensemble", task="made")
    assert ours["skill_percent"].item() > 20
    assert ours["p_fdr"].item() is not None
    assert rows.filter(task="made").group_by("method").len()["len"].to_list() == [64, 64]
    assert overall(result)["method"][0] == "ensemble"
    pair = comparisons(rows, [("ensemble", "log-linear")])
    assert pair["p"].to_list() == pytest.approx(result.filter(method="ensemble")["p"].to_list())
    assert len(pair) == 2
    with pytest.raises(InputError, match="not among"):
        summary(rows, "oracle")


def test_errors_by_model_name_the_worst_first(table: DesignTable) -> None:
    off = replace(table, y=table.y + np.outer(np.arange(len(table)) == 5, [0.4, 0.0]))
    rows = nested.evaluate(off, ["log-linear"], seeds=[0, 1])
    by_model = error_table(rows)
    assert by_model["id"][0] == table.ids[5]
    assert by_model["better"][0] > 0.1
    assert by_model["standing"].mean() == pytest.approx(1.0, abs=0.3)
    assert len(error_table(rows, by="task")) == int((~np.isnan(table.y)).sum())
    with pytest.raises(InputError, match="model or task"):
        error_table(rows, by="moon")


def test_conformal_intervals_cover() -> None:
    rng = np.random.default_rng(0)
    covered = [abs(rng.normal()) <= nested.conformal(np.abs(rng.normal(size=40)), 0.8) for _ in range(2000)]
    assert 0.78 < np.mean(covered) < 0.84


def test_extrapolation_is_flagged(table: DesignTable) -> None:
    order = np.argsort(table.numbers[SCALE[0]])
    found = nested.predict_rows(table, "log-linear", order[:50], order[50:], table.groups("random"))
    assert found.outside.sum() == len(order[50:])


def test_scopes(table: DesignTable) -> None:
    assert table.scope("scale") == list(SCALE)
    assert table.scope("non-scale") == [COMPOSITION[1], "activation"]
    with pytest.raises(InputError, match="unknown"):
        table.scope("everything")
    with pytest.raises(InputError, match="unknown"):
        table.groups("moon")
    with pytest.raises(InputError, match="unknown"):
        nested.evaluate(table, ["oracle"], seeds=[0])


def test_log_linear_recovers_its_law(table: DesignTable) -> None:
    law = 0.1 + 0.02 * table.numbers[SCALE[0]] - 0.01 * table.numbers[SCALE[1]]
    exact = replace(table, y=law[:, None], tasks=TASKS[:1])
    found = log_linear(exact, np.arange(40), np.arange(40, 64))
    np.testing.assert_allclose(found[:, 0], law[40:], atol=1e-9)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=40), st.lists(st.floats(-5, 5), min_size=1, max_size=9))
def test_warps_are_monotone_invertible_and_stay_in_range(scores: list[float], predicted: list[float]) -> None:
    y = np.array(scores)
    warp = Warp.fit(y)
    order = np.argsort(y)
    assert (np.diff(warp.forward(y)[order]) >= 0).all()
    if len(np.unique(y)) > 1 and np.diff(np.unique(y)).min() > 1e-6:
        np.testing.assert_allclose(warp.back(warp.forward(y)), y, atol=1e-9)
    back = warp.back(np.array(predicted))
    assert ((back >= y.min()) & (back <= y.max())).all()


def test_the_ensemble_is_the_median_of_its_members(table: DesignTable) -> None:
    train, test = nested.outer(table, "random", table.groups("random"), 0)[0]
    alone = np.median([member(table, train, test) for member in MEMBERS.values()], axis=0)
    np.testing.assert_array_equal(ensemble(table, train, test), alone)
    straight = warped(log_linear)(table, train, test)
    assert np.nanmin(table.y[train], 0)[0] <= straight[:, 0].min()


def test_a_gaussian_process_interpolates_and_widens_away_from_data() -> None:
    X = np.linspace(-2, 2, 30)[:, None]
    y = np.column_stack([np.sin(2 * X[:, 0]), 3 * np.sin(2 * X[:, 0]) + 1])
    y[:4, 1] = np.nan
    model = fit_gaussian(X, np.zeros(1, int), X * 0, y, np.zeros(1))
    mean, deviation = model.predict(np.array([[0.05], [8.0]]), np.zeros((2, 1)))
    assert mean[0] == pytest.approx([np.sin(0.1), 3 * np.sin(0.1) + 1], abs=0.06)
    assert (deviation[1] > 5 * deviation[0]).all()


def test_labels_average_components_and_carry_noise() -> None:
    rows = pl.DataFrame(
        {
            "id": ["a", "a", "b"],
            "benchmark": ["mmlu_x", "mmlu_y", "mmlu_x"],
            "setting": ["5-shot"] * 3,
            "metric": ["accuracy"] * 3,
            "metric_value": [0.2, 0.4, 0.9],
            "metric_stderr": [0.03, 0.04, None],
        }
    )
    mmlu = find_tasks(["mmlu (5-shot)"])[0]
    found = labels(rows, mmlu)
    assert found["value"].to_list() == pytest.approx([0.3, 0.9])
    assert found["stderr"].to_list() == [pytest.approx(0.025), None]
    assert labels(rows, mmlu, complete=True)["id"].to_list() == ["a"]
    assert len(find_tasks(["mmlu"])) == 2
    assert len(find_tasks([])) == len(PUBLISHED_TASKS) == 13
    with pytest.raises(InputError, match="unknown"):
        find_tasks(["mystery"])
