"""Evaluations side by side: names, seeds, common cells; nothing pooled in silence."""

from math import isnan
from statistics import stdev
from typing import Any

import polars as pl
import pytest

from neuneu.errors import InputError
from neuneu.evaluation.scores import ScoredCells
from neuneu.evaluation.side_by_side import (
    Evaluation,
    average_seed_cells,
    average_seeds,
    join_cells,
    join_leaderboards,
    name_apart,
    parse_label,
)
from neuneu.forecasts.cells import QUANTILES


def cells(answers: dict[str, float], runs: tuple[str, ...] = ("r0", "r1"), steps: int = 3) -> pl.DataFrame:
    """Every forecaster says one number of every cell."""
    rows = [
        {
            "source": "s", "run": run, "task": "piqa", "metric": "acc", "n_shot": None, "variant": None,
            "forecaster": name, "context_step": 1, "context_clock": 1.0, "step": step, "clock": float(step),
            "value": 0.5, "q50": value, "refused": False,
        }
        for name, value in answers.items() for run in runs for step in range(2, 2 + steps)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"n_shot": pl.Int64, "variant": pl.String})


def board(answers: dict[str, float]) -> dict[str, Any]:
    rows = [{"forecaster": name, "mae": value, "sees_future": False} for name, value in answers.items()]
    return {
        "protocol": {},
        "overall": rows,
        "sources": {"s": rows},
        "noise_floor": {"s": {"checkpoint": 0.1}},
    }


YARD = {"last-value": 0.4, "power-law": 0.45}


def evaluation(folder: str, own: dict[str, float], label: str | None = None, **more: Any) -> Evaluation:
    answers = {**YARD, **own}
    return Evaluation(folder, cells(answers), board(answers), label, **more)


def test_the_same_forecaster_of_two_evaluations_is_two() -> None:
    both = [evaluation("a", {"neuneu": 0.3}), evaluation("b", {"neuneu": 0.2})]
    names = name_apart(both)
    assert names[0] == {"last-value": "last-value", "power-law": "power-law", "neuneu": "a: neuneu"}
    assert names[1]["neuneu"] == "b: neuneu"
    joined, notes = join_cells(both, names)
    assert not notes
    per_name = joined.group_by("forecaster").len()
    assert dict(per_name.iter_rows()) == {"last-value": 6, "power-law": 6, "a: neuneu": 6, "b: neuneu": 6}
    document = join_leaderboards(both, names)
    assert [row["forecaster"] for row in document["overall"]] == [
        "last-value",
        "power-law",
        "a: neuneu",
        "b: neuneu",
    ]


def test_a_yardstick_that_differs_is_told_apart() -> None:
    other = Evaluation("b", cells({"last-value": 0.1, "power-law": 0.45, "x": 0.2}))
    names = name_apart([evaluation("a", {"neuneu": 0.3}), other])
    assert names[0]["last-value"] == "a: last-value"
    assert names[1]["last-value"] == "b: last-value"
    assert names[1]["x"] == "x"


def test_labels_name_the_own_forecaster() -> None:
    both = [evaluation("a", {"neuneu": 0.3}, "CNN"), evaluation("b", {"neuneu": 0.3}, "no losses")]
    names = name_apart(both)
    assert [called["neuneu"] for called in names] == ["CNN", "no losses"]
    several = name_apart([evaluation("a", {"neuneu": 0.3, "x": 0.1}, "A")])
    assert several[0]["x"] == "A: x"
    assert several[0]["last-value"] == "last-value"


def test_seeds_keep_one_name_and_are_averaged_with_their_spread() -> None:
    seeds = [
        evaluation(f"five/seed{seed}", {"neuneu": value}, "CNN", seed=seed)
        for seed, value in enumerate((0.3, 0.5))
    ]
    names = name_apart(seeds)
    assert [called["neuneu"] for called in names] == ["CNN/seed0", "CNN/seed1"]
    document = join_leaderboards(seeds, names)
    row = next(row for row in document["overall"] if row["forecaster"] == "CNN")
    assert row["mae"] == pytest.approx(0.4)
    assert row["spread"]["mae"] == pytest.approx(0.2 / 2**0.5)
    assert row["n_seeds"] == 2
    assert not any("seed" in other["forecaster"] for other in document["overall"])


