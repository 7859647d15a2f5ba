"""What is computed in another order for speed is the same function."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from neuneu.forecasters.neuneu.encoders import strided
from neuneu.forecasters.neuneu.network import attend


@given(
    kernel=st.integers(1, 9),
    stride=st.integers(1, 6),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    length=st.integers(1, 60),
)
def test_a_strided_convolution_is_the_plain_one(
    kernel: int, stride: int, channels: tuple[int, int], length: int
) -> None:
    if length + 2 * (kernel // 2) < kernel:
        return
    torch.manual_seed(length)
    conv = nn.Conv1d(*channels, kernel, stride, kernel // 2).double()
    x = torch.randn(2, channels[0], length, dtype=torch.float64, requires_grad=True)
    found, expected = strided(x, conv), conv(x)
    torch.testing.assert_close(found, expected)
    inputs = (x, conv.weight, conv.bias)
    assert conv.bias is not None
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), inputs),  # type: ignore[arg-type]
        torch.autograd.grad(expected.square().sum(), inputs),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("masked", [True, False])
def test_attention_written_out_for_bf16_is_attention(masked: bool) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(5, 2, 7, 16).bfloat16().requires_grad_() for _ in range(3)]
    keys = torch.rand(5, 1, 1, 7) > 0.3 if masked else None
    if keys is not None:
        keys[..., 0] = True
    found = attend(*parts, keys, 0.0)
    expected = functional.scaled_dot_product_attention(*(part.float() for part in parts), keys)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.03)
    gradients = torch.autograd.grad(found.float().square().sum(), parts)
    wanted = torch.autograd.grad(expected.square().sum(), parts)
    for gradient, want in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, want, atol=0.1, rtol=0.05)


@pytest.mark.parametrize(("channels", "length"), [((1, 8), 34_412), ((8, 16), 2_151), ((32, 64), 9)])
def test_a_strided_convolution_is_right_in_bf16(channels: tuple[int, int], length: int) -> None:
    """PyTorch's own (2.13, oneDNN with AMX) is not: it differs by as much as there is."""
    torch.manual_seed(0)
    conv = nn.Conv1d(*channels, 64, 16, 32)
    x = torch.randn(2, channels[0], length)
    expected = conv(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = strided(x, conv)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.03)
    (gradient,) = torch.autograd.grad(found.float().square().sum(), conv.weight)
    (wanted,) = torch.autograd.grad(expected.square().sum(), conv.weight)
    torch.testing.assert_close(gradient, wanted, atol=0.02 * float(wanted.abs().max()), rtol=0.05)
