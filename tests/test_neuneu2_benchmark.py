"""Every curve is asked with what ships, trained anew without the family that is left out."""

import polars as pl
import pytest
from benchmarks.neuneu2 import AsShipped
from benchmarks.ship import own_runs
from tests.forecasters.forecaster_cases import family

from neuneu.curves.table import CurveTable
from neuneu.forecasters.neuneu2.model import Neuneu2, TrainingSettings


def test_it_is_trained_once_on_everything_but_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Neuneu2, "settings", TrainingSettings(families=3, process_steps=4, trees=8))
    frame = family().frame.with_columns(source=pl.lit("one"), family=pl.lit("a"))
    renamed = frame.with_columns(source=pl.lit("two"), family=pl.lit("b"), run="two " + pl.col("run"))
    own = own_runs().frame.filter(pl.col("run") == own_runs().runs[0]).select(frame.columns)
    everything = CurveTable.from_frame(pl.concat([frame, renamed, own], how="vertical_relaxed"))
    monkeypatch.setattr(AsShipped, "everything", everything, raising=False)
    monkeypatch.setattr(AsShipped, "trained", {})
    # What is asked beside it, and has no licence to train on, is not trained on.
    given = CurveTable(pl.concat([renamed, renamed.with_columns(family=pl.lit("no licence"))]))
    first, second = AsShipped().fit(given), AsShipped().fit(given)
    assert first.without == second.without == {"a"}
    assert list(AsShipped.trained) == [(frozenset({"a"}), 0)]
    assert first.model is second.model
