import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.curve import CurveKey
from neuneu.curves.seeds import join_seeds, seed_groups, show_seeds, without_seed
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError


def made(*runs: dict, tasks=("piqa",), steps=range(1, 6)) -> CurveTable:
    """A table of these runs (run, seed, level and facts), a value a step."""
    rows = [
        {
            "task": task, "metric": "acc", "step": k, "tokens": 100 * k,
            "value": run.get("level", 0.5) + k / 100,
            **{name: value for name, value in run.items() if name != "level"},
        }
        for run in runs for task in tasks for k in steps
    ]  # fmt: skip
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return CurveTable.from_frame(frame)


@pytest.mark.parametrize(
    ("name", "seed", "stem"),
    [
        ("a/llama-50k-prose-seed0", None, "a/llama-50k-prose"),
        ("a_seed_13-x", None, "a-x"),
        ("seed=7/run", None, "run"),
        ("a0", "0", "a"),
        ("lr-10-0", "0", "lr-10"),
        ("a-130", "13", None),
        ("linseed5", None, None),
        ("plain", "3", None),
        ("a-0.5", "5", None),
    ],
)
def test_a_name_without_its_seed(name, seed, stem):
    found = without_seed(name, seed)
    assert found[0] == (name if stem is None else stem)
    assert (found[1] is None) == (stem is None)


def test_names_that_differ_in_a_seed_part_alone_are_seeds_of_one_run():
    table = made({"run": "x-seed1"}, {"run": "x-seed2"}, {"run": "y-seed1"}, {"run": "x-lr3-seed3"})
    assert seed_groups(table.frame) == {"x": ("x-seed1", "x-seed2")}


@pytest.mark.parametrize("fact", [{"params": 2}, {"recipe": "b"}, {"family": "g"}, {"planned_tokens": 900}])
def test_whatever_else_differs_keeps_runs_apart(fact):
    common = {"params": 1, "recipe": "a", "family": "f", "planned_tokens": 500}
    same = made({"run": "x-seed1", **common}, {"run": "x-seed2", **common})
    assert len(seed_groups(same.frame)) == 1
    assert not seed_groups(made({"run": "x-seed1", **common}, {"run": "x-seed2", **common, **fact}).frame)


def test_columns_tell_where_names_say_nothing():
    known = {"params": 1, "recipe": "a"}
    table = made({"run": "ann", "seed": "1", **known}, {"run": "bob", "seed": "2", **known})
    assert seed_groups(table.frame) == {"ann and 1 more": ("ann", "bob")}
    # the same seed twice, or a recipe that nobody knows: something else may differ
    twice = made({"run": "ann", "seed": "1", **known}, {"run": "bob", "seed": "1", **known})
    assert not seed_groups(twice.frame)
    assert not seed_groups(made({"run": "ann", "seed": "1"}, {"run": "bob", "seed": "2"}).frame)
    # names that tell seeds and something else besides
    table = made({"run": "lr1-seed1", "seed": "1", **known}, {"run": "lr2-seed2", "seed": "2", **known})
    assert not seed_groups(table.frame)


def test_a_joined_name_is_no_name_of_a_run():
    table = made({"run": "x"}, {"run": "x-seed1"}, {"run": "x-seed2"})
    assert seed_groups(table.frame) == {"x (2 seeds)": ("x-seed1", "x-seed2")}


def test_seeds_are_one_run_with_its_mean_and_band():
    table = made(
        {"run": "x-seed1", "level": 0.4}, {"run": "x-seed2", "level": 0.6}, {"run": "y", "level": 0.1}
    )
    found = join_seeds(table)
    assert found.table.runs == ["x", "y"]
    x = found.table.filter(run="x").curves[0]
    np.testing.assert_allclose(x.values, 0.5 + np.arange(1, 6) / 100)
    assert x.clock.tolist() == [100, 200, 300, 400, 500]
    step, low, high = found.edges(x.key)
    assert step.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(high - low, 0.2)
    np.testing.assert_allclose(found.band["spread"], 0.2 / np.sqrt(2))
    assert (found.count("x"), found.count("y")) == (2, 1)
    assert len(found.edges(CurveKey("y", "piqa", "acc"))[0]) == 0
    assert found.table.filter(run="y").frame.equals(table.filter(run="y").frame)


def test_standard_errors_are_those_of_the_mean():
    table = made({"run": "x-seed1", "stderr": 0.03}, {"run": "x-seed2", "stderr": 0.04})
    np.testing.assert_allclose(join_seeds(table).table.frame["stderr"], 0.025)
    part = made({"run": "x-seed1", "stderr": 0.03}, {"run": "x-seed2"})
    assert join_seeds(part).table.frame["stderr"].null_count() == 5


def test_what_some_seeds_lack_is_left_out_and_told():
    long = made({"run": "x-seed1"}, tasks=("piqa", "boolq")).frame
    short = made({"run": "x-seed2"}, steps=range(1, 4)).frame
    found = join_seeds(CurveTable.from_frame(pl.concat([long, short])))
    assert found.table.tasks == ["piqa"]
    assert len(found.table) == 3
    told = "\n".join(found.in_words())
    assert "x is the mean of x-seed1, x-seed2" in told
    assert "boolq: not all seeds have it" in told
    assert "up to 2 checkpoints" in told


def test_many_joined_runs_are_counted_beyond_the_first_few():
    """Eighteen lines of names would push the table that they explain off the screen."""
    table = made(*({"run": f"{name}-seed{seed}"} for name in "abcde" for seed in (1, 2)))
    found = join_seeds(table)
    assert len(found.members) == 5
    told = found.in_words()
    assert [line.split(" is ")[0] for line in told[:3]] == ["seeds: a", "seeds: b", "seeds: c"]
    assert told[3:] == ["seeds: the same of 2 more runs"]
    assert len(found.in_words(["d"])) == 1


def test_asking_for_a_band_where_there_are_no_seeds_is_an_error():
    table = made({"run": "x"}, {"run": "y"})
    with pytest.raises(InputError, match="no two runs differ in their seed alone"):
        show_seeds(table, "band")
    with pytest.raises(InputError, match="each, band"):
        show_seeds(table, "bnad")
    assert show_seeds(table, "each", ["x"]) == (table, ["x"], None)


def test_a_seed_names_its_run():
    table = made({"run": "x-seed1"}, {"run": "x-seed2"}, {"run": "y"})
    assert show_seeds(table, "band", ["x-seed2", "x-seed1", "y"])[1] == ["x", "y"]
    assert show_seeds(table, "band", ["x"])[1] == ["x"]


@given(st.permutations(list(range(4))), st.permutations(list(range(20))))
def test_the_order_of_rows_does_not_matter(seeds, rows):
    table = made(*({"run": f"x-seed{k}", "level": k / 10} for k in seeds))
    shuffled = CurveTable.from_frame(table.frame[list(rows)])
    assert join_seeds(shuffled).table.frame.equals(join_seeds(table).table.frame)
    assert join_seeds(shuffled).members == join_seeds(table).members
