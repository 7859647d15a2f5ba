"""CurveTable: what it adopts, what it refuses, and that order, library and file kind do not matter."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuneu.curves.table import SCHEMA, CurveTable, read_curves
from neuneu.errors import InputError

from .tables import frames, rows


def refusal(frame: Any) -> str:
    with pytest.raises(InputError) as caught:
        CurveTable.from_frame(frame, "here")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("here")
    return message


@settings(max_examples=15)
@given(frames())
def test_round_trips_through_every_kind_of_file(
    tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame
) -> None:
    table = CurveTable.from_frame(frame)
    for ending in ("parquet", "csv", "json"):
        path = tmp_path_factory.mktemp("tables") / f"[curves]*.{ending}"
        table.write(path)
        assert CurveTable.read(path).frame.equals(table.frame), ending


@settings(max_examples=25)
@given(frames(), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(frame: pl.DataFrame, random: Any) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    assert CurveTable.from_frame(frame[order]).frame.equals(CurveTable.from_frame(frame).frame)


@settings(max_examples=15)
@given(frames())
def test_pandas_polars_and_arrow_give_the_same_table(frame: pl.DataFrame) -> None:
    expected = CurveTable.from_frame(frame).frame
    plain = pd.DataFrame({name: frame[name].to_list() for name in frame.columns})
    nullable = plain.astype({"n_shot": "Int64", "step": "Int64", "tokens": "Int64", "run": "string"})
    pythonic = plain.astype({"run": "object", "variant": "object", "task": "category"})
    arrow = pa.table(frame.to_dict(as_series=False))
    for data in (plain, nullable, pythonic, arrow, arrow.to_reader(), frame.lazy()):
        assert CurveTable.from_frame(data).frame.equals(expected), type(data)


def test_pandas_strings_with_missing_values() -> None:
    data = pd.DataFrame(
        {"run": ["a", "a"], "task": "piqa", "metric": "acc", "step": [1, 2], "value": [0.5, 0.6],
         "variant": pd.array([None, "mc"], dtype="string"), "n_shot": pd.array([5, None], dtype="Int64"),
         "tokens": [1.0, np.nan]}
    )  # fmt: skip
    frame = CurveTable.from_frame(data).frame
    assert frame.select("variant", "n_shot", "tokens").rows() == [
        ("mc", None, None),
        (None, 5, 1),
    ]


@settings(max_examples=25)
@given(frames(), st.sampled_from([1000, 2**20]))
def test_the_clock_follows_its_unit(frame: pl.DataFrame, factor: int) -> None:
    """Tokens in other units: the same curves with the clock multiplied, and nothing else changed."""
    scaled = frame.with_columns(pl.col("tokens") * factor)
    for curve, other in zip(CurveTable.from_frame(frame), CurveTable.from_frame(scaled), strict=True):
        assert other.clock_unit == curve.clock_unit
        times = factor if curve.clock_unit == "tokens" else 1
        assert np.array_equal(other.clock, curve.clock * times)
        assert np.array_equal(other.values, curve.values)
        assert (np.diff(curve.clock) > 0).all()


def test_facts_of_known_tasks_fill_gaps() -> None:
    frame = CurveTable.from_frame(rows(task=["hendrycksTest-anatomy"] * 4)).frame
    assert frame.select("task", "chance", "n_items").unique().rows() == [("mmlu_anatomy", 0.25, 135)]
    validation = CurveTable.from_frame(rows(variant=["rc_val"] * 4)).frame
    assert validation["n_items"].unique().to_list() == [570]
    losses = CurveTable.from_frame(rows(metric=["bpb"] * 4)).frame
    assert losses["chance"].null_count() == 4


def test_the_standard_error_says_how_many_items_there_were() -> None:
    value = rows()["value"]
    sampled = rows(stderr=(value * (1 - value) / 999).sqrt())
    assert CurveTable.from_frame(sampled).frame["n_items"].unique().to_list() == [1000]
    pooled = rows(stderr=[0.0211, 0.0212, 0.0213, 0.0214])
    assert CurveTable.from_frame(pooled).frame["n_items"].unique().to_list() == [2376]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": [25.0, 26.0, 27.0, 28.0]}, "divide by 100"),
        ({"value": [0.2, 0.3, 1.5e3, 0.4]}, "acc must be in [0, 1]"),
        ({"value": [0.2, 0.3, -0.1, 0.4]}, "acc must be in [0, 1]"),
        ({"value": [0.2, float("nan"), 0.3, 0.4]}, "must be finite"),
        ({"value": [0.2, float("inf"), 0.3, 0.4]}, "must be finite"),
        ({"value": [0.2, None, 0.3, 0.4]}, "value: must not be missing"),
        ({"value": ["a", "b", "c", "d"]}, "must be a number"),
        ({"value": [True, True, False, True]}, "must be a number"),
        ({"step": [0, 100, 100, 200]}, "given twice in run 'a'"),
        ({"step": [0, 1, 2, -3]}, "must not be negative"),
        ({"step": [0.0, 1.5, 2.0, 3.0]}, "must be a whole number"),
        ({"step": [0.0, 1.0, 2.0, 1e300]}, "must be a whole number"),
        ({"run": ["a", "a", None, "a"]}, "run: must not be missing"),
        ({"run": ["a", "a", "", "a"]}, "must not be empty"),
        ({"run": ["../../etc/passwd"] * 4}, "climb out"),
        ({"task": ["..\\x"] * 4}, "climb out"),
        ({"task": ['=HYPERLINK("http://x")'] * 4}, "which spreadsheets run"),
        ({"variant": ["@SUM(A1)"] * 4}, "which spreadsheets run"),
        ({"run": ["a\nb"] * 4}, "control characters"),
        ({"run": ["a" * 501] * 4}, "longer than 500"),
        ({"metric": ["bpb"] * 4, "value": [-1.0, 1, 1, 1]}, "bpb must be in [0, inf]"),
        ({"chance": [2.0] * 4}, "must be in [0, 1]"),
        ({"schedule": ["cosine", None, "cosine", "wsd"]}, "must be constant, cosine, linear, or wsd:"),
        ({"schedule": ["wsd:1"] * 4}, "such as wsd:0.8"),
        ({"tokens": [-1, 2, 3, 4]}, "must not be negative"),
        ({"stderr": [-0.1] * 4}, "must not be negative"),
        ({"n_shot": [-1] * 4}, "must not be negative"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused_in_one_clear_line(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(rows(**changes))


@settings(max_examples=25)
@given(frames(), st.data())
def test_any_step_given_twice_is_refused(frame: pl.DataFrame, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(frame) - 1))
    assert "given twice" in refusal(pl.concat([frame, frame[row]]))


def test_two_names_of_one_task_do_not_hide_a_repeated_step() -> None:
    assert "given twice" in refusal(pl.concat([rows(task=["csqa"] * 4), rows(task=["commonsense_qa"] * 4)]))


def test_missing_columns_and_rows_are_named() -> None:
    assert "the column is missing" in refusal(rows().drop("value"))
    assert "no rows" in refusal(rows().clear())
    assert "Polars, pandas or Arrow" in refusal([1, 2])


@pytest.mark.parametrize("n", [1, 2])
def test_short_and_constant_curves_are_curves(n: int) -> None:
    (curve,) = CurveTable.from_frame(rows(n, value=[0.25] * n))
    assert len(curve) == n
    assert curve.steps[0] == 0


def test_unsorted_steps_are_sorted() -> None:
    (curve,) = CurveTable.from_frame(rows(step=[300, 0, 200, 100]))
    assert curve.steps.tolist() == [0, 100, 200, 300]
    assert curve.values.tolist() == pytest.approx([0.26, 0.28, 0.27, 0.25])


def test_a_million_points_are_one_curve() -> None:
    n = 1_000_000
    table = CurveTable.from_frame(rows(n, step=range(n), value=np.linspace(0.2, 0.9, n)))
    (curve,) = table
    assert len(curve) == n


@settings(max_examples=15)
@given(frames())
def test_joining_a_table_with_itself_changes_nothing(frame: pl.DataFrame) -> None:
    table = CurveTable.from_frame(frame)
    assert CurveTable.concat([table, table, table]).frame.equals(table.frame)


def test_a_part_of_a_curve_joins_the_whole() -> None:
    """Ten fractions of 570 tell the validation split, three do not: the same rows all the same."""
    frame = rows(10, value=[(200 + i) / 570 for i in range(10)])
    whole, part = CurveTable.from_frame(frame), CurveTable.from_frame(frame[:3])
    assert (whole.frame["n_items"][0], part.frame["n_items"][0]) == (570, 2376)
    assert len(CurveTable.concat([whole, part])) == 10


def test_joining_tables_that_disagree_is_refused() -> None:
    first, second = CurveTable.from_frame(rows()), CurveTable.from_frame(rows(value=[0.5] * 4))
    with pytest.raises(InputError, match="given twice"):
        CurveTable.concat([first, second])


def test_filter_takes_missing_values() -> None:
    table = CurveTable.from_frame(rows(n_shot=[None, 5, 5, 0]))
    assert [len(table.filter(n_shot=shots)) for shots in (None, 5, [None, 0])] == [1, 2, 2]


def test_all_shared_curves_are_read_unchanged(shared: Path) -> None:
    paths = sorted((shared / "data" / "curves").glob("*.parquet"))
    assert len(paths) == 9
    facts = [name for name in SCHEMA if name not in ("n_items", "chance", "variant", "planned_tokens")]
    for path in paths:
        raw = pl.read_parquet(path).rename({"data_recipe": "recipe"})
        ours = read_curves(path).frame
        key = ["run", "task", "metric", "n_shot", "step"]
        told = [name for name in facts if name in raw.columns]
        raw = raw.with_columns(pl.col("variant").replace("", None)).sort([*key, "variant"], nulls_last=False)
        ours = ours.sort([*key, "variant"], nulls_last=False)
        assert ours.select([*told, "variant"]).equals(raw.select([*told, "variant"])), path.name
        known = raw["chance_level"].is_not_null()
        assert (ours["chance"].filter(known) - raw["chance_level"].filter(known)).abs().max() in (0.0, None)


@given(frames())
def test_clock_units_are_those_of_the_curves(frame: pl.DataFrame) -> None:
    table = CurveTable.from_frame(frame)
    expected: dict[str, set[str]] = {}
    for curve in table.curves:
        expected.setdefault(curve.key.run, set()).add(curve.clock_unit)
    assert table.clock_units() == expected


def test_clocks_that_stand_still_or_miss_a_value_are_no_clocks() -> None:
    frame = rows(3).with_columns(tokens=pl.Series([10, None, 30]), flops=pl.Series([1.0, 2.0, 3.0]))
    assert list(CurveTable.from_frame(frame).clock_units().values()) == [{"flops"}]
    still = frame.with_columns(flops=pl.Series([1.0, 2.0, 2.0]))
    assert list(CurveTable.from_frame(still).clock_units().values()) == [{"step"}]
