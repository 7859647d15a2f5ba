"""Probes: a checkpoint's losses → accuracies of all tasks, without any accuracy seen (NeuNeu, section 4).

Each gives (batch, n_tasks, n_levels) quantiles, or (batch, n_tasks) means where levels is None.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from neuneu.forecasters.neuneu.encoders import ConvEncoder

EPSILON = 1e-8


class Head(nn.Module):
    """Multi-layer perceptron from features to all tasks."""

    def __init__(self, n_features: int, hidden: Sequence[int], n_tasks: int, n_levels: int | None) -> None:
        super().__init__()
        self.n_tasks, self.n_levels = n_tasks, n_levels
        widths = [n_features, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(widths[-1], n_tasks * (n_levels or 1)))

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch, n_features) → (batch, n_tasks[, n_levels])."""
        return _by_task(self.mlp(features), self.n_tasks, self.n_levels)


class HistogramProbe(Head):
    """Loss histogram → accuracies; `rms_norm` divides it by its root mean square and shows that too."""

    def __init__(
        self,
        n_bins: int,
        n_tasks: int,
        n_levels: int | None = 5,
        hidden: Sequence[int] = (64, 32),
        *,
        rms_norm: bool = False,
    ) -> None:
        super().__init__(n_bins + rms_norm, hidden, n_tasks, n_levels)
        self.rms_norm = rms_norm

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch, n_bins) histogram."""
        return super().forward(_rms_features(features) if self.rms_norm else features)


class DeltaProbe(Head):
    """Change of the histogram between two checkpoints → change of the accuracies."""

    def __init__(
        self, n_bins: int, n_tasks: int, n_levels: int | None = 5, hidden: Sequence[int] = (128, 128)
    ) -> None:
        super().__init__(n_bins, hidden, n_tasks, n_levels)

    def pair(self, current: Tensor, previous: Tensor) -> Tensor:
        """Histograms (batch, n_bins) of the later and the earlier checkpoint."""
        return self.forward(current - previous)


class KLDeltaProbe(Head):
    """Terms of the Kullback-Leibler divergence between two histograms → change of the accuracies."""

    def __init__(
        self, n_bins: int, n_tasks: int, n_levels: int | None = 5, hidden: Sequence[int] = (64, 32)
    ) -> None:
        super().__init__(n_bins + 1, hidden, n_tasks, n_levels)

    def pair(self, current: Tensor, previous: Tensor) -> Tensor:
        """Histograms (batch, n_bins) of the later and the earlier checkpoint."""
        terms = current * torch.log(current / (previous + EPSILON) + EPSILON)
        return self.forward(_rms_features(torch.asinh(terms)))


class AverageProbe(Head):
    """Mean loss → accuracies; through exp(-loss) where `probability`."""

    def __init__(
        self,
        n_tasks: int,
        n_levels: int | None = 5,
        hidden: Sequence[int] = (128, 128),
        *,
        probability: bool = True,
    ) -> None:
        super().__init__(1, hidden, n_tasks, n_levels)
        self.probability = probability

    def forward(self, features: Tensor) -> Tensor:
        """features: (batch,) or (batch, 1) mean losses."""
        column = features.reshape(-1, 1)
        return super().forward(torch.exp(-column) if self.probability else column)


class ConvProbe(nn.Module):
    """NeuNeu's CNN and a two-layer head."""

    def __init__(
        self, encoder: ConvEncoder, n_tasks: int, n_levels: int | None = 5, hidden: int = 256
    ) -> None:
        super().__init__()
        self.n_tasks, self.n_levels = n_tasks, n_levels
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(encoder.proj.out_features, hidden),
            nn.GELU(),
            nn.Linear(hidden, n_tasks * (n_levels or 1)),
        )

    def forward(self, losses: Tensor) -> Tensor:
        """losses: (batch, length)."""
        return _by_task(self.head(self.encoder(losses)), self.n_tasks, self.n_levels)


def _by_task(output: Tensor, n_tasks: int, n_levels: int | None) -> Tensor:
    return output if n_levels is None else output.reshape(-1, n_tasks, n_levels)


def _rms_features(values: Tensor) -> Tensor:
    rms = values.square().mean(dim=-1, keepdim=True).sqrt()
    return torch.cat([values / (rms + EPSILON), rms], dim=-1)
