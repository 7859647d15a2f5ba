"""Figures of several evaluations: labels, seeds, a window of steps, many files at once."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.reports.test_figures import draw, labels

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation.published_results import write_published
from neuneu.files import read_json, write_json, write_table
from neuneu.forecasts.cells import read_cells
from neuneu.reports.figure_inputs import read_inputs
from neuneu.reports.figures import Options, write_figure, write_figures

OWN = "log-linear"


def other(evaluation: Path, folder: Path, shift: float) -> Path:
    """The evaluation with another answer of its own forecaster."""
    cells = read_cells(evaluation)
    moved = pl.col("forecaster") == OWN
    quantiles = [name for name in cells.columns if name.startswith("q")]
    write_table(
        folder / "cells.parquet",
        cells.with_columns(pl.when(moved).then(pl.col(q) + shift).otherwise(pl.col(q)) for q in quantiles),
    )
    board = read_json(evaluation / "leaderboard.json")
    for rows in (board["overall"], *board["sources"].values()):
        for row in rows:
            if row["forecaster"] == OWN:
                row["mae"] += shift
    write_json(folder / "leaderboard.json", board)
    return folder


@pytest.mark.parametrize("kind", ["tasks", "leaderboard", "horizon", "coverage", "steps"])
def test_labels_name_evaluations(kind: str, evaluation: Path, tmp_path: Path) -> None:
    second = other(evaluation, tmp_path / "b", 0.1)
    given = [f"CNN={evaluation}", f"no losses={second}"]
    text = labels(draw(kind, given, tmp_path / "x.svg"))  # type: ignore[arg-type]
    assert {"CNN", "no losses", "last-value"} <= set(text)
    assert OWN not in text


def test_the_same_forecaster_of_two_evaluations_is_drawn_twice(evaluation: Path, tmp_path: Path) -> None:
    second = other(evaluation, tmp_path / "b", 0.1)
    name = evaluation.resolve().name
    for kind in ("leaderboard", "tasks"):
        text = set(labels(draw(kind, [evaluation, second], tmp_path / f"{kind}.svg")))
        assert {f"{name}: {OWN}", f"b: {OWN}", "last-value"} <= text
        assert OWN not in text
    twice = read_inputs([evaluation, second]).cells
    assert twice is not None
    assert (
        twice.filter(forecaster="last-value").height == read_cells(evaluation).filter(forecaster=OWN).height
    )


def test_folders_of_one_name_are_told_apart(evaluation: Path, tmp_path: Path) -> None:
    paths = [
        other(evaluation, tmp_path / part / "results", shift) for part, shift in (("x", 0.1), ("y", 0.2))
    ]
    board = read_inputs(paths).leaderboard
    assert board is not None
    names = {row["forecaster"] for row in board["overall"]}
    assert {f"{path}: {OWN}" for path in paths} <= names


def test_seeds_are_one_forecaster_with_their_spread(evaluation: Path, tmp_path: Path) -> None:
    for seed, shift in enumerate((0.1, 0.2)):
        other(evaluation, tmp_path / "five" / f"seed{seed}", shift)
    for kind in ("leaderboard", "tasks"):
        text = labels(draw(kind, [f"CNN={tmp_path / 'five'}"], tmp_path / "x.svg"))  # type: ignore[list-item]
        assert any(part.startswith("CNN") for part in text)
        assert not any("seed0" in part for part in text)
        assert any("standard deviation over seeds" in part for part in text)
    draw("fan", [f"CNN={tmp_path / 'five'}"], tmp_path / "fan.svg")  # type: ignore[list-item]


def test_a_window_of_steps_is_what_is_scored(evaluation: Path, tmp_path: Path) -> None:
    steps = sorted(read_cells(evaluation)["step"].unique())
    window = {"step_min": steps[2], "step_max": steps[4]}
    whole, part = (draw("tasks", [evaluation], tmp_path / "x.svg", **options) for options in ({}, window))
    assert whole != part
    with pytest.raises(InputError) as error:
        draw("leaderboard", [evaluation], tmp_path / "y.svg", step_min=5)
    assert error.value.field == "step_min"
    with pytest.raises(InputError, match="no cell is left"):
        draw("tasks", [evaluation], tmp_path / "y.svg", step_min=10**12)


def test_all_figures_go_into_a_folder(evaluation: Path, tmp_path: Path) -> None:
    notes = write_figures("all", [evaluation], tmp_path / "figures")
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"leaderboard", "horizon", "coverage", "runs", "tasks", "steps"} <= drawn
    assert notes[-1] == f"{len(drawn)} figures → {tmp_path / 'figures'}"
    with pytest.raises(InputError, match="no figure can be drawn"):
        write_figures("all", [evaluation / "leaderboard.json"], tmp_path / "none", Options(step_min=1))


@pytest.fixture
def few(evaluation: Path, small: CurveTable, tmp_path: Path) -> Path:
    """The evaluation's cells of two runs and three tasks, from their first context."""
    cells = read_cells(evaluation).filter(pl.col("run").is_in(small.runs), pl.col("task").is_in(small.tasks))
    first = pl.col("context_clock") == pl.col("context_clock").min().over("run", "task")
    write_table(tmp_path / "few" / "cells.parquet", cells.filter(first))
    return tmp_path / "few"


def test_trajectories_are_a_file_a_run_with_all_its_tasks(
    few: Path, small_file: Path, tmp_path: Path
) -> None:
    notes = write_figures("trajectories", [few, small_file], tmp_path / "figures")
    runs = CurveTable.read(small_file).runs
    assert {p.stem for p in (tmp_path / "figures").iterdir()} == {run.replace("/", "--") for run in runs}
    assert notes[-1].startswith(f"{len(runs)} figures")


def test_published_results_are_drawn(few: Path, small: CurveTable, tmp_path: Path) -> None:
    write_published(read_cells(few).filter(forecaster=OWN), small, tmp_path / "out")
    text = labels(draw("tasks", [f"ours={tmp_path / 'out' / OWN}"], tmp_path / "x.svg"))  # type: ignore[list-item]
    assert "ours" in text
    shutil.copytree(tmp_path / "out" / OWN, tmp_path / "five" / "seed3")
    cells = read_inputs([tmp_path / "five"]).cells
    assert cells is not None
    assert cells["forecaster"].unique().to_list() == [f"{OWN}/seed3"]
    with pytest.raises(InputError, match="leaderboard"):
        write_figure("leaderboard", [tmp_path / "five"], tmp_path / "y.svg")


def test_a_label_needs_an_evaluation(small_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a label is for an evaluation"):
        read_inputs([f"curves={small_file}"])
