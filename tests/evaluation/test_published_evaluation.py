"""Evaluation as NeuNeu's code does it: every checkpoint, delta modes, device, seeds, its result files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.forecasters.neuneu.small import make_losses, make_table
from tests.forecasters.neuneu.test_probe_forecasters import short
from tests.forecasters.neuneu.test_probe_training import make_probe_config, on_disk

from neuneu.errors import InputError
from neuneu.evaluation.comparison import evaluate, write_results
from neuneu.evaluation.leaderboard import Results, leaderboard, results_frame
from neuneu.evaluation.published_results import read_published
from neuneu.evidence.select import Selection
from neuneu.forecasters.baselines import LastValue
from neuneu.forecasters.neuneu.forecaster import NeuNeuNoLoss, small_config
from neuneu.forecasters.train import train_seeds
from neuneu.forecasts.forecast import forecast

TABLE, LOSSES = make_table(4), make_losses(4)


def compare(*forecasters: Any, **options: Any) -> Results:
    return evaluate([TABLE], list(forecasters), losses=LOSSES, **options)


def rows(results: Results) -> dict[str, dict[str, Any]]:
    return {row["forecaster"]: row for row in leaderboard(results)["overall"]}


def test_every_checkpoint_after_the_first_is_asked() -> None:
    results = compare(short("probe-average").fit(TABLE, LOSSES), protocol="every", fit=False)
    cells = results_frame(results).filter(forecaster="probe-average")
    assert cells["context_step"].unique().to_list() == [100]
    assert sorted(cells["step"].unique()) == [100 * i for i in range(2, 13)]
    found = rows(results)
    assert found["probe-average"]["sees_future"]
    assert not found["last-value"]["sees_future"]
    assert leaderboard(results)["protocol"]["kind"] == "every"


def test_delta_and_anchor_are_set_for_those_that_take_them_and_told() -> None:
    probe = short("probe-delta").fit(TABLE, LOSSES)
    plain = compare(probe, fit=False)
    results = compare(probe, fit=False, options={"delta": "cumulative", "anchor": 0, "device": None})
    name = "probe-delta (delta cumulative, anchor 0)"
    assert name in rows(results)
    assert "last-value" in rows(results)
    one, other = (r.answers[-1].quantiles for r in (plain, results))
    assert np.abs(one - other).max() > 1e-3
    with pytest.raises(InputError) as error:
        compare(LastValue(), options={"anchor": 0})
    assert error.value.field == "anchor"
    with pytest.raises(InputError, match="delta"):
        compare(probe, fit=False, options={"delta": "sideways"})


def test_a_device_is_for_networks_and_must_be_here() -> None:
    config = small_config("neuneu-noloss")
    training = config.training.model_copy(update={"max_steps": 2})
    network = NeuNeuNoLoss(config.model_copy(update={"training": training})).fit(TABLE)
    assert network.with_options(device="cpu").device == "cpu"
    asked = forecast(TABLE, [network], context=0.5, options={"device": "cpu"})
    assert asked.names == [network.name]
    for given in ("cuda:7", "abacus"):
        with pytest.raises(InputError) as error:
            forecast(TABLE, [network], context=0.5, options={"device": given})
        assert error.value.field == "device"
    with pytest.raises(InputError, match="none of these"):
        forecast(TABLE, ["last-value"], context=0.5, options={"device": "cpu"})


def test_rows_have_the_correlation_within_curves() -> None:
    results = compare("log-linear", protocol="anchored")
    cells = results_frame(results).filter(forecaster="log-linear")
    expected = [
        np.corrcoef(part["q50"], part["value"])[0, 1]
        for _, part in cells.group_by("run", "task")
        if part["q50"].n_unique() > 1
    ]
    assert rows(results)["log-linear"]["pearson"] == pytest.approx(np.mean(expected))
    assert np.isnan(rows(results)["last-value"]["pearson"])
    assert -1 <= rows(results)["log-linear"]["spearman"] <= 1


def test_published_files_stand_beside_ours(tmp_path: Path) -> None:
    results = compare("log-linear", protocol="anchored")
    write_results(results, tmp_path, published=True)
    back = read_published(tmp_path / "log-linear", metric="acc")
    cells = results_frame(results).filter(forecaster="log-linear")
    order = ["run", "task", "step"]
    assert back.sort(order)["q50"].equals(cells.sort(order)["q50"])
    assert (tmp_path / "last-value" / "run-0_results.json").is_file()
    with pytest.raises(InputError, match="two settings or contexts"):
        write_results(compare("log-linear", protocol="rolling"), tmp_path / "rolling", published=True)
    assert not (tmp_path / "rolling").exists()


def test_an_earlier_evaluation_leaves_no_part_of_its_own(tmp_path: Path) -> None:
    """Its decisions go with its leaderboard; published files of runs that are not in this one are refused."""
    first = compare("log-linear", protocol="anchored")
    write_results(first, tmp_path, published=True, decisions={"pairs": []})
    write_results(first, tmp_path, published=True, decisions={"pairs": []})
    assert (tmp_path / "decisions.json").is_file()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = compare("log-linear", protocol="anchored", selection=Selection(["run-1"]))
    with pytest.raises(
        InputError, match=r"run-0_predictions\.json.*: published files of other runs are here"
    ):
        write_results(other, tmp_path, published=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    write_results(other, tmp_path)
    assert not (tmp_path / "decisions.json").exists()


def test_a_folder_of_seeds_is_one_forecaster_a_seed_and_their_mean(tmp_path: Path) -> None:
    config = on_disk(tmp_path, make_probe_config("probe-average"), "many")
    train_seeds(config, [0, 2])
    folder = str(tmp_path / "many")
    results = evaluate([tmp_path / "curves.parquet"], [folder], losses=tmp_path / "losses")
    found = rows(results)
    maes = [found[f"{folder}/seed{seed}"]["mae"] for seed in (0, 2)]
    assert found[folder]["mae"] == pytest.approx(np.mean(maes))
    assert found[folder]["spread"]["mae"] == pytest.approx(np.std(maes, ddof=1))
    assert found[folder]["n_seeds"] == 2
