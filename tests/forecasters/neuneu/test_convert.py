"""Reading a published checkpoint: a file of its exact structure, and broken ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.forecasters.neuneu.fills import questions
from tests.forecasters.neuneu.test_goldens import ENCODERS, INPUTS, REFERENCE, build

from neuneu.errors import InputError
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.neuneu.convert import convert
from neuneu.forecasters.neuneu.forecaster import NeuNeuForecaster
from neuneu.forecasters.neuneu.network import NeuNeu, rotary_frequencies

SETTINGS: dict[str, Any] = {
    "hidden_dim": 32, "num_layers": 2, "num_heads": 4, "ff_dim": 64, "max_seq_len": 64,
    "loss_type": "quantile",
    "quantiles": [0.1, 0.25, 0.5, 0.75, 0.9], "cnn_channels": [8, 16], "cnn_kernel_size": 16, "cnn_stride": 4,
    "max_encoder_tokens": 2000, "inverse_perplexity": True, "bin_min": 0.0, "bin_max": 1.0, "num_bins": 12,
    "max_clip": 20.0, "use_baseline": False, "decoder_test": False,
}  # fmt: skip


def published(name: str) -> tuple[dict[str, Any], NeuNeu]:
    """A checkpoint as the published trainer writes it, and our model with the same weights."""
    import json

    from neuneu.forecasters.neuneu.convert import our_name

    names = json.loads(REFERENCE.read_text())[name]["names"]
    model = build(name, names)
    ours = model.state_dict()
    noloss = name == "baseline"
    state = {published: ours[our_name(published, noloss=noloss)].clone() for published in names}
    trunk = "encoder" if noloss else "transformer"
    for layer in range(2):
        state[f"{trunk}.layers.{layer}.self_attn.rope.inv_freq"] = rotary_frequencies(8)
    state["quantiles"] = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0)}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}],
    }
    checkpoint = {
        "model_state_dict": state,
        "optimizer_state_dict": optimizer,
        "scheduler_state_dict": {"last_epoch": 3, "_last_lr": [1e-4]},
        "global_step": 2000,
        "config": SETTINGS,
        "val_loss": 0.01,
    }
    return checkpoint, model


@pytest.mark.parametrize("name", list(ENCODERS))
def test_converted_model_gives_the_same_forecasts(tmp_path: Path, name: str) -> None:
    checkpoint, model = published(name)
    torch.save(checkpoint, tmp_path / "best_model.pt")
    document = convert(tmp_path / "best_model.pt", tmp_path / "folder")
    loaded = load_forecaster(tmp_path / "folder")
    assert isinstance(loaded, NeuNeuForecaster)
    assert loaded.name == document["forecaster"]
    assert loaded.predictor is not None
    asked = questions(INPUTS[name]())
    assert torch.equal(loaded.predictor.model(asked), model(asked))
    assert loaded.config.losses.transform == "probability"


def broken(checkpoint: dict[str, Any], how: str) -> object:
    state = checkpoint["model_state_dict"]
    if how == "no weights":
        return {"config": SETTINGS}
    if how == "a weight is missing":
        del state["transformer.layers.1.ff.3.bias"]
    if how == "a weight too many":
        state["transformer.more"] = torch.zeros(1)
    if how == "another shape":
        state["head.head.weight"] = torch.zeros(5, 31)
    if how == "other input length":
        return {**checkpoint, "config": {**SETTINGS, "max_encoder_tokens": 9000}}
    if how == "not finite":
        state["head.head.bias"][0] = torch.nan
    if how == "other rotary base":
        state["transformer.layers.0.self_attn.rope.inv_freq"] *= 0.5
    return checkpoint


@pytest.mark.parametrize(
    "how",
    [
        "no weights", "a weight is missing", "a weight too many", "another shape", "other input length",
        "not finite", "other rotary base",
    ],
)  # fmt: skip
def test_a_wrong_checkpoint_is_one_clear_error(tmp_path: Path, how: str) -> None:
    torch.save(broken(published("cnn")[0], how), tmp_path / "best_model.pt")
    with pytest.raises(InputError, match=r"best_model\.pt: "):
        convert(tmp_path / "best_model.pt", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


class Attack:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code was run",))


@pytest.mark.parametrize("kind", ["half", "text", "empty", "code", "absent"])
def test_a_corrupted_file_is_one_clear_error(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "best_model.pt"
    torch.save({**published("cnn")[0], "more": Attack()} if kind == "code" else published("cnn")[0], path)
    content = path.read_bytes()
    contents = {"half": content[: len(content) // 2], "text": b"version https://git-lfs", "empty": b""}
    if kind in contents:
        path.write_bytes(contents[kind])
    if kind == "absent":
        path.unlink()
    with pytest.raises(InputError, match=r"best_model\.pt: ") as error:
        convert(path, tmp_path / "folder")
    assert "\n" not in str(error.value)
    assert "code was run" not in capsys.readouterr().out


def test_a_corrupted_model_folder_is_one_clear_error(tmp_path: Path) -> None:
    torch.save(published("cnn")[0], tmp_path / "best_model.pt")
    convert(tmp_path / "best_model.pt", tmp_path / "folder")
    weights = tmp_path / "folder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read as a whole safetensors file"):
        load_forecaster(tmp_path / "folder")
    weights.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        load_forecaster(tmp_path / "folder")
