"""The Gaussian process in log-clock takes the length scale and the signal that its data make most likely."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from tests.forecasters.forecaster_cases import make_curve

from neuneu.curves.curve import Floats
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import load_forecaster
from neuneu.forecasters.gaussian_process import LENGTHS, SIGNALS, _matern, _most_likely


def evidence_by_hand(x: Floats, r: Floats, length: float, signal: float) -> float:
    """Log density of the residuals with the noise that makes it largest (Rasmussen & Williams 2006, 2.30)."""
    covariance = signal * _matern(np.abs(x[:, None] - x[None, :]) / length) + np.eye(len(x))
    noise = r @ np.linalg.solve(covariance, r) / len(x)
    return float(multivariate_normal.logpdf(r, cov=noise * covariance))


@pytest.mark.parametrize("seed", range(8))
def test_the_most_likely_length_and_signal_are_taken(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = np.sort(-random.uniform(0, 4, 14))
    smooth = (seed % 3) * 0.02 * np.sin(2 * x)
    r = smooth + 0.01 * random.normal(size=14)
    alpha, length, signal = _most_likely(x[None], r[None], np.ones((1, 14)))
    each = {(a, b): evidence_by_hand(x, r, a, b) for a in LENGTHS for b in SIGNALS}
    assert each[float(length[0]), float(signal[0])] == pytest.approx(max(each.values()), abs=1e-6)
    covariance = signal[0] * _matern(np.abs(x[:, None] - x[None, :]) / length[0]) + np.eye(14)
    np.testing.assert_allclose(covariance @ alpha[0], r, atol=1e-9)


def test_noise_around_a_law_is_not_followed() -> None:
    """Of independent noise the forecast stays with the power law; of a slow wave it follows its end."""
    clock = np.geomspace(1, 100, 24)
    ends = []
    for seed in range(12):
        noise = 0.02 * np.random.default_rng(seed).normal(size=24)
        curve = make_curve(clock, 0.7 - 0.3 * clock**-0.3 + noise)
        law, process = (
            load_forecaster(name).forecast(Evidence(curve), [101.0]).median[0]
            for name in ("power-law", "gaussian-process")
        )
        ends.append(abs(process - law))
    assert np.median(ends) < 0.005
