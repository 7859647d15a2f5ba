import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cli.terminal import on_terminal

import neuneu as nn
from neuneu.cli.curves import inspect
from neuneu.curves.table import CurveTable
from neuneu.decisions.outcomes import MEAN
from neuneu.decisions.trust import BRIEF, SCHEMA, Z, trust
from neuneu.errors import InputError
from neuneu.evidence.select import Selection

STEPS = np.arange(1, 41)


def made(
    noise=0.01, between=0.02, signal=0.05, *, recipes=12, seeds=8, tasks=("piqa",), random=0, **facts
) -> CurveTable:
    """Recipes whose ends differ by `signal`, in seeds that differ by `between`, with noise at checkpoints.

    Levels are standardised so that their deviations are just these.
    """
    rng = np.random.default_rng(random)
    parts = []
    for task in tasks:
        level = 0.5 + signal * _standard(rng.normal(size=recipes))
        for recipe in range(recipes):
            offset = between * _standard(rng.normal(size=seeds)) if seeds > 1 else np.zeros(1)
            for seed in range(seeds):
                value = level[recipe] + offset[seed] - 0.1 / STEPS + rng.normal(0, noise, len(STEPS))
                name = f"r{recipe}-seed{seed}" if seeds > 1 else f"r{recipe}"
                parts.append(pl.DataFrame({
                    "step": STEPS, "value": value, "run": name, "recipe": f"r{recipe}", "task": task,
                }))  # fmt: skip
    frame = pl.concat(parts).with_columns(
        tokens=pl.col("step") * 100, metric=pl.lit("margin"), params=pl.lit(10**8), source=pl.lit("s")
    )
    return CurveTable.from_frame(frame.with_columns(**{name: pl.lit(value) for name, value in facts.items()}))


def _standard(values):
    return (values - values.mean()) / values.std(ddof=1)


def row(table, **selection):
    return trust(table, Selection(metric="margin", **selection)).table.row(0, named=True)


@settings(max_examples=12, deadline=None)
@given(st.floats(0.002, 0.03), st.floats(0.01, 0.05), st.floats(0.05, 0.2), st.integers(0, 99))
def test_known_noise_seeds_and_signal_are_found_again(noise, between, signal, random):
    found = row(made(noise, between, signal, random=random))
    assert found["noise"] == pytest.approx(noise, rel=0.2)
    assert found["between_seeds"] == pytest.approx(between, rel=0.3)
    assert found["signal"] == pytest.approx(signal, rel=0.2)
    parts = (found[name] for name in ("noise", "between_seeds", "signal"))
    sigma, tau, s = parts
    assert found["signal_to_noise"] == pytest.approx(s / math.hypot(sigma, tau))
    below = s**2 / Z**2 - tau**2
    assert found["checkpoints_needed"] == (max(1, math.ceil(sigma**2 / below)) if below > 0 else None)
    assert found["seeds_needed"] == math.ceil(Z**2 * (sigma**2 + tau**2) / s**2)
    assert (found["runs"], found["recipes"], found["pairs"]) == (96, 12, 66 * 64)


def test_where_recipes_do_not_differ_there_is_no_signal_and_no_number_is_enough():
    found = row(made(signal=0.0, between=0.05, noise=0.03))
    assert found["signal"] < 0.02
    assert found["signal_to_noise"] < 0.4
    assert found["checkpoints_needed"] is None


def test_noise_is_not_taken_for_a_spread_between_seeds():
    assert row(made(between=0.0, noise=0.03))["between_seeds"] < 0.03 / np.sqrt(5) / 1.5


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(seed):
    table = made(recipes=3, seeds=2, tasks=("piqa", "boolq"))
    order = np.random.default_rng(seed).permutation(len(table.frame)).tolist()
    shuffled = CurveTable.from_frame(table.frame[order])
    one, two = (trust(each, Selection(metric="margin")).table for each in (shuffled, table))
    assert one.equals(two)


