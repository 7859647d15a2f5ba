"""Probes trained by `neuneu train`: data, resuming, folders, published checkpoints, delta modes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.forecasters.neuneu.fills import fill, inp
from tests.forecasters.neuneu.small import make_losses, make_table
from tests.forecasters.neuneu.test_probe_forecasters import GROUPS, PROBES, short

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.forecasters.base import Refusal, load_forecaster
from neuneu.forecasters.neuneu.config import ProbeRunConfig, parse_probe
from neuneu.forecasters.neuneu.convert import convert
from neuneu.forecasters.neuneu.data import training_curves
from neuneu.forecasters.neuneu.probe_data import ProbeData, make_probe_data
from neuneu.forecasters.neuneu.probe_forecasters import (
    AverageProbeForecaster,
    ProbeForecaster,
    ProbeNetwork,
    build_probe,
)
from neuneu.forecasters.neuneu.probes import AverageProbe, ConvProbe, HistogramProbe, KLDeltaProbe
from neuneu.forecasters.neuneu.training import STATE, Trainer
from neuneu.forecasters.train import train_forecaster, train_seeds
from neuneu.losses.loss_store import LossStore, MemoryLossStore
from neuneu.losses.summaries import LossSummaries, write_summaries

CNN = {"channels": [4, 8], "kernel": 16, "stride": 4, "features": 8, "hidden": [8]}


def make_probe_config(forecaster: str, **sections: Any) -> ProbeRunConfig:
    """A probe that trains in a second."""
    training = {"batch_size": 16, "epochs": 2, "log_every": 2, "device": "cpu"}
    document: dict[str, Any] = {
        "forecaster": forecaster,
        "model": dict(CNN) if forecaster == "probe-cnn" else {"n_bins": 8},
        "training": training,
    }
    for name, section in sections.items():
        old = document.get(name, {})
        document[name] = {**old, **section} if isinstance(section, dict) else section
    return parse_probe(document, "test")


def make_data(
    config: ProbeRunConfig, table: CurveTable | None = None, store: LossStore | None = None
) -> tuple[ProbeData, ProbeData]:
    table, store = table or make_table(), store or make_losses()
    return make_probe_data(training_curves(table, config), store, config)


def on_disk(folder: Path, config: ProbeRunConfig, output: str = "model") -> ProbeRunConfig:
    """The configuration with curves and losses in a folder."""
    make_table().write(folder / "curves.parquet")
    (folder / "losses").mkdir(exist_ok=True)
    store = make_losses()
    for run in store.runs:
        losses = np.stack([store.read(run, int(step)) for step in store.steps(run)])
        np.savez(folder / "losses" / f"{run}.npz", steps=store.steps(run), other=losses.astype(np.float32))
    data = {"curves": [str(folder / "curves.parquet")], "losses": str(folder / "losses")}
    return parse_probe(
        {**config.model_dump(mode="json"), "data": data, "output": str(folder / output)}, "test"
    )


def evidence_of(table: CurveTable, store: LossStore, end: float = 4000, run: str = "run-1") -> Evidence:
    curve = next(c for c in table if c.key.run == run)
    return EvidenceBuilder(table, store).at(curve, end, sees_future=True)


@pytest.mark.parametrize("name", PROBES)
def test_a_trained_probe_is_saved_and_loaded(tmp_path: Path, name: str) -> None:
    config = on_disk(tmp_path, make_probe_config(name, samples={"validation_share": 0.3}))
    trained = train_forecaster(config)
    loaded = load_forecaster(tmp_path / "model")
    assert isinstance(loaded, ProbeForecaster)
    assert loaded.name == name
    table = make_table()
    from neuneu.losses.open import open_losses

    evidence = evidence_of(table, open_losses(tmp_path / "losses", table.runs))
    horizons = [6000.0, 12000.0]
    first, second = (f.forecast(evidence, horizons).values for f in (trained, loaded))
    np.testing.assert_array_equal(first, second)
    records = [json.loads(line) for line in (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()]
    assert len([r for r in records if "validation_loss" in r]) == config.training.epochs
    state = (tmp_path / "model" / STATE).read_bytes()
    train_forecaster(config)  # goes on from its end: nothing is left to do
    assert (tmp_path / "model" / STATE).read_bytes() == state


def test_a_view_holds_all_tasks_and_what_is_missing_is_no_target() -> None:
    table = make_table()
    gone = (pl.col("run") == "run-0") & (pl.col("task") == "piqa") & (pl.col("step") == 300)
    rows = table.frame.filter(~gone)
    train, held = make_data(make_probe_config("probe-histogram"), CurveTable.from_frame(rows))
    assert len(train) + len(held) == 6 * 12
    assert len(train.value) == 6 * 12 * 3 - 1
    with_masks, _ = make_data(make_probe_config("probe-histogram"), store=make_losses(groups=GROUPS))
    assert len(with_masks.start) - 1 == 6 * 12 * 2  # arc_easy masks its own items, the other tasks none


def test_pairs_keep_to_their_gaps() -> None:
    samples = {"min_gap": 2, "max_gap": 4, "validation_share": 0.0}
    train, held = make_data(make_probe_config("probe-delta", samples=samples))
    assert not len(held)
    assert len(train) == 6 * (10 + 9 + 8)
    curve = make_table().filter(run="run-0", task="arc_easy").curves[0]
    step_of = {row: step for (_, step), row in train.inputs.checkpoints.items()}
    asked, target = train.batch(np.array([0]))
    later, sooner = step_of[train.current[0]], step_of[train.previous[0]]
    values = dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
    assert later - sooner == 200
    assert float(target[0]) == pytest.approx(values[later] - values[sooner], abs=1e-6)
    assert asked.before is not None
    with pytest.raises(InputError, match="no accuracy stands"):
        make_data(make_probe_config("probe-delta", samples={"min_gap": 50}))


def test_the_published_split_keeps_checkpoints_and_ours_runs() -> None:
    train, held = make_data(make_probe_config("probe-histogram", samples={"split": "sample"}))
    assert len(held) == int(0.1 * 72)
    assert set(train.run[held.chosen]) & set(train.run[train.chosen])
    order = np.random.RandomState(0).permutation(72)
    assert set(held.chosen) == set(order[:7])
    train, held = make_data(make_probe_config("probe-histogram", samples={"validation_share": 0.3}))
    assert not set(train.run[held.chosen]) & set(train.run[train.chosen])


def test_the_split_has_a_seed_of_its_own() -> None:
    held = []
    for seed, split_seed in ((0, 7), (3, 7), (3, None)):
        samples = {"validation_share": 0.5, "split_seed": split_seed}
        config = make_probe_config("probe-average", samples=samples, training={"seed": seed})
        part = make_data(config)[1]
        held.append({part.runs[i] for i in part.run[part.chosen]})
    assert held[0] == held[1] != held[2]


def test_seeds_share_a_split_and_are_averaged(tmp_path: Path) -> None:
    config = on_disk(tmp_path, make_probe_config("probe-average", samples={"validation_share": 0.3}), "many")
    document = train_seeds(config, [0, 2])
    maes = [row["mae"] for row in document["seeds"]]
    assert document == json.loads((tmp_path / "many" / "seeds.json").read_text())
    assert document["mean"]["mae"] == pytest.approx(np.mean(maes))
    assert document["spread"]["mae"] == pytest.approx(np.std(maes, ddof=1))
    assert maes[0] != maes[1]
    for row in document["seeds"]:
        assert isinstance(load_forecaster(tmp_path / "many" / row["folder"]), ProbeForecaster)
    with pytest.raises(InputError, match="different whole numbers"):
        train_seeds(config, [1, 1])


def test_seeds_trained_apart_are_noted_together_if_trained_alike(tmp_path: Path) -> None:
    """As the tasks of an array job train them."""
    config = on_disk(tmp_path, make_probe_config("probe-average", samples={"validation_share": 0.3}), "many")
    train_seeds(config, [2])
    document = train_seeds(config, [0])
    assert [row["seed"] for row in document["seeds"]] == [0, 2]
    assert document["mean"]["mae"] == pytest.approx(np.mean([row["mae"] for row in document["seeds"]]))
    other = config.model_copy(update={"training": config.training.model_copy(update={"learning_rate": 0.5})})
    with pytest.raises(InputError, match="another configuration"):
        train_seeds(other, [1])
    assert not (config.output / "seed1").exists()


def test_seeds_of_other_data_are_not_averaged(tmp_path: Path) -> None:
    config = on_disk(tmp_path, make_probe_config("probe-average"), "many")
    train_seeds(config, [0])
    path = config.output / "seeds.json"
    before = path.read_bytes()
    make_table(seed=3).write(tmp_path / "curves.parquet")
    with pytest.raises(InputError, match=r"seeds\.json: data: other seeds .* on other data: choose another"):
        train_seeds(config, [1])
    document = json.loads(before)
    del document["data"]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="an earlier version, which did not note the data: choose another"):
        train_seeds(config, [1])
    assert not (config.output / "seed1").exists()
    path.write_bytes(before)
    make_table().write(tmp_path / "curves.parquet")
    assert [row["seed"] for row in train_seeds(config, [1])["seeds"]] == [0, 1]


def test_one_folder_holds_a_model_or_seeds(tmp_path: Path) -> None:
    config = on_disk(tmp_path, make_probe_config("probe-average"), "many")
    train_seeds(config, [0])
    before = set(config.output.iterdir())
    with pytest.raises(InputError, match=r"many: holds several seeds .*: choose another folder"):
        train_forecaster(config)
    with pytest.raises(InputError, match=r"many: holds several seeds .*: choose another folder"):
        convert(tmp_path / "best_model.pt", config.output)
    assert set(config.output.iterdir()) == before
    with pytest.raises(InputError, match=r"seed0: holds one model: choose another folder for seeds"):
        train_seeds(config.model_copy(update={"output": config.output / "seed0"}), [1])
    assert not (config.output / "seed0/seed1").exists()


def test_only_named_tasks_are_trained_on() -> None:
    config = make_probe_config("probe-average", data={"curves": ["x"], "tasks": ["piqa", "arc_easy"]})
    assert make_data(config)[0].tasks == ("arc_easy", "piqa")
    config = make_probe_config("probe-average", data={"curves": ["x"], "tasks": ["piqua"]})
    with pytest.raises(InputError, match=r"piqua.*there are arc_easy, hellaswag, piqa"):
        make_data(config)


def delta_probe(name: str, **model: Any) -> tuple[ProbeForecaster, LossStore, CurveTable]:
    store, table = make_losses(), make_table()
    probe = short(name)
    # One output a task: no quantiles that could cross.
    mean = probe.config.model.model_copy(update={"objective": "mse"})
    probe.config = probe.config.model_copy(update={"model": mean})
    probe.fit(table, store)
    probe.config = probe.config.model_copy(update={"model": probe.config.model.model_copy(update=model)})
    return probe, store, table


@pytest.mark.parametrize("name", ["probe-delta", "probe-kl-delta"])
def test_cumulative_changes_add_up_from_checkpoint_to_checkpoint(name: str) -> None:
    probe, store, table = delta_probe(name, delta="cumulative")
    evidence = evidence_of(table, store)
    walked = probe.forecast(evidence, [6000.0]).median[0]
    probe, store, table = delta_probe(name)
    last, total = evidence.context.values[-1], 0.0
    for end in (4000.0, 5000.0):
        curve = next(c for c in table if c.key == evidence.context.key)
        at = EvidenceBuilder(table, store).at(curve, end, sees_future=True)
        total += probe.forecast(at, [end + 1000.0]).median[0] - at.context.values[-1]
    assert walked == pytest.approx(last + total, abs=1e-6)


def test_a_free_anchor_is_a_known_accuracy_of_the_context() -> None:
    probe, store, table = delta_probe("probe-delta", anchor=1)
    curve = next(c for c in table if c.key.run == "run-1")
    long, short_context = (evidence_of(table, store, end) for end in (8000.0, 2000.0))
    one, other = (probe.forecast(e, [12000.0]).values for e in (long, short_context))
    np.testing.assert_array_equal(one, other)  # the second checkpoint is the anchor of both
    assert short_context.context.values[-1] == curve.values[2]
    answer = probe.forecast_many([evidence_of(table, store, 1000.0)], [np.array([12000.0])])[0]
    assert isinstance(answer, Refusal)
    assert "1 checkpoints after step 0; the anchor is number 2" in answer.reason


def test_bins_move_the_histogram() -> None:
    steps = np.array([100])
    losses = np.concatenate([np.full(50, 1.0), np.full(50, 13.0)])[None]
    store = MemoryLossStore({"run-0": (steps, losses)}, "x")
    table = make_table(1)
    rows = {}
    for bins in (None, (0.0, 2.0)):
        config = make_probe_config("probe-histogram", losses={"transform": "loss", "bins": bins})
        rows[bins] = make_data(config, table, store)[0].inputs.rows[0, 0]
    assert rows[None][0] == 0.5  # of 8 bins up to 20
    assert rows[None][5] == 0.5
    np.testing.assert_array_equal(rows[0.0, 2.0], [0, 0, 0, 0, 0.5, 0, 0, 0.5])
    with pytest.raises(InputError, match="the lower first"):
        make_probe_config("probe-histogram", losses={"bins": [1.0, 0.0]})


def test_squared_error_probe_learns() -> None:
    training = {"epochs": 30, "learning_rate": 1e-2}
    config = make_probe_config("probe-average", model={"objective": "mse"}, training=training)
    train, held = make_data(config)
    trainer = Trainer(build_probe(config, 1, 3), config, train, held)
    before = trainer.score()
    trainer.run()
    assert trainer.score()["loss"] < 0.5 * before["loss"]
    probe = AverageProbeForecaster()
    network = trainer.model
    assert isinstance(network, ProbeNetwork)
    probe.adopt(network, config, train.tasks, 1, None)
    values = probe.forecast(evidence_of(make_table(), make_losses()), [12000.0]).values
    assert values.min() == values.max()


def published_probe(kind: str) -> tuple[dict[str, Any], torch.nn.Module, torch.Tensor]:
    """A checkpoint as the published probe trainer writes it, the probe it holds, and an input."""
    settings: dict[str, Any] = {"loss_type": "quantile", "quantiles": [0.1, 0.25, 0.5, 0.75, 0.9]}
    settings |= {
        "inverse_perplexity": True,
        "bin_min": 0.0,
        "bin_max": 1.0,
        "max_clip": 20.0,
        "probe_type": kind,
    }
    shown = inp((2, 12), 0.4).softmax(-1)
    from neuneu.forecasters.neuneu.encoders import ConvEncoder

    probe: torch.nn.Module
    if kind == "cnn":
        probe = ConvProbe(ConvEncoder(2000, 32, (8, 16), 16, 4), 3, hidden=20)
        settings |= {"max_seq_len": 2000, "stride": 4}
        shown = inp((2, 2000), 0.7)
    elif kind == "histogram":
        probe = HistogramProbe(12, 3, hidden=(8, 6), rms_norm=True)
        settings |= {"use_rms_norm": True}
    elif kind == "kl_delta":
        probe = KLDeltaProbe(12, 3, hidden=(8, 6))
    else:
        probe, shown = AverageProbe(3, hidden=(8, 6)), inp((2, 1), 1.0, 0.5, 3.0)
    fill(probe, {name: name for name, _ in probe.named_parameters()}, 0.5)
    state = {name: tensor.clone() for name, tensor in probe.state_dict().items()}
    tasks = ["arc_easy", "hellaswag", "piqa"]
    return (
        {"model_state_dict": state, "config": settings, "tasks": tasks, "epoch": 4, "best_val_loss": 0.1},
        probe.eval(),
        shown,
    )


@pytest.mark.parametrize("kind", ["cnn", "histogram", "kl_delta", "avg_loss"])
def test_a_published_probe_is_converted(tmp_path: Path, kind: str) -> None:
    checkpoint, probe, shown = published_probe(kind)
    torch.save(checkpoint, tmp_path / "best_model.pt")
    document = convert(tmp_path / "best_model.pt", tmp_path / "folder")
    loaded = load_forecaster(tmp_path / "folder")
    assert isinstance(loaded, ProbeForecaster)
    assert loaded.name == document["forecaster"]
    assert loaded.tasks == ("arc_easy", "hellaswag", "piqa")
    assert loaded.network is not None
    ours = loaded.network.probe
    if kind == "kl_delta":
        assert isinstance(ours, KLDeltaProbe)
        assert isinstance(probe, KLDeltaProbe)
        assert torch.equal(ours.pair(shown, shown.flip(0)), probe.pair(shown, shown.flip(0)))
        assert loaded.config.model.anchor == 0
    else:
        assert torch.equal(ours(shown), probe(shown))
    assert loaded.config.losses.transform == "probability"


@pytest.mark.parametrize("how", ["type", "tasks", "levels", "weight"])
def test_a_wrong_probe_checkpoint_is_one_clear_error(tmp_path: Path, how: str) -> None:
    checkpoint, _, _ = published_probe("histogram")
    if how == "type":
        checkpoint["config"]["probe_type"] = "oracle"
    if how == "tasks":
        checkpoint["tasks"] = ["arc_easy", "piqa"]
    if how == "levels":
        checkpoint["config"]["quantiles"] = [0.1, 0.9]
    if how == "weight":
        del checkpoint["model_state_dict"]["mlp.2.bias"]
    torch.save(checkpoint, tmp_path / "best_model.pt")
    with pytest.raises(InputError, match=r"best_model\.pt"):
        convert(tmp_path / "best_model.pt", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_options_of_other_probes_are_refused() -> None:
    for name, model in {
        "probe-average": {"anchor": 0},
        "probe-delta": {"rms_norm": True},
        "probe-cnn": {"hidden": [8, 8]},
    }.items():
        with pytest.raises(InputError, match="model"):
            make_probe_config(name, model=model)


def test_views_are_read_as_one_by_one() -> None:
    """A batch's outputs are those of each view alone, cell by cell."""
    config = make_probe_config("probe-histogram")
    train, _ = make_data(config, store=make_losses(groups=GROUPS))
    network = build_probe(config, train.inputs.length, len(train.tasks)).eval()
    asked, target = train.batch(np.arange(20))
    together = network(asked)
    alone = [network(train.batch(np.array([i]))[0]) for i in range(20)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert len(together) == len(target)
    none = replace(asked, cell=asked.cell[:0])
    assert network(none).shape == (0, 5)


@pytest.mark.parametrize("name", ["probe-histogram", "probe-delta", "probe-average"])
def test_means_and_histograms_alone_are_enough(tmp_path: Path, name: str) -> None:
    """A probe learns the same from the summaries of a store as from the store."""
    losses = {"transform": "loss", "bins": [0.0, 15.0]}
    config = make_probe_config(name, model={"n_bins": 32}, losses=losses)
    store, table = make_losses(), make_table()
    write_summaries([store], tmp_path)
    kept = LossSummaries(tmp_path)
    whole, summary = (make_data(config, store=each)[0] for each in (store, kept))
    np.testing.assert_allclose(summary.inputs.rows, whole.inputs.rows, atol=1e-5)
    np.testing.assert_array_equal(summary.value, whole.value)
    probe = type(short(name))(config).fit(table, kept)
    forecast = probe.forecast(evidence_of(table, kept), [12000.0])
    assert forecast.values.shape == (1, 7)
