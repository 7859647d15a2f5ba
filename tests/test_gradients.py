"""Every gradient that is written by hand agrees with differences of its loss, in float64."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import neuneu
from neuneu.curves.curve import Floats
from neuneu.designs.prediction.analyses import map_loss
from neuneu.designs.prediction.forms import FORMS
from neuneu.designs.prediction.gaussian import Kernel, ProcessLoss, _patterns
from neuneu.forecasters.calibration import Residuals, scale_loss

Loss = Callable[[Floats], tuple[float, Floats]]

WRITTEN_BY_HAND = {
    "forecasters/calibration.py", "designs/prediction/analyses.py", "designs/prediction/gaussian.py",
    "designs/prediction/forms.py",
}  # fmt: skip
"""Modules that give a search its gradient; each has a case below."""


def agrees(loss: Loss, parameters: Floats) -> None:
    """Central differences with a step of 1e-5 err by about 1e-10 of the third derivative."""
    step = 1e-5
    differences = np.array(
        [
            (loss(parameters + e)[0] - loss(parameters - e)[0]) / (2 * step)
            for e in step * np.eye(len(parameters))
        ]
    )
    value, gradient = loss(parameters)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-7 * (1 + abs(value)))
    forward = approx_fprime(parameters, lambda p: loss(p)[0])  # a second opinion on the differences
    np.testing.assert_allclose(forward, differences, rtol=1e-3, atol=1e-4 * (1 + abs(value)))


@pytest.mark.parametrize("seed", range(4))
def test_of_the_calibration_of_widths(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, k = 60, 5
    residuals = Residuals(
        features=np.concatenate([np.ones((n, 1)), random.normal(size=(n, k - 1))], axis=1),
        log_growth=np.log(random.uniform(0.05, 5.0, n)),
        error=np.abs(random.laplace(0, 0.03, n)),
        weight=random.dirichlet(np.ones(n)),
    )
    for away in (0.0, 0.3):
        agrees(lambda p: scale_loss(p, residuals), residuals.start + away * random.normal(size=2 * k + 1))


@pytest.mark.parametrize("seed", range(4))
def test_of_the_process_over_designs(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns, trends = 12, 5, 2
    X, trend = random.normal(size=(rows, columns)), random.normal(size=(rows, trends))
    Y = random.normal(size=(rows, 3))
    Y[random.random(Y.shape) < 0.2] = np.nan  # scores with rows of their own
    kernel = Kernel(np.array([0, 0, 1, 2, 2]), trends)
    centre = np.log(random.uniform(0.3, 2.0, 4 + trends + 3))
    loss = ProcessLoss(kernel, _patterns(Y), trend, X, centre)
    agrees(loss, centre + 0.4 * random.normal(size=len(centre)))


@pytest.mark.parametrize("seed", range(4))
def test_of_the_map_of_compositions(seed: int) -> None:
    random = np.random.default_rng(seed)
    generated, true = 100 * random.dirichlet(np.ones(4), size=(2, 15))
    agrees(lambda w: map_loss(w, generated, true), random.uniform(0.1, 0.9, 16))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("start", range(3))
def test_of_the_forms_of_scaling_laws(name: str, start: int) -> None:
    """Each model's loss by itself: the sum with random weights has the gradient weighted as they are."""
    random = np.random.default_rng(start)
    n, d, weight = random.normal(size=(3, 12))
    form = FORMS[name]

    def loss(theta: Floats) -> tuple[float, Floats]:
        values, gradients = form.law(theta, n, d)
        return float(weight @ values), weight @ gradients

    theta = np.array(form.starts[start])
    agrees(loss, theta + 0.05 * np.abs(theta) * random.normal(size=len(theta)))


def test_there_is_no_other() -> None:
    package = Path(neuneu.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(
            r"\bjac\s*=|\bfprime\s*=|\bDfun\s*=|autograd\.Function", path.read_text(encoding="utf-8")
        )
    }
    assert found == WRITTEN_BY_HAND
