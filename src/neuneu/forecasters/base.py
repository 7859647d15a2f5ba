"""Forecast, Forecaster and the registry of forecasters: by name, as a class, saved in a folder."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import polars as pl

from neuneu.curves.curve import Floats
from neuneu.errors import CannotForecastError, InputError, import_named, offered
from neuneu.files import read_object

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable
    from neuneu.evidence.evidence import Evidence
    from neuneu.evidence.finished import References
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
        if isinstance(level, bool) or not isinstance(level, int | float):
            rule = "must be one number, such as 0.9; ask level by level, or take `values` and `levels`"
            raise InputError(rule, field="level", value=level)
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

    def _repr_html_(self) -> str:
        return str(self.to_frame()._repr_html_())


@dataclass(frozen=True)
class Refusal:
    """A forecaster's answer to a question it declines: the reason, for people."""

    reason: str


Reads = Literal["run", "references", "losses"]
"""Evidence beside the context: other curves of the run, finished reference runs, losses of checkpoints."""

CONFIG = "config.json"
"""File of a saved forecaster's folder that names the forecaster; others stand beside it."""


SEEDS = "seeds.json"
"""File of a folder of one forecaster under several seeds, which names their folders."""


class Forecaster(ABC):
    """Evidence → forecast. Subclasses answer many questions at once in `forecast_many`.

    name: as on the command line, the class's name where none is given; learns: whether `fit` needs finished
    runs' curves; reads: what it looks at beside the context (and the planned end): evidence of another kind
    changes neither what `fit` learns nor a forecast; sees_future: whether it reads losses after the context
    end (published variants that do are labelled); options: what `with_options` can set.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = False
    reads: ClassVar[frozenset[Reads]] = frozenset()
    sees_future: ClassVar[bool] = False
    options: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        """Name the class for itself where neither it nor a named base says otherwise."""
        super().__init_subclass__(**options)
        inherited = getattr(cls, "name", None)
        if "name" not in vars(cls) and inherited in (None, *(base.__name__ for base in cls.__mro__[1:])):
            cls.name = cls.__name__

    def with_options(self, **options: Any) -> Self:
        """Set how it answers, of what `options` names: device (cpu, cuda, cuda:1), where its network works.

        Delta probes: delta (anchor or cumulative) and anchor (a checkpoint of the context). Raises InputError
        on a name that it does not take, and on a value that cannot be.
        """
        for name, value in options.items():
            if name not in self.options:
                raise InputError(f"{self.name} does not take it", field=name, value=value)
        return self

    def fit(
        self,
        curves: "CurveTable",
        losses: "LossStore | None" = None,
        *,
        references: "References | None" = None,
        seed: int = 0,
    ) -> Self:
        """Learn from finished runs (parameters, calibration); does nothing where there is nothing to learn.

        `losses` and `references` are what may be looked at, as in evaluation: losses of checkpoints, and
        which finished runs each training question may look at. A method that does not read them (`reads`)
        learns the same without. The same seed gives the same.
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
        answer = self.forecast_many([evidence], [check_horizons(horizons, evidence.end)])[0]
        if isinstance(answer, Refusal):
            raise CannotForecastError(f"{self.name}: {answer.reason}")
        return answer

    def save(self, folder: str | Path) -> None:
        """Write what it has learned to a folder: config.json, and what else it needs.

        Raises InputError where there is nothing to save, or not yet.
        """
        raise InputError("has nothing to save: it learns nothing", field="forecaster", value=self.name)

    def load(self, folder: str | Path) -> Self:
        """Take over what `save` wrote. Raises InputError on files that are not that."""
        raise InputError("has nothing to load: it learns nothing", field="forecaster", value=self.name)

    def load_shipped(self) -> Self:
        """Take over what ships with the package; nothing where it does not learn.

        Raises InputError where it has to learn and nothing ships.
        """
        if self.learns:
            rule = "nothing ships of it: fit it on finished runs, or load a folder that save wrote"
            raise InputError(rule, field="forecaster", value=self.name)
        return self


