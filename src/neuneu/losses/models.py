"""Language models loaded from the folders of checkpoints."""

from functools import partial
from pathlib import Path
from typing import Any

from neuneu.errors import InputError, MissingExtraError
from neuneu.files import read_object
from neuneu.losses.devices import find_device
from neuneu.losses.hf_olmo import is_hf_olmo, load_hf_olmo


def load_model(path: Path, *, allow_bin: bool = False, device: str = "cpu", classifier: bool = False) -> Any:
    """A causal language model in float32 from a local folder; only safetensors unless `allow_bin`.

    classifier: a sequence classifier in place of it. Never runs code of the checkpoint. Checkpoints of OLMo's
    first code (DataDecide) become Llama or Olmo. Raises InputError where it cannot be loaded, weights are
    missing (which the library would fill at random), or there is no such device here.
    """
    try:
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError("transformers", "lm") from error
    place = find_device(device)
    check_config(path)
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what it would report of missing weights is an error here
    load = load_hf_olmo if is_hf_olmo(path) else partial(_load_known, classifier=classifier)
    try:
        model, info = load(path, allow_bin=allow_bin)
    except InputError:
        raise
    except Exception as error:  # the library raises many kinds: bad JSON, no weights, unknown architecture
        hint = " (`allow_bin` reads pytorch_model.bin)" if any(path.glob("*.bin")) and not allow_bin else ""
        raise InputError(f"cannot be loaded: {error}{hint}", where=path) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    missing = sorted([*info["missing_keys"], *(key for key, *_ in info.get("mismatched_keys", ()))])
    if missing:
        raise InputError(
            "weights are missing or of another shape", where=path, field="weights", value=missing
        )
    return model.to(place).eval()


_HIDDEN = ("hidden_size", "n_embd", "d_model")
_SIDES = (*_HIDDEN, "vocab_size", "intermediate_size", "n_inner")
_OTHERS = ("num_hidden_layers", "n_layer", "num_local_experts")
"""Names that configurations give to the sides of their matrices, and to how many there are."""

NUMBERS_A_BYTE = 4
"""Of a matrix for each byte of the weights, at most: none are known that take less than two bits each."""


def check_config(folder: Path) -> None:
    """InputError where config.json asks for matrices without width, or that the weights here cannot fill.

    The library would make them, of whatever size, before it compares.
    """
    path = folder / "config.json"
    config = read_object(path)
    weights = [file for kind in ("*.safetensors", "*.bin") for file in folder.glob(kind) if file.is_file()]
    room = NUMBERS_A_BYTE * sum(file.stat().st_size for file in weights)
    sizes = {name: config[name] for name in (*_SIDES, *_OTHERS) if isinstance(config.get(name), int | float)}
    hidden = max((sizes[name] for name in _HIDDEN if name in sizes), default=1)
    for name, size in sizes.items():
        if name in _SIDES and size < 1:
            raise InputError("must be above 0", where=path, field=name, value=size)
        if weights and size * max(hidden, 1) > room:
            raise InputError("is more than the weights here can fill", where=path, field=name, value=size)


def _load_known(path: Path, *, allow_bin: bool, classifier: bool) -> tuple[Any, dict[str, Any]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForSequenceClassification if classifier else AutoModelForCausalLM
    model, info = kind.from_pretrained(
        path,
        dtype=torch.float32,
        use_safetensors=None if allow_bin else True,
        trust_remote_code=False,
        local_files_only=True,
        ignore_mismatched_sizes=True,  # they are refused by name
        output_loading_info=True,
    )
    return model, info
