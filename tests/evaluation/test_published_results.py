"""NeuNeu's result files: written from cells, read back, and read as the published evaluator writes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forecasters.neuneu.small import make_losses, make_table

from neuneu.curves.curve import Floats
from neuneu.curves.table import KEY
from neuneu.errors import InputError
from neuneu.evaluation.correlation import correlations, pearson
from neuneu.evaluation.published_results import is_published, read_published, write_published

CURVES = make_table(2)
OFF = {"q10": -2.0, "q25": -1.0, "q50": 0.5, "q75": 1.0, "q90": 2.0}


def make_cells(forecaster: str = "neuneu", end: int = 400) -> pl.DataFrame:
    """Cells of every curve after a step, the quantiles around something near the truth."""
    rows = []
    for curve in CURVES:
        for step, value in zip(curve.steps.tolist(), curve.values.tolist(), strict=True):
            if step > end:
                key = dict(zip(KEY, curve.key, strict=True))
                asked = {"step": step, "clock": step * 10.0, "value": value}
                context = {"context_step": end, "context_clock": end * 10.0, "forecaster": forecaster}
                rows.append({**key, **asked, **context, **{name: value + d for name, d in OFF.items()}})
    return pl.DataFrame(rows, schema_overrides={"n_shot": pl.Int64, "variant": pl.String})


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    cells = make_cells()
    files = write_published(cells, CURVES, tmp_path, losses=make_losses(2), context_ratio=0.2, seed=3)
    assert sorted(path.name for path in files) == [
        "run-0_predictions.json", "run-0_results.json", "run-1_predictions.json", "run-1_results.json",
    ]  # fmt: skip
    assert is_published(tmp_path / "neuneu")
    back = read_published(tmp_path / "neuneu", metric="acc", forecaster="neuneu")
    columns = ["run", "task", "metric", "context_step", "step", "value", "q10", "q25", "q50", "q75", "q90"]
    order = ["run", "task", "step"]
    assert back.select(columns).sort(order).equals(cells.select(columns).sort(order))
    document = json.loads((tmp_path / "neuneu" / "run-0_results.json").read_text())
    assert document["model_type"] == "neural_anchored"
    assert (document["context_ratio"], document["seed"]) == (0.2, 3)
    assert document["results"][0]["mae"] == pytest.approx(0.5)
    assert document["results"][0]["correlation"] == pytest.approx(1.0)
    trajectory = json.loads((tmp_path / "neuneu" / "run-0_predictions.json").read_text())["tasks"]["piqa"]
    assert trajectory["steps"] == [100 * i for i in range(1, 13)]
    assert trajectory["context_end_idx"] == 3
    assert len(trajectory["predictions"]) == len(trajectory["errors_per_step"]) == 8
    assert trajectory["losses"] == pytest.approx(make_losses(2).mean("run-0").tolist())


def test_a_forecast_of_every_checkpoint_has_no_context(tmp_path: Path) -> None:
    cells = make_cells("probe-cnn", end=0).with_columns(context_step=100, context_clock=1000.0)
    write_published(cells, CURVES, tmp_path)
    trajectory = json.loads((tmp_path / "probe-cnn" / "run-0_predictions.json").read_text())["tasks"]["piqa"]
    assert "context_end_idx" not in trajectory
    back = read_published(tmp_path / "probe-cnn")
    assert len(back) == len(cells)
    assert back["forecaster"].unique().to_list() == ["probe"]
    assert back["context_step"].unique().to_list() == [100]


def published(**changes: Any) -> dict[str, Any]:
    quantiles = {"q10": 0.2, "q25": 0.25, "median": 0.3, "q75": 0.35, "q90": 0.4}
    trajectory = {
        "steps": [1250.0, 2500.0, 3750.0], "accuracies": [0.25, 0.27, 0.31], "losses": [4.0, 3.9, 3.8],
        "predictions": [quantiles, quantiles], "context_end_idx": 0, "errors_per_step": [0.03, 0.01],
    }  # fmt: skip
    tasks = {"arc_easy": {**trajectory, **changes}}
    return {"model_name": "DataDecide-c4-300M", "model_type": "baseline_anchored", "tasks": tasks}


def test_published_files_of_seeds_are_told_apart(tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        (folder / "DataDecide-c4-300M_predictions.json").write_text(json.dumps(published()))
    cells = read_published(tmp_path)
    assert cells["forecaster"].unique().sort().to_list() == [
        "baseline_anchored/seed0",
        "baseline_anchored/seed1",
    ]
    assert cells.filter(step=2500)["q50"].to_list() == [0.3, 0.3]
    one = read_published(tmp_path / "seed0" / "DataDecide-c4-300M_predictions.json")
    assert one["forecaster"].unique().to_list() == ["baseline_anchored/seed0"]


def test_a_median_alone_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "x_predictions.json"
    document = published(predictions=[0.3, {"median": 0.32}])
    file.write_text(json.dumps(document))
    cells = read_published(file)
    assert cells["q50"].to_list() == [0.3, 0.32]
    assert cells["q10"].null_count() == 2


BAD = [
    ({"predictions": [0.3]}, "must be 2"),
    ({"predictions": [0.3, float("nan")]}, "finite"),
    ({"predictions": [0.3, {"q10": 0.1}]}, "median"),
    ({"accuracies": [0.1]}, "one a step"),
    ({"steps": "all"}, "numbers"),
    ({"steps": [1, 2, None]}, "numbers"),
    ({"context_end_idx": 2}, "must be 0"),
]


@pytest.mark.parametrize(("change", "names"), BAD)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, change: dict[str, Any], names: str) -> None:
    file = tmp_path / "x_predictions.json"
    file.write_text(json.dumps(published(**change)))
    with pytest.raises(InputError, match=names) as error:
        read_published(file)
    assert "x_predictions.json" in str(error.value)


def test_two_settings_of_a_task_are_not_one_entry(tmp_path: Path) -> None:
    both = pl.concat([make_cells(), make_cells(end=600)])
    with pytest.raises(InputError, match="two settings or contexts"):
        write_published(both, CURVES, tmp_path)
    missing = make_cells().filter(pl.col("step") != 800)
    with pytest.raises(InputError, match="every checkpoint"):
        write_published(missing, CURVES, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_holds_no_predictions(tmp_path: Path) -> None:
    assert not is_published(tmp_path)
    with pytest.raises(InputError, match="_predictions"):
        read_published(tmp_path)


def spearman(predicted: Floats, truth: Floats) -> float:
    return float(correlations(predicted, truth, np.zeros(len(truth), dtype=np.intp))[0, 1])


Numbers = st.lists(st.integers(-1000, 1000), min_size=3, max_size=20)


@given(Numbers, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlations_are_of_lines_and_of_orders(values: list[int], scale: float, shift: float) -> None:
    x = np.array(values, dtype=np.float64)
    if np.ptp(x) == 0:
        assert pearson(x, x) is None
        return
    assert pearson(scale * x + shift, x) == pytest.approx(1.0)
    assert spearman(np.arctan(-x / 1000), x) == pytest.approx(-1.0)
    assert pearson(np.zeros(len(x)), x) is None
    both = correlations(np.tile(x, 2), np.concatenate([x, -x]), np.repeat([0, 1], len(x)))
    np.testing.assert_allclose(both[:, 0], [1.0, -1.0])


def test_two_points_have_no_correlation() -> None:
    assert pearson(np.array([0.0, 1.0]), np.array([0.0, 1.0])) is None
    both = np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    assert spearman(*both) == pytest.approx(np.sqrt(3) / 2)
