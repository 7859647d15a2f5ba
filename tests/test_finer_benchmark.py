"""The benchmark of finer measures: what it makes of a table is what it says."""

import numpy as np
import polars as pl
import pytest
from benchmarks.finer import with_measure
from tests.forecasters.forecaster_cases import family


def test_a_measure_stands_beside_the_accuracies_as_a_metric_that_is_better_when_lower() -> None:
    table = family()
    plain, finer = with_measure(table, "none", None), with_measure(table, "bpb", None)
    assert plain is not None
    assert plain.metrics == ["acc"]
    assert finer is not None
    assert sorted(finer.metrics) == ["acc", "nll"]
    made, told = finer.frame.filter(metric="nll"), table.frame.filter(metric="bpb")
    assert made["value"].to_list() == pytest.approx(told["value"].to_list())
    assert with_measure(table, "soft", None) is None


def test_the_loss_of_a_run_is_read_between_its_measurements_and_not_beyond() -> None:
    table = family(sizes=1, tasks=1)
    tokens = table.frame["tokens"].unique().sort().to_numpy()
    losses = pl.DataFrame({"run": "run-0", "tokens": tokens[[4, 9]], "loss": [4.0, 2.0]})
    made = with_measure(table, "loss", losses)
    assert made is not None
    frame = made.frame.filter(metric="nll").sort("tokens")
    assert frame["tokens"].to_list() == tokens[4:10].tolist()
    np.testing.assert_allclose(frame["value"], np.linspace(4.0, 2.0, 6))
