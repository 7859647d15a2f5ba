"""Figures by name: from files of curves, cells or a leaderboard to one PNG or SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.decisions.outlook import ready_forecaster
from neuneu.errors import InputError
from neuneu.files import read_json
from neuneu.forecasters.base import DEFAULT_FORECASTER
from neuneu.reports import bars, fans, lines, style
from neuneu.reports.answer import select
from neuneu.reports.panels import Panel, by_size, forecast_panels, in_flops, panels_from_cells
from neuneu.reports.scores import ScoredCells, read_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS_FILE, LEADERBOARD_FILE = "cells.parquet", "leaderboard.json"
GRID_RUNS, GRID_TASKS = 3, 4


@dataclass(frozen=True)
class Options:
    """What to draw of the inputs.

    runs, tasks, metric, n_shot, variant: only these; forecasters: names or folders, for fans of curves, and
    which of the evaluated ones to show; context: share of the clock that is seen, or for cells the context
    nearest to it; beyond: forecast up to this multiple of the last clock; log: logarithmic clock.
    """

    forecasters: Sequence[str] = ()
    runs: Sequence[str] = ()
    tasks: Sequence[str] = ()
    metric: str | None = None
    n_shot: int | None = None
    variant: str | None = None
    context: float | None = None
    beyond: float | None = None
    log: bool = False
    title: str | None = None


@dataclass
class Inputs:
    """What the given files hold."""

    curves: CurveTable | None = None
    cells: pl.DataFrame | None = None
    leaderboard: dict[str, Any] | None = None


def read_inputs(paths: Sequence[Path]) -> Inputs:
    """Tell curve tables, cells and leaderboards apart and read them; a folder is what `evaluate` wrote."""
    inputs, curves, cells = Inputs(), [], []
    for path in paths:
        if path.is_dir():
            cells.append(read_cells(path))
            if (path / LEADERBOARD_FILE).is_file():
                inputs.leaderboard = _read_leaderboard(path / LEADERBOARD_FILE)
        elif path.suffix == ".json" and _is_leaderboard(path):
            inputs.leaderboard = _read_leaderboard(path)
        elif _is_cells(path):
            cells.append(read_cells(path))
        else:
            curves.append(path)
    inputs.curves = CurveTable.read(*curves) if curves else None
    inputs.cells = pl.concat(cells, how="diagonal_relaxed") if cells else None
    return inputs


def draw(kind: str, paths: Sequence[Path], options: Options | None = None) -> "tuple[Figure, list[str]]":
    """Draw a figure of this kind; returns it with notes for people on what was left out.

    Raises InputError on an unknown kind, on files that it cannot be drawn from, and where nothing is left.
    """
    if kind not in KINDS:
        raise InputError(f"unknown; known: {', '.join(KINDS)}", field="kind", value=kind)
    return KINDS[kind][0](read_inputs(paths), options or Options())


def _fan(inputs: Inputs, options: Options) -> "tuple[Figure, list[str]]":
    panels = make_panels(inputs, options)
    chosen = grid_of(panels) if not (options.runs or options.tasks) else panels[: fans.MAX_PANELS]
    notes = []
    if len(chosen) < len(panels):
        notes.append(f"{len(chosen)} of {len(panels)} curves are drawn; choose with --run and --task")
    return fans.fan_chart(chosen, log=options.log, title=options.title), notes


def _compute(inputs: Inputs, options: Options) -> "tuple[Figure, list[str]]":
    panels = make_panels(inputs, options)
    chosen = [in_flops(panel) for panel in panels[:4]]
    notes = [f"4 of {len(panels)} curves are drawn; choose with --run and --task"] if len(panels) > 4 else []
    return fans.compute_chart(chosen, log=options.log), notes


def make_panels(inputs: Inputs, options: Options) -> list[Panel]:
    """The panels that curves and forecasters, or evaluated cells, give; the smaller runs first."""
    if inputs.cells is not None:
        cells = _select_cells(inputs.cells, options)
        fraction = options.context
        if fraction is not None:
            cells = _nearest_context(cells, fraction)
        curves = _select_curves(inputs.curves, options) if inputs.curves is not None else None
        return by_size(panels_from_cells(cells, curves))
    if inputs.curves is None:
        raise InputError("a fan needs a curve table or the cells of an evaluation", field="path")
    names = options.forecasters or [DEFAULT_FORECASTER]
    table = _select_curves(inputs.curves, options)
    forecasters = [ready_forecaster(name) for name in names]
    return by_size(forecast_panels(table, forecasters, options.context or 0.2, options.beyond))


def _select_curves(table: CurveTable, options: Options) -> CurveTable:
    return select(
        table,
        metric=options.metric,
        runs=options.runs,
        tasks=options.tasks,
        n_shot=options.n_shot,
        variant=options.variant,
    )


def _select_cells(cells: pl.DataFrame, options: Options) -> pl.DataFrame:
    wanted = {
        "run": options.runs, "task": options.tasks, "forecaster": options.forecasters,
        "metric": [options.metric] if options.metric else [],
        "n_shot": [] if options.n_shot is None else [options.n_shot],
        "variant": [options.variant] if options.variant else [],
    }  # fmt: skip
    for field, values in wanted.items():
        for value in values:
            if value not in cells[field]:
                raise InputError("is not in the cells", field=field, value=value)
        if values:
            cells = cells.filter(pl.col(field).is_in(list(values)))
    if not len(cells):
        raise InputError("no cell is left", field="cells")
    return cells


def _nearest_context(cells: pl.DataFrame, fraction: float) -> pl.DataFrame:
    """Of each curve the context end nearest to this share of its last clock."""
    curve = ["source", "run", "task", "metric", "n_shot", "variant"]
    distance = (pl.col("context_clock") / pl.col("clock").max().over(curve) - fraction).abs()
    return cells.filter(distance == distance.min().over(curve))


def grid_of(panels: Sequence[Panel]) -> list[Panel]:
    """A small grid: tasks evenly picked, for a few runs from the smallest to the largest."""
    runs = list(dict.fromkeys(panel.curve.key.run for panel in panels))
    picked = [runs[index] for index in style.spread(len(runs), GRID_RUNS)]
    held = [{p.curve.key[1:] for p in panels if p.curve.key.run == run} for run in picked]
    shared = set.intersection(*held) or held[0]
    ordered = sorted(shared, key=lambda setting: tuple(str(part) for part in setting))
    one_a_task = list({setting[0]: setting for setting in reversed(ordered)}.values())[::-1]
    settings = [one_a_task[index] for index in style.spread(len(one_a_task), GRID_TASKS)]
    return [p for run in picked for p in panels if p.curve.key.run == run and p.curve.key[1:] in settings]


def _scored(inputs: Inputs, options: Options) -> ScoredCells:
    if inputs.cells is None:
        raise InputError("this figure needs the cells of `neuneu evaluate --output FOLDER`", field="path")
    return ScoredCells.from_frame(_select_cells(inputs.cells, options))


def _board(inputs: Inputs) -> dict[str, Any]:
    if inputs.leaderboard is None:
        rule = f"this figure needs the {LEADERBOARD_FILE} of `neuneu evaluate --output FOLDER`"
        raise InputError(rule, field="path")
    return inputs.leaderboard


def _steps(inputs: Inputs, options: Options) -> "Figure":
    unit = "clock"
    if inputs.curves is not None and inputs.curves.curves:
        unit = inputs.curves.curves[0].clock_unit
    return lines.steps_chart(_scored(inputs, options), unit)


def _is_cells(path: Path) -> bool:
    """Whether a Parquet file has forecasts in it; anything unreadable is left to the reader of curves."""
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return "forecaster" in pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError):
        return False


def _is_leaderboard(path: Path) -> bool:
    return path.is_file() and isinstance(read_json(path), dict)


def _read_leaderboard(path: Path) -> dict[str, Any]:
    document = read_json(path)
    for field in ("overall", "sources"):
        if not document.get(field):
            raise InputError(
                "is missing; a leaderboard comes from `neuneu evaluate`", where=path, field=field
            )
    return dict(document)


Draw = Callable[[Inputs, Options], "tuple[Figure, list[str]]"]


def _plain(draw_one: Callable[[Inputs, Options], "Figure"]) -> Draw:
    return lambda inputs, options: (draw_one(inputs, options), [])


KINDS: dict[str, tuple[Draw, str]] = {
    "fan": (_fan, "forecasts over the clock, a panel a run and task, truth overlaid (curves or cells)"),
    "compute": (
        _compute,
        "accuracy against training compute, several forecasters (curves or cells + curves)",
    ),
    "leaderboard": (
        _plain(lambda inputs, _: bars.leaderboard_chart(_board(inputs))),
        "error of every forecaster with intervals and the noise floor (evaluation)",
    ),
    "ranking": (
        _plain(lambda inputs, _: bars.ranking_chart(_board(inputs))),
        "how often the better of two runs is named (evaluation)",
    ),
    "horizon": (
        _plain(lambda inputs, options: lines.horizon_chart(_scored(inputs, options))),
        "error by horizon (evaluation)",
    ),
    "context": (
        _plain(lambda inputs, options: lines.context_chart(_scored(inputs, options))),
        "error against length of context (evaluation with --protocol rolling)",
    ),
    "coverage": (
        _plain(lambda inputs, options: lines.coverage_chart(_scored(inputs, options))),
        "observed against nominal coverage (evaluation)",
    ),
    "runs": (
        _plain(lambda inputs, options: bars.grouped_chart(_scored(inputs, options), "run")),
        "error by run (evaluation)",
    ),
    "tasks": (
        _plain(lambda inputs, options: bars.grouped_chart(_scored(inputs, options), "task")),
        "error by task (evaluation)",
    ),
    "steps": (_plain(_steps), "error over the steps of each run (evaluation, curves for the clock’s unit)"),
}
"""Kind → (how it is drawn, what it shows and needs)."""


def write_figure(kind: str, paths: Sequence[Path], output: Path, options: Options | None = None) -> list[str]:
    """Draw a figure and write it as PNG or SVG; returns notes for people."""
    style.check_format(output)
    figure, notes = draw(kind, paths, options)
    style.save(figure, output)
    return notes
