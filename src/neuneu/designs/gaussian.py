"""Gaussian-process regression for tables of tens of rows: a trend in the scale, and a smooth rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process: k(a, b) = linear(a, b) + s² exp(−½ Σ ((a − b) / ℓ)²) + noise, hyperparameters by
    MAP."""

    X: Floats
    groups: NDArray[np.int64]
    trend: Floats
    weights: Floats
    inverse: Floats
    parameters: Floats
    mean: float
    spread: float

    def predict(self, X: Floats, trend: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of new scores, each of shape (rows,)."""
        variance, lengths, noise = _unpack(self.parameters)
        cross = _kernel(X, self.X, trend, self.trend, variance, lengths[self.groups])
        own = variance[0] * (1 + (trend**2).sum(1)) + variance[1] + noise
        explained = np.einsum("ij,jk,ik->i", cross, self.inverse, cross)
        deviation = np.sqrt(np.maximum(own - explained, 1e-9))
        return cross @ self.weights * self.spread + self.mean, deviation * self.spread


def fit_gaussian(
    X: Floats,
    groups: NDArray[np.int64],
    trend: Floats,
    y: Floats,
    prior: Floats,
    *,
    noise: Floats | None = None,
    steps: int = 40,
) -> GaussianProcess:
    """Fit by maximum a posteriori, log-normal priors on every hyperparameter.

    X: (rows, columns) of about unit spread, no NaN; groups: (columns,) columns of one group share a length
    scale; trend: (rows, k), enters linearly; prior: (groups,) log length scales expected (σ = 1); noise:
    (rows,) known standard errors of y, added to the fitted noise.
    """
    from scipy.optimize import minimize

    mean, spread = float(y.mean()), float(y.std()) or 1.0
    target = (y - mean) / spread
    known = np.zeros(len(y)) if noise is None else (np.nan_to_num(noise) / spread) ** 2
    centre = np.concatenate([np.log([1.0, 0.3, 0.03]), prior])
    width = np.concatenate([[1.0, 1.0, 1.0], np.full(len(prior), 1.0)])
    columns = (X[:, None, :] - X[None, :, :]) ** 2
    squares = columns @ np.eye(len(prior))[groups]
    flat = squares.reshape(-1, len(prior))
    linear = 1 + trend @ trend.T

    def loss(parameters: Floats) -> tuple[float, Floats]:
        variance, lengths, level = _unpack(parameters)
        smooth = variance[1] * np.exp(-0.5 * (flat @ (1 / lengths**2)).reshape(len(y), -1))
        covariance = variance[0] * linear + smooth + np.diag(level + known + 1e-8)
        try:
            root = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return 1e9, np.zeros_like(parameters)
        half = np.linalg.inv(root)
        inverse = half.T @ half
        alpha = inverse @ target
        inner = inverse - np.outer(alpha, alpha)
        off = (parameters - centre) / width
        value = 0.5 * target @ alpha + np.log(np.diag(root)).sum() + 0.5 * (off**2).sum()
        weighted = inner * smooth
        slope = np.concatenate(
            [
                [
                    0.5 * (inner * linear).sum() * variance[0],
                    0.5 * weighted.sum(),
                    0.5 * np.trace(inner) * level,
                ],
                0.5 * (weighted.ravel() @ flat) / lengths**2,
            ]
        )
        return float(value), slope + off / width

    best = minimize(loss, centre, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    variance, lengths, level = _unpack(best)
    covariance = _kernel(X, X, trend, trend, variance, lengths[groups]) + np.diag(level + known + 1e-8)
    inverse = np.linalg.inv(covariance)
    weights = np.asarray(inverse @ target, np.float64)
    return GaussianProcess(X, groups, trend, weights, inverse.astype(np.float64), best, mean, spread)


def _unpack(parameters: Floats) -> tuple[Floats, Floats, float]:
    """(linear, smooth) variances, length scales, noise variance."""
    bounded = np.exp(np.clip(parameters, -12, 12))
    return bounded[:2], bounded[3:], float(bounded[2])


def _kernel(A: Floats, B: Floats, a: Floats, b: Floats, variance: Floats, lengths: Floats) -> Floats:
    squares = ((A / lengths)[:, None, :] - (B / lengths)[None, :, :]) ** 2
    result: Floats = variance[0] * (1 + a @ b.T) + variance[1] * np.exp(-0.5 * squares.sum(-1))
    return result
