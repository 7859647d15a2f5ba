"""The benchmark of moments: what it reads of the logits, whom it compares, what its tables say."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from benchmarks import _moment_tables
from benchmarks.moments import (
    LAWS,
    ONE_MOMENT,
    SPLITS,
    STATISTIC_LAWS,
    LawOf,
    compare,
    in_turn,
    moments_of,
    reader,
    score_suite,
    sizes_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecasters.test_loss_law import NOISE, STEPS, world
from tests.suite.tiny import write_tiny

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.files import write_json
from neuneu.forecasters.loss_law import MomentLaw
from neuneu.losses.forward import head_values
from neuneu.losses.loss_store import MemoryLossStore
from neuneu.losses.statistics import STATISTICS
from neuneu.suite.grid import QuestionFolders, prepare_suite
from neuneu.suite.home import read_home_curves
from neuneu.suite.small_models import build_model
from neuneu.suite.suite_config import load_suite


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), vocabulary=st.integers(11, 60), scale=st.floats(0, 12))
def test_moments_stay_in_the_bounds_that_probabilities_have(seed: int, vocabulary: int, scale: float) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(30, vocabulary, generator=random)
    goal = torch.randint(vocabulary, (30,), generator=random)
    values = head_values(logits, torch.eye(vocabulary), None, goal, STATISTICS).numpy()
    found = moments_of(dict(zip(("loss", *STATISTICS), values, strict=True)))
    slack = 1e-5
    assert 0 <= found["p³"] <= found["p²"] + slack <= found["p"] + 2 * slack <= 1 + 3 * slack
    assert np.exp(-found["loss"]) <= found["p"] + slack
    assert found["q5"] <= found["q50"] <= found["q95"] <= 1
    # r tokens are as likely as the right one of rank r, so that p ≤ 1/r.
    assert 0 <= found["log rank"] <= min(found["loss"], np.log(vocabulary)) + slack
    assert 0 <= found["hit 1"] <= found["hit 10"] <= 1
    assert 0 <= found["entropy"] <= np.log(vocabulary) + slack
    assert np.exp(-found["entropy"]) <= found["top 1"] + slack <= found["top 10"] + 2 * slack <= 1 + 3 * slack
    assert found["p"] <= found["top 1"] + slack


def test_moments_are_of_what_has_a_loss_and_of_the_statistic_that_they_name() -> None:
    found = moments_of(
        {
            "loss": np.array([np.nan, 0.0, np.log(2), np.log(2)]),
            "rank": np.array([99, 1, 10, 11]),
            "entropy": np.array([9.0, 1.0, 2.0, 3.0]),
            "top1": np.array([9.0, 0.5, 0.7, 0.6]),
            "top10": np.array([9.0, 0.8, 1.0, 0.9]),
        }
    )
    told = {"p": 2 / 3, "p²": 0.5, "loss": 2 * np.log(2) / 3, "log rank": np.log(110) / 3, "hit 1": 1 / 3}
    told |= {"hit 10": 2 / 3, "entropy": 2.0, "top 1": 0.6, "top 10": 0.9, "q50": 0.5}
    assert {name: found[name] for name in told} == pytest.approx(told)


def test_a_law_learns_from_the_statistic_that_it_is_given_and_not_from_another() -> None:
    table, told = world()
    silent = {run: (STEPS, np.ones((len(STEPS), told.n_positions))) for run in told.runs}
    ranks = {run: (STEPS, np.exp([told.read(run, int(s)) for s in STEPS])) for run in told.runs}
    stores = {"loss": MemoryLossStore(silent, "made-up"), "rank": MemoryLossStore(ranks, "made-up")}
    read, held = reader(stores), [f"run-{run}" for run in range(8)]
    train = CurveTable(table.frame.filter(~pl.col("run").is_in(held)))
    curves, builder = [c for c in table.one_metric() if c.key.run in held], EvidenceBuilder(table)
    errors = {}
    for name, moment in (("rank", "log rank"), ("loss", "p")):
        law = LawOf(name, (moment,), 2, read).fit(train)
        off = [law.forecast(builder.at(c, c.clock[3]), c.clock[4:]).median - c.values[4:] for c in curves]
        errors[name] = float(np.abs(off).mean())
    assert errors["rank"] < 1.2 * NOISE
    assert errors["rank"] < 0.9 * errors["loss"]


def test_the_law_of_one_moment_is_loss_law() -> None:
    table, store = world(n_runs=8)
    curve = table.one_metric().curves[0]
    evidence = EvidenceBuilder(table, store).at(curve, curve.clock[4])
    names, powers = LAWS[ONE_MOMENT]
    ours, shipped = (
        LawOf("p", names, powers, reader({"loss": store})).fit(table),
        MomentLaw().fit(table, store),
    )
    np.testing.assert_allclose(
        ours.forecast(evidence, curve.clock[5:]).values, shipped.forecast(evidence, curve.clock[5:]).values
    )


def test_a_tasks_own_text_is_left_out_and_only_the_contexts_end_is_read() -> None:
    table = read_home_curves()
    run = table.runs[0]
    curves = {c.key.task: c for c in table.filter(run=run) if c.key.metric in ("acc", "token_accuracy")}
    step = int(next(iter(curves.values())).steps[4])
    losses = np.log(np.array([[1.0, 2.0]]))
    read = reader(
        {"loss": MemoryLossStore({run: (np.array([step]), losses)}, "two", ["text_prose", "text_code"])}
    )
    builder = EvidenceBuilder(table)

    def p(task: str, checkpoint: int) -> float | None:
        found = read(builder.at(curves[task], curves[task].clock[checkpoint]))
        return None if found is None else found["p"]

    assert p("text_prose", 4) == pytest.approx(0.5)
    assert p("text_code", 4) == pytest.approx(1.0)
    assert p("word_order_code", 4) == pytest.approx(0.75)
    assert p("text_prose", 5) is None
    law = LawOf("one", ("p",), 2, read)
    assert law.refuse(builder.at(curves["text_prose"], curves["text_prose"].clock[5])) is not None


def test_a_runs_size_stands_beside_the_moments_where_it_is_known() -> None:
    table = read_home_curves()
    sizes = sizes_of(table)
    assert np.mean(list(sizes.values())) == pytest.approx(0)
    small, large = "home/llama-50k-prose-seed0", "home/llama-800k-prose-seed0"
    params = [table.filter(run=run).curves[0].facts.params for run in (small, large)]
    assert np.exp(sizes[large] - sizes[small]) == pytest.approx(params[1] / params[0])
    curve = table.filter(run=large).curves[0]
    store = MemoryLossStore({large: (curve.steps, np.ones((len(curve), 2)))}, "two")
    found = reader({"loss": store}, sizes)(EvidenceBuilder(table).at(curve, curve.clock[3]))
    assert found is not None
    assert found["size"] == sizes[large]
    assert sizes_of(world(n_runs=2)[0]) == {}


def test_kept_weights_are_scored_where_contexts_end_with_every_statistic(tmp_path: Path) -> None:
    config, folder = load_suite(write_tiny(tmp_path) / "tiny.yaml"), tmp_path / "tiny"
    prepare_suite(config, folder, QuestionFolders(), tmp_path)
    run = config.runs[0]
    model = build_model(run, config.sizes[run.size], config.schedule, config.tokenizer.vocabulary)
    for step in (*STEPS[:6], 9999):
        model.save_pretrained(folder / "runs" / run.name / "weights" / f"step{step}")
    frame, _ = world(n_runs=1)
    curves = CurveTable(frame.frame.with_columns(run=pl.lit(f"tiny/{run.name}")))
    stores = score_suite(folder, tmp_path / "work", curves)
    assert list(stores) == ["loss", *STATISTICS]
    # 5, 10, 20 and 30 % of 2,000 steps: what was not kept, and what no context ends at, is not scored.
    assert stores["rank"].steps(f"tiny/{run.name}").tolist() == [100, 200, 400, 600]
    losses = stores["loss"].read(f"tiny/{run.name}", 100)
    assert np.isfinite(losses).all()
    assert losses.mean() == pytest.approx(np.log(config.tokenizer.vocabulary), rel=0.1)
    assert set(stores["rank"].groups or ()) == {"text_code", "text_prose"}
    assert len(stores["loss"].groups or ()) == len(losses)
    with pytest.raises(InputError, match="kept its weights"):
        score_suite(folder, tmp_path / "work", world(n_runs=1)[0])


def test_a_law_is_told_from_that_of_one_moment_run_by_run() -> None:
    rows = [
        {"forecaster": name, "run": f"r{run}", "task": "t", "seed": 0, "origin": 0.2, "refused": False,
         "mae": 0.01 * run + more, "pinball": 0.0, "coverage80": 0.8}
        for name, more in ((ONE_MOMENT, 0.0), ("worse", 0.02), ("better", -0.003)) for run in range(1, 6)
    ]  # fmt: skip
    found = {row["law"]: row for row in compare("size", pl.DataFrame(rows))}
    assert found["worse"]["over_one_moment"] == pytest.approx(0.02)
    assert found["better"]["over_one_moment_95"] == pytest.approx([-0.003, -0.003])
    assert found["better"]["mae"] == pytest.approx(0.027)
    assert (found["worse"]["runs"], found["worse"]["curves"]) == (5, 5)


def test_every_recipe_size_and_architecture_is_held_out_once() -> None:
    table = read_home_curves()
    splits = in_turn(table)
    assert list(splits) == list(SPLITS)
    assert [len(splits[name]) for name in SPLITS] == [6, 3, 1]
    dense = {run for run in table.runs if run.startswith("home/llama")}
    for name, expected in (("recipe", dense), ("size", dense), ("architecture", set(table.runs) - dense)):
        asked = [run for manifest in splits[name] for run in manifest["test"]["run"]]
        assert sorted(asked) == sorted(expected)
        assert all(set(m["train"]["run"]) <= dense - set(m["test"]["run"]) for m in splits[name])


def test_the_table_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"split": split, "context": context, "law": law, "mae": 0.0123, "over_one_moment_95": [-0.001, 0.002],
         "runs": 7, "curves": 1234}
        for split in SPLITS for context in (0.1, 0.2)
        for law in ("last-value", "power-law", "rise-law", *STATISTIC_LAWS)
    ]  # fmt: skip
    write_json(tmp_path / "moments.json", {"statistics": {"rows": rows}})
    monkeypatch.setattr(_moment_tables, "RESULTS", tmp_path / "moments.json")
    lines = list(_moment_tables.statistics())
    assert lines[0].startswith("| what the law reads of the tokens | recipe, 10 % | recipe, 20 % |")
    cell = "1.23 (-0.10 to +0.20)"
    assert f"| mean entropy | {' | '.join([cell] * 6)} |" in lines
    assert f"| m and mean entropy | {' | '.join([cell] * 6)} |" in lines
    assert f"| none: last value | {' | '.join(['1.23'] * 6)} |" in lines
    assert lines[-1] == f"| runs, curves asked | {' | '.join(['7, 1,234'] * 6)} |"
    assert len({line.count("|") for line in lines}) == 1