def test_the_folder_of_a_seed_asked_under_that_seed_is_that_seed() -> None:
    """As configs/slurm/evaluate.sbatch writes it: seed0 asks models/x/seed0, seed1 asks models/x/seed1."""
    seeds = [
        evaluation("corpus", {f"models/x/seed{seed}": value, "logistic": value}, seed=seed)
        for seed, value in enumerate((0.3, 0.5))
    ]
    names = name_apart(seeds)
    assert [called[f"models/x/seed{i}"] for i, called in enumerate(names)] == [
        "models/x/seed0",
        "models/x/seed1",
    ]
    assert [called["logistic"] for called in names] == ["logistic/seed0", "logistic/seed1"]
    assert names[0]["last-value"] == "last-value"
    joined, notes = join_cells(seeds, names)
    assert not notes
    assert joined["forecaster"].n_unique() == 6
    rows = {row["forecaster"]: row for row in join_leaderboards(seeds, names)["overall"]}
    assert set(rows) == {"last-value", "power-law", "models/x", "logistic"}
    assert rows["models/x"]["mae"] == pytest.approx(0.4)


def test_cells_of_seeds_score_as_one_with_their_spread() -> None:
    named = {"x/seed0": 0.4, "x/seed1": 0.7, "x/seed2": 0.1, "y": 0.5}
    frame = cells(named).with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in QUANTILES if name != "q50"
    )
    scored = ScoredCells.from_frame(frame)
    assert scored.names == ["x", "y"]
    assert scored.mean("x", "mae").value == pytest.approx((0.1 + 0.2 + 0.4) / 3)
    assert scored.spread("x", "mae") == pytest.approx(stdev([0.1, 0.2, 0.4]))
    assert isnan(scored.spread("y", "mae"))
    assert scored.below("x", 0.5).value == pytest.approx(1 / 3)
    averaged = average_seed_cells(frame)
    assert averaged.filter(forecaster="x")["q50"].to_list() == pytest.approx([0.4] * 6)
    assert len(averaged) == 12


def test_rows_of_seeds_can_stay() -> None:
    rows = average_seeds([{"forecaster": f"x/seed{i}", "mae": float(i), "n_runs": 7} for i in range(3)])
    assert [row["forecaster"] for row in rows] == ["x/seed0", "x/seed1", "x/seed2", "x"]
    assert (rows[-1]["mae"], rows[-1]["spread"]["mae"], rows[-1]["n_runs"]) == (1.0, 1.0, 7)
    alone = average_seeds([{"forecaster": "x/seed4", "mae": 1.0}])[-1]
    assert alone["spread"] == {}
    missing = average_seeds([{"forecaster": "x/seed0", "mae": 1.0}, {"forecaster": "x/seed1", "mae": None}])
    assert missing[-1]["mae"] is None


def test_only_cells_that_all_asked_are_compared() -> None:
    one = Evaluation("a", cells({"x": 0.1}, steps=3))
    other = Evaluation("b", cells({"y": 0.2}, steps=2))
    joined, notes = join_cells([one, other], name_apart([one, other]))
    assert sorted(joined["step"].unique()) == [2, 3]
    assert notes == ["2 of 6 cells are left out: not all evaluations asked them"]
    apart = Evaluation("c", cells({"y": 0.2}, runs=("r9",)))
    with pytest.raises(InputError, match="a, c have no cell in common"):
        join_cells([one, apart], name_apart([one, apart]))


def test_evaluations_of_other_curves_are_taken_together_and_say_so() -> None:
    one = Evaluation("a", cells({"x": 0.1, "last-value": 0.2}))
    other = Evaluation("b", cells({"x": 0.7, "last-value": 0.2}, runs=("r8", "r9")))
    joined, notes = join_cells([one, other], name_apart([one, other]))
    assert joined.filter(forecaster="x").height == 12
    assert notes == ["last-value, x: asked other cells in each evaluation; taken together"]


def test_labels_are_parsed(tmp_path: Any) -> None:
    assert parse_label("CNN=a/b") == ("CNN", parse_label("a/b")[1])
    assert parse_label("no losses=x=y")[0] == "no losses"
    (tmp_path / "a=b").mkdir()
    assert parse_label(str(tmp_path / "a=b")) == (None, tmp_path / "a=b")
    for bad in ("=a", "x="):
        with pytest.raises(InputError, match="LABEL=PATH"):
            parse_label(bad)
