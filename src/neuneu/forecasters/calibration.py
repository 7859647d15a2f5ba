"""Calibrated quantiles around a point forecast: a scale growing with the horizon, and residual quantiles.

Split conformal prediction with normalised residuals (Lei et al. 2018): on finished runs, r = (truth − point)
/ s with s a model of the residual's scale; a forecast at level q is point + s · (quantile q of r). As s never
falls with the horizon, intervals never narrow with it, except where the metric's range cuts them.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.batch import Batch, make_batch
from neuneu.evidence.evidence import Evidence
from neuneu.evidence.features import TYPICAL_NOISE, ContextFeatures, context_features
from neuneu.evidence.finished import References
from neuneu.evidence.questions import Questions, ask_questions
from neuneu.files import write_json
from neuneu.forecasters.base import CONFIG, LEVELS, Forecast, Forecaster, Refusal, read_folder
from neuneu.losses.loss_store import LossStore

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable

RIDGE = 1e-2
"""Weight of the ridge on the scale's parameters: a few hundred cells outweigh it."""
LOG_SCALES = (-20.0, 5.0)
"""Logs of scales, in units, are kept between these: no overflow while searching."""
POWERS = (0.2, 2.0)
"""Bounds of the power with which residuals grow with the log horizon ratio; a random walk's is ½ to 1."""
TYPICAL_SCALE = 0.01
"""Scale of residuals in units that the search starts from: a point of accuracy."""
NO_GROWTH = 1e-6
"""Log horizon ratios below this count as this, where a log is taken of them."""
MOST_STEPS = 200
"""Steps of the search, which ends before as a rule."""
LEAST_NOISE, LEAST_CHANGE = 1e-5, 1e-3
"""Floors of noise, and of slope and spread, in units, before a log is taken."""
TYPICAL_SLOPE, TYPICAL_SPREAD = 0.01, 0.02
"""Slopes a unit of log-clock and spreads of contexts, in units, whose features are 0."""
ENOUGH_POINTS = 4.0
"""From so many points on it does not count how many there are."""
LARGEST = 1e300
"""Quantiles of metrics without a range are cut at this, short of overflow."""


def weighted_quantile(values: Floats, weights: Floats, level: float) -> float:
    """Quantile of values, (n,), that count as their weights say, (n,): linear between their midpoints.

    Values are laid out in order, each as wide as its weight and known at its middle (Hazen's rule).
    """
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(level * weights.sum(), below, values[order]))


