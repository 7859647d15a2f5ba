"""Encoders: what a checkpoint's token losses say, as one vector (NeuNeu, section 4, soft prompts)."""

import torch
from torch import Tensor, nn

LEVEL_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of its input that the CNN is shown beside the mean where `loss_level` is on."""


def conv_length(length: int, n_layers: int, kernel: int, stride: int) -> int:
    """Positions left of an input of this length after strided convolutions padded by half a kernel."""
    for _ in range(n_layers):
        length = (length + 2 * (kernel // 2) - kernel) // stride + 1
    return length


class ConvEncoder(nn.Module):
    """Strided 1-D convolutions over aligned losses.

    Each layer is Conv1d → GroupNorm (at most 8 groups) → GELU; the result is flattened, which ties the
    network to inputs that leave as many positions as `length` does, or max-pooled to one position
    (`pool`), which takes any length. `loss_level` adds the input's mean and quantiles, which the first
    norm erases: with 8 channels it is an instance norm.
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
        loss_level: bool = False,
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
        self.level = nn.Linear(1 + len(LEVEL_QUANTILES), width) if loss_level else None

    def forward(self, losses: Tensor) -> Tensor:
        """losses: (batch, length) → (batch, width)."""
        encoded: Tensor = self.proj(self.pool(self.conv(losses.unsqueeze(1))).flatten(1))
        if self.level is not None:
            encoded = encoded + self.level(_level(losses))
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


def _level(losses: Tensor) -> Tensor:
    levels = torch.tensor(LEVEL_QUANTILES, dtype=losses.dtype, device=losses.device)
    # torch.quantile refuses more than 2**24 elements at once; rows are far shorter.
    quantiles = torch.quantile(losses, levels, dim=1).T
    return torch.cat([losses.mean(dim=1, keepdim=True), quantiles], dim=1)