def check_horizons(horizons: object, end: float) -> Floats:
    """Horizons as an array, (n_horizons,). Raises InputError where they are no list, or not after `end`."""
    clocks = np.asarray(horizons)
    if clocks.ndim != 1 or clocks.dtype.kind not in "iuf":
        rule = "must be a list of clock values, such as [3e11]"
        raise InputError(rule, field="horizons", value=horizons)
    clocks = clocks.astype(np.float64)
    late = np.isfinite(clocks) & (clocks > end)
    if not late.all():
        rule = f"is not after the context, which ends at clock {end:g}; ask for a later one"
        raise InputError(rule, field="horizons", value=float(clocks[~late][0]))
    return clocks


DEFAULT_FORECASTER = "neuneu-2"
"""What is used where no forecaster is named."""


def read_folder(folder: str | Path, *names: str) -> dict[str, Any]:
    """config.json of a saved forecaster's folder.

    Raises InputError where it is missing or no object, or is of a forecaster of none of these names.
    """
    path = Path(folder) / CONFIG
    config = read_object(path)
    if names and config.get("forecaster") not in names:
        raise InputError(
            f"must be {' or '.join(names)}", where=path, field="forecaster", value=config.get("forecaster")
        )
    return config


def check_no_seeds(folder: str | Path) -> None:
    """Refuse a folder of one forecaster under several seeds, where a model is to be written."""
    if (Path(folder) / SEEDS).is_file():
        rule = f"holds several seeds of one forecaster ({SEEDS}): choose another folder"
        raise InputError(rule, where=folder)


REGISTRY: dict[str, str | type[Forecaster]] = {
    "last-value": "neuneu.forecasters.baselines:LastValue",
    "mean-k": "neuneu.forecasters.baselines:MeanOfLast",
    "log-linear": "neuneu.forecasters.baselines:LogLinear",
    "reference-shift": "neuneu.forecasters.baselines:ReferenceShift",
    "power-law": "neuneu.forecasters.laws:PowerLaw",
    "broken-power-law": "neuneu.forecasters.laws:BrokenPowerLaw",
    "logistic": "neuneu.forecasters.logistic:Logistic",
    "logistic-future": "neuneu.forecasters.logistic:LogisticFuture",
    "loss-law": "neuneu.forecasters.loss_law:MomentLaw",
    "rise-law": "neuneu.forecasters.loss_law:RiseLaw",
    "ladder": "neuneu.forecasters.ladder:Ladder",
    "gaussian-process": "neuneu.forecasters.gaussian_process:GaussianProcess",
    "lightgbm": "neuneu.forecasters.trees:BoostedTrees",
    "lc-pfn": "neuneu.forecasters.lcpfn.forecaster:LCPFN",
    "damped-holt": "neuneu.forecasters.rivals:DampedHolt",
    "dot": "neuneu.forecasters.rivals:DynamicOptimizedTheta",
    "neuneu-2": "neuneu.forecasters.neuneu2.model:Neuneu2",
    "neuneu": "neuneu.forecasters.neuneu.forecaster:NeuNeuForecaster",
    "neuneu-sequential": "neuneu.forecasters.neuneu.forecaster:NeuNeuSequential",
    "neuneu-average": "neuneu.forecasters.neuneu.forecaster:NeuNeuAverage",
    "neuneu-diffhist": "neuneu.forecasters.neuneu.forecaster:NeuNeuDiffHist",
    "neuneu-noloss": "neuneu.forecasters.neuneu.forecaster:NeuNeuNoLoss",
    "neuneu-levels": "neuneu.forecasters.neuneu.forecaster:NeuNeuLevels",
    "neuneu-residual": "neuneu.forecasters.neuneu.forecaster:NeuNeuResidual",
    "probe-cnn": "neuneu.forecasters.neuneu.probe_forecasters:CNNProbe",
    "probe-histogram": "neuneu.forecasters.neuneu.probe_forecasters:HistogramProbeForecaster",
    "probe-delta": "neuneu.forecasters.neuneu.probe_forecasters:DeltaProbeForecaster",
    "probe-kl-delta": "neuneu.forecasters.neuneu.probe_forecasters:KLDeltaProbeForecaster",
    "probe-average": "neuneu.forecasters.neuneu.probe_forecasters:AverageProbeForecaster",
}
"""Forecaster names → "module:Class", imported when asked for, or the class that `register` was given."""

