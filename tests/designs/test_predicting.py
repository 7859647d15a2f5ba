"""Nothing of the tested models reaches the predictor; errors, intervals and flags are what they say."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.designs import DesignStore, nested
from neuneu.designs.gaussian import fit_gaussian
from neuneu.designs.labels import PUBLISHED_TASKS, Task, find_tasks, labels
from neuneu.designs.predictors import MEMBERS, log_linear, predictor
from neuneu.designs.selection import forward_selection
from neuneu.designs.splits import family, folds, groups_of, joined, time_folds, twins
from neuneu.designs.tables import COMPOSITION, SCALE, DesignTable, build_tables
from neuneu.errors import InputError

TASK = Task("made", "0-shot", "accuracy", "made")


@pytest.fixture(scope="module")
def table() -> DesignTable:
    """Scores that rise with scale and with code, from eight organisations; two pairs of twins."""
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
    numbers = {SCALE[0]: size, SCALE[1]: tokens, COMPOSITION[1]: code}
    kinds = {SCALE[0]: "scale", SCALE[1]: "scale", COMPOSITION[1]: "composition"}
    ids = tuple(f"org{i % 8}/fam{chr(97 + i % 16)}-{i}b" for i in range(n))
    activation = tuple(["gelu", "silu", ""][i % 3] for i in range(n))
    activation = (activation[0], activation[0], *activation[2:])
    dates = tuple(f"202{i % 5}-01-01" if i % 7 else None for i in range(n))
    return DesignTable(TASK, ids, numbers, {"activation": activation}, kinds, y, np.full(n, 0.01), dates)


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
    assert len(set(groups_of("organisation", ["a/x", "a/y", "b/z"], np.eye(3)))) == 2


@pytest.mark.parametrize("split", ["random", "family", "organisation"])
def test_twins_are_never_on_both_sides(table: DesignTable, split: str) -> None:
    groups = table.groups(split)
    assert groups[0] == groups[1]
    for seed in range(5):
        for train, test in nested.outer(table, split, groups, seed):
            assert (0 in train) == (1 in train)
            assert not set(groups[train]) & set(groups[test])


def test_published_twins_are_found(published_store: DesignStore) -> None:
    table = build_tables(published_store, find_tasks(["arc_challenge"]))[0]
    labels, counts = np.unique(table.groups("random"), return_counts=True)
    assert counts[counts > 1].sum() == 12
    assert len(labels) == 86
    for train, test in nested.outer(table, "random", table.groups("random"), 0):
        deduped = {table.ids[i].removesuffix("-deduped") for i in train}
        pairs = {table.ids[i].removesuffix("-deduped") for i in test} & deduped
        assert all(
            table.groups("random")[table.ids.index(p)]
            != table.groups("random")[table.ids.index(f"{p}-deduped")]
            for p in pairs
        )


def test_time_folds_train_on_older_models_only(table: DesignTable) -> None:
    groups = table.groups("time")
    for train, test in time_folds(table.dates, groups, 3):
        newest = max(str(table.dates[i]) for i in train if table.dates[i])
        assert newest <= min(str(table.dates[i]) for i in test)
    with pytest.raises(InputError, match="release date"):
        time_folds([None] * 20, np.arange(20), 3)


@pytest.mark.parametrize("name", [*MEMBERS, "median", "linear", "lightgbm"])
def test_no_member_sees_the_scores_it_is_asked_for(table: DesignTable, name: str) -> None:
    train, test = nested.outer(table, "organisation", table.groups("organisation"), 0)[0]
    hidden = table.y.copy()
    hidden[test] = np.random.default_rng(1).random(len(test))
    predict = predictor(name)
    before = predict(table, train, test)
    after = predict(replace(table, y=hidden), train, test)
    np.testing.assert_array_equal(before, after)
    assert np.isfinite(before).all()


@pytest.mark.parametrize("name", ["stack", "xgboost-tuned", "xgboost-selected"])
def test_selection_tuning_and_intervals_use_training_rows_only(table: DesignTable, name: str) -> None:
    groups = table.groups("organisation")
    train, test = nested.outer(table, "organisation", groups, 0)[0]
    hidden = table.y.copy()
    hidden[test] = 0.5
    found = [nested.predict_rows(t, name, train, test, groups) for t in (table, replace(table, y=hidden))]
    np.testing.assert_array_equal(found[0].value, found[1].value)
    np.testing.assert_array_equal(found[0].low, found[1].low)
    assert (found[0].low <= found[0].value).all()
    assert (found[0].value <= found[0].high).all()


def test_features_beyond_scale_are_found_and_rewarded(table: DesignTable) -> None:
    chosen = forward_selection(table, np.arange(len(table)), table.groups("random"))
    assert chosen.features[2] == COMPOSITION[1]
    assert chosen.errors[1] < chosen.errors[0]
    rows = nested.evaluate(table, ["log-linear", "stack"], seeds=1)
    result = nested.summary(rows)
    assert result.filter(method="stack")["skill_percent"].item() > 20
    assert rows.group_by("method").len()["len"].to_list() == [64, 64]
    assert result.filter(method="stack")["p_fdr"].item() is not None


def test_conformal_intervals_cover() -> None:
    rng = np.random.default_rng(0)
    covered = [abs(rng.normal()) <= nested._conformal(np.abs(rng.normal(size=40)), 0.8) for _ in range(2000)]
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
        nested.evaluate(table, ["oracle"], seeds=1)


def test_log_linear_recovers_its_law(table: DesignTable) -> None:
    law = 0.1 + 0.02 * table.numbers[SCALE[0]] - 0.01 * table.numbers[SCALE[1]]
    exact = replace(table, y=law)
    np.testing.assert_allclose(log_linear(exact, np.arange(40), np.arange(40, 64)), law[40:], atol=1e-9)


def test_a_gaussian_process_interpolates_and_widens_away_from_data() -> None:
    X = np.linspace(-2, 2, 30)[:, None]
    y = np.sin(2 * X[:, 0])
    model = fit_gaussian(X, np.zeros(1, int), np.zeros((30, 1)), y, np.zeros(1))
    mean, deviation = model.predict(np.array([[0.05], [8.0]]), np.zeros((2, 1)))
    assert mean[0] == pytest.approx(np.sin(0.1), abs=0.02)
    assert deviation[1] > 5 * deviation[0]


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
