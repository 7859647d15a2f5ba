"""Scaling laws of parameters and tokens as predictors: Kaplan's, Chinchilla's, and a sigmoid of logarithms.

Each form tells a task's loss, which for a score of which more is better is the greatest possible (or, where
there is none, the greatest known) less the score, so that it falls as models grow. Logarithms of parameters
and tokens are centred on their means over the training rows, so that one start serves every table. Gradients
are analytic.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from neuneu.curves.tasks import find_metric
from neuneu.designs.prediction.design_table import DesignTable, Matrix
from neuneu.designs.prediction.folds import Indices
from neuneu.designs.prediction.predictors import Predictor, each_task
from neuneu.errors import check_known


@dataclass(frozen=True)
class Form:
    """A law: (parameters θ, n, d) → (loss (models,), gradient (models, θ)), with n = ln N and d = ln D
    centred; starts: where fits begin; low, high: bounds of θ."""

    law: Callable[[Matrix, Matrix, Matrix], tuple[Matrix, Matrix]]
    starts: tuple[tuple[float, ...], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def chinchilla(theta: Matrix, n: Matrix, d: Matrix) -> tuple[Matrix, Matrix]:
    """E + exp(a − α n) + exp(b − β d); θ = (E, a, α, b, β). Hoffmann et al. 2022."""
    E, a, alpha, b, beta = theta
    of_n, of_d = np.exp(a - alpha * n), np.exp(b - beta * d)
    gradient = np.column_stack([np.ones(len(n)), of_n, -n * of_n, of_d, -d * of_d])
    return E + of_n + of_d, gradient


def kaplan(theta: Matrix, n: Matrix, d: Matrix) -> tuple[Matrix, Matrix]:
    """((Nc/N)^(αN/αD) + Dc/D)^αD = (exp((a − αN n)/αD) + exp(b − d))^αD; θ = (a, αN, b, αD).

    a = αN ln Nc, b = ln Dc. Kaplan et al. 2020, equation 1.5.
    """
    a, alpha, b, beta = theta
    u, v = (a - alpha * n) / beta, b - d
    inner = np.logaddexp(u, v)
    loss = np.exp(beta * inner)
    share = np.exp(u - inner)  # of the first term
    rest = np.exp(v - inner)
    by_beta = inner - share * u
    gradient = np.column_stack([loss * share, -loss * share * n, loss * beta * rest, loss * by_beta])
    return loss, gradient


def sigmoid(theta: Matrix, n: Matrix, d: Matrix) -> tuple[Matrix, Matrix]:
    """low + (high − low) / (1 + exp(c + a n + b d)); θ = (low, high, a, b, c): from high to low as models
    grow."""
    low, high, a, b, c = theta
    s = 1 / (1 + np.exp(np.clip(c + a * n + b * d, -50, 50)))
    slope = -(high - low) * s * (1 - s)
    gradient = np.column_stack([1 - s, s, slope * n, slope * d, slope])
    return low + (high - low) * s, gradient


FORMS: Mapping[str, Form] = {
    "kaplan": Form(
        kaplan,
        ((-0.7, 0.05, -3.0, 0.1), (-0.7, 0.1, 0.0, 0.3), (-1.0, 0.3, -1.0, 0.5)),
        (-20, 0, -20, 0.01),
        (20, 3, 20, 3),
    ),
    "chinchilla": Form(
        chinchilla,
        ((0.2, -1.5, 0.1, -1.5, 0.1), (0.0, -1.0, 0.3, -2.0, 0.3), (0.4, -2.0, 0.5, -2.0, 0.05)),
        (0, -20, 0, -20, 0),
        (10, 5, 3, 5, 3),
    ),
    "sigmoid": Form(
        sigmoid,
        ((0.1, 0.9, 0.3, 0.3, 0.0), (0.3, 0.7, 1.0, 0.3, 0.0), (0.2, 1.2, 0.2, 0.1, 1.0)),
        (0, 0, 0, 0, -20),
        (10, 10, 10, 10, 20),
    ),
}
"""Forms by the name of their predictor."""

SPREAD = 0.02
"""Residual, in units of the score, above which a model counts less than quadratically (soft L1)."""


def fit_form(form: Form, n: Matrix, d: Matrix, loss: Matrix) -> Matrix:
    """θ of the least soft-L1 error over all starts; n, d centred logarithms, loss (models,)."""
    from scipy.optimize import least_squares

    def residual(theta: Matrix) -> Matrix:
        return form.law(theta, n, d)[0] - loss

    def slope(theta: Matrix) -> Matrix:
        return form.law(theta, n, d)[1]

    best, least = np.array(form.starts[0]), np.inf
    for start in form.starts:
        found = least_squares(
            residual,
            np.clip(start, form.low, form.high),
            jac=slope,
            bounds=(form.low, form.high),
            loss="soft_l1",
            f_scale=SPREAD,
        )
        if found.cost < least:
            best, least = np.asarray(found.x), float(found.cost)
    return best


def form_predictor(name: str) -> Predictor:
    """The predictor of a form by name: kaplan, chinchilla, sigmoid; fitted to each task by itself."""
    check_known(name, FORMS, "predictor", "unknown")
    form = FORMS[name]

    def predict(table: DesignTable, task: int, train: Indices, test: Indices) -> Matrix:
        pair = table.matrix(table.named("scale"))
        pair = pair - pair[train].mean(0)
        y, most = table.y[train, task], table.tasks[task].range[1]
        up = find_metric(table.tasks[task].metric).higher_is_better
        top = float(most if np.isfinite(most) else y.max())
        theta = fit_form(form, pair[train, 0], pair[train, -1], top - y if up else y)
        loss = form.law(theta, pair[test, 0], pair[test, -1])[0]
        return np.asarray(top - loss if up else loss, np.float64)

    return each_task(predict)
