"""Published checkpoints (best_model.pt of michahu/neuneu), NeuNeu's and probes' → model folders."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuneu.curves.tasks import find_task
from neuneu.errors import InputError
from neuneu.files import check_document
from neuneu.files.arrays import load_torch
from neuneu.forecasters.base import check_no_seeds, make_forecaster, read_folder
from neuneu.forecasters.neuneu.config import (
    Encoder,
    LossConfig,
    ModelConfig,
    ProbeConfig,
    ProbeRunConfig,
    SampleConfig,
    parse_probe,
)
from neuneu.forecasters.neuneu.network import NeuNeu, rotary_frequencies
from neuneu.forecasters.neuneu.probe_forecasters import ProbeForecaster, build_probe
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
    A probe's names its tasks. Returns what was written to config.json. Raises InputError where the file is
    not such a checkpoint, or the folder holds seeds.
    """
    check_no_seeds(folder)
    state, settings, tasks = _read(Path(checkpoint))
    if tasks is not None:
        return _convert_probe(checkpoint, folder, state, settings, tasks)
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


def _convert_probe(
    checkpoint: str | Path,
    folder: str | Path,
    state: dict[str, Tensor],
    settings: dict[str, Any],
    tasks: list[str],
) -> dict[str, Any]:
    """Write a probe's folder. The published weights have our names already."""
    state.pop("quantiles", None)
    try:
        config, length = _probe(state, settings, len(tasks))
    except (KeyError, ValueError, IndexError) as error:
        rule = f"not a published probe: {' '.join(str(error).split())}"
        raise InputError(rule, where=checkpoint) from error
    network = build_probe(config, length, len(tasks))
    load_weights(network.probe, state, checkpoint)
    forecaster = make_forecaster(config.forecaster)
    assert isinstance(forecaster, ProbeForecaster)
    forecaster.adopt(network, config, [find_task(task).name for task in tasks], length, None)
    forecaster.save(folder)
    return read_folder(folder)


PROBE_NAMES = {
    "cnn": "probe-cnn",
    "histogram": "probe-histogram",
    "delta": "probe-delta",
    "kl_delta": "probe-kl-delta",
    "avg_loss": "probe-average",
}
"""Published probe type → ours."""


def _probe(state: dict[str, Tensor], settings: dict[str, Any], n_tasks: int) -> tuple[ProbeRunConfig, int]:
    """Configuration and input length of a published probe: sizes from the weights, the rest from settings."""
    kind = str(settings.get("probe_type"))
    if kind not in PROBE_NAMES:
        raise ValueError(f"its config's probe_type is {kind}; known: {', '.join(PROBE_NAMES)}")
    last = max((name for name in state if name.endswith(".bias")), key=_depth)
    n_levels, rest = divmod(len(state[last]), n_tasks)
    if rest:
        raise ValueError(f"{len(state[last])} outputs are not a multiple of its {n_tasks} tasks")
    model: dict[str, Any] = {"objective": "mse" if settings.get("loss_type", "mse") == "mse" else "pinball"}
    if model["objective"] == "pinball":
        model["levels"] = settings.get("quantiles") or ProbeConfig().levels
        if len(model["levels"]) != n_levels:
            raise ValueError(f"{n_levels} outputs a task, but {len(model['levels'])} quantiles")
    if kind == "cnn":
        shapes = [tensor.shape for name, tensor in sorted(state.items()) if name.startswith("encoder.conv")]
        convolutions = [shape for shape in shapes if len(shape) == 3]
        length = int(settings.get("max_seq_len", 256_000))
        model |= {
            "input_length": length,
            "channels": [shape[0] for shape in convolutions],
            "kernel": convolutions[0][2],
            "stride": int(settings.get("stride", settings.get("cnn_stride", 16))),
            "features": len(state["encoder.proj.bias"]),
            "hidden": [len(state["head.0.bias"])],
        }
    else:
        layers = sorted((name for name in state if name.endswith(".weight")), key=_depth)
        length = state[layers[0]].shape[1]
        rms = kind == "kl_delta" or (kind == "histogram" and bool(settings.get("use_rms_norm", False)))
        length -= rms
        model["hidden"] = [state[name].shape[0] for name in layers[:-1]]
        if kind != "avg_loss":
            model |= {"n_bins": length, "rms_norm": rms and kind == "histogram"}
        if kind in ("delta", "kl_delta"):
            model["anchor"] = 0
    document = {"forecaster": PROBE_NAMES[kind], "model": model, "losses": _losses(settings).model_dump()}
    return parse_probe(document, "checkpoint"), length


def _depth(name: str) -> tuple[bool, int]:
    """Where a weight stands: the head's last layer is the deepest."""
    part, number, *_ = name.split(".")
    return part in ("head", "mlp"), int(number) if number.isdigit() else -1


def _losses(settings: dict[str, Any]) -> LossConfig:
    """How a published configuration reads losses."""
    probability = bool(settings.get("inverse_perplexity", False))
    low, high = float(settings.get("bin_min", 0.0)), float(settings.get("bin_max", 15.0))
    return LossConfig(
        transform="probability" if probability else "loss",
        clip=float(settings.get("max_clip", 20.0)),
        bins=(low, high),
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], list[str] | None]:
    """Weights, configuration and, of a probe, the tasks of its outputs."""
    document = load_torch(path)
    state = document.get("model_state_dict") if isinstance(document, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise InputError("has no weights under this key", where=path, field="model_state_dict")
    settings, tasks = document.get("config"), document.get("tasks")
    if tasks is not None and not (isinstance(tasks, list | tuple) and all(isinstance(t, str) for t in tasks)):
        raise InputError("must be a list of names", where=path, field="tasks")
    return dict(state), settings if isinstance(settings, dict) else {}, list(tasks) if tasks else None


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
    losses = _losses(settings)
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
        return check_document(ModelConfig, {"encoder": "cnn", **sizes}), length, losses
    if "encoder.mlp.0.weight" in weights:
        n_bins = weights["encoder.mlp.0.weight"].shape[1]
        return check_document(ModelConfig, {"encoder": "diffhist", "n_bins": n_bins, **sizes}), n_bins, losses
    if "encoder.proj.weight" in weights:
        return check_document(ModelConfig, {"encoder": "average", **sizes}), 1, losses
    return check_document(ModelConfig, {"encoder": "none", **sizes}), 1, losses
