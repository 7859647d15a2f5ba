"""Samples: which questions, in which order, with which gaps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forecasters.neuneu.small import make_table

from neuneu.forecasters.neuneu.config import SampleConfig
from neuneu.forecasters.neuneu.samples import (
    Samples,
    Trajectories,
    batches,
    collate,
    gaps_between,
    grouped_order,
    index_samples,
    split_runs,
    split_samples,
)


def trajectories(config: SampleConfig, n_steps: int = 12) -> Trajectories:
    return Trajectories.from_curves(make_table(n_runs=2, n_steps=n_steps), config)


@pytest.fixture(scope="session")
def goldens(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((shared / "goldens" / "neuneu.json").read_text())
    return loaded


def test_gaps_equal_the_published_ones(goldens: dict[str, Any]) -> None:
    for case in goldens["gaps"]:
        kept = np.array([case["idx"]], dtype=np.float64)
        gaps = gaps_between(kept, np.ones(kept.shape, dtype=bool), np.array([float(case["target"])]))
        assert gaps[0].tolist() == case["train"]


def test_published_split(goldens: dict[str, Any]) -> None:
    train, held = split_samples(20)
    assert train.tolist() == goldens["split20"]["train"]
    assert held.tolist() == goldens["split20"]["val"]


@pytest.mark.parametrize("n_steps", [11, 12, 37])
def test_published_number_of_samples(n_steps: int) -> None:
    config = SampleConfig()
    laid_out = trajectories(config, n_steps)
    samples = index_samples(laid_out, config)
    assert len(samples) == len(laid_out.keys) * (10 * n_steps - 55)


@given(st.integers(2, 20), st.integers(1, 4), st.one_of(st.none(), st.integers(1, 12)))
def test_index_is_every_sample_once_in_order(n_steps: int, min_context: int, max_gap: int | None) -> None:
    config = SampleConfig(min_context=min_context, max_gap=max_gap)
    samples = index_samples(trajectories(config, n_steps), config, np.array([0, 3], dtype=np.int32))
    far = n_steps if max_gap is None else max_gap
    expected = [
        (curve, end, target)
        for curve in (0, 3)
        for end in range(min_context - 1, n_steps - 1)
        for target in range(end + 1, min(end + far, n_steps - 1) + 1)
    ]
    assert list(zip(samples.curve, samples.end, samples.target, strict=True)) == expected


def test_step_zero_is_left_out() -> None:
    assert trajectories(SampleConfig()).steps.min() == 100


def test_common_steps() -> None:
    table = make_table(n_runs=2)
    import polars as pl

    lacking = table.filter(
        ~((pl.col("task") == "piqa") & (pl.col("run") == "run-0") & (pl.col("step") == 300))
    )
    every = Trajectories.from_curves(lacking, SampleConfig())
    common = Trajectories.from_curves(lacking, SampleConfig(common_steps=True))
    assert sorted(np.diff(every.start)) == [11, 12, 12, 12, 12, 12]
    assert sorted(np.diff(common.start)) == [11, 11, 11, 12, 12, 12]


@given(st.integers(0, 1000), st.floats(0, 0.95), st.sampled_from(["index", "log"]))
def test_dropping_keeps_ends_and_merges_gaps(seed: int, drop: float, gaps: str) -> None:
    config = SampleConfig(drop=drop, gaps=gaps, round_values=False)  # type: ignore[arg-type]
    laid_out = trajectories(config)
    samples = index_samples(laid_out, config)[np.arange(40) * 3]
    whole = collate(laid_out, samples, config)
    dropped = collate(laid_out, samples, config, np.random.default_rng(seed))
    np.testing.assert_allclose(dropped.gaps.sum(axis=1), whole.gaps.sum(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(dropped.target, whole.target)
    for row in range(40):
        before, after = whole.values[row][whole.mask[row]], dropped.values[row][dropped.mask[row]]
        assert after[0] == before[0]
        assert after[-1] == before[-1]
        assert set(after) <= set(before)
        assert len(before) > 2 or len(after) == len(before)
        # Kept points are a run of True, so that padding is on the right.
        assert (np.diff(dropped.mask[row].astype(int)) <= 0).all()
        assert (dropped.gaps[row][~dropped.mask[row]] == 0).all()


def test_index_gaps_are_one_but_for_the_last() -> None:
    config = SampleConfig(drop=0.0)
    laid_out = trajectories(config)
    one = np.array([2], dtype=np.int32)
    contexts = collate(laid_out, Samples(one, one + 2, one + 7), config)
    assert contexts.gaps.tolist() == [[1, 1, 1, 1, 5]]


def test_values_are_rounded_as_published_or_not() -> None:
    laid_out = trajectories(SampleConfig())
    samples = index_samples(laid_out, SampleConfig())
    rounded = collate(laid_out, samples, SampleConfig(drop=0.0))
    exact = collate(laid_out, samples, SampleConfig(drop=0.0, round_values=False))
    np.testing.assert_array_equal(rounded.target, np.round(exact.target, 3))
    assert (rounded.target != exact.target).any()


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 8), st.integers(0, 5))
def test_grouped_order_is_a_shuffle_with_few_checkpoints_in_a_row(
    n: int, n_groups: int, per_group: int, seed: int
) -> None:
    group = np.random.default_rng(seed).integers(0, n_groups, n)
    order = grouped_order(group, per_group, np.random.default_rng(seed))
    assert sorted(order) == list(range(n))
    for batch in batches(order, 10):
        # A batch lies within groups of checkpoints that follow each other.
        smallest = np.bincount(group)[np.unique(group)].min() * per_group
        assert len(np.unique(group[batch])) <= per_group * (2 + 10 // max(smallest, 1))


@given(st.integers(1, 30), st.floats(0, 0.99), st.integers(0, 9))
def test_runs_are_split_whole(n: int, share: float, seed: int) -> None:
    runs = [f"run-{i}" for i in range(n)]
    train, held = split_runs(runs, share, seed)
    assert sorted(train + held) == sorted(runs)
    assert train
    assert not set(train) & set(held)
    assert (train, held) == split_runs(runs, share, seed)
