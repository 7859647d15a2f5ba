import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuneu.errors import InputError
from neuneu.evaluation.scores import ScoredCells
from neuneu.forecasters.base import LEVELS
from neuneu.forecasts.cells import read_cells


@pytest.fixture(scope="module")
def scored(evaluation: Path) -> ScoredCells:
    return ScoredCells.from_frame(read_cells(evaluation))


def test_scores_are_those_of_the_leaderboard(scored: ScoredCells, evaluation: Path) -> None:
    board = json.loads((evaluation / "leaderboard.json").read_text())
    rows = {row["forecaster"]: row for row in board["overall"]}
    for name in scored.names:
        for score in ("mae", "pinball", "coverage80", "width80"):
            found = scored.mean(name, score)
            assert found.value == pytest.approx(rows[name][score], rel=1e-9)
            assert [found.low, found.high] == pytest.approx(rows[name]["intervals"][score], rel=1e-6)


def test_scores_do_not_depend_on_the_order_of_rows(scored: ScoredCells, evaluation: Path) -> None:
    shuffled = read_cells(evaluation).sample(fraction=1.0, shuffle=True, seed=3)
    again = ScoredCells.from_frame(shuffled)
    for name in scored.names:
        assert again.mean(name, "mae").value == pytest.approx(scored.mean(name, "mae").value, rel=1e-12)


def test_more_truth_lies_below_higher_quantiles(scored: ScoredCells) -> None:
    for name in scored.names:
        shares = [scored.below(name, level).value for level in LEVELS]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1


def test_the_noise_floor_of_noise_is_its_own_size(evaluation: Path) -> None:
    cells = read_cells(evaluation)
    noise = np.random.default_rng(0).normal(0.5, 0.02, len(cells))
    first = cells.filter(pl.col("forecaster") == cells["forecaster"][0])
    place = ["source", "run", "task", "metric", "context_clock", "clock"]
    values = first.select(*place).with_columns(value=pl.Series(noise[: len(first)]))
    noisy = cells.drop("value").join(values, on=place, how="left", maintain_order="left")
    floor = ScoredCells.from_frame(noisy).noise_floor
    assert floor == pytest.approx(0.02 * np.sqrt(2 / np.pi), rel=0.1)


def test_forecasters_must_have_answered_the_same_cells(evaluation: Path) -> None:
    cells = read_cells(evaluation)
    short = pl.concat(
        [cells.filter(pl.col("forecaster") != "power-law"), cells.filter(forecaster="power-law")[1:]]
    )
    with pytest.raises(InputError, match=r"power-law.*same cells"):
        ScoredCells.from_frame(short)


def test_without_any_truth_there_is_nothing_to_score(evaluation: Path) -> None:
    unknown = read_cells(evaluation).with_columns(value=pl.lit(None, pl.Float64))
    with pytest.raises(InputError, match="truth"):
        ScoredCells.from_frame(unknown)
