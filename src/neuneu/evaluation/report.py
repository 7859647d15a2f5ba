"""Files in, files out: what `neuneu evaluate` does and prints."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from neuneu.curves.tasks import find_metric
from neuneu.errors import InputError
from neuneu.evaluation.benchmark import Progress, Setting, run_benchmark
from neuneu.evaluation.leaderboard import Results, cells_frame, leaderboard
from neuneu.evaluation.protocol import By, Feed, Kind, Protocol
from neuneu.evaluation.splits import Source, leave_source_out, read_manifest, read_sources, split_by_manifest
from neuneu.evidence.evidence import REFERENCES
from neuneu.files import write_json, write_table
from neuneu.losses.loss_store import LossStore


def evaluate_files(
    curves: Sequence[Path],
    forecasters: Sequence[str],
    *,
    protocol: str = "fraction",
    context: float = 0.2,
    by: str = "clock",
    feed: str = "median",
    metric: str | None = None,
    losses: Path | None = None,
    references: str = "none",
    manifest: Path | None = None,
    fit: bool = True,
    seed: int = 0,
    output: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate forecasters on curve files; returns the leaderboard, writes it and all cells to `output`.

    output: a folder that gets cells.parquet, leaderboard.json and timings.json, the last apart since it
    differs each time. Raises InputError on anything that cannot be asked.
    """
    if not forecasters:
        raise InputError("at least one is needed", field="forecasters")
    if references not in REFERENCES:
        raise InputError(f"must be one of {', '.join(REFERENCES)}", field="references", value=references)
    if output is not None and output.exists() and not output.is_dir():
        raise InputError("must be a folder", field="output", value=str(output))
    asked = Protocol(cast(Kind, protocol), context, cast(By, by), cast(Feed, feed))
    sources = read_sources(curves)
    split = (
        leave_source_out(sources, seed)
        if manifest is None
        else split_by_manifest(sources, read_manifest(manifest))
    )
    setting = Setting(asked, split, _open_losses(losses, sources), REFERENCES[references], metric, fit, seed)
    cells, answers = run_benchmark(forecasters, sources, setting, progress)
    results = Results(cells, answers, setting)
    document = leaderboard(results)
    if output is not None:
        write_table(output / "cells.parquet", cells_frame(results))
        write_json(output / "leaderboard.json", document)
        write_json(
            output / "timings.json", {a.name: {**a.seconds, "n_cells": len(cells.values)} for a in answers}
        )
    return document


def _open_losses(path: Path | None, sources: Sequence[Source]) -> LossStore | None:
    if path is None:
        return None
    from neuneu.losses.open import open_losses

    return open_losses(path, {run for source in sources for run in source.table.runs})


COLUMNS = (
    "MAE", "95 %", "pinball", "cov80", "width80", "skill LV", "skill PL", "rank", "runs", "curves", "cells",
    "refused",
)  # fmt: skip
LEGEND = (
    "MAE, pinball and width in points where the metric is an accuracy; cov80: share inside the 80 % "
    "interval, ! where further than 5 points from 80 %; skill: 1 - MAE / MAE of last-value (LV), power-law "
    "(PL); rank: pairs of runs of one size and budget, different recipes, put in the right order; refused "
    "cells are scored with last-value's forecast"
)


def print_leaderboard(document: dict[str, Any]) -> None:
    """The leaderboard for people: all sources, then each; accuracies in points (hundredths)."""
    from rich.console import Console
    from rich.table import Table

    metric = document["protocol"]["metric"]
    scale = 100.0 if " " in metric or find_metric(metric).accuracy else 1.0
    table = Table(title=_title(document), title_justify="left", header_style="bold", box=None)
    table.caption, table.caption_justify = LEGEND, "left"
    for name in ("source", "forecaster"):
        table.add_column(name)
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    sections = [("all", document["overall"]), *document["sources"].items()]
    for source, rows in sections if len(sections) > 2 else sections[1:]:
        for row in sorted(rows, key=lambda row: (row["sees_future"], row["mae"])):
            table.add_row(*_cells(source, row, scale))
        table.add_section()
    Console(width=None if Console().is_terminal else 160).print(table)


def _title(document: dict[str, Any]) -> str:
    protocol = document["protocol"]
    share = ", ".join(f"{origin:.0%}" for origin in protocol["context"])
    return f"{protocol['kind']}, context {share} by {protocol['by']}; fitted: {protocol['fitting']}"


def _cells(source: str, row: dict[str, Any], scale: float) -> list[str]:
    bounds = row["intervals"]["mae"]
    label = row["forecaster"] + (" (sees the future)" if row["sees_future"] else "")
    return [
        source,
        label,
        _number(row["mae"] * scale, ".2f"),
        f"{bounds[0] * scale:.2f}–{bounds[1] * scale:.2f}" if bounds else "–",
        _number(row["pinball"] * scale, ".2f"),
        _number(row["coverage80"], ".1%") + ("!" if abs(row["coverage80"] - 0.8) > 0.05 else ""),
        _number(row["width80"] * scale, ".2f"),
        _number(row["skill_vs_last_value"], "+.1%"),
        _number(row["skill_vs_power_law"], "+.1%"),
        _number(row.get("ranking_within_size", float("nan")), ".1%"),
        str(row["n_runs"]),
        str(row["n_curves"]),
        str(row["n_cells"]),
        str(row["n_refused"]),
    ]


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
