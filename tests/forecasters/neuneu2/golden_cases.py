"""What the shipped neuneu-2 is pinned on: packaged home runs and generated ones, three rules of references.

`python -m tests.forecasters.neuneu2.golden_cases` writes golden.json again (after new weights, on purpose
only); with `--compare` it prints by how much the forecasts of now differ from those written.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from neuneu.curves.curve import Curve
from neuneu.curves.table import CurveTable
from neuneu.evidence.evidence import EvidenceBuilder
from neuneu.evidence.finished import References, finished_runs, smaller_finished_runs
from neuneu.forecasters.base import Forecast, Forecaster, load_forecaster
from neuneu.suite.home import read_home_curves

GOLDEN = Path(__file__).parent / "golden.json"

RULES: dict[str, References | None] = {
    "alone": None,
    "smaller": smaller_finished_runs,
    "finished": finished_runs,
}

HOME = (
    ("home/llama-800k-balanced-seed0", "text_prose", 5),
    ("home/llama-800k-code-seed0", "blimp_adjunct_island", 12),
    ("home/llama-200k-code-seed1", "sciq", 9),
    ("home/mamba-50k-prose-seed0", "continuation_prose", 3),
)
"""Run, task and context size in checkpoints of the home curves that are pinned."""

GENERATED = (
    ("large-0", "rises", 6),
    ("large-1", "jumps", 14),
    ("small-0", "falls", 9),
    ("middle-1", "stays", 2),
)
"""The same of the generated curves."""

AHEAD = (0, 3, None)
"""Places after the context that are asked: the next checkpoint, the fourth, the last."""

COVERAGE_CONTEXT = 6
"""Checkpoints in the contexts that coverage is measured from, of 20 or 21."""


def generated_curves() -> CurveTable:
    """Two recipes at three sizes on four tasks that rise, jump, fall and stay; accuracy and bits per byte."""
    random = np.random.default_rng(20)
    rows = []
    for size, params in (("small", 2e7), ("middle", 6e7), ("large", 2e8)):
        for recipe in range(2):
            tokens = np.round(np.linspace(1 / 24, 1, 24) * 20 * params)
            progress = np.log(tokens / 1e7) + 0.3 * np.log(params / 2e7) + 0.2 * recipe
            values = {
                "rises": 0.25 + 0.09 * progress,
                "jumps": 0.3 + 0.02 * progress + 0.15 * (tokens > 0.45 * tokens[-1]),
                "falls": 0.6 - 0.03 * progress,
                "stays": 0.5 + 0.0 * progress,
            }
            for number, (task, smooth) in enumerate(values.items()):
                noisy = np.clip(smooth + 0.006 * random.standard_normal(24), 0.01, 0.99)
                bits = 1.4 - 0.08 * progress + 0.03 * number + 0.002 * random.standard_normal(24)
                for metric, measured in (("acc", noisy), ("bpb", bits)):
                    rows += [
                        {"run": f"{size}-{recipe}", "task": task, "metric": metric, "step": step + 1,
                         "value": float(value), "tokens": int(token), "params": int(params),
                         "planned_tokens": int(tokens[-1]), "family": "made", "recipe": f"mix-{recipe}",
                         "n_items": 1000, "chance": 0.25 if metric == "acc" else None}
                        for step, (value, token) in enumerate(zip(measured, tokens, strict=True))
                    ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows, infer_schema_length=None))


def forecasts(forecaster: Forecaster) -> Iterator[dict[str, Any]]:
    """The pinned cells: every curve under every rule of references at three horizons."""
    for table, chosen in ((read_home_curves(), HOME), (generated_curves(), GENERATED)):
        curves = {(curve.key.run, curve.key.task): curve for curve in table.one_metric()}
        for rule, references in RULES.items():
            builder = EvidenceBuilder(table, references=references)
            asked = [(curves[run, task], size) for run, task, size in chosen]
            evidences = [builder.at(curve, float(curve.clock[size - 1])) for curve, size in asked]
            horizons = [_horizons(curve, size) for curve, size in asked]
            answers = forecaster.forecast_many(evidences, horizons)
            for (curve, size), answer in zip(asked, answers, strict=True):
                assert isinstance(answer, Forecast)
                for horizon, quantiles in zip(answer.horizons, answer.values, strict=True):
                    yield {
                        "run": curve.key.run, "task": curve.key.task, "references": rule, "context": size,
                        "horizon": float(horizon), "quantiles": quantiles.tolist(),
                    }  # fmt: skip


def _horizons(curve: Curve, size: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    later = curve.clock[size:]
    return np.array([later[-1 if place is None else place] for place in AHEAD])


def coverage(forecaster: Forecaster) -> float:
    """Share of the home runs' later checkpoints inside the 80 % interval, every third curve asked."""
    table = read_home_curves()
    builder = EvidenceBuilder(table)
    curves = table.one_metric().curves[::3]
    evidences = [builder.at(curve, float(curve.clock[COVERAGE_CONTEXT - 1])) for curve in curves]
    answers = forecaster.forecast_many(evidences, [curve.clock[COVERAGE_CONTEXT:] for curve in curves])
    inside = []
    for curve, answer in zip(curves, answers, strict=True):
        assert isinstance(answer, Forecast)
        low, high = answer.interval(0.8).T
        later = curve.values[COVERAGE_CONTEXT:]
        inside.append(float(np.mean((low <= later) & (later <= high))))
    return float(np.mean(inside))


def main() -> None:
    shipped = load_forecaster("neuneu-2")
    cells, share = list(forecasts(shipped)), coverage(shipped)
    if "--compare" in sys.argv:
        written = json.loads(GOLDEN.read_text(encoding="utf-8"))
        one, two = (np.array([cell["quantiles"] for cell in part]) for part in (cells, written["cells"]))
        print(f"{len(cells)} cells, largest difference {np.abs(one - two).max()}, "
              f"coverage {share} (was {written['coverage80']})")  # fmt: skip
        return
    lines = ",\n  ".join(json.dumps(cell) for cell in cells)
    GOLDEN.write_text(f'{{"coverage80": {share!r}, "cells": [\n  {lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
