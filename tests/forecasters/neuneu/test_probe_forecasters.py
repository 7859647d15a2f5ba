"""Probes as forecasters: losses alone → accuracies."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.forecasters.neuneu.small import make_losses, make_table

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.forecasters.base import LEVELS, Refusal, make_forecaster
from neuneu.forecasters.neuneu.probe_forecasters import ProbeForecaster

PROBES = ["probe-cnn", "probe-histogram", "probe-delta", "probe-kl-delta", "probe-average"]
GROUPS = ["arc_easy"] * 300 + ["other"] * 300


def short(name: str, steps: int = 10) -> ProbeForecaster:
    """A probe that `fit` trains for a few steps."""
    probe = make_forecaster(name)
    assert isinstance(probe, ProbeForecaster)
    training = probe.config.training.model_copy(update={"max_steps": steps})
    probe.config = probe.config.model_copy(update={"training": training})
    return probe


@pytest.mark.parametrize("name", PROBES)
def test_probe_forecasts_and_is_labelled(name: str) -> None:
    probe = short(name)
    assert probe.sees_future
    store, table = make_losses(groups=GROUPS), make_table()
    probe.fit(table, store)
    builder = EvidenceBuilder(table, store)
    curves = [c for c in table if c.key.run == "run-1"]
    evidences = [builder.at(c, 4000, sees_future=True) for c in curves]
    horizons = [c.after(4000).clock for c in curves]
    for forecast, at in zip(probe.forecast_many(evidences, horizons), horizons, strict=True):
        assert not isinstance(forecast, Refusal)
        assert forecast.values.shape == (len(at), len(LEVELS))
    unseen = replace(evidences[0], future_losses=None)
    assert isinstance(probe.forecast_many([unseen], horizons[:1])[0], Refusal)
    again = short(name).fit(table, store)
    first, second = (p.forecast(evidences[0], horizons[0]).values for p in (probe, again))
    np.testing.assert_array_equal(first, second)


def test_probe_needs_losses() -> None:
    with pytest.raises(InputError, match="loss store"):
        make_forecaster("probe-average").fit(make_table())


def test_average_probe_learns_what_losses_say() -> None:
    """Where accuracy is a function of the mean loss, the probe finds it, for a run that it never saw.

    It errs by less than a fifth of what the other runs' mean accuracy errs by (measured: a ninth).
    """
    store, table = make_losses(), make_table()
    mean = {(run, step): store.read(run, step).mean() for run in store.runs for step in store.steps(run)}
    rows = [
        {**row, "value": float(np.exp(-0.4 * mean[row["run"], row["step"]]))}
        for row in table.frame.filter(pl.col("step") > 0).to_dicts()
    ]
    exact = CurveTable.from_frame(pl.DataFrame(rows, schema=table.frame.schema))
    others = exact.filter(run=exact.runs[1:])
    probe = make_forecaster("probe-average").fit(others, store)
    curve = next(curve for curve in exact if curve.key.run == exact.runs[0])
    later = curve.after(3000)
    evidence = EvidenceBuilder(exact, store).at(curve, 3000, sees_future=True)
    error = np.abs(probe.forecast(evidence, later.clock).median - later.values).mean()
    usual = float(np.mean([other.values.mean() for other in others]))
    assert error < 0.2 * np.abs(usual - later.values).mean()
