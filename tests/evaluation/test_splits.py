import json

import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.splits import (
    Source,
    join_sources,
    leave_source_out,
    read_manifest,
    read_sources,
    split_by_manifest,
)


def test_each_group_is_forecast_by_what_lies_outside_it(two_sources):
    split = leave_source_out(two_sources)
    assert len(split.folds) == 2
    for fold in split.folds:
        (tested,) = {source for source, _ in fold.test}
        assert set(fold.train().frame["source"].unique()) == {"a", "b"} - {tested}


def test_sources_that_share_a_family_are_held_out_together(make_table):
    sources = [Source(n, make_table(n, f)) for n, f in (("a", "f"), ("b", "g"), ("c", "f"), ("d", "h"))]
    # e joins f and g, so that a, b, c and e are one group
    bridge = CurveTable.concat([make_table("e", "f", 1), make_table("e2", "g", 1)])
    bridge = CurveTable(bridge.frame.with_columns(source=pl.lit("e")))
    groups = lambda s: {frozenset(name for name, _ in fold.test) for fold in leave_source_out(s).folds}  # noqa: E731
    assert groups(sources) == {frozenset("ac"), frozenset("b"), frozenset("d")}
    assert groups([*sources, Source("e", bridge)]) == {frozenset("abce"), frozenset("d")}


def test_one_group_is_split_by_run_and_says_so(make_table):
    sources = [Source("a", make_table("a", n_runs=7))]
    split = leave_source_out(sources, seed=3)
    assert "5 folds by run" in split.rule
    tested = [run for fold in split.folds for _, run in fold.test]
    assert sorted(tested) == sources[0].table.runs
    for fold in split.folds:
        assert not {run for _, run in fold.test} & set(fold.train().runs)


def test_a_single_run_leaves_nothing_to_learn_from(make_table):
    (fold,) = leave_source_out([Source("a", make_table("a", n_runs=1))]).folds
    assert fold.train() is None


def test_sources_without_a_long_curve_are_no_group(make_table):
    sources = [Source("a", make_table("a", "f")), Source("b", make_table("b", "g", n_checkpoints=3))]
    assert "folds by run" in leave_source_out(sources).rule


def test_runs_of_one_name_in_two_sources_stay_apart(make_table):
    table = make_table("a", n_runs=2)
    other = CurveTable(table.frame.with_columns(source=pl.lit("b")))
    joined = join_sources([Source("a", table), Source("b", other)])
    assert len(joined) == 2 * len(table)
    assert joined.runs == ["a:a-run0", "a:a-run1", "b:a-run0", "b:a-run1"]


def test_sources_come_from_the_column_or_the_file_name(make_table, tmp_path):
    make_table("a").write(tmp_path / "one.parquet")
    bare = CurveTable(make_table("b", n_runs=1).frame.with_columns(source=pl.lit(None, dtype=pl.String)))
    bare.write(tmp_path / "two.parquet")
    names = [source.name for source in read_sources([tmp_path / "two.parquet", tmp_path / "one.parquet"])]
    assert names == ["a", "two"]


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_manifest_says_who_is_trained_on_and_who_is_asked(two_sources, tmp_path, suffix):
    path = tmp_path / f"split.{suffix}"
    path.write_text(
        json.dumps({"train": {"recipe": ["mix0"]}, "test": {"recipe": ["mix1"], "task": ["hellaswag"]}})
    )
    split = split_by_manifest(two_sources, read_manifest(path))
    (fold,) = split.folds
    assert set(fold.train().frame["recipe"].unique()) == {"mix0"}
    assert {run[-1] for _, run in fold.test} == {"1", "3"}
    assert split.tasks == {"hellaswag"}


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        ({"train": {"run": ["a-run0"]}}, "manifest"),
        ({"train": {"colour": ["red"]}, "test": {"run": ["a-run0"]}}, "train"),
        ({"train": {"run": []}, "test": {"run": ["a-run0"]}}, "train.run"),
        ({"train": {}, "test": {"run": ["a-run0"]}}, "train"),
        ({"train": {"run": ["nobody"]}, "test": {"run": ["a-run0"]}}, "train.run"),
        ({"train": {"run": ["a-run0", "a-run1"]}, "test": {"run": ["a-run1"]}}, "run"),
        ({"train": {"task": ["hellaswag"]}, "test": {"task": ["mmlu_virology"]}}, "run"),
        (
            {"train": {"size": [100000000], "source": ["b"]}, "test": {"run": ["a-run3"], "source": ["b"]}},
            "test",
        ),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(two_sources, tmp_path, manifest, field):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError) as error:
        split_by_manifest(two_sources, read_manifest(path))
    assert error.value.field == field
