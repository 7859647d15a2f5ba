"""What inspect finds: nothing where there is nothing, each planted fault where it was planted."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuneu.curves.frames import read_frame
from neuneu.curves.inspect import gaps, jump_sizes, noise, outliers, problems, runs, tasks
from neuneu.curves.table import CurveTable, normalise
from neuneu.decisions.trust import trust

from .tables import frames, rows


def found(frame: pl.DataFrame) -> dict[str, list[Any]]:
    """Problem → the steps where it was found."""
    table = problems(normalise(frame, "here"))
    return {name: table.filter(problem=name)["step"].to_list() for name in table["problem"].unique()}


def family(n_tasks: int = 8, n: int = 20, seed: int = 0) -> pl.DataFrame:
    """One run on several tasks, rising and noisy."""
    random = np.random.default_rng(seed)
    rise = np.linspace(0.3, 0.6, n)
    curves = [
        rows(n, task=[f"task{i}"] * n, value=rise + random.normal(0, 0.01, n)).with_columns(
            tokens=pl.col("step") * 1024
        )
        for i in range(n_tasks)
    ]
    return pl.concat(curves)


def test_nothing_wrong_with_a_good_table() -> None:
    assert found(family()) == {}


@pytest.mark.parametrize(
    ("changes", "problem", "step"),
    [
        ({"value": [0.2, None, 0.2, 0.2]}, "missing value", 100),
        ({"value": [0.2, float("nan"), 0.2, 0.2]}, "value not finite", 100),
        ({"value": [0.2, 0.3, 42.0, 0.2]}, "value out of range", 200),
        ({"step": [0, 100, -200, 300]}, "negative step", -200),
        ({"step": [0, 100, 100, 300]}, "repeated step", 100),
        ({"tokens": [0, 10, 10, 30]}, "clock goes back", 200),
        ({"tokens": [0, 20, 10, 30]}, "clock goes back", 200),
        ({"params": [1, 1, 2, 2]}, "merged runs", None),
        ({"recipe": ["c4", "c4", "pile", "c4"]}, "merged runs", None),
    ],
)
def test_each_fault_is_found_where_it_is(changes: dict[str, Any], problem: str, step: int | None) -> None:
    assert found(rows(**changes)) == {problem: [step]}


def test_a_restarted_run_is_seen_before_it_is_sorted() -> None:
    frame = rows(6, step=[0, 100, 200, 100, 200, 300])
    assert found(frame) == {"repeated step": [100, 200], "rewound": [100]}
    detail = problems(normalise(frame, "here")).filter(problem="rewound")["detail"].item()
    assert detail == "rows go back from step 200, 1 times"


def test_rows_out_of_order_alone_are_no_problem() -> None:
    assert found(rows(step=[300, 0, 200, 100])) == {}


def test_two_runs_under_one_name_have_several_tokens_at_a_step() -> None:
    first, second = rows(tokens=[0, 10, 20, 30]), rows(tokens=[0, 20, 40, 60])
    assert set(found(pl.concat([first, second]))) == {
        "repeated step",
        "merged runs",
        "clock goes back",
        "rewound",
    }


def test_a_gap_is_a_checkpoint_left_out_of_a_regular_row() -> None:
    frame = normalise(family(n=12).filter(pl.col("step") != 500), "here")
    assert gaps(frame)["step"].to_list() == [600]


def test_doubling_steps_and_a_change_of_the_interval_are_no_gaps() -> None:
    doubling = [0, *(2**i for i in range(10))]
    for steps in (doubling, [*doubling, 1000, 3000, 13_000, 23_000, 33_000]):
        assert gaps(normalise(rows(len(steps), step=steps), "here")).is_empty()


def test_a_task_that_lacks_a_checkpoint() -> None:
    frame = family().filter((pl.col("task") != "task3") | ~pl.col("step").is_in([400, 700]))
    table = problems(normalise(frame, "here")).filter(problem="missing checkpoints")
    assert table.select("task", "step", "detail").rows() == [("task3", 400, "lacks 2 that other tasks have")]


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30), st.floats(0.5, 2), st.floats(-1, 1))
def test_jumps_do_not_depend_on_unit_or_origin(values: list[float], scale: float, shift: float) -> None:
    array = np.round(np.array(values), 3)
    jumps, trend = jump_sizes(array)
    moved, moved_trend = jump_sizes(array * scale + shift)
    if np.median(np.abs(np.diff(array))) > 1e-3:
        assert moved == pytest.approx(jumps, rel=1e-6, abs=1e-6)
        assert moved_trend == pytest.approx(trend, rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_a_curve_that_only_rises_never_jumps(values: list[float]) -> None:
    assert jump_sizes(np.sort(np.array(values)))[0].sum() == 0


@settings(max_examples=15)
@given(frames())
def test_any_valid_table_can_be_inspected(frame: pl.DataFrame) -> None:
    frame = normalise(frame, "here")
    assert set(problems(frame)["problem"]) <= {
        "gap", "missing checkpoints", "outlier checkpoint", "no known accuracy", "setting changes",
    }  # fmt: skip
    assert runs(frame)["values"].sum() == len(frame)
    assert tasks(frame)["task"].n_unique() == frame["task"].n_unique()


def test_at_chance_and_noise_by_task() -> None:
    flat = rows(6, task=["piqa"] * 6, value=[0.5, 0.51, 0.5, 0.51, 0.5, 0.51])
    table = tasks(normalise(pl.concat([flat, rows(6, value=[0.2, 0.3, 0.4, 0.5, 0.6, 0.7])]), "here"))
    told = table.select("task", "group", "chance", "at_chance", "n_items").rows()
    assert told == [("arc_easy", "core", 0.25, 0, 2376), ("piqa", "core", 0.5, 1, 1838)]
    # a straight rise is no noise; to and fro by a hundredth, each is 0.01 off the line of its neighbours
    assert table["noise"].to_list() == pytest.approx([0.0, 0.01 / np.sqrt(1.5)])


def test_the_noise_of_inspect_is_that_of_trust(shared: Path) -> None:
    table = CurveTable.read(shared / "data" / "curves" / "gemstones.parquet").one_metric()
    told = {row["task"]: row["noise"] for row in trust(table).table.iter_rows(named=True)}
    for row in tasks(table.frame).iter_rows(named=True):
        assert row["noise"] == pytest.approx(told[row["task"]])


PLANTED = {
    "olmo_ladder_final_new": (20, 20),
    "olmo_ladder_moreeval": (30, 30),
    "open_sci_ref": (34, 36),
    "pythia_v1": (17, 21),
}
"""Source → of so many runs with a checkpoint swapped for an early one, so many at least must be found."""


@pytest.mark.parametrize("source", sorted(PLANTED))
def test_a_wrong_upload_is_found_and_real_runs_raise_no_alarm(shared: Path, source: str) -> None:
    """A late checkpoint of every run is replaced by an early one of the same run, as in pythia issue 108."""
    path = shared / "data" / "curves" / f"{source}.parquet"
    frame = normalise(read_frame(path), path).filter(pl.col("metric").is_in(["acc", "acc_norm", "len_norm"]))
    assert outliers(frame).is_empty()
    random = np.random.default_rng(0)
    swaps = []
    for (run,), part in sorted(frame.group_by("run"), key=lambda item: item[0]):
        steps = part["step"].unique().sort()
        if len(steps) >= 8:
            late = int(random.integers(len(steps) // 2, len(steps) - 1))
            swaps.append((run, steps[late], steps[len(steps) // 8]))
    wrong = pl.DataFrame(swaps, schema=["run", "step", "source_step"], orient="row")
    curve = ["run", "task", "metric", "n_shot", "variant"]
    early = frame.select(*curve, pl.col("step").alias("source_step"), pl.col("value").alias("early"))
    planted = (
        frame.join(wrong, on=["run", "step"], how="left")
        .join(early, on=[*curve, "source_step"], how="left", nulls_equal=True)
        .with_columns(pl.coalesce("early", "value").alias("value"))
        .filter(pl.col("run").is_in(wrong["run"].to_list()))
    )
    alarms = outliers(planted).select("run", "step")
    right = alarms.join(wrong, on=["run", "step"], how="semi")
    at_least, n_runs = PLANTED[source]
    assert len(wrong) == n_runs
    assert len(right) >= at_least
    assert len(alarms) - len(right) == 0


def test_noise_is_that_of_the_published_table(shared: Path) -> None:
    """Means over curves with at least 8 points, in points of accuracy, as measured apart from this code.

    There as mean |v[i+1] − v[i]| / √2, which has what is left of the trend in it.
    """
    for source, points in {"olmo_ladder_final_new": 0.86, "olmo_ladder_moreeval": 0.61}.items():
        table = CurveTable.read(shared / "data" / "curves" / f"{source}.parquet").one_metric()
        long = table.frame.filter(pl.len().over("run", "task", "metric", "n_shot", "variant") >= 8)
        floor = np.sqrt(2 / np.pi) * noise(long)["noise"].mean()
        assert 100 * floor == pytest.approx(points, abs=0.03)
