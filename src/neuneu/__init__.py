"""Forecast a pretraining run's downstream accuracy from what its checkpoints have already shown.

```python
import neuneu as nn

curves = nn.read_lm_eval("results/", run="my-run", params=1.3e9, tokens_per_step=2_097_152)
old = nn.read_curves("old.parquet")
found = nn.forecast(curves, horizons=[1e11, 3e11], references=old)
print(found.to_frame())
```
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neuneu.api import (
        Forecasts,
        Inspection,
        Leaderboard,
        advise,
        evaluate,
        forecast,
        inspect,
        plot,
        rank,
        read_lm_eval,
        read_results,
        report,
        should_stop,
        trust,
    )
    from neuneu.curves.table import CurveTable, read_curves
    from neuneu.errors import CannotForecastError, InputError, MissingExtraError, NeuneuError
    from neuneu.evidence.evidence import Evidence, EvidenceBuilder
    from neuneu.forecasters.base import (
        LEVELS,
        Forecast,
        Forecaster,
        Refusal,
        load_forecaster,
        make_forecaster,
        register,
    )
    from neuneu.forecasters.baselines import LastValue, LogLinear, MeanOfLast, ReferenceShift
    from neuneu.forecasters.gaussian_process import GaussianProcess
    from neuneu.forecasters.ladder import Ladder
    from neuneu.forecasters.laws import BrokenPowerLaw, PowerLaw
    from neuneu.forecasters.logistic import Logistic
    from neuneu.forecasters.neuneu.forecaster import NeuNeuForecaster
    from neuneu.forecasters.neuneu2.model import Neuneu2
    from neuneu.forecasters.trees import BoostedTrees
    from neuneu.integrations.lightning import LightningForecastCallback
    from neuneu.integrations.optuna import ForecastPruner
    from neuneu.integrations.trainer import ForecastCallback
    from neuneu.integrations.tune import ForecastScheduler
    from neuneu.losses.open import open_losses
    from neuneu.suite.home import read_home_curves, read_home_losses

_MODULES = {
    "neuneu.api": (
        "Forecasts", "Inspection", "Leaderboard", "advise", "evaluate", "forecast", "inspect", "plot", "rank",
        "read_lm_eval", "read_results", "report", "should_stop", "trust",
    ),
    "neuneu.curves.table": ("CurveTable", "read_curves"),
    "neuneu.errors": ("CannotForecastError", "InputError", "MissingExtraError", "NeuneuError"),
    "neuneu.evidence.evidence": ("Evidence", "EvidenceBuilder"),
    "neuneu.forecasters.base": (
        "LEVELS", "Forecast", "Forecaster", "Refusal", "load_forecaster", "make_forecaster", "register",
    ),
    "neuneu.forecasters.baselines": ("LastValue", "LogLinear", "MeanOfLast", "ReferenceShift"),
    "neuneu.forecasters.gaussian_process": ("GaussianProcess",),
    "neuneu.forecasters.ladder": ("Ladder",),
    "neuneu.forecasters.laws": ("BrokenPowerLaw", "PowerLaw"),
    "neuneu.forecasters.logistic": ("Logistic",),
    "neuneu.forecasters.neuneu2.model": ("Neuneu2",),
    "neuneu.forecasters.neuneu.forecaster": ("NeuNeuForecaster",),
    "neuneu.forecasters.trees": ("BoostedTrees",),
    "neuneu.integrations.lightning": ("LightningForecastCallback",),
    "neuneu.integrations.optuna": ("ForecastPruner",),
    "neuneu.integrations.trainer": ("ForecastCallback",),
    "neuneu.integrations.tune": ("ForecastScheduler",),
    "neuneu.losses.open": ("open_losses",),
    "neuneu.suite.home": ("read_home_curves", "read_home_losses"),
    "neuneu.atlas": ("atlas",),
}  # fmt: skip
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "LEVELS",
    "BoostedTrees",
    "BrokenPowerLaw",
    "CannotForecastError",
    "CurveTable",
    "Evidence",
    "EvidenceBuilder",
    "Forecast",
    "ForecastCallback",
    "ForecastPruner",
    "ForecastScheduler",
    "Forecaster",
    "Forecasts",
    "GaussianProcess",
    "InputError",
    "Inspection",
    "Ladder",
    "LastValue",
    "Leaderboard",
    "LightningForecastCallback",
    "LogLinear",
    "Logistic",
    "MeanOfLast",
    "MissingExtraError",
    "NeuNeuForecaster",
    "Neuneu2",
    "NeuneuError",
    "PowerLaw",
    "ReferenceShift",
    "Refusal",
    "advise",
    "atlas",
    "evaluate",
    "forecast",
    "inspect",
    "load_forecaster",
    "make_forecaster",
    "open_losses",
    "plot",
    "rank",
    "read_curves",
    "read_home_curves",
    "read_home_losses",
    "read_lm_eval",
    "read_results",
    "register",
    "report",
    "should_stop",
    "trust",
]


def __getattr__(name: str) -> object:
    """Public names are loaded when they are first used; what lacks a library names its extra."""
    if name not in _WHERE:
        raise AttributeError(f"module 'neuneu' has no attribute {name!r}")
    try:
        module = import_module(_WHERE[name])
    except ModuleNotFoundError as error:
        from neuneu.errors import missing_extra

        raise missing_extra(error) or error from error
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
