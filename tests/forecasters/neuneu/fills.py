"""Deterministic weights and inputs of the goldens, and published models built from ours."""

import numpy as np
import torch
from torch import Tensor, nn

from neuneu.forecasters.neuneu.config import ModelConfig
from neuneu.forecasters.neuneu.convert import our_name
from neuneu.forecasters.neuneu.network import NetworkInput, NeuNeu


def inp(shape: tuple[int, ...], phase: float, scale: float = 0.5, off: float = 0.5) -> Tensor:
    """off + scale * sin(phase + ((0.013 j) j mod 17)), row by row."""
    j = np.arange(np.prod(shape), dtype=np.float64)
    values = off + scale * np.sin(phase + np.mod(0.013 * j * j, 17))
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(model: nn.Module, names: dict[str, str], amplitude: float) -> None:
    """Fill parameters in the order of their published names; `names` maps published → ours."""
    parameters = dict(model.named_parameters())
    assert sorted(names.values()) == sorted(parameters)
    for i, published in enumerate(sorted(names)):
        parameter = parameters[names[published]]
        values = amplitude * np.sin(0.1 * (i + 1) + 0.37 * np.arange(parameter.numel(), dtype=np.float64))
        if parameter.dim() == 1 and published.endswith("weight"):
            values += 1
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape))


TINY = {"width": 32, "n_layers": 2, "n_heads": 4, "feed_forward": 64}


def tiny(encoder: str, names: list[str], **more: object) -> NeuNeu:
    """The tiny model of the goldens."""
    config = ModelConfig(encoder=encoder, **TINY, **more)  # type: ignore[arg-type]
    length = {"cnn": 2000, "diffhist": 12}.get(encoder, 1)
    model = NeuNeu(config, length)
    fill(model, {name: our_name(name, noloss=encoder == "none") for name in names}, 0.05)
    return model.eval()


def context() -> tuple[Tensor, Tensor, Tensor]:
    """Accuracies, gaps and mask of the tiny batch."""
    gaps = torch.tensor([[1, 1, 2, 1, 4], [1, 3, 1, 0, 0]], dtype=torch.float32)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)
    return inp((2, 5), 0.3, 0.2, 0.4), gaps, mask


def questions(inputs: Tensor | None) -> NetworkInput:
    """The tiny batch with these encoder inputs."""
    values, gaps, mask = context()
    return NetworkInput(values, gaps, mask, inputs, None if inputs is None else torch.arange(2))


TARGETS = (0.42, 0.31)
