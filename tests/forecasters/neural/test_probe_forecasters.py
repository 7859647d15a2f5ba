"""Probes as forecasters: losses alone → accuracies."""

from dataclasses import replace

import numpy as np
import pytest
from tests.forecasters.neural.small import make_losses, make_table

from neuneu.errors import InputError
from neuneu.forecasters.base import LEVELS, Refusal, make_forecaster
from neuneu.forecasters.evidence import EvidenceBuilder
from neuneu.forecasters.neural.probe_forecasters import ProbeForecaster

PROBES = ["probe-cnn", "probe-histogram", "probe-delta", "probe-kl-delta", "probe-average"]
GROUPS = ["arc_easy"] * 300 + ["other"] * 300


@pytest.mark.parametrize("name", PROBES)
def test_probe_forecasts_and_is_labelled(name: str) -> None:
    probe = make_forecaster(name)
    assert isinstance(probe, ProbeForecaster)
    assert probe.sees_future
    probe.max_steps = 30
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
    again = make_forecaster(name)
    assert isinstance(again, ProbeForecaster)
    again.max_steps = 30
    again.fit(table, store)
    first, second = (p.forecast(evidences[0], horizons[0]).values for p in (probe, again))
    np.testing.assert_array_equal(first, second)


def test_probe_needs_losses() -> None:
    with pytest.raises(InputError, match="loss store"):
        make_forecaster("probe-average").fit(make_table())


def test_average_probe_learns_what_losses_say() -> None:
    """Where accuracy is a function of the mean loss, the probe finds it."""
    store, table = make_losses(), make_table()
    mean = {
        (r, int(s)): float(m) for r in store.runs for s, m in zip(store.steps(r), store.mean(r), strict=True)
    }
    import polars as pl

    from neuneu.curves.table import CurveTable

    rows = [
        {**row, "value": float(np.clip(np.exp(-0.4 * mean[row["run"], row["step"]]), 0, 1))}
        for row in table.frame.filter(pl.col("step") > 0).to_dicts()
    ]
    exact = CurveTable.from_frame(pl.DataFrame(rows, schema=table.frame.schema))
    probe = make_forecaster("probe-average").fit(exact, store)
    builder = EvidenceBuilder(exact, store)
    curve = exact.curves[0]
    later = curve.after(3000)
    answer = probe.forecast(builder.at(curve, 3000, sees_future=True), later.clock)
    assert np.abs(answer.median - later.values).mean() < 0.06
