"""Forecast, Forecaster and the registry of forecasters."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats
from neuneu.errors import CannotForecastError, InputError
from neuneu.files import read_json

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable
    from neuneu.evidence.evidence import Evidence, References
    from neuneu.losses.loss_store import LossStore

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantile levels of every forecast."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Quantiles of a curve's value at horizons.

    horizons: (n_horizons,) clock values, in the unit of the curve's clock; levels: in (0, 1), increasing;
    values: (n_horizons, n_levels), finite, monotone in the level, inside the metric's range.
    """

    horizons: Floats
    values: Floats
    levels: tuple[float, ...] = LEVELS

    def __post_init__(self) -> None:
        """Refuse quantiles that are not finite or that cross."""
        if self.values.shape != (len(self.horizons), len(self.levels)):
            raise ValueError(
                f"values {self.values.shape} do not fit {len(self.horizons)} x {len(self.levels)}"
            )
        if not np.isfinite(self.values).all():
            raise ValueError("quantiles must be finite")
        if (np.diff(self.values, axis=1) < 0).any():
            raise ValueError("quantiles must not cross")

    def quantile(self, level: float) -> Floats:
        """Values at this level, (n_horizons,); between two levels, interpolated linearly."""
        if not self.levels[0] <= level <= self.levels[-1]:
            raise InputError(f"must be in [{self.levels[0]}, {self.levels[-1]}]", field="level", value=level)
        if level in self.levels:
            return self.values[:, self.levels.index(level)]
        return np.array([np.interp(level, self.levels, row) for row in self.values])

    @cached_property
    def median(self) -> Floats:
        """The 0.5 quantile, (n_horizons,)."""
        return self.quantile(0.5)

    def interval(self, coverage: float) -> Floats:
        """The central interval that should hold the truth this often, (n_horizons, 2)."""
        tail = round((1 - coverage) / 2, 9)
        return np.stack([self.quantile(tail), self.quantile(1 - tail)], axis=1)

    def to_frame(self) -> pl.DataFrame:
        """A row a horizon: clock, then a column a level (q05, q10, …)."""
        columns = {f"q{round(level * 100):02d}": self.values[:, i] for i, level in enumerate(self.levels)}
        return pl.DataFrame({"clock": self.horizons, **columns})


@dataclass(frozen=True)
class Refusal:
    """A forecaster's answer to a question it declines: the reason, for people."""

    reason: str


class Forecaster(ABC):
    """Evidence → forecast. Subclasses answer many questions at once in `forecast_many`.

    name: as on the command line; learns: whether `fit` needs finished runs' curves;
    sees_future: whether it reads losses after the context end (published variants that do are labelled).
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    sees_future: ClassVar[bool] = False

    def fit(
        self,
        curves: "CurveTable",
        losses: "LossStore | None" = None,
        *,
        references: "References | None" = None,
        seed: int = 0,
    ) -> Self:
        """Learn from finished runs (parameters, calibration); does nothing where there is nothing to learn.

        `references` says which finished runs each training question may look at, as in evaluation.
        """
        return self

    @abstractmethod
    def forecast_many(
        self, evidences: Sequence["Evidence"], horizons: Sequence[Floats]
    ) -> list[Forecast | Refusal]:
        """Forecast for each evidence at its own horizons; the fast path.

        horizons[i]: (n_i,) clock values after the context end of evidences[i].
        """

    def forecast(self, evidence: "Evidence", horizons: Sequence[float] | Floats) -> Forecast:
        """Forecast for one evidence. Raises CannotForecastError where the forecaster declines."""
        answer = self.forecast_many([evidence], [np.asarray(horizons, dtype=np.float64)])[0]
        if isinstance(answer, Refusal):
            raise CannotForecastError(f"{self.name}: {answer.reason}")
        return answer


DEFAULT_FORECASTER = "neuneu-2"
"""What is used where no forecaster is named."""

REGISTRY: dict[str, tuple[str, str]] = {
    "last-value": ("neuneu.forecasters.baselines", "LastValue"),
    "mean-k": ("neuneu.forecasters.baselines", "MeanOfLast"),
    "log-linear": ("neuneu.forecasters.baselines", "LogLinear"),
    "reference-shift": ("neuneu.forecasters.baselines", "ReferenceShift"),
    "power-law": ("neuneu.forecasters.laws", "PowerLaw"),
    "broken-power-law": ("neuneu.forecasters.laws", "BrokenPowerLaw"),
    "logistic": ("neuneu.forecasters.logistic", "Logistic"),
    "logistic-future": ("neuneu.forecasters.logistic", "LogisticFuture"),
    "ladder": ("neuneu.forecasters.ladder", "Ladder"),
    "gaussian-process": ("neuneu.forecasters.gaussian_process", "GaussianProcess"),
    "lightgbm": ("neuneu.forecasters.trees", "BoostedTrees"),
    "damped-holt": ("neuneu.forecasters.rivals", "DampedHolt"),
    "dot": ("neuneu.forecasters.rivals", "DynamicOptimizedTheta"),
    "neuneu-2": ("neuneu.forecasters.neuneu2.model", "Neuneu2"),
    "neuneu": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuForecaster"),
    "neuneu-sequential": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuSequential"),
    "neuneu-average": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuAverage"),
    "neuneu-diffhist": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuDiffHist"),
    "neuneu-noloss": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuNoLoss"),
    "neuneu-levels": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuLevels"),
    "neuneu-residual": ("neuneu.forecasters.neuneu.forecaster", "NeuNeuResidual"),
    "probe-cnn": ("neuneu.forecasters.neuneu.probe_forecasters", "CNNProbe"),
    "probe-histogram": ("neuneu.forecasters.neuneu.probe_forecasters", "HistogramProbeForecaster"),
    "probe-delta": ("neuneu.forecasters.neuneu.probe_forecasters", "DeltaProbeForecaster"),
    "probe-kl-delta": ("neuneu.forecasters.neuneu.probe_forecasters", "KLDeltaProbeForecaster"),
    "probe-average": ("neuneu.forecasters.neuneu.probe_forecasters", "AverageProbeForecaster"),
}
"""Forecaster names → (module, class); imported when asked for."""


def make_forecaster(name: str) -> Forecaster:
    """A fresh forecaster of this registered name, not fitted. Raises InputError on an unknown name."""
    if name not in REGISTRY:
        raise InputError(f"unknown; known: {', '.join(REGISTRY)}", field="forecaster", value=name)
    module, attribute = REGISTRY[name]
    factory: Callable[[], Forecaster] = getattr(import_module(module), attribute)
    return factory()


def load_forecaster(name_or_folder: str | Path) -> Forecaster:
    """A forecaster that is ready to use: a registered name with what ships in the package, or a folder.

    A folder holds config.json (its "forecaster" names the registered class) and model.safetensors.
    """
    folder = Path(name_or_folder)
    if str(name_or_folder) in REGISTRY:
        forecaster = make_forecaster(str(name_or_folder))
        load_shipped = getattr(forecaster, "load_shipped", None)
        return load_shipped() if load_shipped else forecaster
    if not (folder / "config.json").is_file():
        raise InputError(
            f"neither a forecaster ({', '.join(REGISTRY)}) nor a folder with config.json",
            field="forecaster",
            value=str(name_or_folder),
        )
    config = read_json(folder / "config.json")
    forecaster = make_forecaster(str(config.get("forecaster")))
    load = getattr(forecaster, "load", None)
    if load is None:
        raise InputError(
            "this forecaster has nothing to load", where=folder, field="forecaster", value=forecaster.name
        )
    loaded: Forecaster = load(folder)
    return loaded
