import numpy as np
import polars as pl
import pytest
from benchmarks.decisions import FORECASTERS, Fitted, comparable, in_words, measure
from benchmarks.ship import families_seen
from tests.forecasters.forecaster_cases import family

from neuneu.curves.table import CurveTable
from neuneu.decisions.outcomes import PLAIN
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.neuneu2.model import Neuneu2, TrainingSettings


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
    table = CurveTable.from_frame(pl.DataFrame(rows).with_columns(source=pl.lit("made")))
    return {"made": measure("made", table, Fitted(family()))}


def test_pairs_reliability_and_saved_compute_of_each_source_are_told(document):
    found = document["made"]
    assert found["told"] == "sizes unknown: taken as one size"
    single = [row for row in found["pairs"] if row["over"] == "single tasks" and row["context"] == 0.5]
    assert {row["pairs"] for row in single} == {6}
    assert all(row["right"] == 1 for row in single if row["rule"] == PLAIN)
    lines = "\n".join(in_words(document))
    assert "| made | 0.5 | single tasks | 6 |" in lines
    assert found["left_out"] == []
    assert "- made: sizes unknown: taken as one size; as what ships, which saw none of it." in lines


def test_seeds_are_recipes_where_there_is_one_recipe():
    frame = pl.DataFrame({"params": [1, 1], "recipe": ["r", "r"], "seed": ["0", "1"]})
    changed, told = comparable(frame)
    assert changed["recipe"].to_list() == ["0", "1"]
    assert told == "one recipe: seeds taken as recipes"
    assert comparable(frame.with_columns(recipe=pl.Series(["r", "s"])))[1] == ""


def test_families_that_were_fitted_on_are_asked_with_everything_fitted_on_the_others(monkeypatch):
    monkeypatch.setattr(Neuneu2, "settings", TrainingSettings(families=3, process_steps=4, trees=8))
    seen, fit = [], Neuneu2.fit

    def noted(self, curves, **more):
        seen.append(set(curves.frame["family"]))
        return fit(self, curves, **more)

    monkeypatch.setattr(Neuneu2, "fit", noted)
    frame = family().frame.with_columns(source=pl.lit("one"), family=pl.lit("a"))
    renamed = frame.with_columns(source=pl.lit("two"), family=pl.lit("b"), run="two " + pl.col("run"))
    fitted = Fitted(CurveTable(pl.concat([frame, renamed])))
    asked = CurveTable(frame.with_columns(family=pl.lit("spelt otherwise")))
    assert families_seen(fitted.curves, asked) == {"a"}  # by its source: training may name families otherwise
    found = fitted.forecasters(asked)
    assert tuple(found) == FORECASTERS
    assert found["neuneu-2"].without == {"a"}
    assert seen == [{"b"}]
    assert found["last-value"].calibration != load_forecaster("last-value").calibration
    others = fitted.forecasters(CurveTable(frame.with_columns(source=pl.lit("new"))))
    assert others["neuneu-2"].without == frozenset()
    assert len(seen) == 1
