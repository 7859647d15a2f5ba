"""Encoders: what a checkpoint's token losses say, as one vector (NeuNeu, section 4, soft prompts)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVEL_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantiles of a checkpoint's losses that `LevelEncoder` reads beside their mean."""


def conv_length(length: int, n_layers: int, kernel: int, stride: int) -> int:
    """Positions left of an input of this length after strided convolutions padded by half a kernel."""
    for _ in range(n_layers):
        length = (length + 2 * (kernel // 2) - kernel) // stride + 1
    return length


class ConvEncoder(nn.Module):
    """Strided 1-D convolutions over aligned losses.

    Each layer is Conv1d → GroupNorm (at most 8 groups) → GELU; the result is flattened, which ties the
    network to inputs that leave as many positions as `length` does, or max-pooled to one position
    (`pool`), which takes any length. The first norm, with 8 groups of 8 channels an instance norm, erases
    the mean loss.
    """

    def __init__(
        self,
        length: int,
        width: int,
        channels: tuple[int, ...] = (8, 16, 32, 64),
        kernel: int = 64,
        stride: int = 16,
        *,
        pool: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            layers += [
                nn.Conv1d(before, after, kernel, stride, kernel // 2),
                nn.GroupNorm(min(8, after), after),
                nn.GELU(),
            ]
        self.conv = nn.Sequential(*layers)
        self.positions = 1 if pool else conv_length(length, len(channels), kernel, stride)
        self.pool = nn.AdaptiveMaxPool1d(1) if pool else nn.Identity()
        self.proj = nn.Linear(channels[-1] * self.positions, width)

    def forward(self, losses: Tensor) -> Tensor:
        """losses: (batch, length) → (batch, width)."""
        x = losses.unsqueeze(1)
        for layer in self.conv:
            x = strided(x, layer) if isinstance(layer, nn.Conv1d) else layer(x)
        encoded: Tensor = self.proj(self.pool(x).flatten(1))
        return encoded


def strided(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """The same as conv(x), (batch, channels, length) → (batch, out, positions), in half the time on a CPU.

    Each stretch of `stride` inputs becomes the channels of one position, which is a view where channels
    come last; what is left is a short convolution of many channels and no stride. In bf16 PyTorch 2.13's own,
    with a stride, is wrong on processors with AMX (pytorch/pytorch#169688).
    """
    (kernel,), (stride,), padding = conv.kernel_size, conv.stride, conv.kernel_size[0] // 2
    batch, channels, length = x.shape
    positions = (length + 2 * padding - kernel) // stride + 1
    reach = -(-kernel // stride)
    after = (positions + reach - 1) * stride - length - padding
    blocks = functional.pad(x.transpose(1, 2), (0, 0, padding, after))
    blocks = blocks.reshape(batch, positions + reach - 1, stride * channels)
    weight = functional.pad(conv.weight, (0, reach * stride - kernel))
    weight = weight.reshape(-1, channels, reach, stride).permute(0, 3, 1, 2)
    weight = weight.reshape(-1, stride * channels, 1, reach).contiguous()
    # Channels come first again in what follows: PyTorch's group norm is slow otherwise.
    return functional.conv2d(blocks.transpose(1, 2).unsqueeze(2), weight, conv.bias).squeeze(2).contiguous()


class LevelEncoder(nn.Module):
    """Mean and quantiles of a checkpoint's losses, standardised, through one hidden layer.

    Position-free: it says how far the run has come, which the CNN's first norm erases.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, n_levels: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_levels))
        self.register_buffer("spread", torch.ones(n_levels))
        self.mlp = nn.Sequential(nn.Linear(n_levels, width), nn.GELU(), nn.Linear(width, width))

    def standardise_by(self, levels: Tensor) -> None:
        """Take mean and standard deviation from the levels that are trained on, (n, n_levels)."""
        self.centre = levels.mean(dim=0)
        self.spread = levels.std(dim=0, correction=0) + 1e-6

    def forward(self, levels: Tensor) -> Tensor:
        """levels: (batch, n_levels) → (batch, width)."""
        encoded: Tensor = self.mlp((levels - self.centre) / self.spread)
        return encoded


class AverageEncoder(nn.Module):
    """Mean loss of the context's checkpoints, as a linear map; inputs are unpadded."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(1, width)
        nn.init.xavier_uniform_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, losses: Tensor) -> Tensor:
        """losses: (batch, n) mean losses of n checkpoints → (batch, width)."""
        encoded: Tensor = self.proj(losses.mean(dim=1, keepdim=True))
        return encoded


class HistogramEncoder(nn.Module):
    """Change of the loss histogram between two checkpoints, through one hidden layer."""

    def __init__(self, n_bins: int, width: int) -> None:
        super().__init__()
        first, second = nn.Linear(n_bins, width), nn.Linear(width, width)
        self.mlp = nn.Sequential(first, nn.GELU(), second)
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, change: Tensor) -> Tensor:
        """change: (batch, n_bins) → (batch, width)."""
        encoded: Tensor = self.mlp(change)
        return encoded
