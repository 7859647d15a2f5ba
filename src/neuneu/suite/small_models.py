"""Models of each family at a size, from transformers' own classes."""

from typing import Any

from neuneu.errors import MissingExtraError
from neuneu.suite.suite_config import Run, Schedule, Size


def build_model(run: Run, size: Size, schedule: Schedule, vocabulary: int) -> Any:
    """A freshly initialised causal language model; the run's seed decides its weights.

    Raises MissingExtraError without transformers.
    """
    import torch

    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "lm") from error
    common = {
        "vocab_size": vocabulary,
        "hidden_size": size.hidden,
        "num_hidden_layers": size.layers,
        "initializer_range": schedule.initializer_range,
        "tie_word_embeddings": schedule.tied_embeddings,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
        "use_cache": False,
    }
    attention = {
        "intermediate_size": size.intermediate,
        "num_attention_heads": size.heads,
        "max_position_embeddings": schedule.sequence,
    }
    configs = {
        "llama": lambda: transformers.LlamaConfig(
            **common, **attention, num_key_value_heads=size.kv_heads or size.heads
        ),
        "gptneox": lambda: transformers.GPTNeoXConfig(**common, **attention),
        "mamba": lambda: transformers.MambaConfig(**common, state_size=size.state),
        "mixtral": lambda: transformers.MixtralConfig(
            **common,
            **attention,
            num_key_value_heads=size.kv_heads or size.heads,
            num_local_experts=size.experts,
            num_experts_per_tok=min(2, size.experts),
            output_router_logits=False,
        ),
    }
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(run.seed)
    # On a CPU, short sequences and small heads are faster multiplied out than in one fused kernel.
    attention_kind = "sdpa" if torch.cuda.is_available() else "eager"
    model = transformers.AutoModelForCausalLM.from_config(
        configs[run.family](), attn_implementation=attention_kind
    )
    return model.float()


def make_logits(model: Any, hidden: Any) -> Any:
    """Logits of hidden states, in float32 even where the trunk runs in bf16."""
    import torch

    with torch.autocast(hidden.device.type, enabled=False):
        return model.get_output_embeddings()(hidden.to(model.get_output_embeddings().weight.dtype)).float()


def use_fast_kernels() -> None:
    """Let a CPU multiply float32 with oneDNN, which uses all of AVX-512 on any maker's processor.

    Not where it has AMX: there oneDNN would round to bf16, and a size asks for that by `bf16`.
    """
    import torch

    if not torch.cpu._is_amx_tile_supported():
        torch.set_float32_matmul_precision("medium")


def count_parameters(model: Any) -> tuple[int, int]:
    """Parameters outside the embeddings and output head, and how many of them act on each token.

    The second is smaller for a mixture of experts, of which each token uses two.
    """
    total = sum(parameter.numel() for parameter in model.parameters())
    outside = {id(module.weight): module.weight.numel() for module in _embeddings(model)}
    inner = total - sum(outside.values())
    experts = sum(parameter.numel() for name, parameter in model.named_parameters() if ".experts." in name)
    if not experts:
        return inner, inner
    share = model.config.num_experts_per_tok / model.config.num_local_experts
    return inner, round(inner - experts * (1 - share))


def _embeddings(model: Any) -> list[Any]:
    return [model.get_input_embeddings(), model.get_output_embeddings()]
