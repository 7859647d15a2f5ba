"""Curve tables in, results out: what every door to an evaluation calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from neuneu.errors import InputError
from neuneu.evaluation.benchmark import Progress, Setting, run_benchmark
from neuneu.evaluation.leaderboard import Results, leaderboard, results_frame
from neuneu.evaluation.protocol import By, Feed, Kind, Protocol
from neuneu.evaluation.splits import leave_source_out, read_manifest, read_sources, split_by_manifest
from neuneu.evidence.select import Selection
from neuneu.files import write_json, write_table
from neuneu.forecasters.base import Forecaster
from neuneu.forecasts.forecast import read_evidence


def evaluate(
    curves: Sequence[Any],
    forecasters: Sequence[str | Path | Forecaster],
    *,
    protocol: str = "fraction",
    context: float = 0.2,
    by: str = "clock",
    feed: str = "median",
    selection: Selection | None = None,
    losses: Any = None,
    references: Any = None,
    manifest: Path | None = None,
    fit: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Results:
    """Compare forecasters on the same cells of finished runs.

    curves: tables or their paths; forecasters: names, folders or instances; losses: a store or its path;
    references: as `read_references` takes them; the rest: see `Protocol`, `Setting` and `read_manifest`.
    Raises InputError on anything that cannot be asked.
    """
    if not forecasters:
        raise InputError("at least one is needed", field="forecasters")
    asked = Protocol(cast(Kind, protocol), context, cast(By, by), cast(Feed, feed))
    sources = read_sources(curves)
    split = (
        leave_source_out(sources, seed)
        if manifest is None
        else split_by_manifest(sources, read_manifest(manifest))
    )
    runs = sorted({run for source in sources for run in source.table.runs})
    allowed, store = read_evidence(references, losses, runs)
    setting = Setting(asked, split, store, allowed, selection or Selection(), fit, seed)
    cells, answers = run_benchmark(forecasters, sources, setting, progress)
    return Results(cells, answers, setting)


def check_output(output: Path | None) -> None:
    """Raise InputError where the folder that results go to is something else."""
    if output is not None and output.exists() and not output.is_dir():
        raise InputError("must be a folder", field="output", value=str(output))


def write_results(results: Results, output: Path) -> None:
    """Write cells.parquet, leaderboard.json and timings.json, the last apart since it differs each time."""
    check_output(output)
    write_table(output / "cells.parquet", results_frame(results))
    write_json(output / "leaderboard.json", leaderboard(results))
    n_cells = len(results.cells.values)
    seconds = {answers.name: {**answers.seconds, "n_cells": n_cells} for answers in results.answers}
    write_json(output / "timings.json", seconds)
