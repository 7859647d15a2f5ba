"""A tokenizer trained here, a text, and tiny random language models on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stand_ins import make_tokenizer, sentences


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Documents of all kinds of length, some empty, some without words."""
    lengths = [5, 40, 0, 1, 200, 3, 17, 90, 60, 2, 33]
    return [sentences(seed, n) for seed, n in enumerate(lengths)] + [" \n ", "x", "", "end"]


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """The documents as JSON lines."""
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    path.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts)))
    return path


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 400 tokens, as transformers saves it."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "small")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, text_file: Path, tokenizer: Path) -> Path:
    """The documents tokenized."""
    from neuneu.losses.corpus import tokenize_corpus

    path = tmp_path_factory.mktemp("corpus") / "corpus"
    tokenize_corpus([text_file], path, str(tokenizer))
    return path


Save = Callable[..., Path]


@pytest.fixture(scope="session")
def save_model() -> Save:
    """Save a tiny random model: save_model(folder, kind="llama", seed=0, **changes) → folder."""

    def save(folder: Path, kind: str = "llama", seed: int = 0, **changes: Any) -> Path:
        import torch
        import transformers

        shape = {
            "vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0,
        }  # fmt: skip
        configs = {
            "llama": transformers.LlamaConfig,
            "gpt_neox": transformers.GPTNeoXConfig,
            "mixtral": transformers.MixtralConfig,
            "gemma2": transformers.Gemma2Config,
            "mamba": transformers.MambaConfig,
        }
        torch.manual_seed(seed)
        extra = {
            "mixtral": {"num_key_value_heads": 2, "num_local_experts": 4},
            "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 5.0},
        }.get(kind, {})
        config = configs[kind](**{**shape, **extra, **changes})
        model = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():  # far from uniform, so that losses differ
            model.get_output_embeddings().weight.mul_(12)
        model.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, save_model: Save) -> Path:
    """A folder of two runs with three checkpoints each."""
    folder = tmp_path_factory.mktemp("runs")
    for number, name in enumerate(("alpha", "beta")):
        for step in (0, 5, 20):
            save_model(folder / name / f"step{step}", seed=100 * number + step)
    return folder
