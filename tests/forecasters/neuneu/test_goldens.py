"""Equal to the published code: forwards, losses, probes, parameter counts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.forecasters.neuneu.fills import TARGETS, context, fill, inp, questions, tiny
from torch import Tensor, nn

from neuneu.forecasters.neuneu.config import ModelConfig
from neuneu.forecasters.neuneu.convert import our_name
from neuneu.forecasters.neuneu.encoders import ConvEncoder, conv_length
from neuneu.forecasters.neuneu.network import NetworkInput, NeuNeu, count_parameters, metrics, pinball_loss
from neuneu.forecasters.neuneu.probes import (
    AverageProbe,
    ConvProbe,
    DeltaProbe,
    HistogramProbe,
    KLDeltaProbe,
)

REFERENCE = Path(__file__).with_name("reference.json")
"""Our own float64 outputs; `python -m tests.forecasters.neuneu.make_reference` writes them anew."""

INPUTS = {
    "cnn": lambda: inp((2, 2000), 0.7),
    "avg_loss": lambda: inp((2, 5), 1.1, 0.4, 3.5),
    "delta": lambda: inp((2, 12), 1.9, 0.02, 0.0),
    "baseline": lambda: None,
}
ENCODERS = {"cnn": "cnn", "avg_loss": "average", "delta": "diffhist", "baseline": "none"}
TINY_CNN = {"channels": (8, 16), "kernel": 16, "stride": 4}
LEVELS = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])


@pytest.fixture(scope="session")
def goldens(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((shared / "goldens" / "neuneu.json").read_text())
    return loaded


def build(name: str, names: list[str]) -> NeuNeu:
    more: dict[str, Any] = {"cnn": TINY_CNN, "delta": {"n_bins": 12}}.get(name, {})
    return tiny(ENCODERS[name], names, **more)


def close(ours: Tensor, theirs: Any, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(ours, torch.tensor(theirs, dtype=ours.dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", list(INPUTS))
def test_forward_equals_the_published_model(goldens: dict[str, Any], name: str) -> None:
    golden, model = goldens[name], build(name, goldens[name]["names"])
    output = model(questions(INPUTS[name]()))
    close(output, golden["out"])
    scores = metrics(model.config, output, torch.tensor(TARGETS))
    assert scores["loss"] == pytest.approx(golden["loss"], abs=1e-5)
    assert scores["mae"] == pytest.approx(golden["metrics"]["median_mae"], abs=1e-5)


@pytest.mark.parametrize("name", list(INPUTS))
def test_float64_forward_is_what_it_was(name: str) -> None:
    reference = json.loads(REFERENCE.read_text())[name]
    model = build(name, reference["names"]).double()
    output = model(as_double(questions(INPUTS[name]())))
    close(output, reference["out"], 1e-12)


def as_double(asked: NetworkInput) -> NetworkInput:
    inputs = None if asked.inputs is None else asked.inputs.double()
    return NetworkInput(asked.values.double(), asked.gaps.double(), asked.mask, inputs, asked.view)


def test_prompt_and_no_context_equal_the_published_model(goldens: dict[str, Any]) -> None:
    golden, model = goldens["cnn"], build("cnn", goldens["cnn"]["names"])
    prompt = model.encode(INPUTS["cnn"]())
    close(prompt[0, :8], golden["prompt_row0_first8"])
    nothing = torch.empty(2, 0)
    output = model.answer(NetworkInput(nothing, nothing, nothing.bool()), prompt)
    close(output, golden["no_context"])


def test_released_size_equals_the_published_model(goldens: dict[str, Any]) -> None:
    model = NeuNeu(ModelConfig(), 256_000)
    assert count_parameters(model) == 19_223_917
    published = {_published(name): name for name, _ in model.named_parameters()}
    fill(model, published, 0.02)
    output = model(questions(inp((2, 256_000), 0.7)))
    close(output, goldens["cnn_full"]["out"])


def _published(name: str) -> str:
    """The published name of one of our parameters, found through the mapping that is under test."""
    parts = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj"}
    parts |= {"out": "self_attn.out_proj"}
    published = name.replace("encoder.", "soft_prompt_generator.").replace("head.", "head.head.")
    published = published.replace("transformer.bos", "transformer.bos_embedding")
    published = published.replace("value_projection", "loss_projection")
    published = published.replace(".up.", ".ff.0.").replace(".down.", ".ff.3.")
    for ours, theirs in parts.items():
        published = published.replace(f".attention.{ours}.", f".{theirs}.")
    assert our_name(published) == name
    return published


@pytest.mark.parametrize(
    ("config", "length", "count"),
    [
        (ModelConfig(encoder="average"), 1, 18_920_453),
        (ModelConfig(encoder="diffhist"), 32, 19_198_981),
        (ModelConfig(encoder="diffhist"), 64, 19_215_365),
        (ModelConfig(encoder="none"), 1, 18_919_429),
    ],
)
def test_parameter_counts_of_the_ablations(config: ModelConfig, length: int, count: int) -> None:
    with torch.device("meta"):
        assert count_parameters(NeuNeu(config, length)) == count


def test_parameter_counts_of_the_probes() -> None:
    assert count_parameters(ConvProbe(ConvEncoder(256_000, 512), 66)) == 520_626
    assert count_parameters(HistogramProbe(32, 66)) == 15_082
    assert count_parameters(HistogramProbe(32, 66, rms_norm=True)) == 15_146
    assert count_parameters(DeltaProbe(64, 66)) == 67_402
    assert count_parameters(KLDeltaProbe(32, 66)) == 15_146
    assert count_parameters(AverageProbe(66)) == 59_338


def probe_output(name: str, goldens: dict[str, Any]) -> Tensor:
    h, h2 = (torch.tensor(goldens[key]) for key in ("H", "H2"))
    probes: dict[str, tuple[nn.Module, Any]] = {
        "probe_cnn": (
            ConvProbe(ConvEncoder(2000, 32, (8, 16), 16, 4), 3, hidden=20),
            lambda probe: probe(inp((2, 2000), 0.7)),
        ),
        "probe_hist": (HistogramProbe(12, 3, hidden=(8, 6)), lambda probe: probe(h)),
        "probe_hist_rms": (HistogramProbe(12, 3, hidden=(8, 6), rms_norm=True), lambda probe: probe(h)),
        "probe_delta": (DeltaProbe(12, 3, hidden=(8, 6)), lambda probe: probe.pair(h2, h)),
        "probe_kl": (KLDeltaProbe(12, 3, hidden=(8, 6)), lambda probe: probe.pair(h2, h)),
        "probe_avg_invp": (AverageProbe(3, hidden=(8, 6)), lambda probe: probe(torch.tensor([3.2, 2.7]))),
        "probe_hist_mse": (HistogramProbe(12, 3, None, hidden=(8, 6)), lambda probe: probe(h)),
    }
    probe, call = probes[name]
    fill(probe, {published: published for published in goldens[name]["names"]}, 0.5)
    output: Tensor = call(probe)
    return output


@pytest.mark.parametrize(
    "name", ["probe_cnn", "probe_hist", "probe_hist_rms", "probe_delta", "probe_kl", "probe_avg_invp"]
)
def test_probes_equal_the_published_ones(goldens: dict[str, Any], name: str) -> None:
    output = probe_output(name, goldens)
    close(output, goldens[name]["out"])
    loss = pinball_loss(output.flatten(0, 1), inp((2, 3), 0.2, 0.2, 0.4).flatten(), LEVELS)
    assert float(loss) == pytest.approx(goldens[name]["loss"], abs=1e-5)


def test_probe_of_means_equals_the_published_one(goldens: dict[str, Any]) -> None:
    output = probe_output("probe_hist_mse", goldens)
    close(output, goldens["probe_hist_mse"]["out"])
    loss = nn.functional.mse_loss(output, inp((2, 3), 0.2, 0.2, 0.4))
    assert float(loss) == pytest.approx(goldens["probe_hist_mse"]["loss"], abs=1e-5)


def test_pinball_example(goldens: dict[str, Any]) -> None:
    loss = pinball_loss(torch.tensor([[0.5]]), torch.tensor([0.6]), torch.tensor([0.75]))
    assert float(loss) == pytest.approx(goldens["pinball"], abs=1e-6)


@pytest.mark.parametrize(
    ("length", "positions"),
    [(256_000, 4), (8192, 1), (64_000, 2), (100_000, 2), (128_000, 3), (512_000, 8), (1_000_000, 16)],
)
def test_conv_length(length: int, positions: int) -> None:
    assert conv_length(length, 4, 64, 16) == positions


def test_max_pooling_takes_any_length() -> None:
    encoder = ConvEncoder(2000, 8, (8, 16), 16, 4, pool=True)
    assert encoder(torch.rand(2, 2000)).shape == encoder(torch.rand(2, 3777)).shape == (2, 8)


def test_padding_does_not_change_an_answer(goldens: dict[str, Any]) -> None:
    model = build("cnn", goldens["cnn"]["names"])
    values, gaps, mask = context()
    prompt = model.encode(INPUTS["cnn"]())
    padded = model.answer(NetworkInput(values, gaps, mask), prompt)[1]
    alone = model.answer(NetworkInput(values[1:, :3], gaps[1:, :3], mask[1:, :3]), prompt[1:])[0]
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-6)
