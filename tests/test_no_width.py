"""Networks with a layer of width 0: refused by one line that names the file, before anything is computed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.forecasters.neuneu.test_convert import published
from transformers import LlamaConfig, LlamaForCausalLM

from neuneu.errors import InputError
from neuneu.forecasters.base import make_forecaster
from neuneu.forecasters.lcpfn.published import convert_pfn
from neuneu.forecasters.neuneu.convert import convert
from neuneu.losses.models import load_model

LAYERS = (
    "soft_prompt_generator.conv.0.weight", "soft_prompt_generator.conv.3.weight",
    "soft_prompt_generator.proj.bias", "transformer.bos_embedding", "transformer.layers.0.ff.0.bias",
    "head.head.bias",
)  # fmt: skip
"""Of a published network, weights whose shapes tell the widths of its layers."""

WIDTHS = {
    "width": 0, "channels": [0], "kernel": 0, "feed_forward": 0, "n_heads": 0, "n_layers": -1, "stride": 0,
}  # fmt: skip
"""Of a model folder, sides that its configuration gives."""


def refused(call: Callable[[], Any], path: Path) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert str(path) in str(caught.value)
    assert "pydantic" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", LAYERS)
def test_a_published_checkpoint(tmp_path: Path, name: str) -> None:
    checkpoint, path = published("cnn")[0], tmp_path / "best_model.pt"
    state = checkpoint["model_state_dict"]
    shape = list(state[name].shape)
    shape[-1 if name == "transformer.bos_embedding" else 0] = 0
    state[name] = torch.zeros(shape)
    torch.save(checkpoint, path)
    refused(lambda: convert(path, tmp_path / "model"), path)
    assert not (tmp_path / "model").exists()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("model")
    torch.save(published("cnn")[0], home / "best_model.pt")
    convert(home / "best_model.pt", home / "model")
    return home / "model"


@pytest.mark.parametrize("name", WIDTHS)
def test_a_model_folder(folder: Path, name: str) -> None:
    config = folder / "config.json"
    text = config.read_text()
    document = json.loads(text)
    assert name in document["model"]
    document["model"][name] = WIDTHS[name]
    config.write_text(json.dumps(document))
    try:
        assert f"model.{name}" in refused(lambda: make_forecaster("neuneu").load(folder), config)
    finally:
        config.write_text(text)


@pytest.mark.parametrize("forecaster", ["neuneu", "neuneu-2", "lc-pfn"])
def test_weights_of_a_model_folder(folder: Path, tmp_path: Path, forecaster: str) -> None:
    made = make_forecaster(forecaster)
    (made.load(folder) if forecaster == "neuneu" else made.load_shipped()).save(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = load_file(path)
    for name in list(whole)[:3]:
        save_file({**whole, name: whole[name][:0].clone()}, path)
        refused(lambda: make_forecaster(forecaster).load(tmp_path), tmp_path)


def test_a_published_prior_fitted_network(tmp_path: Path) -> None:
    path = tmp_path / "pfn.pt"
    state = {"encoder.2.bias": torch.zeros(0), "criterion.borders": torch.arange(3.0)}
    torch.save(state, path)
    refused(lambda: convert_pfn(path, tmp_path / "model"), path)


@pytest.mark.filterwarnings("error")  # a warning would be a second line
@pytest.mark.parametrize("name", ["hidden_size", "intermediate_size", "vocab_size", "num_attention_heads"])
def test_a_language_model(tmp_path: Path, name: str) -> None:
    config = LlamaConfig(
        vocab_size=40, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: 0}))
    words = refused(lambda: load_model(tmp_path), tmp_path)
    assert "\n" not in words
    if name != "num_attention_heads":
        assert f"config.json: {name} = 0: must be above 0" in words
