"""Checkpoints of OLMo's first code (`model_type: hf_olmo`) as models of transformers, without that code.

DataDecide's are Llama under other names: RMS norms with weights, SwiGLU, rotary positions by halves. The
first OLMo's, whose norms have no weights, are transformers' Olmo. Whatever else the configuration asks for
is refused by name, since it would change the logits in silence.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuneu.errors import InputError
from neuneu.files import check_document, read_object
from neuneu.files.arrays import load_torch

MODEL_TYPE = "hf_olmo"
"""What config.json of such a checkpoint says."""

OLMO_NORM_EPS = 1e-5
"""The only epsilon of transformers' Olmo, whose norms take none from the configuration."""

NORMS = {"rms": True, "default": False}
"""Type of layer norm that is covered → whether it has weights."""

FIXED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "activation_type": (None, ("swiglu",)),
    "rope": (None, (True,)),
    "include_bias": (None, (False,)),
    "bias_for_layer_norm": (None, (False, None)),
    "block_type": ("sequential", ("sequential",)),
    "block_group_size": (1, (1,)),
    "alibi": (False, (False,)),
    "attention_layer_norm": (False, (False,)),
    "embedding_layer_norm": (False, (False,)),
    "norm_after": (False, (False,)),
    "scale_logits": (False, (False,)),
    "clip_qkv": (None, (None,)),
}
"""Option → (its value where it is absent, the values that the mapping covers)."""

READ = (
    "d_model", "n_heads", "n_kv_heads", "multi_query_attention", "n_layers", "mlp_ratio", "mlp_hidden_size",
    "layer_norm_type", "layer_norm_with_affine", "layer_norm_eps", "rope_theta", "vocab_size",
    "embedding_size", "max_sequence_length", "weight_tying", "pad_token_id", "eos_token_id",
)  # fmt: skip
"""Options that the mapping carries over."""

WITHOUT_EFFECT = (
    "model_type", "architectures", "auto_map", "torch_dtype", "dtype", "transformers_version", "use_cache",
    "_name_or_path", "precision", "init_device", "init_fn", "init_std", "init_cutoff_factor", "emb_init_std",
    "scale_emb_init", "attention_dropout", "residual_dropout", "embedding_dropout", "flash_attention",
    "rope_full_precision", "alibi_bias_max", "attention_layer_norm_with_affine", "bos_token_id",
    "tie_word_embeddings",
)  # fmt: skip
"""Options that do not change the logits of a trained model in float32."""

NEEDED = ("d_model", "n_heads", "n_layers", "vocab_size", "max_sequence_length", "layer_norm_type")
_BLOCK = re.compile(r"model\.transformer\.blocks\.(\d+)\.(\w+)\.weight")


def is_hf_olmo(folder: Path) -> bool:
    """Whether the folder's config.json says that it is such a checkpoint."""
    config = read_object(folder / "config.json")
    return config.get("model_type") == MODEL_TYPE


