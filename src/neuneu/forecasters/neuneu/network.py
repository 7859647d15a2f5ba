"""NeuNeu's network: accuracies seen so far and an encoded checkpoint → quantiles of a later accuracy.

[BOS; encoded losses; one token a context point] through a bidirectional pre-norm transformer with rotary
positions; quantiles are read at BOS (NeuNeu, section 4).
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuneu.forecasters.neuneu.config import ModelConfig
from neuneu.forecasters.neuneu.encoders import AverageEncoder, ConvEncoder, HistogramEncoder, LevelEncoder

ROTARY_BASE = 10_000.0

CHANGE_READ, CHANGE_PREDICTED = 0.05, 0.02
"""Differences of accuracy that count as 1 where `residual` is on: in the context, and in the output."""


@dataclass(frozen=True)
class NetworkInput:
    """A batch of questions for the network.

    values: (batch, n) accuracies of the context, padded on the right; gaps: (batch, n) distance of each
    point to the next kept one, the last one's to the target; mask: (batch, n) False on padding;
    inputs: (n_views, length) what the encoder reads, each distinct one once; view: (batch,) which of them
    belongs to a question. Without losses, inputs and view are None. task: (batch,) 1 + place in
    `config.tasks`, 0 for any other task; None where tasks are not told apart.
    """

    values: Tensor
    gaps: Tensor
    mask: Tensor
    inputs: Tensor | None = None
    view: Tensor | None = None
    task: Tensor | None = None

    def to(self, device: torch.device | str) -> "NetworkInput":
        """The same questions on another device."""
        return NetworkInput(
            self.values.to(device, non_blocking=True),
            self.gaps.to(device, non_blocking=True),
            self.mask.to(device, non_blocking=True),
            None if self.inputs is None else self.inputs.to(device, non_blocking=True),
            None if self.view is None else self.view.to(device, non_blocking=True),
            None if self.task is None else self.task.to(device, non_blocking=True),
        )


class NeuNeu(nn.Module):
    """The network; `length` is what the encoder reads: losses, or histogram bins.

    Parameters: 19,223,917 at the published size (CNN over 256,000 losses).
    """

    def __init__(self, config: ModelConfig, length: int = 1) -> None:
        super().__init__()
        self.config = config
        self.length = length
        self.encoder = make_encoder(config, length)
        self.transformer = Transformer(config)
        self.head = nn.Linear(config.width, config.n_outputs)
        self.facts = residual_parts(self.head, config) if config.residual else None
        self.task = nn.Embedding(1 + len(config.tasks), config.width) if config.tasks else None

    def encode(self, inputs: Tensor) -> Tensor:
        """inputs: (n_views, length) → (n_views, width), each checkpoint once."""
        if self.encoder is None:
            raise ValueError("a model without an encoder has nothing to encode")
        encoded: Tensor = self.encoder(inputs)
        return encoded

    def forward(self, questions: NetworkInput) -> Tensor:
        """Quantiles (batch, n_levels), or the mean (batch, 1); raw: they may cross and leave [0, 1].

        Each distinct encoder input is encoded once and shared by its questions: the gradient is the same
        as if each question had carried its own copy.
        """
        prompt = None
        if questions.inputs is not None and questions.view is not None:
            # index_select, not indexing: its backward adds in a fixed order.
            prompt = self.encode(questions.inputs).index_select(0, questions.view)
        return self.answer(questions, prompt)

    def answer(self, questions: NetworkInput, prompt: Tensor | None) -> Tensor:
        """As `forward`, with checkpoints already encoded: prompt (batch, width), or None."""
        values, gaps, mask = questions.values, questions.gaps, questions.mask
        output: Tensor
        known = None
        if self.task is not None and questions.task is not None:
            known = self.task(questions.task)
        if self.facts is None:
            output = self.head(self.transformer(values, gaps, mask, prompt, known))
            return output
        place = mask.sum(dim=1, keepdim=True) - 1
        last, horizon = values.gather(1, place), gaps.gather(1, place)
        facts = torch.cat([5 * last - 2, horizon, gaps.sum(dim=1, keepdim=True) - horizon], dim=1)
        changes = (values - last) / CHANGE_READ * mask
        known = self.facts(facts) if known is None else known + self.facts(facts)
        change = self.head(self.transformer(changes, gaps, mask, prompt, known))
        output = last + CHANGE_PREDICTED * change
        return output


def residual_parts(head: nn.Linear, config: ModelConfig) -> nn.Module:
    """Start a head at no change with a normal spread; what reads the last accuracy, horizon and span."""
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    if config.objective == "pinball":
        with torch.no_grad():
            head.bias.copy_(torch.tensor([NormalDist().inv_cdf(level) for level in config.levels]))
    return nn.Sequential(nn.Linear(3, config.width), nn.GELU(), nn.Linear(config.width, config.width))


def make_encoder(config: ModelConfig, length: int) -> nn.Module | None:
    """The encoder that a configuration asks for."""
    if config.encoder == "cnn":
        return ConvEncoder(
            length,
            config.width,
            config.channels,
            config.kernel,
            config.stride,
            pool=config.pool == "max",
        )
    if config.encoder == "levels":
        return LevelEncoder(length, config.width)
    if config.encoder == "average":
        return AverageEncoder(config.width)
    if config.encoder == "diffhist":
        return HistogramEncoder(length, config.width)
    return None


class Transformer(nn.Module):
    """Context points and a prompt → one vector, read at BOS."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        half = config.width // 2
        self.bos = nn.Parameter(torch.empty(1, 1, config.width))
        self.value_projection = nn.Linear(1, half)
        self.gap_projection = nn.Linear(1, config.width - half)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.final_norm = nn.LayerNorm(config.width)
        self.head_width = config.width // config.n_heads
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.bos, std=0.02)

    def forward(
        self, values: Tensor, gaps: Tensor, mask: Tensor, prompt: Tensor | None, known: Tensor | None = None
    ) -> Tensor:
        """values, gaps, mask: (batch, n); prompt, known: (batch, width) or None → (batch, width).

        known: what else is known of a question, added to BOS.
        """
        context = torch.cat(
            [self.value_projection(values.unsqueeze(-1)), self.gap_projection(gaps.unsqueeze(-1))], dim=-1
        )
        head = [self.bos.expand(len(values), -1, -1)]
        if known is not None:
            head[0] = head[0] + known.unsqueeze(1)
        if prompt is not None:
            head.append(prompt.unsqueeze(1))
        x = torch.cat([*head, context.to(head[0].dtype)], dim=1)
        there = torch.cat([mask.new_ones(len(mask), len(head)), mask], dim=1)
        layout = TokenPlaces.of(there, self.head_width)
        x = layout.pack(x)
        for layer in self.layers[:-1]:
            x = layer(x, layout)
        # Only BOS is read, so the last layer works on its query alone.
        x = self.layers[-1](x, layout, bos_only=True)
        summary: Tensor = self.final_norm(x)
        return summary


