"""The network in PyTorch, for training; `inference` is the same forward pass in NumPy."""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor, nn

from neuneu.forecasters.neuneu.config import PFNConfig

FEATURES = 2
"""What is read of a clock: see `layout.clock_features`."""

START = 0.5
"""Spread of a fresh network's quantiles, in normalised values."""


@dataclass(frozen=True)
class ContextBatch:
    """Contexts and horizons.

    x: (n, n_points, FEATURES); y: (n, n_points); there: (n, n_points) False on padding; at: (n, n_horizons,
    FEATURES); cell: (n_cells,) question × n_horizons + horizon of what is asked.
    """

    x: Tensor
    y: Tensor
    there: Tensor
    at: Tensor
    cell: Tensor

    def to(self, device: torch.device | str) -> "ContextBatch":
        """The same questions on another device."""
        parts = (self.x, self.y, self.there, self.at, self.cell)
        return ContextBatch(*(part.to(device, non_blocking=True) for part in parts))


class PFN(nn.Module):
    """Context points as tokens of clock and value, horizons as tokens of clock alone; post-norm transformer.

    A horizon attends to the context and to itself, the context to itself (Müller et al. 2022; Adriaensen et
    al. 2023). The decoder gives quantiles of the normalised value.
    """

    def __init__(self, config: PFNConfig) -> None:
        super().__init__()
        width = config.width
        self.encoder = nn.Linear(FEATURES, width)
        self.y_encoder = nn.Linear(1, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, config.n_heads, config.feed_forward, dropout=0.0, activation="gelu", batch_first=True
            )
            for _ in range(config.n_layers)
        )
        head = nn.Linear(config.feed_forward, len(config.levels))
        self.decoder = nn.Sequential(nn.Linear(width, config.feed_forward), nn.GELU(), head)
        nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias.copy_(START * torch.tensor([NormalDist().inv_cdf(level) for level in config.levels]))
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            nn.init.zeros_(layer.linear2.weight)
            nn.init.zeros_(layer.self_attn.out_proj.weight)

    def forward(self, asked: ContextBatch) -> Tensor:
        """Quantiles of the cells asked, (n_cells, n_levels)."""
        context = self.encoder(asked.x) + self.y_encoder(asked.y.unsqueeze(-1))
        tokens = torch.cat([context, self.encoder(asked.at)], dim=1)
        n_points, n_horizons = asked.x.shape[1], asked.at.shape[1]
        n = n_points + n_horizons
        closed = torch.ones(n, n, dtype=torch.bool, device=tokens.device)
        closed[:, :n_points] = False
        closed.fill_diagonal_(fill_value=False)
        nothing = torch.zeros(len(tokens), n_horizons, dtype=torch.bool, device=tokens.device)
        padding = torch.cat([~asked.there, nothing], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, src_mask=closed, src_key_padding_mask=padding)
        out = self.decoder(tokens[:, n_points:].flatten(0, 1).index_select(0, asked.cell))
        return torch.as_tensor(out)
