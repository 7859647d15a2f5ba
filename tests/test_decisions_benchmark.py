import numpy as np
import polars as pl
import pytest
from benchmarks.decisions import comparable, in_words, measure

from neuneu.curves.table import CurveTable
from neuneu.decisions.outcomes import PLAIN


@pytest.fixture(scope="module")
def document():
    """Three runs of unknown size that truly differ, on two tasks."""
    random = np.random.default_rng(0)
    rows = [
        {
            "run": recipe, "recipe": recipe, "task": task, "metric": "acc", "step": k, "tokens": 100 * k,
            "value": top - 0.2 / k + float(random.normal(0, 0.002)),
        }
        for recipe, top in (("a", 0.5), ("b", 0.6), ("c", 0.7))
        for task in ("piqa", "boolq") for k in range(1, 21)
    ]  # fmt: skip
    return {"made": measure("made", CurveTable.from_frame(pl.DataFrame(rows)))}


def test_pairs_reliability_and_saved_compute_of_each_source_are_told(document):
    found = document["made"]
    assert found["told"] == "sizes unknown: taken as one size"
    single = [row for row in found["pairs"] if row["over"] == "single tasks" and row["context"] == 0.5]
    assert {row["pairs"] for row in single} == {6}
    assert all(row["right"] == 1 for row in single if row["rule"] == PLAIN)
    lines = "\n".join(in_words(document))
    assert "| made | 0.5 | single tasks | 6 |" in lines
    assert "- made: sizes unknown: taken as one size." in lines


def test_seeds_are_recipes_where_there_is_one_recipe():
    frame = pl.DataFrame({"params": [1, 1], "recipe": ["r", "r"], "seed": ["0", "1"]})
    changed, told = comparable(frame)
    assert changed["recipe"].to_list() == ["0", "1"]
    assert told == "one recipe: seeds taken as recipes"
    assert comparable(frame.with_columns(recipe=pl.Series(["r", "s"])))[1] == ""