@dataclass(frozen=True)
class Calibration:
    """Parameters of the scale model and quantiles of the normalised residual.

    s = exp(noise · F) + exp(trend · F) · (log horizon ratio) ** power, F the context's features
    (`scale_features`); quantiles: one a level of LEVELS, negative or 0 below the median, 0 at it.
    """

    noise: tuple[float, ...]
    trend: tuple[float, ...]
    power: float
    quantiles: tuple[float, ...]

    def scale(self, features: Floats, batch: Batch) -> Floats:
        """Scale of the residual at each horizon, (n_cells,), in units; never falls with the horizon."""
        noise, trend = (
            np.exp(np.clip(_dot(features, np.array(weights)), *LOG_SCALES))
            for weights in (self.noise, self.trend)
        )
        growth = np.maximum(batch.log_horizon, 0.0) ** self.power
        return np.asarray(noise[batch.cell] + trend[batch.cell] * growth, dtype=np.float64)

    def scale_of(self, batch: Batch) -> Floats:
        """`scale` from the context's own features alone."""
        return self.scale(_features(batch, None), batch)

    def quantile_values(self, point: Floats, batch: Batch) -> Floats:
        """Quantiles of the value at each horizon, (n_cells, n_levels), in the metric's own numbers."""
        return self.quantiles_at(point, batch, _features(batch, None))

    def quantiles_at(
        self, point: Floats, batch: Batch, features: Floats, stretch: Floats | None = None
    ) -> Floats:
        """`quantile_values` from the scale's features, (n, n_features), where they are known.

        stretch: as in `fit`.
        """
        scale = self.scale(features, batch)
        if stretch is not None:
            scale = scale * stretch[batch.cell]
        values = point[:, None] + scale[:, None] * np.array(self.quantiles)
        values = np.clip(values, batch.low[batch.cell, None], batch.high[batch.cell, None])
        with np.errstate(over="ignore"):
            values = values * batch.unit[batch.cell, None]
        return np.maximum.accumulate(np.clip(values, -LARGEST, LARGEST), axis=1)

    @classmethod
    def fit(
        cls,
        point: Floats,
        truth: Floats,
        weight: Floats,
        batch: Batch,
        more: Floats | None = None,
        stretch: Floats | None = None,
    ) -> "Calibration":
        """Learn from point forecasts and truths in units, (n_cells,), and the weight of each cell.

        more: (n, n_more) features of the scale beside the context's own; stretch: (n,) by what the scale is
        multiplied, whatever is learned.
        """
        features = _features(batch, more)
        error = truth - point
        if stretch is not None:
            error = error / stretch[batch.cell]
        log_growth = np.log(np.maximum(batch.log_horizon, NO_GROWTH))
        residuals = Residuals(features[batch.cell], log_growth, np.abs(error), weight / weight.sum())
        noise, trend, power = _fit_scale(residuals)
        draft = cls(noise, trend, power, (0.0,) * len(LEVELS))
        normalised = error / draft.scale(features, batch)
        below = np.array([min(weighted_quantile(normalised, weight, q), 0.0) for q in LEVELS if q < 0.5])
        above = np.array([max(weighted_quantile(normalised, weight, q), 0.0) for q in LEVELS if q > 0.5])
        quantiles = tuple(float(q) for q in [*below, 0.0, *above])
        return cls(noise, trend, power, quantiles)

    def to_document(self) -> dict[str, Any]:
        """What is written as JSON."""
        return {
            "noise": list(self.noise),
            "trend": list(self.trend),
            "power": self.power,
            "quantiles": list(self.quantiles),
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Calibration":
        """Read what `to_document` made. Raises KeyError, TypeError or ValueError on what is not that."""
        noise, trend, quantiles = (
            tuple(map(float, document[name])) for name in ("noise", "trend", "quantiles")
        )
        read = cls(noise, trend, float(document["power"]), quantiles)
        if len(read.quantiles) != len(LEVELS) or len(read.noise) != len(read.trend):
            raise ValueError(f"must have {len(LEVELS)} quantiles, and as many weights of noise as of trend")
        return read


def scale_features(features: ContextFeatures) -> Floats:
    """Features that the scale of residuals depends on, (n, n_features).

    1, and the logs of noise, slope, number of points and spread over what is typical of each.
    """
    noise = np.log(np.clip(features.noise, LEAST_NOISE, 1.0) / TYPICAL_NOISE)
    slope = np.log(np.clip(np.abs(features.slope), LEAST_CHANGE, 1.0) / TYPICAL_SLOPE)
    few = np.log(np.clip(features.n_points, 1.0, ENOUGH_POINTS) / ENOUGH_POINTS)
    spread = np.log(np.clip(features.spread, LEAST_CHANGE, 1.0) / TYPICAL_SPREAD)
    return np.stack([np.ones_like(noise), noise, slope, few, spread], axis=1)


def _features(batch: Batch, more: Floats | None) -> Floats:
    own = scale_features(context_features(batch))
    return own if more is None else np.concatenate([own, more], axis=1)


def training_rows(questions: Questions, kept: Sequence[int]) -> tuple[Batch, Floats, Floats]:
    """The questions kept as a batch, and of each cell the truth in units and the weight, (n_cells,)."""
    batch = make_batch([questions.evidences[i] for i in kept], [questions.horizons[i] for i in kept])
    truth = np.concatenate([questions.truths[i] for i in kept]) / batch.unit[batch.cell]
    sizes = np.bincount(batch.cell, minlength=batch.n)
    return batch, truth, questions.weights[list(kept)][batch.cell] / sizes[batch.cell]


NOT_STARTED = "needs a checkpoint: it does not forecast runs that have not started"


class CalibratedForecaster(Forecaster):
    """A point forecast with calibrated quantiles around it; subclasses give the points."""

    calibration: Calibration | None = None

    @abstractmethod
    def point(self, batch: Batch) -> Floats:
        """Point forecast at each horizon, (n_cells,), in units; NaN where the fit failed."""

    def quantile_values(self, batch: Batch) -> Floats:
        """Quantiles at each horizon, (n_cells, n_levels), in the metric's own numbers."""
        if self.calibration is None:
            self.load_shipped()
        assert self.calibration is not None
        return self.calibration.quantile_values(batch.clip(self.point(batch)), batch)

    def refuse(self, evidence: Evidence) -> str | None:
        """Why this question is declined; None where it is not."""
        return None

    def fit(
        self,
        curves: "CurveTable",
        losses: LossStore | None = None,
        *,
        references: References | None = None,
        seed: int = 0,
    ) -> Self:
        """Calibrate its quantiles on questions about these runs."""
        questions = ask_questions(
            curves,
            losses,
            references,
            whole_evidence=bool(self.reads),
            sees_future=self.sees_future,
            seed=seed,
        )
        self.calibration = self.calibrate(questions)
        return self

    def calibrate(self, questions: Questions) -> Calibration:
        """Residual quantiles on questions with known answers. Raises InputError where it can answer none."""
        kept = [i for i, evidence in enumerate(questions.evidences) if self.refuse(evidence) is None]
        if not kept:
            raise InputError(
                "needs runs with at least 8 checkpoints and the evidence that it asks for",
                field="forecaster",
                value=self.name,
            )
        batch, truth, weight = training_rows(questions, kept)
        point = batch.clip(self.point(batch))
        answered = np.isfinite(point)
        return Calibration.fit(
            np.where(answered, point, truth), truth, np.where(answered, weight, 0.0), batch
        )

    def load_shipped(self) -> Self:
        """Use the calibration that ships with the package (openly licensed runs; see `shipped`)."""
        self.calibration = shipped_calibration(self.name)
        return self

    def save(self, folder: str | Path) -> None:
        """Write config.json, with the calibration to the last bit. Raises InputError where it has none."""
        if self.calibration is None:
            rule = "has learned nothing to save; call fit or load_shipped first"
            raise InputError(rule, field="forecaster", value=self.name)
        document = {"forecaster": self.name, "calibration": self.calibration.to_document()}
        write_json(Path(folder) / CONFIG, document | self.learned())

    def load(self, folder: str | Path) -> Self:
        """Take over what `save` wrote. Raises InputError on files that are not that."""
        document = read_folder(folder, self.name)
        try:
            self.calibration = Calibration.from_document(document["calibration"])
            self.take_over(document)
        except (KeyError, TypeError, ValueError) as error:
            rule = f"not what {self.name} saves: {type(error).__name__} {error}"
            raise InputError(rule, where=Path(folder) / CONFIG) from error
        return self

    def learned(self) -> dict[str, Any]:
        """What config.json holds beside the calibration; nothing by default."""
        return {}

    def take_over(self, document: dict[str, Any]) -> None:
        """Read what `learned` gave. Raises KeyError, TypeError or ValueError on what is not that."""

    def forecast_many(
        self, evidences: Sequence[Evidence], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Point forecasts for all at once, then quantiles around them."""
        answers: list[Forecast | Refusal] = []
        refusals = [self.refuse(e) if len(e.context) else NOT_STARTED for e in evidences]
        kept = [i for i, reason in enumerate(refusals) if reason is None]
        horizons = [np.asarray(h, dtype=np.float64) for h in horizons]
        batch = make_batch([evidences[i] for i in kept], [horizons[i] for i in kept])
        values = self.quantile_values(batch)
        parts = iter(np.split(values, np.cumsum([len(horizons[i]) for i in kept])[:-1]))
        for reason, asked in zip(refusals, horizons, strict=True):
            answers.append(Refusal(reason) if reason else _answer(asked, next(parts)))
        return answers


def _answer(horizons: Floats, values: Floats) -> Forecast | Refusal:
    if not np.isfinite(values).all():
        return Refusal("the method's fit failed on this context")
    return Forecast(horizons, values)


def shipped_calibration(name: str) -> Calibration:
    """The calibration of this method that ships with the package. Raises InputError where there is none."""
    from json import loads

    document = loads(files("neuneu.forecasters").joinpath("calibration.json").read_text(encoding="utf-8"))
    if name not in document["methods"]:
        raise InputError("has no calibration that ships; call fit first", field="forecaster", value=name)
    return Calibration.from_document(document["methods"][name])


@dataclass(frozen=True, eq=False)
class Residuals:
    """What the scale model is fitted to, (n_cells,) each but `features`, (n_cells, n_features).

    log_growth: log of the log horizon ratio; error: |truth − point|; weight: of each cell, in all 1.
    """

    features: Floats
    log_growth: Floats
    error: Floats
    weight: Floats

    @property
    def start(self) -> Floats:
        """Parameters where the search starts, and what the ridge pulls towards, (2 · n_features + 1,).

        Noise in proportion to the context's noise, growth to the square root of its slope; both
        `TYPICAL_SCALE` where those are typical, and the power is 1.
        """
        k = self.features.shape[1]
        start = np.zeros(2 * k + 1)
        start[[0, k]] = np.log(TYPICAL_SCALE)
        start[1], start[k + 2] = 1.0, 0.5
        return start


def scale_loss(parameters: Floats, residuals: Residuals) -> tuple[float, Floats]:
    """Mean negative log likelihood of residuals of a Laplace distribution, with a ridge; and its gradient.

    parameters: (2 · n_features + 1,) weights of noise and of trend, and log power, as in `Calibration`:
    s = exp(noise · F) + exp(trend · F) h ** power, loss = Σ weight (log s + error / s) + RIDGE |off|², off
    the parameters minus `Residuals.start`, without the two constants.
    """
    features, k = residuals.features, residuals.features.shape[1]
    power = np.exp(parameters[-1])
    noise = np.exp(np.clip(_dot(features, parameters[:k]), *LOG_SCALES))
    log_trend = _dot(features, parameters[k:-1]) + power * residuals.log_growth
    trend = np.exp(np.clip(log_trend, *LOG_SCALES))
    scale = noise + trend
    slope = residuals.weight * (1 / scale - residuals.error / scale**2)
    off = parameters - residuals.start
    off[[0, k]] = 0.0
    fit = np.sum(residuals.weight * (np.log(scale) + residuals.error / scale))
    gradient = np.concatenate(
        [
            _dot(features.T, slope * noise),
            _dot(features.T, slope * trend),
            [np.sum(slope * trend * residuals.log_growth) * power],
        ]
    )
    return float(fit + RIDGE * np.sum(off**2)), gradient + 2 * RIDGE * off


def _fit_scale(residuals: Residuals) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Weights of noise and of trend, (n_features,) each, and power, of least `scale_loss`."""
    from scipy.optimize import minimize

    k = residuals.features.shape[1]
    bounds = [(None, None)] * (2 * k) + [(np.log(POWERS[0]), np.log(POWERS[1]))]
    found = minimize(
        scale_loss,
        residuals.start,
        args=(residuals,),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": MOST_STEPS},
    ).x
    return tuple(found[:k].tolist()), tuple(found[k:-1].tolist()), float(np.exp(found[-1]))


def _dot(matrix: Floats, vector: Floats) -> Floats:
    """Matrix times vector without BLAS, whose sums depend on the number of threads."""
    return np.asarray(np.einsum("ij,j->i", matrix, vector), dtype=np.float64)
