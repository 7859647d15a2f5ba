"""The network's forward pass in NumPy: context points see each other, a horizon sees them and itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.curves.curve import Floats

Array = NDArray[np.float32]
EPSILON = 1e-5
"""Of the layer norms, as in PyTorch."""


@dataclass(frozen=True, eq=False)
class PriorFitted:
    """Weights by name, as `network.PFN` has them, and the number of attention heads."""

    weights: dict[str, Array]
    n_heads: int

    @property
    def n_layers(self) -> int:
        """Transformer layers."""
        return len({name.split(".")[1] for name in self.weights if name.startswith("layers.")})

    def __call__(self, x: Floats, y: Floats, there: NDArray[np.bool_], asked: Floats) -> Floats:
        """Outputs at horizons, (n, n_horizons, n_out).

        x: (n, n_points, n_features) of the context's clocks; y: (n, n_points); there: (n, n_points), at least
        one a row; asked: (n, n_horizons, n_features).
        """
        context = self._linear("encoder", x) + self._linear("y_encoder", y[..., None])
        query = self._linear("encoder", asked)
        hidden = np.where(there[:, None, None, :], np.float32(0), np.float32(-np.inf))
        for layer in range(self.n_layers):
            context, query = self._layer(f"layers.{layer}.", context, query, hidden)
        out = self._linear("decoder.2", gelu(self._linear("decoder.0", query)))
        return out.astype(np.float64)

    def _layer(self, name: str, context: Array, query: Array, hidden: Array) -> tuple[Array, Array]:
        q, k, v = self._heads(name, context)
        own_q, own_k, own_v = self._heads(name, query)
        root = np.float32(1 / np.sqrt(q.shape[-1]))
        weights = softmax(np.einsum("nhqd,nhkd->nhqk", q, k, optimize=True) * root + hidden)
        context = self._mix(name, context, np.einsum("nhqk,nhkd->nhqd", weights, v, optimize=True))
        scores = np.einsum("nhqd,nhkd->nhqk", own_q, k, optimize=True) * root + hidden
        itself = (own_q * own_k).sum(axis=-1, keepdims=True) * root
        weights = softmax(np.concatenate([scores, itself], axis=-1))
        mixed = np.einsum("nhqk,nhkd->nhqd", weights[..., :-1], v, optimize=True)
        return context, self._mix(name, query, mixed + weights[..., -1:] * own_v)

    def _heads(self, name: str, tokens: Array) -> tuple[Array, Array, Array]:
        """(n, t, width) → queries, keys and values, (n, heads, t, head width) each."""
        weight, bias = (self.weights[f"{name}self_attn.in_proj_{part}"] for part in ("weight", "bias"))
        parts = tokens @ weight.T + bias
        n, t, _ = parts.shape
        q, k, v = parts.reshape(n, t, 3, self.n_heads, -1).transpose(2, 0, 3, 1, 4)
        return q, k, v

    def _mix(self, name: str, tokens: Array, attended: Array) -> Array:
        """What follows attention: its map, and the feed-forward layer, each added and normalised after."""
        n, _, t, _ = attended.shape
        merged = attended.transpose(0, 2, 1, 3).reshape(n, t, -1)
        x = self._norm(f"{name}norm1", tokens + self._linear(f"{name}self_attn.out_proj", merged))
        inner = self._linear(f"{name}linear2", gelu(self._linear(f"{name}linear1", x)))
        return self._norm(f"{name}norm2", x + inner)

    def _linear(self, name: str, x: Any) -> Array:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        mapped: Array = np.asarray(x, dtype=np.float32) @ weight.T + bias
        return mapped

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
        out: Array = centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return out


def gelu(x: Array) -> Array:
    """x Φ(x), exactly."""
    from scipy.special import ndtr

    out: Array = x * ndtr(x)
    return out


def softmax(x: Array) -> Array:
    """Over the last axis; −∞ gives 0."""
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    out: Array = raised / raised.sum(axis=-1, keepdims=True)
    return out


def bar_quantiles(logits: Floats, borders: Floats, levels: Floats) -> Floats:
    """Quantiles of a distribution given as bars, (n, n_levels): uniform within each bar.

    logits: (n, n_bars); borders: (n_bars + 1,) increasing.
    """
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    below = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)
    below = np.concatenate([np.zeros((len(below), 1)), below], axis=1)
    return np.array([np.interp(levels, row, borders) for row in below]).reshape(len(logits), len(levels))
