"""A design database tells forecasters of curves what it knows of a run, and overrides nothing."""

from pathlib import Path

import polars as pl
import pytest
from tests.designs.database.test_contribute import GOOD

from neuneu.curves.table import CurveTable
from neuneu.designs import DesignStore
from neuneu.designs.database.contribute import read_contribution
from neuneu.designs.database.facts import fill_facts
from neuneu.errors import InputError


@pytest.fixture
def designs(tmp_path: Path, store: DesignStore) -> DesignStore:
    (tmp_path / "new.yaml").write_text(GOOD)
    store.apply(read_contribution(tmp_path / "new.yaml"))
    return store


def curves(**facts: object) -> CurveTable:
    rows = [
        {
            "run": run,
            "task": "piqa",
            "metric": "acc",
            "step": step,
            "value": 0.5 + step / 100,
            "tokens": step * 10,
        }
        for run in ("org/a", "org/new", "mine")
        for step in range(1, 10)
    ]
    return CurveTable.from_frame(
        pl.DataFrame(rows).with_columns(pl.lit(v).alias(k) for k, v in facts.items())
    )


def facts_of(table: CurveTable, run: str) -> tuple[object, ...]:
    return table.filter(run=run).frame.select("params", "planned_tokens", "recipe").unique().row(0)


def test_size_plan_and_recipe_are_filled_by_name_and_by_choice(designs: DesignStore) -> None:
    table, told = fill_facts(curves(), designs, {"mine": "org/b"})
    assert facts_of(table, "org/a") == (100_000_000, 300_500_000_000, None)
    assert facts_of(table, "org/new") == (None, 300_000_000_000, "code 20, web 80")
    assert facts_of(table, "mine") == (200_000_000, 600_000_000_000, "code 12.5")
    assert told["model"].to_list() == ["org/b", "org/a", "org/new"]
    assert table.filter(run="mine").curves[0].facts.planned_tokens == 600_000_000_000


def test_what_curves_say_stays_and_unknown_runs_are_told(designs: DesignStore) -> None:
    table, told = fill_facts(curves(params=7), designs)
    assert set(table.frame["params"]) == {7}
    assert told["params"].is_null().all()
    assert told.filter(run="mine")["model"].item() is None
    assert table.frame.drop("planned_tokens", "recipe").equals(
        curves(params=7).frame.drop("planned_tokens", "recipe")
    )


@pytest.mark.parametrize(("models", "field"), [({"none": "org/a"}, "run"), ({"mine": "none"}, "model")])
def test_names_that_are_not_there_are_refused(
    designs: DesignStore, models: dict[str, str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        fill_facts(curves(), designs, models)
    assert caught.value.field == field
