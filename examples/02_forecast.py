"""Forecast a run in flight: quantiles of each task at the horizons that matter."""

import neuneu as nn

curves = nn.read_home_curves()
run = curves.filter(run="home/llama-800k-prose-seed0", task=["text_prose", "piqa"])
half = nn.CurveTable.from_frame(run.frame.filter(run.frame["tokens"] < 5e5))  # all that is known so far

found = nn.forecast(half, horizons=[7e5, 1e6])
print(found.to_frame().select("task", "clock", "q10", "q50", "q90"))
