"""Curves and evidence for tests of forecasters."""

from dataclasses import replace

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve, CurveKey, Facts, Floats
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import Evidence

ALONE = ("last-value", "mean-k", "log-linear", "power-law", "broken-power-law", "gaussian-process")
"""Methods that answer any context, without an extra."""
WITH_EXTRAS = (*ALONE, "lightgbm", "neuneu-2")


def make_curve(
    clock: Floats,
    values: Floats,
    *,
    high: float = 1.0,
    low: float = 0.0,
    run: str = "run",
    params: int = 10**8,
) -> Curve:
    """A curve with a clock in tokens."""
    clock = np.asarray(clock, dtype=np.float64)
    return Curve(
        key=CurveKey(run, "task", "acc" if high == 1 else "bpb"),
        steps=np.arange(len(clock), dtype=np.int64),
        clock=clock,
        clock_unit="tokens",
        values=np.asarray(values, dtype=np.float64),
        stderr=np.full(len(clock), np.nan),
        low=low,
        high=high,
        facts=Facts(family="family", params=params),
    )


def scaled(evidence: Evidence, factor: float) -> Evidence:
    """The same evidence with its clock in another unit."""
    context = replace(evidence.context, clock=evidence.context.clock * factor)
    return replace(evidence, context=context)


def family(sizes: int = 4, tasks: int = 3, checkpoints: int = 24, seed: int = 0) -> CurveTable:
    """Runs of one family on a few tasks, accuracy and bits per byte, larger ones longer and better."""
    rng = np.random.default_rng(seed)
    rows = []
    for size in range(sizes):
        params = 10**7 * 2**size
        tokens = np.linspace(1, checkpoints, checkpoints) * params
        for task in range(tasks):
            bpb = 0.6 + 40 * tokens**-0.25 + 30 * params**-0.3 + 0.02 * task
            accuracy = 0.25 + 0.6 / (1 + np.exp(6 * (np.log(bpb) - 0.1 * task)))
            noisy = np.clip(accuracy + 0.005 * rng.standard_normal(checkpoints), 0, 1)
            for metric, values in (("acc", noisy), ("bpb", bpb)):
                rows += [
                    {"run": f"run-{size}", "task": f"task-{task}", "metric": metric, "step": step + 1,
                     "value": float(value), "tokens": int(token), "params": params, "family": "family"}
                    for step, (value, token) in enumerate(zip(values, tokens, strict=True))
                ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))
