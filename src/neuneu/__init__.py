"""Forecast a pretraining run's downstream accuracy from what its checkpoints have already shown."""

__version__ = "0.1.0"
