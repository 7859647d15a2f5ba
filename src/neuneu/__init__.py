"""Forecast a pretraining run's downstream accuracy from what its checkpoints have already shown."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neuneu.curves.table import CurveTable, read_curves
    from neuneu.evidence.evidence import Evidence, EvidenceBuilder
    from neuneu.forecasters.base import Forecast, Forecaster, load_forecaster

_WHERE = {
    "CurveTable": "neuneu.curves.table",
    "read_curves": "neuneu.curves.table",
    "Forecast": "neuneu.forecasters.base",
    "Forecaster": "neuneu.forecasters.base",
    "load_forecaster": "neuneu.forecasters.base",
    "Evidence": "neuneu.evidence.evidence",
    "EvidenceBuilder": "neuneu.evidence.evidence",
}

__all__ = [
    "CurveTable",
    "Evidence",
    "EvidenceBuilder",
    "Forecast",
    "Forecaster",
    "load_forecaster",
    "read_curves",
]


def __getattr__(name: str) -> object:
    """Public names are loaded when they are first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'neuneu' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
