"""Per-token losses against a plain float64 loop."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.losses.corpus import read_corpus
from neuneu.losses.forward import head_losses, head_values, token_losses, token_values
from neuneu.losses.models import load_model
from neuneu.losses.statistics import STATISTICS
from neuneu.losses.windows import plan_windows, scored_mask

BOS = 0


def plain_loop(model: Any, tokens: Any, bounds: Any, window: int, stride: int, bos: bool) -> np.ndarray:
    """The definition, token by token: in float64, nothing padded, the first window that holds the token."""
    model.set_experts_implementation("eager")  # the only one that takes float64
    model = model.double()
    losses = np.full(len(tokens), np.nan)
    for begin, end in bounds:
        text = ([BOS] if bos else []) + tokens[begin:end].tolist()
        start = 0
        read = cache(lambda first, text=tuple(text): read_window(model, text[first : first + window]))
        for i in range(1, len(text)):
            while start + window <= i:
                start += stride
            losses[begin + i - bos] = -read(start)[i - start - 1][text[i]].item()
    model.float()
    return losses


@torch.no_grad()
def read_window(model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of what follows each token."""
    return torch.log_softmax(model(torch.tensor([ids]), use_cache=False).logits[0], -1)


@pytest.mark.parametrize(
    ("kind", "window", "stride", "bos"),
    [
        ("llama", 64, 32, False),
        ("llama", 9, 4, True),
        ("llama", 16, 15, True),
        ("gpt_neox", 64, 20, False),
        ("mixtral", 32, 16, True),
        ("gemma2", 32, 16, False),  # caps its logits
        ("mamba", 64, 32, False),
    ],
)
def test_losses_equal_a_plain_loop(
    kind: str, window: int, stride: int, bos: bool, tmp_path: Path, save_model: Any, corpus: Path
) -> None:
    text = read_corpus(corpus)
    model = load_model(save_model(tmp_path / "model", kind))
    bounds = text.bounds[[1, 2, 3, 5, 9, 11, 12, 13, 14]]
    expected = plain_loop(model, text.tokens, bounds, window, stride, bos)
    windows = plan_windows(bounds, window, stride, bos=bos)
    found = token_losses(model, text.tokens, windows, bos_id=BOS if bos else None, batch_tokens=100)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    assert np.nanstd(expected) > 0.5


@pytest.mark.parametrize("kind", ["llama", "gpt_neox"])
def test_bfloat16_stays_close(kind: str, tmp_path: Path, save_model: Any, corpus: Path) -> None:
    text = read_corpus(corpus)
    model = load_model(save_model(tmp_path / "model", kind))
    windows = plan_windows(text.bounds, 64, 32)
    exact = token_losses(model, text.tokens, windows)
    found = token_losses(model, text.tokens, windows, precision="bfloat16")
    assert abs(np.nanmean(found) - np.nanmean(exact)) < 1e-3
    assert np.nanmax(abs(found - exact)) < 0.05
    assert np.nanmax(abs(found - exact)) > 0


def test_any_batches_give_the_same_losses(tmp_path: Path, save_model: Any, corpus: Path) -> None:
    text = read_corpus(corpus)
    model = load_model(save_model(tmp_path / "model"))
    windows = plan_windows(text.bounds, 32, 16)
    arrays = [token_losses(model, text.tokens, windows, batch_tokens=size) for size in (1, 64, 500, 10**6)]
    for array in arrays[1:]:
        np.testing.assert_allclose(array, arrays[0], atol=1e-4, rtol=0)


@given(
    n=st.integers(1, 1300),
    vocabulary=st.sampled_from([3, 4096, 4097, 9000]),
    scale=st.sampled_from([0.01, 1.0, 100.0]),
    bias=st.booleans(),
    seed=st.integers(0, 100),
)
def test_tiles_of_the_head_add_up(n: int, vocabulary: int, scale: float, bias: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, 8, generator=generator) * scale
    weight = torch.randn(vocabulary, 8, generator=generator)
    extra = torch.randn(vocabulary, generator=generator) if bias else None
    targets = torch.randint(0, vocabulary, (n,), generator=generator)
    logits = torch.nn.functional.linear(
        hidden.double(), weight.double(), None if extra is None else extra.double()
    )
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    found = head_losses(hidden, weight, extra, targets)
    torch.testing.assert_close(found.double(), expected, atol=1e-4 * max(1.0, scale), rtol=1e-4)


def test_a_broken_model_is_refused(tmp_path: Path, save_model: Any, corpus: Path) -> None:
    text = read_corpus(corpus)
    model = load_model(save_model(tmp_path / "model"))
    windows = plan_windows(text.bounds, 32, 16)
    with pytest.raises(InputError, match="precision"):
        token_losses(model, text.tokens, windows, precision="int8")
    with pytest.raises(InputError, match="the model knows token ids under 400"):
        token_losses(model, text.tokens + np.uint16(400), windows)
    with torch.no_grad():
        model.get_output_embeddings().weight[7] = float("nan")
    with pytest.raises(
        InputError, match=f"{scored_mask(windows, len(text.tokens)).sum():,} tokens without a finite"
    ):
        token_losses(model, text.tokens, windows)


@given(seed=st.integers(0, 10**6), width=st.integers(1, 6), size=st.sampled_from([11, 4096, 9000]))
def test_statistics_of_a_head_are_those_of_its_whole_logits(seed: int, width: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(7, width, generator=generator)
    weight = 2 * torch.randn(size, width, generator=generator)
    targets = torch.randint(size, (7,), generator=generator)
    loss, rank, entropy, top1, top10 = head_values(hidden, weight, None, targets, STATISTICS)
    logits = (hidden @ weight.T).double()
    shares = torch.softmax(logits, 1)
    torch.testing.assert_close(loss, head_losses(hidden, weight, None, targets))
    above = (logits > logits.gather(1, targets[:, None]) + 1e-5).sum(1)
    at_least = (logits > logits.gather(1, targets[:, None]) - 1e-5).sum(1)
    assert ((above < rank) & (rank <= at_least)).all()
    expected = -(shares * torch.log_softmax(logits, 1)).sum(1)
    torch.testing.assert_close(entropy.double(), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(top1.double(), shares.max(1).values, atol=1e-4, rtol=1e-4)
    ten = shares.topk(10, dim=1).values.sum(1)
    torch.testing.assert_close(top10.double(), ten, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_statistics_come_with_the_same_losses(
    kind: str, tmp_path: Path, save_model: Any, corpus: Path
) -> None:
    text = read_corpus(corpus)
    model = load_model(save_model(tmp_path / "model", kind))
    windows = plan_windows(text.bounds, 64, 32)
    values = token_values(model, text.tokens, windows, statistics=("top1", "rank"))
    assert list(values) == ["loss", "top1", "rank"]
    np.testing.assert_array_equal(values["loss"], token_losses(model, text.tokens, windows))
    scored = ~np.isnan(values["loss"])
    first = scored & (values["rank"] == 1)
    np.testing.assert_allclose(np.exp(-values["loss"][first]), values["top1"][first], rtol=1e-3)
    assert (np.exp(-values["loss"][scored]) <= values["top1"][scored] + 1e-6).all()
    with pytest.raises(InputError, match="statistics"):
        token_values(model, text.tokens, windows, statistics=("median",))
