"""Gaussian processes for tables of tens of rows and several scores: a trend in the scale, and a smooth rest.

All scores of a table share one kernel, so that its length scales rest on every score; each keeps its own
mean and spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
JITTER = 1e-8


@dataclass(frozen=True)
class ScoreGroup:
    """Scores observed on the same rows: standardised (rows, scores), with what undoes it."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    z: Floats
    mean: Floats
    spread: Floats


@dataclass(frozen=True)
class Kernel:
    """k(a, b) = v₀ (1 + a·b) + v₁ exp(−½ Σ ((a − b)/ℓ)²) + v₂ exp(−½ Σ ((x − y)/λ)²): a, b of the trend,
    x, y of all columns."""

    groups: NDArray[np.int64]
    trends: int

    def split(self, parameters: Floats) -> tuple[Floats, float, Floats, Floats]:
        """(variances, noise, trend lengths, lengths of groups) from their logarithms."""
        bounded = np.exp(np.clip(parameters, -12, 12))
        return bounded[:3], float(bounded[3]), bounded[4 : 4 + self.trends], bounded[4 + self.trends :]

    def between(self, parameters: Floats, a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Floats:
        """Covariances of rows a and b, each (trend, columns)."""
        variance, _, narrow, wide = self.split(parameters)
        wide = wide[self.groups]
        result: Floats = (
            variance[0] * (1 + a[0] @ b[0].T)
            + variance[1] * np.exp(-0.5 * _squares(a[0] / narrow, b[0] / narrow))
            + variance[2] * np.exp(-0.5 * _squares(a[1] / wide, b[1] / wide))
        )
        return result


@dataclass(frozen=True)
class ScoreProcess:
    """A fitted process: predicts every score of the table it was fitted on."""

    kernel: Kernel
    parameters: Floats
    seen: tuple[Floats, Floats]
    scores: tuple[ScoreGroup, ...]
    weights: tuple[Floats, ...]
    inverses: tuple[Floats, ...]

    def predict(self, X: Floats, trend: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of new scores, each of shape (rows, scores)."""
        variance, noise, _, _ = self.kernel.split(self.parameters)
        cross = self.kernel.between(self.parameters, (trend, X), self.seen)
        own = variance[0] * (1 + (trend**2).sum(1)) + variance[1] + variance[2] + noise
        count = sum(len(part.columns) for part in self.scores)
        mean, deviation = np.empty((len(X), count)), np.empty((len(X), count))
        for part, weights, inverse in zip(self.scores, self.weights, self.inverses, strict=True):
            near = cross[:, part.rows]
            left = own - np.einsum("ij,jk,ik->i", near, inverse, near)
            mean[:, part.columns] = near @ weights * part.spread + part.mean
            deviation[:, part.columns] = np.sqrt(np.maximum(left, 1e-9))[:, None] * part.spread
        return mean, deviation


def fit_gaussian(
    X: Floats, groups: NDArray[np.int64], trend: Floats, Y: Floats, prior: Floats, *, steps: int = 25
) -> ScoreProcess:
    """Fit one kernel to all scores by maximum a posteriori, log-normal priors (σ = 1) on every parameter.

    X: (rows, columns) of about unit spread, no NaN; groups: (columns,) columns of one group share a length;
    trend: (rows, k), also enters linearly; Y: (rows, scores), NaN where a score is unknown; prior: (groups,)
    log lengths expected.
    """
    from scipy.optimize import minimize

    kernel = Kernel(groups, trend.shape[1])
    scores = _patterns(Y)
    centre = np.concatenate([np.log([1.0, 0.3, 0.3, 0.03]), np.full(trend.shape[1], np.log(1.5)), prior])
    loss = ProcessLoss(kernel, scores, trend, X, centre)
    best = np.asarray(minimize(loss, centre, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x)
    full = kernel.between(best, (trend, X), (trend, X))
    full[np.diag_indices(len(X))] += kernel.split(best)[1] + JITTER
    inverses = tuple(
        np.asarray(np.linalg.inv(full[np.ix_(part.rows, part.rows)]), np.float64) for part in scores
    )
    weights = tuple(inverse @ part.z for inverse, part in zip(inverses, scores, strict=True))
    return ScoreProcess(kernel, best, (trend, X), scores, weights, inverses)


def _patterns(Y: Floats) -> tuple[ScoreGroup, ...]:
    """Scores known for the same rows, together: one factorisation serves them all."""
    known = ~np.isnan(Y)
    found = []
    for pattern in np.unique(known, axis=1).T:
        rows, columns = np.flatnonzero(pattern), np.flatnonzero((known == pattern[:, None]).all(0))
        part = Y[np.ix_(rows, columns)]
        spread = part.std(0)
        spread[spread == 0] = 1.0
        found.append(ScoreGroup(rows, columns, (part - part.mean(0)) / spread, part.mean(0), spread))
    return tuple(found)


class ProcessLoss:
    """Negative log posterior and its gradient in the logarithms of the parameters."""

    def __init__(
        self, kernel: Kernel, scores: Sequence[ScoreGroup], trend: Floats, X: Floats, centre: Floats
    ) -> None:
        self.kernel, self.scores, self.centre = kernel, scores, centre
        count = int(kernel.groups.max()) + 1
        member = np.eye(count)[kernel.groups]
        self.linear = 1 + trend @ trend.T
        self.narrow = (trend[:, None, :] - trend[None, :, :]) ** 2
        self.wide = (X[:, None, :] - X[None, :, :]) ** 2 @ member

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """½ |off|² + Σ over scores of ½ zᵀ K⁻¹ z + ½ log |K|, and its gradient; off: from the centre."""
        variance, noise, narrow, wide = self.kernel.split(parameters)
        smooth = variance[1] * np.exp(-0.5 * self.narrow @ (1 / narrow**2))
        rest = variance[2] * np.exp(-0.5 * self.wide @ (1 / wide**2))
        full = variance[0] * self.linear + smooth + rest
        full[np.diag_indices(len(full))] += noise + JITTER
        off = parameters - self.centre
        value, slope = 0.5 * float(off @ off), off.copy()
        for part in self.scores:
            r = np.ix_(part.rows, part.rows)
            try:
                root = np.linalg.cholesky(full[r])
            except np.linalg.LinAlgError:
                return 1e9, np.zeros_like(parameters)
            half = np.linalg.inv(root)
            inverse = half.T @ half
            alpha = inverse @ part.z
            value += 0.5 * float((part.z * alpha).sum()) + part.z.shape[1] * float(
                np.log(np.diag(root)).sum()
            )
            inner = part.z.shape[1] * inverse - alpha @ alpha.T
            a, b = inner * smooth[r], inner * rest[r]
            scale = [(inner * self.linear[r]).sum() * variance[0], a.sum(), b.sum(), np.trace(inner) * noise]
            slope += 0.5 * np.concatenate(
                [
                    scale,
                    np.einsum("ij,ijk->k", a, self.narrow[r]) / narrow**2,
                    np.einsum("ij,ijk->k", b, self.wide[r]) / wide**2,
                ]
            )
        return value, slope


def _squares(A: Floats, B: Floats) -> Floats:
    """Squared distances of rows."""
    squares: Floats = ((A[:, None, :] - B[None, :, :]) ** 2).sum(-1)
    return squares
