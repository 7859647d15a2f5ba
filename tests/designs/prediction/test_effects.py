"""The effect of one feature, kinds of features, groups left out, and what of errors a feature explains."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from neuneu.designs.prediction.ablation import leave_one_out
from neuneu.designs.prediction.design_table import PARTS, SCALE, DesignTable
from neuneu.designs.prediction.effects import MEAN, draw_models, effect_curves, effect_values, smooth
from neuneu.designs.prediction.explain import by_kind, shap_values, task_profiles, task_tree
from neuneu.designs.prediction.linear_selection import elastic_net, greedy_linear
from neuneu.designs.prediction.nested import evaluate
from neuneu.designs.prediction.score_summaries import errors_against, merge_rows, signed_errors, summary
from neuneu.designs.prediction.targets import DesignTask
from neuneu.errors import InputError
from neuneu.reports import design_effects as figures

CODE = "pretraining_summary_percentage_code"
NAMES = ("peaked", "peaked_too", "other")


@pytest.fixture(scope="module")
def table() -> DesignTable:
    """Eighty models; two tasks are best at 20 % code, the third, a Brier score, has nothing to do with it."""
    rng = np.random.default_rng(0)
    n = 80
    numbers = {SCALE[0]: rng.uniform(18, 25, n), SCALE[1]: rng.uniform(4, 9, n)}
    mix = rng.dirichlet(np.ones(5), n) * 100
    mix[:, 1] = rng.uniform(0, 60, n)
    numbers |= dict(zip(PARTS, mix.T, strict=True))
    hump = -0.0002 * (numbers[CODE] - 20) ** 2
    noise = rng.normal(0, 0.005, (n, 3))
    other = 0.05 * (25 - numbers[SCALE[0]])
    y = np.column_stack([0.5 + hump, 0.5 + hump, other]) + noise
    ids = tuple(f"org{i % 10}/m-{i}b" for i in range(n))
    kinds = {
        **dict.fromkeys(SCALE, "scale"),
        **dict.fromkeys(PARTS, "composition"),
        "activation": "architecture",
    }
    metrics = ("accuracy", "accuracy", "brier_score")
    return DesignTable(
        tuple(DesignTask(name, "0-shot", metric, name) for name, metric in zip(NAMES, metrics, strict=True)),
        ids, numbers, {"activation": tuple("ab"[i % 2] for i in range(n))}, kinds, y,
        np.full(y.shape, np.nan), {"organisation": tuple(name.split("/")[0] for name in ids)}, (None,) * n,
    )  # fmt: skip


def test_the_smooth_line_is_a_line_on_a_line_and_stays_between_few_mixes() -> None:
    x = np.sort(np.random.default_rng(0).uniform(0, 100, 60))
    at = np.linspace(0, 100, 21)
    assert np.abs(smooth(x, 2 * x - 3, at) - (2 * at - 3)).max() < 1e-8
    few = np.repeat([0.0, 40.0, 50.0, 90.0], 10)
    level = smooth(few, np.where(few == 40, 1.0, 0.0), at)
    assert level.min() > -0.35
    assert level.max() < 1.01


def test_a_peak_is_found_with_an_interval_that_holds_it(table: DesignTable) -> None:
    curves, peaks = effect_curves(table, CODE, draws=12)
    peaked = peaks.filter(task="peaked", models="all").row(0, named=True)
    assert peaked["low"] <= peaked["peak"] <= peaked["high"]
    assert 10 < peaked["peak"] < 30
    assert peaked["inside"] > 0.5
    mean = peaks.filter(task=MEAN, models="all").row(0, named=True)
    assert 10 < mean["peak"] < 30
    line = curves.filter(task="peaked", models="all")
    assert (line["low"] <= line["high"]).all()
    assert set(curves["models"]) == {"all", "smaller", "larger"}
    dots = effect_values(table, CODE, seeds=range(1))
    assert set(dots["half"]) == {"smaller", "larger"}
    assert len(dots) == 3 * 80
    assert figures.effect_chart(dots, curves, CODE, (15, 25)) is not None
    for bad in ("activation", "nothing"):
        with pytest.raises(InputError, match="against"):
            effect_curves(table, bad, draws=2)


def test_draws_are_of_models_or_of_whole_organisations(table: DesignTable) -> None:
    rng = np.random.default_rng(1)
    assert len(draw_models(table, "model", rng)) == 80
    drawn = draw_models(table, "organisation", rng)
    owners = [table.ids[i].split("/")[0] for i in drawn]
    assert all(owners.count(owner) % 8 == 0 for owner in owners)
    with pytest.raises(InputError, match="model or organisation"):
        draw_models(table, "family", rng)


def test_kinds_add_up_and_like_tasks_join_first(table: DesignTable) -> None:
    values = shap_values(table, seeds=range(1))
    kinds = by_kind(values, table.kinds)
    sums = (frame.group_by("task", "id").agg(pl.sum("shap")).sort("task", "id") for frame in (values, kinds))
    first, second = (frame["shap"].to_numpy() for frame in sums)
    assert np.abs(first - second).max() < 1e-9
    tree, links = task_tree(values)
    assert {tree["first"][0][0], tree["second"][0][0]} == {"peaked (0-shot)", "peaked_too (0-shot)"}
    keys, profiles = task_profiles(values)
    assert len(keys) == 3
    assert np.abs(profiles.sum(1) - 1).max() < 1e-9
    assert figures.tree_chart(links, [key[0] for key in keys]) is not None
    with pytest.raises(InputError, match="at least two"):
        task_tree(values.filter(task="other"))


def test_a_group_that_matters_is_missed(table: DesignTable) -> None:
    small = replace(table, tasks=table.tasks[:1], y=table.y[:, :1], stderr=table.stderr[:, :1])
    found = summary(leave_one_out(small, "xgboost", seeds=range(1)), "all")
    mae = dict(found.select("method", "mae").rows())
    assert mae["without composition"] > 1.5 * mae["all"]
    assert mae["without architecture"] < 1.2 * mae["all"]
    with pytest.raises(InputError, match="ensemble always uses scale"):
        leave_one_out(small, "ensemble", seeds=range(1))


def test_features_are_named_by_kind_by_end_and_left_out(table: DesignTable) -> None:
    assert table.scope("composition,-code") == [name for name in PARTS if name != CODE]
    assert table.scope("-composition") == [*SCALE, "activation"]
    assert table.scope("code,activation") == [CODE, "activation"]
    for bad in ("moon", "code,-code"):
        with pytest.raises(InputError, match="features"):
            table.scope(bad)


def test_errors_are_held_against_numbers_and_categories(table: DesignTable) -> None:
    cells = evaluate(table, ["median"], seeds=range(1))
    known = dict(zip(table.ids, table.numbers[SCALE[0]].tolist(), strict=True))
    frame = errors_against(cells, "total_params", known)
    other = frame.filter(task="other").row(0, named=True)
    assert other["r2"] > 0.8
    assert other["p_fdr"] < 1e-6
    labels = errors_against(
        cells, "activation", dict(zip(table.ids, table.categories["activation"], strict=True))
    )
    assert labels["r2"].max() < 0.2
    assert labels["slope"].null_count() == 3
    dots = signed_errors(cells, known)
    assert figures.against_chart(dots, frame, "total_params") is not None
    assert figures.truth_chart(cells) is not None
    with pytest.raises(InputError, match="fewer than 10"):
        errors_against(cells, "x", {table.ids[0]: 1.0})


def test_linear_searches_find_the_number_that_made_the_scores(table: DesignTable) -> None:
    rows, groups = np.arange(80), np.arange(80)
    found = greedy_linear(table, 2, rows, groups)
    assert found.features[0] == SCALE[0]
    assert all(after < before for before, after in zip(found.errors, found.errors[1:], strict=False))
    net = elastic_net(table, 2, rows, groups)
    assert net.features[0] == SCALE[0]
    assert net.errors[-1] < 0.3 * net.errors[0]


def test_rows_of_parts_are_averaged_as_published(table: DesignTable) -> None:
    frame = summary(evaluate(table, ["median", "log-linear"], seeds=range(1)), "median")
    renamed = frame.with_columns(pl.col("task").replace({"peaked_too": "peaked_b"}))
    merged = merge_rows(renamed, "peaked")
    assert len(merged) == 4
    ours = merged.filter(task="peaked", method="log-linear").row(0, named=True)
    parts = renamed.filter(pl.col("task").str.starts_with("peaked"), method="log-linear")
    assert ours["mae"] == pytest.approx(parts["mae"].mean())
    assert ours["p"] is None
    with pytest.raises(InputError, match="no row to merge"):
        merge_rows(frame, "mmlu")