ENTRY_POINTS = "neuneu.forecasters"
"""Group of entry points by which an installed package brings forecasters: name = "module:Class"."""


Kind = TypeVar("Kind", bound=type[Forecaster])


def register(name: str) -> Callable[[Kind], Kind]:
    """Give a class of forecasters a name, by which it is found wherever names are taken.

    Raises InputError where the name is taken by another class.
    """

    def give(kind: Kind) -> Kind:
        taken, own = REGISTRY.get(name), f"{kind.__module__}:{kind.__qualname__}"
        if isinstance(taken, type):
            taken = f"{taken.__module__}:{taken.__qualname__}"
        if taken not in (None, own):
            raise InputError("another forecaster has this name", field="forecaster", value=name)
        kind.name = name
        REGISTRY[name] = kind
        return kind

    return give


def forecaster_names() -> list[str]:
    """Every name that a forecaster can be asked for by, those of this package first."""
    return list(dict.fromkeys([*REGISTRY, *sorted(point.name for point in _entry_points())]))


def make_forecaster(name: str) -> Forecaster:
    """A fresh forecaster, not fitted: of a name (`forecaster_names`), or of "package.module:Class".

    Raises InputError where there is none, or it cannot be made without arguments.
    """
    kind = _find(name)
    try:
        return kind()
    except TypeError as error:
        rule = f"cannot be made without arguments: make one in Python and give that ({error})"
        raise InputError(rule, field="forecaster", value=name) from error


def load_forecaster(name_or_folder: str | Path) -> Forecaster:
    """A forecaster that is ready to use: by name with what ships in the package, or a folder that was saved.

    The folder's config.json says by name what it holds; nothing but what is registered is made of it.
    """
    name, folder = str(name_or_folder), Path(name_or_folder)
    if not folder.is_dir() or name in forecaster_names():
        try:
            return make_forecaster(name).load_shipped()
        except InputError as error:
            if not (folder / CONFIG).is_file():
                raise
            rule = f"{error.rule}; a folder of this name is here: write ./{name}"
            raise InputError(rule, where=error.where, field=error.field, value=error.value) from error
    if not (folder / CONFIG).is_file():
        raise InputError(f"the folder holds no {CONFIG}", field="forecaster", value=name)
    saved = read_folder(folder).get("forecaster")
    if saved not in forecaster_names():
        rule = "no forecaster of this name is known here: import or register its class first"
        raise InputError(rule, where=folder / CONFIG, field="forecaster", value=saved)
    return make_forecaster(str(saved)).load(folder)


def resolve_forecaster(given: str | Path | Forecaster) -> Forecaster:
    """The forecaster itself where one is given, else the one of this name or folder, ready to use."""
    return given if isinstance(given, Forecaster) else load_forecaster(given)


def _entry_points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))


def _find(name: str) -> type[Forecaster]:
    """The class of this name. Raises InputError that lists what is known."""
    where: str | type[Forecaster] | None = REGISTRY.get(name)
    if where is None:
        where = next((point.value for point in _entry_points() if point.name == name), None)
    if where is None and ":" in name:
        where = name
    if where is None:
        rule = f"neither a forecaster, a folder nor package.module:Class{offered(name, forecaster_names())}"
        raise InputError(rule, field="forecaster", value=name)
    return where if isinstance(where, type) else _import(where)


def _import(where: str) -> type[Forecaster]:
    """The class at "module:Class". Raises InputError where there is no such module or class."""
    found = import_named(where, "forecaster", "package.module:Class")
    if not (isinstance(found, type) and issubclass(found, Forecaster)):
        raise InputError("is not a class of forecasters", field="forecaster", value=where)
    return found
