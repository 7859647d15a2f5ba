"""Training questions weigh every source alike, and every run of a source, however much there is of it."""

import numpy as np
import polars as pl
import pytest
from tests.unequal import SHAPES, unequal_tables

from neuneu.curves.table import CurveTable
from neuneu.evidence.questions import ask_questions
from neuneu.forecasters.base import make_forecaster
from neuneu.forecasters.calibration import CalibratedForecaster, Calibration, weighted_quantile

TABLES = unequal_tables()


def test_sources_and_runs_weigh_alike() -> None:
    questions = ask_questions(CurveTable.concat(list(TABLES.values())))
    runs = [evidence.context.key.run for evidence in questions.evidences]
    frame = pl.DataFrame({"run": runs, "source": questions.sources, "weight": questions.weights})
    per_run = frame.group_by("source", "run").agg(pl.col("weight").sum(), pl.len())
    assert per_run["len"].n_unique() > 4  # unequal indeed
    for source, shapes in SHAPES.items():
        own = per_run.filter(source=source)["weight"].to_numpy()
        np.testing.assert_allclose(own, 1 / len(shapes), rtol=1e-12)


def renamed(table: CurveTable) -> CurveTable:
    return CurveTable.from_frame(table.frame.with_columns(run=pl.col("run") + "-again"))


@pytest.mark.parametrize("name", ["last-value", "power-law"])
def test_a_source_with_all_its_runs_twice_calibrates_the_same(name: str) -> None:
    wide, narrow = TABLES.values()
    once = CurveTable.concat([wide, narrow])
    twice = CurveTable.concat([wide, renamed(wide), narrow])
    one, two = (_calibration(name, table) for table in (once, twice))
    np.testing.assert_allclose(one.noise, two.noise, atol=1e-3)
    np.testing.assert_allclose(one.quantiles, two.quantiles, atol=0.05)
    alone = _calibration(name, wide)
    assert np.abs(np.subtract(alone.noise, one.noise)).max() > 0.02  # the narrow source counts


def _calibration(name: str, table: CurveTable) -> Calibration:
    fitted = make_forecaster(name).fit(table)
    assert isinstance(fitted, CalibratedForecaster)
    assert fitted.calibration is not None
    return fitted.calibration


def test_a_weight_counts_like_repetition() -> None:
    values, weights = np.array([3.0, 1.0, 2.0, 5.0]), np.array([1.0, 4.0, 2.0, 1.0])
    repeated = np.repeat(values, weights.astype(int) * 200)
    for level in (0.1, 0.25, 0.5, 0.75, 0.9):
        by_weight = weighted_quantile(values, weights, level)
        by_hand = np.interp(level * 8, [2.0, 5.0, 6.5, 7.5], [1.0, 2.0, 3.0, 5.0])
        assert by_weight == pytest.approx(by_hand)
        assert weighted_quantile(repeated, np.ones(len(repeated)), level) == pytest.approx(
            np.quantile(repeated, level, method="hazen")
        )
