"""Checkpoints of OLMo's first code: what the reference implementation computes, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neuneu.errors import InputError
from neuneu.losses.models import load_model
from neuneu.losses.published_corpus import import_token_files
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints

GOLDENS = Path(__file__).parent.parent / "goldens" / "hf_olmo"
KINDS = {
    "datadecide": "LlamaForCausalLM", "gqa_tied": "LlamaForCausalLM", "olmo1_default_norm": "OlmoForCausalLM"
}  # fmt: skip


def expected(kind: str) -> dict[str, Any]:
    return dict(json.loads((GOLDENS / kind / "expected.json").read_text()))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDENS / "datadecide", tmp_path / "step1"))


def change(folder: Path, **options: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **options}))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_the_reference_s(kind: str) -> None:
    golden, model = expected(kind), load_model(GOLDENS / kind)
    assert type(model).__name__ == KINDS[kind]
    with torch.inference_mode():
        logits = model(torch.tensor(golden["input_ids"])).logits
    assert list(logits.shape) == golden["logits_shape"]
    assert float(logits.double().sum()) == pytest.approx(golden["logits_sum"], abs=1e-3)
    for row, first8 in ((logits[0, 0], "logits_0_0_first8"), (logits[1, 16], "logits_1_16_first8")):
        np.testing.assert_allclose(row[:8].numpy(), golden[first8], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scorer_s_losses_are_the_reference_s(kind: str, tmp_path: Path, tokenizer: Path) -> None:
    golden = expected(kind)
    ids = np.array(golden["input_ids"], dtype=np.int64)
    np.save(tmp_path / "val_0_tokens.npy", ids.ravel())
    np.save(tmp_path / "val_0_boundaries.npy", np.arange(len(ids), dtype=np.int64) * ids.shape[1])
    import_token_files([tmp_path / "val_0_tokens.npy"], tmp_path / "corpus", str(tokenizer))
    shutil.copytree(GOLDENS / kind, tmp_path / "run/step1")
    scoring = Scoring(dtype="float32")
    store = score_checkpoints([tmp_path / "run"], tmp_path / "corpus", tmp_path / "losses", scoring)
    assert store.settings["window"] == 64  # max_sequence_length
    losses = store.read("run", 1).reshape(ids.shape)
    assert np.isnan(losses[:, 0]).all()
    np.testing.assert_allclose(losses[:, 1:].ravel(), golden["loss_over_embedding_rows"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("include_bias", True), ("bias_for_layer_norm", True), ("alibi", True), ("norm_after", True),
        ("attention_layer_norm", True), ("embedding_layer_norm", True), ("clip_qkv", 8.0),
        ("block_type", "llama"), ("block_type", "parallel"), ("block_group_size", 2), ("rope", False),
        ("activation_type", "gelu"), ("activation_type", "swish2"), ("activation_type", None),
        ("scale_logits", True), ("layer_norm_type", "low_precision"), ("layer_norm_type", "default"),
        ("layer_norm_with_affine", False), ("n_kv_heads", 3), ("qk_scale", 2.0), ("mixture", {"experts": 4}),
        ("d_model", None),
    ],
)  # fmt: skip
def test_what_the_mapping_does_not_cover_is_refused_by_name(checkpoint: Path, field: str, value: Any) -> None:
    named = {"layer_norm_type": "layer_norm", "n_kv_heads": r"att_proj.*rows|n_kv_heads"}.get(field, field)
    with pytest.raises(InputError, match=named) as caught:
        load_model(change(checkpoint, **{field: value}))
    assert str(checkpoint) in str(caught.value)


def test_norms_without_weights_have_one_epsilon_and_no_weights(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDENS / "olmo1_default_norm", tmp_path / "step1"))
    weights = load_file(folder / "model.safetensors")
    for name in ("model.transformer.ln_f.weight", "model.transformer.blocks.1.attn_norm.weight"):
        save_file({**weights, name: torch.ones(32)}, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=name):
            load_model(folder)
    with pytest.raises(InputError, match="layer_norm_eps"):
        load_model(change(folder, layer_norm_eps=1e-6))


def test_epsilon_and_the_base_of_rotation_are_carried_over(checkpoint: Path) -> None:
    ids = torch.tensor(expected("datadecide")["input_ids"])
    before = load_model(checkpoint)(ids).logits
    for option in ({"layer_norm_eps": 1e-2}, {"rope_theta": 100}):
        after = load_model(change(checkpoint, **{"layer_norm_eps": 1e-5, "rope_theta": 10_000, **option}))
        assert (after(ids).logits - before).abs().max() > 1e-2


def test_multi_query_attention_is_one_key_head(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    for name in weights:
        if "att_proj" in name:
            weights[name] = weights[name][:48].contiguous()
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert load_model(change(checkpoint, multi_query_attention=True)).config.num_key_value_heads == 1
    with pytest.raises(InputError, match="n_kv_heads"):
        load_model(change(checkpoint, n_kv_heads=4))


def test_weights_must_be_all_there_and_no_others(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    changes: list[tuple[str, dict[str, Any]]] = [
        ("weights are missing", {"model.transformer.ln_f.weight": None}),
        (r"blocks\.0\.att_proj\.bias", {"model.transformer.blocks.0.att_proj.bias": torch.zeros(96)}),
        (r"blocks\.2\.ff_norm", {"model.transformer.blocks.2.ff_norm.weight": torch.zeros(32)}),
        ("must have 96 rows", {"model.transformer.blocks.0.att_proj.weight": torch.zeros(95, 32)}),
        ("another shape", {"model.transformer.wte.weight": torch.zeros(128, 31)}),
        ("position_embeddings", {"model.transformer.position_embeddings.weight": torch.zeros(64, 32)}),
    ]
    for message, other in changes:
        state = {name: value for name, value in {**weights, **other}.items() if value is not None}
        save_file(state, checkpoint / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(InputError, match=message):
            load_model(checkpoint)


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


def test_bin_files_are_read_as_weights_only_and_only_when_allowed(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    ids = torch.tensor(expected("datadecide")["input_ids"])
    logits = load_model(checkpoint)(ids).logits
    (checkpoint / "model.safetensors").unlink()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(InputError, match="`allow_bin`"):
        load_model(checkpoint)
    assert torch.equal(load_model(checkpoint, allow_bin=True)(ids).logits, logits)
    names = sorted(weights)
    parts = {f"pytorch_model-{i}.bin": names[i::2] for i in range(2)}
    for part, mine in parts.items():
        torch.save({name: weights[name] for name in mine}, checkpoint / part)
    (checkpoint / "pytorch_model.bin").unlink()
    index = {"weight_map": {name: part for part, mine in parts.items() for name in mine}}
    (checkpoint / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert torch.equal(load_model(checkpoint, allow_bin=True)(ids).logits, logits)
    index["weight_map"][names[0]] = "../elsewhere.bin"
    (checkpoint / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="weight_map"):
        load_model(checkpoint, allow_bin=True)
    torch.save({"a": Evil(str(tmp_path / "ran"))}, checkpoint / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds more than weights"):
        load_model(checkpoint, allow_bin=True)
    assert not (tmp_path / "ran").exists()


def test_code_beside_the_weights_is_not_run(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    auto = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    assert type(load_model(change(checkpoint, auto_map=auto))).__name__ == "LlamaForCausalLM"
    assert not (tmp_path / "ran").exists()