@dataclass(frozen=True)
class TokenPlaces:
    """Where the tokens of a batch stand: padding takes no part in anything but attention's scores.

    shape: (batch, n) with padding; place: (n_tokens,) token → its place among batch * n, None where nothing
    is padded; bos: (batch,) token of each BOS; keys: (batch, 1, 1, n) what may be attended to, None for all;
    cos, sin: (n_tokens, 1, 1, head_width) of each token's rotary angles.
    """

    shape: tuple[int, int]
    place: Tensor | None
    bos: Tensor
    keys: Tensor | None
    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, there: Tensor, head_width: int) -> "TokenPlaces":
        """there: (batch, n) bool, where tokens are; BOS stands first."""
        batch, n = there.shape
        whole = bool(there.all())
        place = torch.arange(batch * n, device=there.device) if whole else there.flatten().nonzero()[:, 0]
        cos, sin = (part[place % n][:, None, None] for part in rotary_angles(n, head_width, there.device))
        bos = (place % n == 0).nonzero()[:, 0]
        if whole:
            return cls((batch, n), None, bos, None, cos, sin)
        return cls((batch, n), place, bos, there[:, None, None, :], cos, sin)

    def pack(self, x: Tensor) -> Tensor:
        """(batch, n, …) → (n_tokens, …)."""
        flat = x.flatten(0, 1)
        # index_select, not indexing: its backward adds in a fixed order.
        return flat if self.place is None else flat.index_select(0, self.place)

    def pad(self, x: Tensor) -> Tensor:
        """(n_tokens, …) → (batch, n, …), zeros on padding."""
        if self.place is None:
            return x.reshape(*self.shape, *x.shape[1:])
        batch, n = self.shape
        padded = x.new_zeros(batch * n, *x.shape[1:]).index_copy(0, self.place, x)
        return padded.reshape(*self.shape, *x.shape[1:])