def test_pairs_are_decided_right_by_hand():
    """a leads b from the third quarter on; c is last throughout."""
    early = {"a": 0.3, "b": 0.4, "c": 0.1}
    late = {"a": 0.6, "b": 0.5, "c": 0.2}
    rows = [
        {"run": run, "step": k, "tokens": k, "value": (early if k <= 24 else late)[run]}
        for run in early for k in STEPS.tolist()
    ]  # fmt: skip
    frame = pl.DataFrame(rows).with_columns(
        task=pl.lit("piqa"), metric=pl.lit("margin"), params=1, source=pl.lit("s")
    )
    found = row(CurveTable.from_frame(frame))
    assert [found[f"right_{share}"] for share in (10, 20, 30, 50)] == pytest.approx([2 / 3] * 4)
    # at 70 % the mean of the last five is of 24 to 28: four late values of five
    assert found["right_70"] == 1
    lower = frame.with_columns(metric=pl.lit("bpb"))
    assert trust(CurveTable.from_frame(lower), Selection(metric="bpb")).table["right_10"][0] == pytest.approx(
        2 / 3
    )


def test_what_cannot_be_told_is_null_and_said():
    alone = trust(made(recipes=4, seeds=1, planned_tokens=10**9), Selection(metric="margin"))
    found = alone.table.row(0, named=True)
    assert found["noise"] > 0
    assert [found[name] for name in ("between_seeds", "signal", "signal_to_noise", "right_50")] == [None] * 4
    told = "\n".join(alone.notes)
    assert "4 of 4 runs have not reached their planned end" in told
    assert "as if seeds did not matter" in told
    unknown = trust(
        CurveTable(made(seeds=1).frame.with_columns(params=pl.lit(None, pl.Int64))),
        Selection(metric="margin"),
    )
    assert "12 runs of unknown size" in "\n".join(unknown.notes)
    assert unknown.table["signal"][0] is None


def test_the_mean_over_benchmarks_is_a_row_and_less_noisy_than_its_tasks():
    found = trust(made(tasks=("piqa", "boolq", "copa", "sciq")), Selection(metric="margin"))
    rows = {name["task"]: name for name in found.table.to_dicts()}
    assert set(rows) == {"piqa", "boolq", "copa", "sciq", MEAN}
    assert rows[MEAN]["noise"] == pytest.approx(0.01 / 2, rel=0.2)
    assert "4 benchmarks" in "\n".join(found.notes)


def test_of_a_task_the_setting_that_most_runs_have_is_taken():
    table = made(recipes=3, seeds=1).frame
    shots = pl.when(pl.col("run") == "r0").then(5).otherwise(0)
    both = pl.concat(
        [table.with_columns(n_shot=shots), table.filter(run="r1").with_columns(n_shot=pl.lit(5))]
    )
    found = trust(CurveTable.from_frame(both), Selection(metric="margin")).table.filter(task="piqa")
    assert found["n_shot"].to_list() == [0]
    assert found["runs"].to_list() == [2]


def test_of_two_runs_it_tells_what_tells_them_apart():
    table = made(noise=0.02, signal=0.05, recipes=6, seeds=1)
    ends = {run: table.filter(run=run).curves[0].values[-5:].mean() for run in table.runs}
    best, worst = max(ends, key=ends.__getitem__), min(ends, key=ends.__getitem__)
    found = row(table, runs=[best, worst])
    assert found["pairs"] == 1
    apart = (ends[best] - ends[worst]) / np.sqrt(2)
    assert found["signal"] == pytest.approx(np.sqrt(apart**2 - found["noise"] ** 2 / 5))


def test_the_command_and_the_function_say_the_same_within_80_columns(tmp_path, monkeypatch):
    table = made(recipes=3, seeds=2, tasks=("piqa", "blimp_existential_there_quantifiers_1")).frame
    CurveTable.from_frame(table.with_columns(metric=pl.lit("acc"))).write(tmp_path / "c.parquet")
    shown = on_terminal(monkeypatch, "inspect", tmp_path / "c.parquet", "--trust", errors=False)
    assert max(map(len, shown.splitlines())) <= 80
    assert all(name in shown for name in (*BRIEF.values(), "piqa", "100"))
    front = nn.trust(tmp_path / "c.parquet")
    assert f"{front.brief['noise'][0]:.2f}" in shown
    assert front.title.split(";")[0] in front._repr_html_()
    with pytest.raises(InputError, match="without it all is shown"):
        inspect(tmp_path / "c.parquet", task=["piqa"])
    inspect(tmp_path / "c.parquet", trust=True, output=tmp_path / "t.csv")
    assert pl.read_csv(tmp_path / "t.csv").columns == list(SCHEMA)
