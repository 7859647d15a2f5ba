"""Explanations add up, sweeps keep the mix whole, and what goes with what is found."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.designs.prediction.analyses import (
    apply_map,
    components,
    composition_errors,
    composition_map,
    compositions,
    correlations,
)
from neuneu.designs.prediction.design_table import SCALE, DesignTable
from neuneu.designs.prediction.explain import importance, shap_values
from neuneu.designs.prediction.nested import evaluate, outer
from neuneu.designs.prediction.runs import read_runs
from neuneu.designs.prediction.score_summaries import overall, summary
from neuneu.designs.prediction.selection import choices, forward_selection, selections
from neuneu.designs.prediction.sources import find_feature, load_table, missing_scores
from neuneu.designs.prediction.sweep import PARTS, changed_mix, sweep
from neuneu.designs.prediction.targets import DesignTask
from neuneu.errors import InputError
from neuneu.reports import design_figures as figures

CODE = "pretraining_summary_percentage_code"
TASKS = (
    DesignTask("made", "0-shot", "accuracy", "made"),
    DesignTask("loss", "0-shot", "brier_score", "loss"),
)


@pytest.fixture(scope="module")
def table() -> DesignTable:
    """Sixty models whose first score rises with code and scale; what they write tells what they read."""
    rng = np.random.default_rng(0)
    n = 60
    numbers = {SCALE[0]: rng.uniform(18, 25, n), SCALE[1]: rng.uniform(4, 9, n)}
    mix = rng.dirichlet(np.ones(5), n) * 100
    mix[7] = [50, 20, 10, 10, 10]
    numbers |= dict(zip(PARTS, mix.T, strict=True))
    domains = {
        f"domain_{name.rsplit('_', 1)[-1]}_pct_mean": np.clip(numbers[name] + rng.normal(0, 2, n), 0, 100)
        for name in PARTS
    }
    numbers |= domains
    kinds = {
        **dict.fromkeys(SCALE, "scale"),
        **dict.fromkeys(PARTS, "composition"),
        "activation": "architecture",
    }
    kinds |= dict.fromkeys(domains, "generation")
    y = 0.03 * (numbers[SCALE[0]] - 18) + 0.004 * numbers[CODE] + rng.normal(0, 0.01, n)
    scores = np.column_stack([y, 1.5 - y])
    scores[3, 1] = np.nan
    ids = tuple(f"org{i % 10}/m-{i}b" for i in range(n))
    organisation = tuple(f"org{i % 10}" for i in range(n))
    activation = tuple(["gelu", "silu", ""][i % 3] for i in range(n))
    return DesignTable(
        TASKS,
        ids,
        numbers,
        {"activation": activation},
        kinds,
        scores,
        np.full((n, 2), np.nan),
        {"family": ids, "organisation": organisation},
        (None,) * n,
    )


def test_shap_values_add_up_to_what_moves_predictions(table: DesignTable) -> None:
    first = replace(table, tasks=TASKS[:1], y=table.y[:, :1], stderr=table.stderr[:, :1])
    values = shap_values(first, split="organisation", seeds=[0])
    assert values.group_by("id").len()["len"].unique().to_list() == [len(first.scope("all"))]
    total = values.group_by("id", maintain_order=True).agg(pl.sum("shap"))
    truth = {name: first.y[i, 0] for i, name in enumerate(first.ids)}
    assert np.corrcoef(total["shap"], [truth[name] for name in total["id"]])[0, 1] > 0.7
    ranked = importance(values, dict(zip(first.ids, first.labels["organisation"], strict=True)))
    assert {SCALE[0], CODE} == set(ranked["feature"][:2])
    top = ranked.row(0, named=True)
    assert top["low"] < top["importance"] < top["high"]
    assert top["direction"] > 0.8
    with pytest.raises(InputError, match="no cluster"):
        importance(values, {})


@given(st.lists(st.floats(0.1, 60), min_size=5, max_size=5), st.floats(0, 1))
def test_a_changed_mix_keeps_its_sum_and_the_proportions_of_the_rest(
    parts: list[float], share: float
) -> None:
    mix = dict(zip(PARTS, parts, strict=True))
    changed = changed_mix(mix, CODE, share * sum(parts))
    assert sum(changed.values()) == pytest.approx(sum(parts))
    assert changed[CODE] == pytest.approx(share * sum(parts))
    assert min(changed.values()) >= 0
    web, books = changed[PARTS[0]], changed[PARTS[2]]
    assert web * mix[PARTS[2]] == pytest.approx(books * mix[PARTS[0]], abs=1e-6)


def test_a_sweep_finds_what_code_is_worth_and_warns_far_from_data(table: DesignTable) -> None:
    found = sweep(table, table.ids[7], CODE, [0.0, 20.0, 40.0, 100.0], method="gaussian-process")
    made = found.filter(task="made")
    assert made["q50"].is_sorted()
    assert made["q50"][2] - made["q50"][1] == pytest.approx(0.08, abs=0.04)
    assert made["truth"][0] == pytest.approx(table.y[7, 0])
    assert made["extrapolates"][3]
    assert not made["extrapolates"][1]
    larger = sweep(table, table.ids[7], SCALE[0], [1e9, 1e15], method="gaussian-process")
    assert larger.filter(task="made")["extrapolates"].to_list() == [False, True]
    hidden = replace(table, y=np.where((np.arange(len(table)) == 7)[:, None], 0.9, table.y))
    again = sweep(hidden, table.ids[7], CODE, [20.0], method="gaussian-process")
    assert again["q50"][0] == pytest.approx(made["q50"][1], abs=1e-9)
    for model, feature, value in (
        (table.ids[7], "colour", 1.0),
        ("nobody", CODE, 1.0),
        (table.ids[7], CODE, 101.0),
    ):
        with pytest.raises(InputError):
            sweep(table, model, feature, [value])
    assert find_feature(table, "code") == CODE
    with pytest.raises(InputError, match="unknown"):
        find_feature(table, "e")


def test_compositions_are_read_from_generations(table: DesignTable) -> None:
    found = compositions(table)
    assert found.group_by("id").agg(pl.sum("predicted"))["predicted"].to_list() == pytest.approx([100.0] * 60)
    errors = composition_errors(found)
    assert (errors["predicted_mae"] < errors["mean_mae"] / 3).all()
    with pytest.raises(InputError, match="needs 20"):
        compositions(table.only(np.arange(12)))


def test_the_composition_map_undoes_a_known_mixing() -> None:
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(5), 40) * 100
    mixing = 0.8 * np.eye(5) + 0.2 * np.roll(np.eye(5), 1, axis=1)
    generated = true @ np.linalg.inv(mixing)
    keep = (generated > 0).all(1)
    weights = composition_map(generated[keep], true[keep])
    assert ((weights >= 0) & (weights <= 1)).all()
    assert weights.sum() == pytest.approx(5, abs=1e-6)
    np.testing.assert_allclose(apply_map(generated[keep], weights), true[keep], atol=1.0)


def test_correlations_and_components_tell_what_goes_together(table: DesignTable) -> None:
    tasks = correlations(table)
    assert tasks["correlation"].to_list() == pytest.approx([-1.0])
    assert tasks["models"].to_list() == [59]
    both = correlations(table, of="both")
    assert len(both) == len(table.numbers) * 2
    assert {SCALE[0], CODE} <= set(both["a"][:6])
    with pytest.raises(InputError, match="known"):
        correlations(table, of="moons")
    loadings, places = components(table, 1)
    assert loadings["share"][0] == pytest.approx(1.0, abs=1e-6)
    assert loadings["loading"].to_list() == pytest.approx([1.0, -1.0], abs=1e-6)
    assert len(places) == 60
    with pytest.raises(InputError, match="must be in"):
        components(table, 3)
    features, places = components(table, 2, of="features")
    assert set(features["feature"]) == set(table.numbers)
    assert features.group_by("component").agg(pl.sum("loading"))["loading"].min() >= 0
    assert len(places) == 60
    written = [name for name in table.numbers if table.kinds[name] == "generation"]
    assert components(table, 1, of="generation")[0]["feature"].to_list() == written
    silent = replace(table, kinds=dict.fromkeys(table.kinds, "scale"))
    with pytest.raises(InputError, match="no such features"):
        components(silent, 1, of="generation")
    with pytest.raises(InputError, match="known: tasks"):
        components(table, 1, of="moons")


def test_selection_says_how_often_a_feature_is_chosen(table: DesignTable) -> None:
    small = table.only(np.arange(45))
    steps = selections(small, split="random")
    assert steps.select("seed", "fold").n_unique() == 3
    firsts = steps.filter(step=0)
    assert firsts["feature"].null_count() == len(firsts) == 3 * len(TASKS)
    path = steps.filter(task="made", fold=0)
    assert path["error"].is_sorted(descending=True)
    train = outer(small, "random", small.twins, 0)[0][0]
    one = forward_selection(small, 0, train, small.twins)
    assert path["feature"].drop_nulls().to_list() == list(one.features[2:])
    assert path["error"].to_list() == list(one.errors)
    found = choices(steps)
    counts = steps.drop_nulls("feature").group_by("task", "feature").len()
    both = found.join(counts, on=["task", "feature"])
    assert (both["chosen"] * 3).to_list() == pytest.approx(both["len"].to_list())
    assert found["gain_percent"].min() > 0
    with pytest.raises(InputError, match="split"):
        selections(table, split="time")


def test_missing_scores_are_named(table: DesignTable) -> None:
    assert missing_scores(table).rows() == [(table.ids[3], "loss", "0-shot", "brier_score", 1)]


def test_every_figure_is_drawn(table: DesignTable, tmp_path: Path) -> None:
    small = table.only(np.arange(45))
    values = shap_values(small, seeds=[0])
    ranked = importance(values, dict(zip(table.ids, table.clusters, strict=True)))
    swept = sweep(table, table.ids[7], CODE, [10.0, 90.0], method="log-linear")
    loadings, places = components(table, 2)
    owners = dict(zip(table.ids, table.clusters, strict=True))
    noise = np.random.default_rng(1).normal(size=(30, len(table)))
    many = replace(table, numbers={**table.numbers, **{f"made_{i}": x for i, x in enumerate(noise)}})
    drawn = {
        "shap": figures.shap_chart(values, ranked),
        "sweep": figures.sweep_chart(swept),
        "selection": figures.selection_chart(choices(selections(small))),
        "composition": figures.composition_chart(compositions(table)),
        "tasks": figures.correlation_chart(correlations(table)),
        "both": figures.correlation_chart(correlations(table, of="both")),
        "components": figures.components_chart(loadings, places, owners),
        "features": figures.components_chart(*components(many, 2, of="features"), owners),
        "coverage": figures.coverage_chart(table.ids, [t.key for t in TASKS], missing_scores(table)),
    }
    for name, figure in drawn.items():
        figures.style.save(figure, tmp_path / f"{name}.svg")
        text = (tmp_path / f"{name}.svg").read_text()
        assert ("made" in text) or name == "composition"
    assert f"Features (30 of {len(many.numbers)})" in (tmp_path / "features.svg").read_text()


def test_errors_that_differ_significantly_are_filled(tmp_path: Path) -> None:
    found = {"median": (0.3, 0.2), "log-linear": (0.2, None), "forest": (0.1, 0.01)}
    rows = [
        {"task": "made", "setting": "", "metric": "accuracy", "method": name, "mae": mae, "p_fdr": p}
        for name, (mae, p) in found.items()
    ]
    frame = pl.DataFrame(rows).with_columns(noise=pl.lit(None, pl.Float64))
    figure = figures.errors_by_task(frame, "log-linear")
    faces = {line.get_xdata()[0]: line.get_markerfacecolor() for line in figure.axes[0].lines[1:]}
    assert [faces[mae] == "white" for mae in (0.3, 0.2, 0.1)] == [True, True, False]
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "filled: differs from log-linear (corrected p < 0.05)" in texts
    untested = frame.with_columns(p_fdr=pl.lit(None, pl.Float64))  # of one fold, say
    figure = figures.errors_by_task(untested, "log-linear")
    assert len(figure.legends) == 1
    assert "white" not in {line.get_markerfacecolor() for line in figure.axes[0].lines[1:]}


def test_figures_have_room_for_long_names_and_many_tasks(table: DesignTable, tmp_path: Path) -> None:
    names = [f"task_{i}" for i in range(60)]
    loadings = pl.DataFrame({"task": names, "component": 1, "share": 0.5, "loading": 0.1}).cast(
        {"component": pl.Int64}
    )
    both = pl.concat([loadings, loadings.with_columns(component=pl.lit(2, pl.Int64))])
    places = pl.DataFrame({"id": table.ids, "component 1": 0.0, "component 2": 1.0})
    owners = {name: f"recipe {i % 6} " + "of many things " * 9 for i, name in enumerate(table.ids)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that the layout does not fit
        figures.style.save(figures.components_chart(both, places, owners), tmp_path / "wide.png")
    swept = pl.concat(
        [
            sweep(table, table.ids[7], CODE, [10.0, 90.0], method="median").with_columns(task=pl.lit(name))
            for name in names[:9]
        ]
    )
    figures.style.save(figures.sweep_chart(swept), tmp_path / "many.svg")
    assert "15 of 18 tasks" in (tmp_path / "many.svg").read_text()


def test_the_home_suite_and_the_grids_are_tables(shared: Path) -> None:
    home = read_runs("home")
    assert len(home) == len(set(home.ids)) >= 8
    static = shared / "data" / "static.parquet"
    for source, runs in (
        ("kempner_loss_to_loss", 535),
        ("dclm_database", 416),
        ("mlfoundations_scaling", 104),
    ):
        grid = read_runs(static, source=source)
        assert len(grid) == runs
        assert {"params", "tokens"} <= set(grid.named("scale"))
        assert "data_recipe" in grid.categories
        assert len(grid.tasks) >= 20
        assert "aggregated_results" not in {task.name for task in grid.tasks}
        assert not {"params", "tokens", "d_model", "n_layers"} & set(grid.scope("non-scale"))
    rows = evaluate(grid, ["median", "log-linear"], split="size", seeds=range(1))  # as any other table
    mean = dict(overall(summary(rows, "log-linear")).select("method", "mae").iter_rows())
    assert mean["log-linear"] < mean["median"]
    with pytest.raises(InputError, match="name one of"):
        read_runs(static)
    with pytest.raises(InputError, match="none of"):
        read_runs(static, source="moon")


def test_runs_are_refused_by_what_they_lack(tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    rows = {"model": ["a", "b"], "params": [1e6, 2e6], "tokens": [1e9, 1e9], "task": ["t", "t"]}
    pl.DataFrame({**rows, "metric": ["acc", "acc"]}).write_parquet(path)
    with pytest.raises(InputError, match="column needed"):
        read_runs(path)
    pl.DataFrame({**rows, "metric": ["acc"] * 2, "value": [0.1, 0.2]}).write_parquet(path)
    assert read_runs(path).ids == ("a", "b")
    seeds = {**rows, "params": [1e6, 1e6], "seed": [1, 2], "metric": ["acc"] * 2, "value": [0.1, 0.2]}
    pl.DataFrame(seeds).write_parquet(path)
    assert len(set(read_runs(path).groups("random"))) == 1  # seeds of one design are twins
    with pytest.raises(InputError, match="known: t"):
        read_runs(path, tasks=["u"])
    twice = {**rows, "model": ["a", "a"], "metric": ["acc"] * 2, "value": [0.1, 0.2]}
    pl.DataFrame(twice).write_parquet(path)
    with pytest.raises(InputError, match="several values"):
        read_runs(path)
    with pytest.raises(InputError, match="give one of"):
        load_table(None, None)
