"""The home suite, `configs/suite/home.yaml`: curves and token losses of small language models."""

from pathlib import Path

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.losses.loss_store import LossStore
from neuneu.losses.open import open_losses

CURVES = Path(__file__).parent / "curves.parquet"
LOSSES = Path(__file__).parent / "losses"
APART = ("balanced", "prose")
"""Recipes whose runs nothing that ships was trained on; neuneu-2 was on those of the others."""


def read_home_curves() -> CurveTable:
    """The packaged curves: BLiMP, multiple choice, text of each source, over 20 checkpoints a run.

    Raises InputError where the package was built without them.
    """
    if not CURVES.exists():
        raise InputError("the home suite's curves are not in this installation", where=CURVES)
    return CurveTable.read(CURVES)


def read_home_losses() -> LossStore:
    """Token losses of the packaged runs' checkpoints, labelled by the task that their text is (`text_prose`).

    Raises InputError where the package was built without them.
    """
    return open_losses(LOSSES, read_home_curves().runs)
