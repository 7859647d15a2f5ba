"""Readers against the same runs prepared apart from them: every value, clock and fact agrees."""

from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.readers.formats import read_format
from neuneu.curves.table import CurveTable

KEY = ["run", "task", "metric", "n_shot", "variant", "step"]
FACTS = ["value", "tokens", "flops", "stderr", "n_items", "chance", "family", "params", "recipe", "seed"]


@pytest.mark.parametrize(
    ("name", "prepared", "n_rows"),
    [
        ("pythia", "pythia_v1", 15_852),
        ("olmo-ladder", "olmo_ladder_moreeval", 38_720),
        ("datadecide", "datadecide_sample", 50_322),
    ],
)
def test_raw_files_give_the_prepared_values(shared: Path, name: str, prepared: str, n_rows: int) -> None:
    folder = shared / "data" / "raw" / name.replace("-", "_")
    ours = read_format(name, [folder]).table.frame
    theirs = CurveTable.read(shared / "data" / "curves" / f"{prepared}.parquet")
    theirs = theirs.filter(run=ours["run"].unique().to_list()).frame
    assert len(ours) == n_rows
    both = ours.join(theirs, on=KEY, how="inner", nulls_equal=True)
    assert len(both) == n_rows
    wrong = {fact: both.filter(pl.col(fact).ne_missing(pl.col(f"{fact}_right"))).height for fact in FACTS}
    assert wrong == dict.fromkeys(FACTS, 0)
    steps = ours.select("run", "n_shot", "step").unique()
    assert len(theirs.join(steps, on=["run", "n_shot", "step"], how="semi", nulls_equal=True)) == n_rows


def test_a_wandb_history_is_read_like_the_ladder_file_it_is(shared: Path) -> None:
    path = shared / "data" / "raw" / "olmo_ladder" / "190M-1xC.csv"
    told = ["task", "metric", "n_shot", "variant", "step", "tokens", "value"]
    wandb = read_format("wandb", [path]).table.frame
    assert wandb.select(told).equals(read_format("olmo-ladder", [path]).table.frame.select(told))
