"""Means and histograms in NeuNeu's layout: written, read, and read where the losses themselves were."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.forecasters.neuneu.small import make_config, make_losses, make_table

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.forecasters.base import Forecaster, make_forecaster
from neuneu.forecasters.neuneu.config import LossConfig, ModelConfig
from neuneu.forecasters.neuneu.forecaster import NeuNeuAverage, NeuNeuDiffHist
from neuneu.forecasters.neuneu.inputs import prepare_inputs
from neuneu.forecasters.neuneu.probe_forecasters import ProbeForecaster
from neuneu.losses.loss_store import MemoryLossStore
from neuneu.losses.open import open_losses, open_units
from neuneu.losses.summaries import AVERAGES, HISTOGRAMS, PROBABILITIES, LossSummaries, write_summaries
from neuneu.losses.zarr_store import ZarrLossStore

STEPS = np.array([0, 1250, 2500])


@pytest.fixture
def store() -> MemoryLossStore:
    rng = np.random.default_rng(3)
    losses = np.clip(rng.normal([[9.0], [4.0], [3.0]], 2.0, (3, 500)), 0, 20)
    losses[:, 7] = np.nan
    return MemoryLossStore({"DataDecide-c4-90M": (STEPS, losses), "own/run": (STEPS, losses / 2)}, "text 1")


def test_what_is_written_is_read(store: MemoryLossStore, tmp_path: Path) -> None:
    files = write_summaries([store], tmp_path)
    assert len(files) == 6
    kept = open_losses(tmp_path, store.runs)
    assert kept.runs == store.runs
    assert kept.fingerprint == store.fingerprint
    for run in store.runs:
        assert kept.steps(run).tolist() == STEPS.tolist()
        np.testing.assert_allclose(kept.mean(run), store.mean(run))
        for step in STEPS.tolist():
            for bins, high, probabilities in ((32, 15.0, False), (64, 1.0, True)):
                np.testing.assert_allclose(
                    kept.histogram(run, step, bins, high, probabilities=probabilities),
                    store.histogram(run, step, bins, high, probabilities=probabilities),
                    atol=1e-6,
                )
    with pytest.raises(InputError, match="only means and histograms"):
        kept.read("own/run", 0)
    with pytest.raises(InputError, match="exists already"):
        write_summaries([store], tmp_path)


def test_shapes_and_types_are_the_published_ones(store: MemoryLossStore, tmp_path: Path) -> None:
    write_summaries([store], tmp_path)
    folder = tmp_path / "own--run"
    averages = np.load(folder / AVERAGES)
    assert averages.shape == (2, 3)
    assert averages.dtype == np.float64
    assert averages[0].tolist() == STEPS.tolist()
    for name, bins in ((HISTOGRAMS, 32), (PROBABILITIES, 64)):
        with np.load(folder / name, allow_pickle=False) as arrays:
            assert arrays["steps"].dtype == np.int64
            assert arrays["histograms"].dtype == np.float32
            assert arrays["histograms"].shape == (3, bins)
            np.testing.assert_allclose(arrays["histograms"].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "losses"),
    [
        ("diffhist", LossConfig(transform="probability")),
        ("diffhist", LossConfig(transform="loss", bins=(0.0, 15.0))),
        ("average", LossConfig()),
    ],
)
def test_encoders_read_the_same_from_summaries(
    encoder: Any, losses: LossConfig, store: MemoryLossStore, tmp_path: Path
) -> None:
    write_summaries([store], tmp_path)
    kept = open_losses(tmp_path, store.runs)
    model = ModelConfig(encoder=encoder, n_bins=64 if losses.transform == "probability" else 32)
    for running in (True, False):
        both = [
            prepare_inputs(one, store.runs, ["arc_easy"], model, losses, running=running)
            for one in (store, kept)
        ]
        np.testing.assert_allclose(both[1].rows, both[0].rows, atol=1e-5)
        assert both[0].checkpoints == both[1].checkpoints


@pytest.mark.parametrize("name", ["probe-delta", "probe-kl-delta", "probe-histogram", "probe-average"])
def test_probes_forecast_the_same_from_summaries(name: str, tmp_path: Path) -> None:
    losses, table = make_losses(), make_table()
    write_summaries([losses], tmp_path)
    curve = next(c for c in table if c.key.run == "run-1")
    found = []
    for store in (losses, open_losses(tmp_path, table.runs)):
        probe = make_forecaster(name)
        assert isinstance(probe, ProbeForecaster)
        training = probe.config.training.model_copy(update={"max_steps": 5})
        probe.config = probe.config.model_copy(update={"training": training})
        probe.fit(table, store)
        evidence = EvidenceBuilder(table, store).at(curve, 4000, sees_future=True)
        found.append(probe.forecast(evidence, curve.after(4000).clock).values)
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)


def small(name: str) -> Forecaster:
    """A forecaster that reads summaries, with a network of a second where it has one."""
    if name == "logistic":
        return make_forecaster(name)
    encoder = {"neuneu-diffhist": "diffhist", "neuneu-average": "average"}[name]
    config = make_config(name, model={"encoder": encoder, "n_bins": 64}, samples={"validation_share": 0.0})
    kinds = {"neuneu-diffhist": NeuNeuDiffHist, "neuneu-average": NeuNeuAverage}
    return kinds[name](config, calibrated=False)


@pytest.mark.parametrize("name", ["neuneu-diffhist", "neuneu-average", "logistic"])
def test_forecasters_answer_the_same_from_summaries(name: str, tmp_path: Path) -> None:
    losses, table = make_losses(), make_table()
    write_summaries([losses], tmp_path)
    curve = next(c for c in table if c.key.run == "run-1")
    found = []
    for store in (losses, open_losses(tmp_path, table.runs)):
        fitted = small(name).fit(table, store)
        evidence = EvidenceBuilder(table, store).at(curve, 4000, sees_future=fitted.sees_future)
        found.append(fitted.forecast(evidence, curve.after(4000).clock).values)
    np.testing.assert_allclose(found[1], found[0], atol=1e-3)


def test_other_bins_and_other_encoders_are_refused(store: MemoryLossStore, tmp_path: Path) -> None:
    write_summaries([store], tmp_path)
    kept = open_losses(tmp_path, store.runs)
    for model, config, message in [
        (ModelConfig(encoder="diffhist", n_bins=32), LossConfig(), "has 64 bins that end at 1"),
        (
            ModelConfig(encoder="diffhist", n_bins=32),
            LossConfig(transform="loss"),
            "has 32 bins that end at 15",
        ),
        (ModelConfig(encoder="levels"), LossConfig(), "only means and histograms"),
        (ModelConfig(encoder="cnn"), LossConfig(), "only means and histograms"),
    ]:
        with pytest.raises(InputError, match=message):
            prepare_inputs(kept, store.runs, ["arc_easy"], model, config)


def test_published_histograms_count_tokens_and_words_together(tmp_path: Path) -> None:
    tokens, words = [1.0, np.nan, 2.0], [3.0, 0.0]
    folder = tmp_path / "run/step10-seed-default"
    folder.mkdir(parents=True)
    np.save(folder / "eval_losses_shard_1.npy", np.array(tokens, dtype=np.float32))
    np.save(folder / "word_losses_shard_1.npy", np.array(words, dtype=np.float32))
    write_summaries(open_units(tmp_path), tmp_path / "out", published=True)
    kept = LossSummaries(tmp_path / "out")
    assert kept.mean("run") == pytest.approx([1.5])  # of the four that are numbers
    shares = kept.histogram("run", 10, 32, 15.0)
    assert shares[0] == pytest.approx(0.4, abs=1e-6)  # the placeholder and the missing one, as 0
    assert kept.histogram("run", 10, 64, 1.0, probabilities=True)[-1] == pytest.approx(0.4, abs=1e-6)
    write_summaries([open_losses(tmp_path)], tmp_path / "words")
    assert LossSummaries(tmp_path / "words").mean("run") == pytest.approx([1.5])
    write_summaries([open_losses(tmp_path)], tmp_path)
    assert open_losses(tmp_path).read("run", 10).tolist() == words  # where both are, the losses


def real(shared: Path, kind: str) -> tuple[Floats, Floats]:
    frame = pl.read_parquet(shared / "data/loss_histograms.parquet").filter(kind=kind).sort("step")
    return frame["step"].to_numpy(), np.array(frame["hist"].to_list())


def test_the_published_model_s_own_histograms(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "DataDecide-c4-300M"
    folder.mkdir()
    for name, kind in ((HISTOGRAMS, "word_loss_32bins"), (PROBABILITIES, "word_inverse_perplexity_64bins")):
        steps, rows = real(shared, kind)
        np.savez(folder / name, steps=steps, histograms=rows.astype(np.float32))
    kept = open_losses(tmp_path)
    assert kept.runs == ["DataDecide-c4-300M"]
    assert kept.steps("DataDecide-c4-300M")[[0, 1, -1]].tolist() == [0, 1250, 45787]
    inputs = prepare_inputs(
        kept, kept.runs, ["arc_easy"], ModelConfig(encoder="diffhist", n_bins=64), LossConfig()
    )
    first, last = inputs.checkpoint("DataDecide-c4-300M", 0), inputs.checkpoint("DataDecide-c4-300M", 45787)
    zero = np.zeros(1, dtype=np.int64)
    change = inputs.gather(zero + first, zero + last, zero)[0].numpy()
    assert change[0] == pytest.approx(
        0.359 - 0.998, abs=2e-3
    )  # p < 1/64: 99.8 % at step 0, 35.9 % at the end
    with pytest.raises(InputError, match=f"{AVERAGES}: is missing"):
        kept.mean("DataDecide-c4-300M")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [0, 1250]}, "must be 2, one a step"),
        ({"steps": [0, 2500, 1250]}, "increasing"),
        ({"steps": [0.5, 1, 2]}, "whole"),
        ({"histograms": np.ones((3, 32))}, "sum to 1"),
        ({"histograms": np.full((3, 1), np.nan)}, "sum to 1"),
        ({"histograms": np.ones(3)}, "2 axes"),
        ({"steps": [0, 1250, 2501]}, "must have the steps of"),
    ],
)
def test_contradictory_files_are_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    np.save(folder / AVERAGES, np.array([[0, 1250, 2500], [3.0, 2.0, 1.0]]))
    arrays = {"steps": STEPS, "histograms": np.eye(32)[:3], **{k: np.array(v) for k, v in change.items()}}
    np.savez(folder / HISTOGRAMS, **arrays)
    with pytest.raises(InputError, match=message):
        LossSummaries(tmp_path)


def test_a_pickle_is_no_summary(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    np.savez(tmp_path / "run" / HISTOGRAMS, steps=np.array([{}], dtype=object), histograms=np.eye(32)[:1])
    with pytest.raises(InputError):
        LossSummaries(tmp_path)


def test_by_the_command_line(store: MemoryLossStore, tmp_path: Path, neuneu: Any) -> None:
    losses = store.read("own/run", 0)
    made = ZarrLossStore.create(
        tmp_path / "words.zarr", fingerprint="t", n_positions=len(losses), unit="word"
    )
    for step in STEPS.tolist():
        made.write("own/run", step, store.read("own/run", step))
    done = neuneu("export", "neuneu-summaries", tmp_path / "words.zarr", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "3 files" in done.stderr
    kept = open_losses(tmp_path / "out", ["own/run"])
    np.testing.assert_allclose(kept.mean("own/run"), made.mean("own/run"))
    done = neuneu(
        "export", "neuneu-losses", tmp_path / "words.zarr", "-o", tmp_path / "npy", "--shard", "141"
    )
    assert done.returncode == 0, done.stderr
    again = open_losses(tmp_path / "npy", ["own/run"])
    for step in STEPS.tolist():
        np.testing.assert_array_equal(again.read("own/run", step), made.read("own/run", step))
    wrong = neuneu(
        "export", "neuneu-summaries", tmp_path / "words.zarr", "-o", tmp_path / "x", "--split", "val"
    )
    assert wrong.returncode == 2
    assert "is no option of neuneu-summaries" in wrong.stderr
    assert not (tmp_path / "x").exists()
