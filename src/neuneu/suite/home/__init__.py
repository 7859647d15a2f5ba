"""The home suite's curves: small language models trained with `neuneu suite run configs/suite/home.yaml`."""

from pathlib import Path

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

CURVES = Path(__file__).parent / "curves.parquet"


def read_home_curves() -> CurveTable:
    """The packaged curves: BLiMP, multiple choice, text of each source, over 20 checkpoints a run.

    Raises InputError where the package was built without them.
    """
    if not CURVES.exists():
        raise InputError("the home suite's curves are not in this installation", where=CURVES)
    return CurveTable.read(CURVES)
