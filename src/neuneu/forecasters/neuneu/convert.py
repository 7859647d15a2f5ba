"""The published checkpoint (best_model.pt of michahu/neuneu) → config.json + model.safetensors."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuneu.errors import InputError
from neuneu.forecasters.neuneu.config import Encoder, LossConfig, ModelConfig, SampleConfig
from neuneu.forecasters.neuneu.network import NeuNeu, rotary_frequencies
from neuneu.forecasters.neuneu.weights import load_weights, save_folder

PUBLISHED_NAMES = (
    (r"^soft_prompt_generator\.loss_proj\.", "encoder.proj."),
    (r"^soft_prompt_generator\.", "encoder."),
    (r"^transformer\.bos_embedding$", "transformer.bos"),
    (r"^transformer\.loss_projection\.", "transformer.value_projection."),
    (r"\.self_attn\.([qkv])_proj\.", r".attention.\1."),
    (r"\.self_attn\.out_proj\.", ".attention.out."),
    (r"\.ff\.0\.", ".up."),
    (r"\.ff\.3\.", ".down."),
    (r"^head\.head\.", "head."),
)
"""Published weight name → ours, applied in order; one without losses says `encoder.` for `transformer.`."""


def our_name(published: str, *, noloss: bool = False) -> str:
    """Our name of a published weight."""
    name = re.sub(r"^encoder\.", "transformer.", published) if noloss else published
    for pattern, replacement in PUBLISHED_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def convert(checkpoint: str | Path, folder: str | Path) -> dict[str, Any]:
    """Read a published checkpoint (with weights_only, so no code runs) and write a model folder.

    Sizes come from the weights' shapes; stride, input length and loss transform from its configuration.
    Returns what was written to config.json. Raises InputError where the file is not such a checkpoint.
    """
    state, settings = _read(Path(checkpoint))
    noloss = not any(name.startswith("soft_prompt_generator.") for name in state)
    levels = state.pop("quantiles", None)
    weights = {
        our_name(name, noloss=noloss): tensor
        for name, tensor in state.items()
        if not name.endswith("rope.inv_freq")
    }
    try:
        config, length, losses = _architecture(weights, state, levels, settings)
    except (KeyError, ValueError, IndexError) as error:
        rule = f"not a published NeuNeu checkpoint: {' '.join(str(error).split())}"
        raise InputError(rule, where=checkpoint) from error
    model = NeuNeu(config, length)
    load_weights(model, weights, checkpoint)
    names: dict[Encoder, str] = {"cnn": "neuneu", "average": "neuneu-average", "diffhist": "neuneu-diffhist"}
    document = {
        "forecaster": names.get(config.encoder, "neuneu-noloss"),
        "model": config.model_dump(mode="json"),
        "losses": losses.model_dump(mode="json"),
        "samples": SampleConfig().model_dump(mode="json"),
        "input_length": length,
        "fingerprint": None,
        "calibration": None,
    }
    save_folder(folder, model, document)
    return document


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise InputError("no such file", where=path)
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a broken or unsafe file
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"cannot be read as a checkpoint of weights: {reason}", where=path) from error
    state = document.get("model_state_dict") if isinstance(document, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError("has no weights under this key", where=path, field="model_state_dict")
    settings = document.get("config")
    return dict(state), settings if isinstance(settings, dict) else {}


def _architecture(
    weights: dict[str, Tensor], state: dict[str, Tensor], levels: Tensor | None, settings: dict[str, Any]
) -> tuple[ModelConfig, int, LossConfig]:
    width = weights["transformer.bos"].shape[-1]
    layers = {int(name.split(".")[2]) for name in weights if name.startswith("transformer.layers.")}
    frequencies = [tensor for name, tensor in state.items() if name.endswith("rope.inv_freq")]
    for tensor in frequencies:
        if not torch.allclose(tensor.float(), rotary_frequencies(2 * len(tensor)), rtol=1e-4):
            raise ValueError("rotary frequencies are not of base 10000")
    n_heads = width // (2 * len(frequencies[0])) if frequencies else int(settings.get("num_heads", 8))
    sizes: dict[str, Any] = {
        "width": width,
        "n_layers": len(layers),
        "n_heads": n_heads,
        "feed_forward": len(weights["transformer.layers.0.up.bias"]),
        "objective": "pinball" if len(weights["head.bias"]) > 1 else "mse",
    }
    if levels is not None:
        sizes["levels"] = tuple(round(float(level), 6) for level in levels)
    probability = bool(settings.get("inverse_perplexity", False))
    losses = LossConfig(
        transform="probability" if probability else "loss", clip=float(settings.get("max_clip", 20.0))
    )
    convolutions = sorted(
        (int(name.split(".")[2]), tensor.shape)
        for name, tensor in weights.items()
        if re.fullmatch(r"encoder\.conv\.\d+\.weight", name) and tensor.dim() == 3
    )
    if convolutions:
        length = int(settings.get("max_encoder_tokens", 256_000))
        channels = tuple(shape[0] for _, shape in convolutions)
        sizes |= {"channels": channels, "kernel": convolutions[0][1][2], "input_length": length}
        sizes["stride"] = int(settings.get("cnn_stride", 16))
        return ModelConfig(encoder="cnn", **sizes), length, losses
    if "encoder.mlp.0.weight" in weights:
        n_bins = weights["encoder.mlp.0.weight"].shape[1]
        return ModelConfig(encoder="diffhist", n_bins=n_bins, **sizes), n_bins, losses
    if "encoder.proj.weight" in weights:
        return ModelConfig(encoder="average", **sizes), 1, losses
    return ModelConfig(encoder="none", **sizes), 1, losses
