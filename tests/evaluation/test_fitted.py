"""A leaderboard says where a shipped forecaster was fitted on the runs that it is scored on."""

from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.evaluation.comparison import evaluate


@pytest.mark.parametrize(("family", "told"), [("pythia", True), ("home", False)])
def test_a_leaderboard_tells_what_was_fitted_on_its_runs(
    home: CurveTable, tmp_path: Path, family: str, *, told: bool
) -> None:
    curves = home.one_metric()
    few = curves.filter(run=curves.runs[:2], task=curves.tasks[:2])
    CurveTable(few.frame.with_columns(family=pl.lit(family))).write(tmp_path / "few.parquet")
    shipped = evaluate([tmp_path / "few.parquet"], ["last-value"], context=0.5, fit=False)
    afresh = evaluate([tmp_path / "few.parquet"], ["last-value"], context=0.5)
    assert ("were fitted on these runs or their family (Pythia)" in shipped.answers[0].fitted) is told
    assert "were fitted on" not in afresh.answers[0].fitted
