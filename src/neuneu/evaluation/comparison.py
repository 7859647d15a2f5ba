"""Curve tables in, results out: what every door to an evaluation calls."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from neuneu.errors import InputError
from neuneu.evaluation.benchmark import EvaluationSettings, run_benchmark
from neuneu.evaluation.leaderboard import Results, leaderboard, results_frame
from neuneu.evaluation.protocol import By, Feed, Kind, Protocol
from neuneu.evaluation.published_results import PREDICTIONS, RESULTS, write_published
from neuneu.evaluation.splits import leave_source_out, read_manifest, read_sources, split_by_manifest
from neuneu.evidence.select import Selection
from neuneu.files import read_json, together, write_json, write_table
from neuneu.forecasters.base import SEEDS, Forecaster
from neuneu.forecasts.forecast import read_evidence

DECISIONS = "decisions.json"
"""What decisions would have been worth, in a folder of results."""


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
    options: Mapping[str, Any] | None = None,
) -> Results:
    """Compare forecasters on the same cells of finished runs.

    curves: tables or their paths; forecasters: names, folders or instances; losses: a store or its path;
    references: as `read_references` takes them; options: of those forecasters that take them
    (`Forecaster.with_options`); a folder of seeds, as `neuneu train --seeds` writes it, is one forecaster a
    seed, and their average; the rest: see `Protocol`, `EvaluationSettings` and `read_manifest`.
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
    chosen = selection or Selection()
    setting = EvaluationSettings(asked, split, store, allowed, chosen, fit, seed, options or {})
    cells, answers = run_benchmark(each_seed(forecasters), sources, setting)
    return Results(cells, answers, setting)


def each_seed(forecasters: Sequence[str | Path | Forecaster]) -> list[str | Path | Forecaster]:
    """The forecasters, a folder of seeds as its seed folders. Raises InputError where one is missing."""
    found: list[str | Path | Forecaster] = []
    for each in forecasters:
        if isinstance(each, Forecaster) or not (Path(each) / SEEDS).is_file():
            found.append(each)
            continue
        folder = str(each).rstrip("/")
        for row in read_json(Path(each) / SEEDS)["seeds"]:
            found.append(f"{folder}/{row['folder']}")
    return found


def check_output(output: Path | None) -> None:
    """Raise InputError where the folder that results go to is something else."""
    if output is not None and output.exists() and not output.is_dir():
        raise InputError("must be a folder", field="output", value=str(output))


def write_results(
    results: Results,
    output: Path,
    *,
    published: bool = False,
    decisions: Mapping[str, Any] | None = None,
) -> None:
    """Write cells.parquet, leaderboard.json and timings.json, the last apart since it differs each time.

    published: NeuNeu's own result files as well, in a folder a forecaster; see `write_published`; decisions:
    goes to decisions.json, and without it that of an earlier evaluation is removed. Raises InputError, having
    written nothing, where a forecaster's folder has published files of other runs.
    """
    check_output(output)
    n_cells = len(results.cells.values)
    seconds = {answers.name: {**answers.seconds, "n_cells": n_cells} for answers in results.answers}
    with together(output):
        if published:
            setting = results.setting
            files = write_published(
                results_frame(results), [question.curve for question in results.cells.questions], output,
                losses=setting.losses, context_ratio=setting.protocol.context, seed=setting.seed,
            )  # fmt: skip
            _refuse_others(files)
        write_table(output / "cells.parquet", results_frame(results))
        write_json(output / "leaderboard.json", leaderboard(results))
        write_json(output / "timings.json", seconds)
        if decisions is not None:
            write_json(output / DECISIONS, decisions)
    if decisions is None and (output / DECISIONS).is_file():
        (output / DECISIONS).unlink()


def _refuse_others(files: Sequence[Path]) -> None:
    """Raise InputError where published files that are not among these stand beside them."""
    for folder in sorted({path.parent for path in files}):
        there = {path for end in (RESULTS, PREDICTIONS) for path in folder.glob(f"*{end}")}
        others = sorted(there - set(files))
        if others:
            rule = "published files of other runs are here; remove them or choose another folder"
            raise InputError(rule, where=folder, field="output", value=others[0].name)