class Layer(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.n_heads, config.dropout)
        self.norm2 = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, layout: TokenPlaces, *, bos_only: bool = False) -> Tensor:
        """x: (n_tokens, width) → the same, or (batch, width) with what BOS becomes."""
        attended = self.attention(self.norm1(x), layout, bos_only=bos_only)
        x = (x.index_select(0, layout.bos) if bos_only else x) + self.dropout(attended)
        hidden = self.dropout(functional.gelu(self.up(self.norm2(x))))
        out: Tensor = x + self.dropout(self.down(hidden))
        return out


class Attention(nn.Module):
    """Bidirectional multi-head attention with rotary positions."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, layout: TokenPlaces, *, bos_only: bool) -> Tensor:
        """x: (n_tokens, width) → the same, or (batch, width) for BOS alone."""
        # In one product, rotated and padded at once: many small operations cost more than their arithmetic.
        maps = (self.v, self.k) if bos_only else (self.v, self.k, self.q)
        weight, bias = torch.cat([m.weight for m in maps]), torch.cat([m.bias for m in maps])
        parts = functional.linear(x, weight, bias).reshape(len(x), len(maps), self.n_heads, -1)
        rotated = rotate(parts[:, 1:], layout.cos, layout.sin)
        v, k, *q = layout.pad(torch.cat([parts[:, :1], rotated], dim=1)).transpose(1, 3).unbind(2)
        if bos_only:  # at position 0, where nothing is rotated
            bos = self.q(x.index_select(0, layout.bos))
            q = [bos.reshape(len(bos), self.n_heads, 1, -1)]
        attended = attend(q[0], k, v, layout.keys, self.dropout if self.training else 0.0).transpose(1, 2)
        merged: Tensor = self.out((attended[:, 0] if bos_only else layout.pack(attended)).flatten(1))
        return merged


def attend(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None, dropout: float) -> Tensor:
    """Attention of (batch, heads, n, head_width) to the keys there are.

    Written out where a processor trains in bf16: PyTorch's own takes five times as long (2.13).
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or not torch.is_grad_enabled():
        return functional.scaled_dot_product_attention(q, k, v, keys, dropout)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if keys is not None:
        scores = scores.masked_fill(~keys, float("-inf"))
    chances = functional.dropout(scores.softmax(dim=-1, dtype=torch.float32), dropout)
    return chances.to(v.dtype) @ v


def rotary_angles(n: int, head_width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines for positions 0 … n-1, each (n, head_width); the halves share frequencies."""
    frequency = rotary_frequencies(head_width).to(device)
    angle = torch.arange(n, device=device, dtype=torch.float32)[:, None] * frequency
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotary_frequencies(head_width: int) -> Tensor:
    """base^(-2k / head_width), (head_width / 2,)."""
    return ROTARY_BASE ** -(torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate (…, head_width) by its positions' angles; the halves form the pairs."""
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([-second, first], dim=-1) * sin.to(x.dtype)


def pinball_loss(quantiles: Tensor, target: Tensor, levels: Tensor) -> Tensor:
    """Mean pinball (quantile) loss.

    quantiles: (batch, n_levels); target: (batch,); levels: (n_levels,) in (0, 1).
    Koenker & Bassett 1978; NeuNeu, section 3.
    """
    error = target.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean()


class Outputs(Protocol):
    """What a network's outputs are: quantiles at levels, or a mean."""

    @property
    def objective(self) -> str:
        """`pinball` or `mse`."""
        ...

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the quantiles, increasing."""
        ...


def objective(config: Outputs, output: Tensor, target: Tensor) -> Tensor:
    """The training loss: pinball over the levels, or squared error of the mean."""
    if config.objective == "mse":
        return functional.mse_loss(output.squeeze(-1), target)
    return pinball_loss(output, target, output.new_tensor(config.levels))


def median_index(levels: tuple[float, ...]) -> int:
    """Column of the level closest to 0.5: the point prediction."""
    return min(range(len(levels)), key=lambda i: abs(levels[i] - 0.5))


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers in a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def metrics(config: Outputs, output: Tensor, target: Tensor) -> dict[str, Any]:
    """Pinball (or squared error) and mean absolute error of the point prediction, as floats."""
    column = 0 if config.objective == "mse" else median_index(config.levels)
    return {
        "loss": float(objective(config, output, target).detach()),
        "mae": float((output[:, column] - target).abs().mean().detach()),
    }
