"""`neuneu train` and `neuneu convert` through the real command line."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.conftest import ROOT
from tests.forecasters.neuneu.small import make_config, make_losses, make_table
from tests.forecasters.neuneu.test_convert import published

from neuneu.errors import InputError
from neuneu.forecasters.neuneu.config import read_config
from neuneu.forecasters.neuneu.forecaster import NeuNeuForecaster
from neuneu.forecasters.neuneu.training import STATE
from neuneu.forecasters.neuneu.weights import load_tensors, save_tensors
from neuneu.forecasters.train import train_forecaster
from neuneu.losses.loss_store import LossStore

Run = Callable[..., Any]


def write_losses(folder: Path, store: LossStore | None = None) -> None:
    """Losses of made-up runs as item losses, one .npz a run."""
    import numpy as np

    folder.mkdir()
    store = store or make_losses()
    for run in store.runs:
        losses = np.stack([store.read(run, int(step)) for step in store.steps(run)])
        np.savez(folder / f"{run}.npz", steps=store.steps(run), other=losses.astype(np.float16))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    make_table().write(tmp_path / "curves.parquet")
    write_losses(tmp_path / "losses")
    document = make_config(
        data={"curves": [str(tmp_path / "curves.parquet")], "losses": str(tmp_path / "losses")},
        samples={"validation_share": 0.3},
    ).model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(document))
    return tmp_path / "config.yaml"


def test_train_writes_a_model_that_forecasts(neuneu: Run, config: Path, tmp_path: Path) -> None:
    done = neuneu("train", config, "-o", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    loaded = NeuNeuForecaster().load(tmp_path / "model")
    assert loaded.conformal is not None
    records = [json.loads(line) for line in (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "mae", "learning_rate", "gradient_norm"} <= records[0].keys()
    came_to = re.compile(r"12 steps on 4 runs, validation MAE 0\.\d{4} → .*model\n$")
    assert came_to.match(done.stderr)
    assert neuneu("train", config, "-o", tmp_path / "model").stderr == f"was finished before: {done.stderr}"


BAD = [
    ({"training": {"learning_rate": -1}}, r"training\.learning_rate = -1"),
    ({"training": {"learning_rates": 1}}, r"training\.learning_rates"),
    ({"model": {"width": 30, "n_heads": 4}}, "model"),
    ({"forecaster": "neuneu-3"}, "forecaster"),
    ({"data": {"curves": ["absent.parquet"]}}, r"absent\.parquet"),
    ({"data": {"curves": ["CURVES"], "losses": "absent"}}, "absent"),
    ({"data": {"curves": ["CURVES"]}}, "losses"),
    ({"training": {"device": "cuda:99"}}, r"training\.device = 'cuda:99': no such device here"),
]


def spoil(config: Path, change: dict[str, Any]) -> None:
    """Change top-level settings of a configuration file."""
    text = yaml.safe_dump({**yaml.safe_load(config.read_text()), **change})
    config.write_text(text.replace("CURVES", str(config.with_name("curves.parquet"))))


@pytest.mark.parametrize(("change", "names"), BAD)
def test_bad_configuration_is_refused(
    config: Path, tmp_path: Path, change: dict[str, Any], names: str
) -> None:
    spoil(config, change)
    with pytest.raises(InputError, match=names):
        train_forecaster(read_config(config).model_copy(update={"output": tmp_path / "model"}))
    assert not (tmp_path / "model").exists()


def test_bad_configuration_is_one_line(neuneu: Run, config: Path, tmp_path: Path) -> None:
    spoil(config, BAD[0][0])
    done = neuneu("train", config, "-o", tmp_path / "model")
    assert done.returncode == 2
    assert "training.learning_rate = -1" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "model").exists()


def test_b20_bytes_do_not_depend_on_the_threads_of_the_environment(config: Path, tmp_path: Path) -> None:
    before, written = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            settings = read_config(config).model_copy(update={"output": tmp_path / f"threads{threads}"})
            train_forecaster(settings)
            assert torch.get_num_threads() == threads
            written.append((settings.output / "model.safetensors").read_bytes())
    finally:
        torch.set_num_threads(before)
    assert written[0] == written[1]


def test_a_model_is_not_given_other_data(config: Path, tmp_path: Path) -> None:
    settings = read_config(config).model_copy(update={"output": tmp_path / "model"})
    train_forecaster(settings)
    before = {name: (settings.output / name).read_bytes() for name in ("config.json", "model.safetensors")}
    write_losses(tmp_path / "others", make_losses(seed=2))
    write_losses(tmp_path / "longer", make_losses(n_positions=700))
    shutil.copytree(tmp_path / "losses", tmp_path / "first")
    shutil.copy(tmp_path / "others/run-0.npz", tmp_path / "first/run-0.npz")
    make_table(seed=3).write(tmp_path / "others.parquet")
    moved = {"curves": (tmp_path / "moved.parquet",), "losses": tmp_path / "moved"}
    for change in (
        {"losses": tmp_path / "others"},
        {"losses": tmp_path / "longer"},
        {"losses": tmp_path / "first"},
        {"curves": (tmp_path / "others.parquet",)},
        {"exclude_runs": ("run-3",)},
    ):
        assert settings.data is not None
        other = settings.model_copy(update={"data": settings.data.model_copy(update=change)})
        with pytest.raises(
            InputError, match=r"state\.safetensors: was made with another configuration or data"
        ):
            train_forecaster(other)
        assert before == {name: (settings.output / name).read_bytes() for name in before}
    (tmp_path / "curves.parquet").rename(tmp_path / "moved.parquet")
    (tmp_path / "losses").rename(tmp_path / "moved")
    train_forecaster(settings.model_copy(update={"data": settings.data.model_copy(update=moved)}))
    assert before == {name: (settings.output / name).read_bytes() for name in before}


def test_runs_that_the_losses_name_otherwise_are_told(config: Path, tmp_path: Path, neuneu: Run) -> None:
    for file in (tmp_path / "losses").glob("run-*.npz"):
        file.rename(file.with_name(f"seed-{file.name}"))
    done = neuneu("train", config, "-o", tmp_path / "model")
    assert done.returncode == 2
    told = f"{tmp_path / 'losses'}: run = 'run-0': the store has no losses of this run and 5 more runs; "
    assert told + "it has seed-run-0, seed-run-1, seed-run-2 and 3 more: name runs as the" in done.stderr
    assert "neuneu score --run" in done.stderr
    assert not (tmp_path / "model").exists()


def test_losses_of_another_text_are_told_from_the_model_s(
    config: Path, tmp_path: Path, neuneu: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train_forecaster(read_config(config).model_copy(update={"output": Path("neuneu")}))
    write_losses(tmp_path / "others", make_losses(n_positions=601))
    evaluate = ("evaluate", "curves.parquet", "--no-fit", "--losses", "others", "-f")
    done = neuneu(*evaluate, "./neuneu")
    assert done.returncode == 2
    assert "neuneu: losses = 'others': are over validation set " in done.stderr
    done = neuneu(*evaluate, "neuneu")
    assert done.returncode == 2
    assert "nothing ships of it" in done.stderr
    assert "a folder of this name is here: write ./neuneu" in done.stderr


def test_evaluate_says_why_a_method_refused(config: Path, tmp_path: Path, neuneu: Run) -> None:
    train_forecaster(read_config(config).model_copy(update={"output": tmp_path / "model"}))
    evaluate = ("evaluate", tmp_path / "curves.parquet", "-f", tmp_path / "model")
    cells = 6 * 3 * 10
    done = neuneu(*evaluate)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'model'} refused {cells} cells: no losses of this run\n" in done.stderr
    assert "last-value refused" not in done.stderr
    for run in range(2):
        (tmp_path / f"losses/run-{run}.npz").unlink()
    done = neuneu(*evaluate, "--losses", tmp_path / "losses")
    assert f"{tmp_path / 'model'} refused {cells // 3} cells: no losses of this run\n" in done.stderr


def test_a_state_that_does_not_name_its_data_is_refused(config: Path, tmp_path: Path) -> None:
    settings = read_config(config).model_copy(update={"output": tmp_path / "model"})
    train_forecaster(settings)
    tensors, metadata = load_tensors(settings.output / STATE)
    document = json.loads(metadata["neuneu"])
    document["about"].pop("data")
    save_tensors(settings.output / STATE, tensors, {"neuneu": json.dumps(document)})
    with pytest.raises(InputError, match=r"an earlier version wrote it.* choose another output folder"):
        train_forecaster(settings)


def test_convert(neuneu: Run, tmp_path: Path) -> None:
    torch.save(published("cnn")[0], tmp_path / "best_model.pt")
    done = neuneu("convert", tmp_path / "best_model.pt", "-o", tmp_path / "folder")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    (tmp_path / "best_model.pt").write_bytes(b"no weights")
    done = neuneu("convert", tmp_path / "best_model.pt", "-o", tmp_path / "other")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "other").exists()


def test_train_takes_probes_and_seeds(neuneu: Run, config: Path, tmp_path: Path) -> None:
    probe = {"forecaster": "probe-average", "model": {}, "losses": {}, "samples": {"validation_share": 0.3}}
    document = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({"data": document["data"]}))
    spoil(config, {**probe, "training": {"epochs": 1, "device": "cpu"}})
    done = neuneu("train", config, "--seeds", "0,1", "-o", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / "seed1" / "model.safetensors").is_file()
    assert "mae ±" in done.stderr
    document = json.loads((tmp_path / "model" / "seeds.json").read_text())
    assert [row["seed"] for row in document["seeds"]] == [0, 1]
    done = neuneu("train", config, "--seeds", "0,x", "-o", tmp_path / "other")
    assert done.returncode == 2
    assert "--seeds" in done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "configs").glob("*.yaml")))
def test_shipped_configurations_are_valid(name: str) -> None:
    read_config(ROOT / "configs" / name)


def test_released_configuration_is_the_published_one() -> None:
    from neuneu.forecasters.neuneu.network import NeuNeu, count_parameters

    model = read_config(ROOT / "configs" / "neuneu.yaml").model
    with torch.device("meta"):
        assert count_parameters(NeuNeu(model, 256_000)) == 19_223_917