def llama_config(config: dict[str, Any], where: Path) -> tuple[str, dict[str, Any]]:
    """The equal configuration: ("llama" or "olmo", keyword arguments of transformers' configuration).

    Raises InputError naming the first option that the mapping does not cover.
    """
    _check(config, where)
    width, heads = config["d_model"], config["n_heads"]
    kv_heads = config.get("n_kv_heads") or (1 if config.get("multi_query_attention") else heads)
    hidden = config.get("mlp_hidden_size") or config.get("mlp_ratio", 4) * width
    norm = config["layer_norm_type"]
    eps = config.get("layer_norm_eps", OLMO_NORM_EPS)
    arguments = {
        "hidden_size": width,
        "num_hidden_layers": config["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": int(hidden) // 2,
        "vocab_size": config.get("embedding_size") or config["vocab_size"],
        "max_position_embeddings": config["max_sequence_length"],
        "rope_theta": float(config.get("rope_theta", 10_000)),
        "tie_word_embeddings": bool(config.get("weight_tying", True)),
        "pad_token_id": config.get("pad_token_id"),
        "eos_token_id": config.get("eos_token_id"),
        "bos_token_id": None,
        "hidden_act": "silu",
    }
    if NORMS[norm]:
        return "llama", {**arguments, "rms_norm_eps": eps}
    if eps != OLMO_NORM_EPS:
        rule = f"norms without weights are read with {OLMO_NORM_EPS:g} only"
        raise InputError(rule, where=where, field="layer_norm_eps", value=eps)
    return "olmo", arguments


def _check(config: dict[str, Any], where: Path) -> None:
    """Refuse what the mapping does not cover, by name."""
    for field in NEEDED:
        if config.get(field) is None:
            raise InputError("is missing: it cannot be guessed", where=where, field=field)
    for field, (default, covered) in FIXED.items():
        value = config.get(field, default)
        if value not in covered or (value is None and None not in covered):
            _refuse(where, field, value, " or ".join(map(repr, covered)))
    norm = config["layer_norm_type"]
    if norm not in NORMS:
        _refuse(where, "layer_norm_type", norm, " or ".join(map(repr, NORMS)))
    if config.get("layer_norm_with_affine", True) is not NORMS[norm]:
        value = config.get("layer_norm_with_affine", True)
        _refuse(where, "layer_norm_with_affine", value, f"{NORMS[norm]} for {norm!r} norms")
    if config.get("multi_query_attention") and config.get("n_kv_heads") not in (None, 1):
        _refuse(where, "n_kv_heads", config["n_kv_heads"], "1 with multi_query_attention")
    known = {*FIXED, *READ, *WITHOUT_EFFECT, *_library_fields()}
    for field, value in config.items():
        if field not in known and value not in (None, False):
            _refuse(where, field, value, "no option unknown here")


def _refuse(where: Path, field: str, value: object, covered: str) -> None:
    rule = f"is not covered by the reading of {MODEL_TYPE} as Llama or Olmo, which needs {covered}"
    raise InputError(rule, where=where, field=field, value=value)


def _library_fields() -> frozenset[str]:
    """Fields that transformers writes into every configuration, about generation and not the network."""
    from transformers import PretrainedConfig

    return frozenset(PretrainedConfig().to_dict()) | frozenset(PretrainedConfig().__dict__)


def load_state(folder: Path, *, allow_bin: bool) -> dict[str, Any]:
    """All weights of a checkpoint by name: safetensors, or with `allow_bin` pytorch_model.bin.

    Either whole or in parts named by an index. A .bin is read as weights only: no code in it is run.
    """
    from safetensors.torch import load_file

    readers: list[tuple[str, Callable[[Path], Any]]] = [("model.safetensors", load_file)]
    if allow_bin:
        readers.append(("pytorch_model.bin", load_torch))
    for name, read in readers:
        files = _parts(folder, name)
        if files:
            try:
                return {key: value for file in files for key, value in read(file).items()}
            except InputError:
                raise
            except Exception as error:  # the libraries raise many kinds
                raise InputError(f"cannot be loaded: {error}", where=folder) from error
    hint = " (`allow_bin` reads pytorch_model.bin)" if any(folder.glob("*.bin")) and not allow_bin else ""
    raise InputError(f"cannot be loaded: no model.safetensors is here{hint}", where=folder)


def _parts(folder: Path, name: str) -> list[Path]:
    """The file of this name, or those of its index; empty where there is neither."""
    if (folder / name).is_file():
        return [folder / name]
    index = folder / f"{name}.index.json"
    if not index.is_file():
        return []
    names = sorted(
        set(check_document(dict[str, str], read_object(index).get("weight_map", {}), index).values())
    )
    for part in names:
        if Path(part).name != part or not (folder / part).is_file():
            raise InputError("names a part that is not here", where=index, field="weight_map", value=part)
    return [folder / part for part in names]


def rename_weights(state: dict[str, Any], arguments: dict[str, Any], where: Path) -> dict[str, Any]:
    """Weights under transformers' names: fused projections split, nothing permuted.

    Raises InputError on a weight that the mapping does not know, and on one of another shape.
    """
    width = arguments["hidden_size"]
    head = width // arguments["num_attention_heads"]
    kv_rows, inner = arguments["num_key_value_heads"] * head, arguments["intermediate_size"]
    outside = {
        "model.transformer.wte.weight": "model.embed_tokens.weight",
        "model.transformer.ln_f.weight": "model.norm.weight",
        "model.transformer.ff_out.weight": "lm_head.weight",
    }
    inside: dict[str, list[tuple[str, int]]] = {
        "att_proj": [
            ("self_attn.q_proj", width), ("self_attn.k_proj", kv_rows), ("self_attn.v_proj", kv_rows)
        ],
        "attn_out": [("self_attn.o_proj", width)],
        "ff_proj": [("mlp.up_proj", inner), ("mlp.gate_proj", inner)],
        "ff_out": [("mlp.down_proj", width)],
        "attn_norm": [("input_layernorm", width)],
        "ff_norm": [("post_attention_layernorm", width)],
    }  # fmt: skip
    if "rms_norm_eps" not in arguments:  # norms without weights
        del outside["model.transformer.ln_f.weight"], inside["attn_norm"], inside["ff_norm"]
    found: dict[str, Any] = {}
    for name, value in state.items():
        block = _BLOCK.fullmatch(name)
        if name in outside:
            found[outside[name]] = value
        elif block and int(block[1]) < arguments["num_hidden_layers"] and block[2] in inside:
            parts = inside[block[2]]
            if len(value) != sum(rows for _, rows in parts):
                rule = f"must have {sum(rows for _, rows in parts)} rows"
                raise InputError(rule, where=where, field=name, value=len(value))
            pieces = value.split([rows for _, rows in parts])
            for (part, _), piece in zip(parts, pieces, strict=True):
                found[f"model.layers.{block[1]}.{part}.weight"] = piece.contiguous()
        else:
            raise InputError("is no weight of the covered architectures", where=where, field=name)
    if arguments["tie_word_embeddings"] and "lm_head.weight" in found:
        rule = "must be absent where weight_tying is true"
        raise InputError(rule, where=where, field="model.transformer.ff_out.weight")
    return found


def load_hf_olmo(folder: Path, *, allow_bin: bool = False) -> tuple[Any, dict[str, Any]]:
    """(model in float32, loading information as `from_pretrained` gives it) of a checkpoint's folder.

    Raises InputError on options and weights outside the mapping.
    """
    import torch
    import transformers

    kind, arguments = llama_config(read_object(folder / "config.json"), folder)
    state = rename_weights(load_state(folder, allow_bin=allow_bin), arguments, folder)
    config_type, model_type = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "olmo": (transformers.OlmoConfig, transformers.OlmoForCausalLM),
    }[kind]
    model, info = model_type.from_pretrained(
        None,
        config=config_type(**arguments),
        state_dict=state,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # they are refused by name
        output_loading_info=True,
    )
    return model, info
