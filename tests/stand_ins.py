"""Tiny stand-ins of what is published, in the true layouts: models, tokenizers, results, texts."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

WORDS = (  # noqa: SIM905
    "the of and a to in is that it was for on are as with his they at be this from I have or by one had "
    "not but what all were when we there can an your which their said if do will each about how up out "
    "them naïve café Straße 東京 мир 🙂 don't it's 3.14 2026 x=y+1; (see below) e-mail ... well-known"
).split()


def sentences(seed: int, n: int) -> str:
    """Text of n random words with spaces, line ends and punctuation."""
    rng = random.Random(seed)
    return "".join(
        rng.choice(WORDS) + rng.choice([" ", " ", " ", ", ", ".\n", "\n\n  ", "\t"]) for _ in range(n)
    )


def make_tokenizer(path: Path, vocabulary: int = 400) -> Path:
    """A byte-level BPE tokenizer, as transformers saves it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([sentences(99, 2000)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", bos_token="<|end|>").save_pretrained(
        path
    )
    return path


def make_hf_olmo(folder: Path, seed: int, scale: float, vocabulary: int = 448, width: int = 16) -> Path:
    """A checkpoint as DataDecide's are laid out, of one layer; scale: how far it has learnt."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config = {
        "model_type": "hf_olmo", "architectures": ["OLMoForCausalLM"], "activation_type": "swiglu",
        "alibi": False, "attention_layer_norm": False, "bias_for_layer_norm": False,
        "block_type": "sequential", "d_model": width, "embedding_size": vocabulary, "eos_token_id": 0,
        "include_bias": False, "layer_norm_eps": 1e-6, "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "max_sequence_length": 2048, "mlp_hidden_size": None, "mlp_ratio": 4, "n_heads": 2, "n_layers": 1,
        "norm_after": False, "pad_token_id": 1, "rope": True, "rope_theta": 10_000, "vocab_size": 400,
        "weight_tying": False,
    }  # fmt: skip
    rng = torch.Generator().manual_seed(seed)
    block, rows = (
        "model.transformer.blocks.0",
        {"att_proj": 3 * width, "attn_out": width, "ff_proj": 4 * width},
    )
    state = {f"{block}.{name}.weight": torch.randn(n, width, generator=rng) / 4 for name, n in rows.items()}
    state |= {f"{block}.ff_out.weight": torch.randn(width, 2 * width, generator=rng) / 4}
    state |= {f"{block}.{name}.weight": torch.ones(width) for name in ("attn_norm", "ff_norm")}
    state |= {"model.transformer.ln_f.weight": torch.ones(width)}
    state |= {
        f"model.transformer.{name}.weight": torch.randn(vocabulary, width, generator=rng) * scale
        for name in ("wte", "ff_out")
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def make_neox(folder: Path, seed: int, scale: float, tokenizer: Path) -> Path:
    """A checkpoint as Pythia's are laid out, with its tokenizer."""
    import shutil

    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.GPTNeoXConfig(
        vocab_size=448, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=2048,
    )  # fmt: skip
    model = transformers.GPTNeoXForCausalLM(config)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20 * scale)
    model.save_pretrained(folder)
    shutil.copy(tokenizer / "tokenizer.json", folder)
    return folder


def accuracies(seed: int, n: int, chance: float = 0.25) -> list[float]:
    """A curve of n accuracies that rises, with noise."""
    rng = np.random.default_rng(seed)
    rise = rng.uniform(0.1, 0.4) * (1 - np.exp(-np.arange(n) / rng.uniform(2, 6)))
    return [float(value) for value in chance + rise + 0.005 * rng.standard_normal(n)]


def datadecide_results(
    runs: Iterable[tuple[str, str, str]], tasks: Sequence[str], steps: Sequence[int]
) -> pl.DataFrame:
    """Rows as allenai/DataDecide-eval-results has them; runs: (params, data, seed) as it names them."""
    rows: list[dict[str, Any]] = []
    for number, (params, data, seed) in enumerate(runs):
        for place, task in enumerate(tasks):
            for step, value in zip(steps, accuracies(100 * number + place, len(steps)), strict=True):
                metrics = {"acc_raw": value, "acc_per_char": value - 0.01, "correct_prob": value / 2}
                row = {"params": params, "data": data, "task": task, "step": float(step), "seed": seed}
                rows.append({**row, "metrics": repr(metrics)})
    return pl.DataFrame(rows)


def pythia_results(folder: Path, size: str, tasks: Sequence[str], steps: Sequence[int]) -> None:
    """Files as EleutherAI/pythia has them under evals/pythia-v1/pythia-SIZE/zero-shot."""
    folder.mkdir(parents=True)
    curves = {task: accuracies(7000 + place, len(steps)) for place, task in enumerate(tasks)}
    for place, step in enumerate(steps):
        results = {
            task: {"acc": values[place], "acc_norm": values[place] + 0.02, "acc_norm_stderr": 0.01}
            for task, values in curves.items()
        }
        document = {
            "results": results,
            "versions": dict.fromkeys(tasks, 0),
            "config": {
                "num_fewshot": 0,
                "model_args": f"pretrained=EleutherAI/pythia-{size},revision=step{step}",
            },
        }
        (folder / f"{size}_step{step}.json").write_text(json.dumps(document))


def text_shard(file: Path, seed: int, documents: int = 6, words: int = 60) -> None:
    """A shard as WebOrganizer/Corpus-200B has them: zstd-compressed JSON lines."""
    import zstandard

    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": sentences(seed + number, words)}) + "\n" for number in range(documents)]
    file.write_bytes(zstandard.ZstdCompressor().compress("".join(lines).encode()))
