"""Figures by name: from files of curves, cells or a leaderboard to one PNG or SVG."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from neuneu.curves.seeds import Seeds, show_seeds
from neuneu.errors import InputError, check_known
from neuneu.evaluation.scores import ScoredCells
from neuneu.evaluation.side_by_side import average_seed_cells
from neuneu.evidence.select import Selection
from neuneu.files import together
from neuneu.forecasters.base import DEFAULT_FORECASTER
from neuneu.forecasts.cells import CurveForecast, from_cells
from neuneu.forecasts.forecast import by_size, forecast
from neuneu.forecasts.horizons import drawn
from neuneu.progress import counted
from neuneu.reports import bars, fans, lines, style
from neuneu.reports.captions import of_cells, of_evaluation, of_forecasts
from neuneu.reports.decision_charts import decisions_chart
from neuneu.reports.figure_inputs import DECISIONS_FILE, LEADERBOARD_FILE, Inputs, read_inputs
from neuneu.reports.panels import grid_of, in_flops

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_STEP = 2**62
"""Later than any step."""
LOOK_BACK = 0.2
"""Share of the clock that a fan of finished runs shows as seen unless told otherwise."""


Told = Callable[[Sequence[CurveForecast]], str]
"""What is said below these panels."""


@dataclass(frozen=True)
class Options:
    """What to draw of the inputs.

    runs, tasks, metric, n_shot, variant: only these; forecasters: names or folders, for fans of curves, and
    which of the evaluated ones to show; context: share of the clock that is seen, or for cells the context
    nearest to it; step_min, step_max: of evaluated cells only these steps; beyond: forecast up to this
    multiple of the last clock; references, losses: what forecasts may look at besides; log: logarithmic
    clock; seeds: whether runs that differ in their seed alone are drawn as one with a band.
    """

    forecasters: Sequence[str] = ()
    runs: Sequence[str] = ()
    tasks: Sequence[str] = ()
    metric: str | None = None
    n_shot: int | None = None
    variant: str | None = None
    context: float | None = None
    beyond: float | None = None
    references: Any = None
    losses: Any = None
    log: bool = False
    title: str | None = None
    step_min: int | None = None
    step_max: int | None = None
    seeds: str = Seeds.each

    @property
    def selection(self) -> Selection:
        """The curves to draw."""
        return Selection(self.runs, self.tasks, self.metric, self.n_shot, self.variant)


def draw(
    kind: str, paths: Sequence[str | Path], options: Options | None = None
) -> "tuple[Figure, list[str]]":
    """Draw a figure of this kind; returns it with notes for people on what was left out.

    paths: see `read_inputs`.

    Raises InputError on an unknown kind, on files that it cannot be drawn from, and where nothing is left.
    """
    check_known(kind, KINDS, "kind", "unknown")
    return draw_inputs(kind, read_inputs(paths), options)


def draw_inputs(kind: str, inputs: Inputs, options: Options | None = None) -> "tuple[Figure, list[str]]":
    """`draw` of tables in memory."""
    check_known(kind, KINDS, "kind", "unknown")
    inputs, options = _show_seeds(inputs, options or Options())
    figure, notes = KINDS[kind][0](inputs, options)
    return figure, [*inputs.notes, *notes]


def _show_seeds(inputs: Inputs, options: Options) -> tuple[Inputs, Options]:
    """The curves with runs that differ in their seed alone as one, where that is asked."""
    if options.seeds == Seeds.each:
        return inputs, options
    if inputs.curves is None or inputs.cells is not None:
        rule = "seeds are taken as one in figures of curve tables, not of evaluated cells"
        raise InputError(rule, field="seeds", value=options.seeds)
    table, runs, found = show_seeds(inputs.curves, options.seeds, options.runs)
    told = [] if found is None else found.in_words(runs)
    return replace(inputs, curves=table, seeds=found, notes=[*inputs.notes, *told]), replace(
        options, runs=runs
    )


def _fan(inputs: Inputs, options: Options) -> "tuple[Figure, list[str]]":
    panels, about, notes = _asked(inputs, options)
    chosen = grid_of(panels) if not (options.runs or options.tasks) else panels[: fans.MAX_PANELS]
    if len(chosen) < len(panels):
        notes.append(f"{len(chosen)} of {len(panels)} curves are drawn; choose by `run` and `task`")
    figure = fans.fan_chart(chosen, log=options.log, title=options.title, seeds=inputs.seeds)
    style.caption(figure, about(chosen))
    return figure, notes


def _compute(inputs: Inputs, options: Options) -> "tuple[Figure, list[str]]":
    panels, about, notes = _asked(inputs, options)
    chosen = [in_flops(panel) for panel in panels[:4]]
    if len(panels) > 4:
        notes.append(f"4 of {len(panels)} curves are drawn; choose by `run` and `task`")
    figure = fans.compute_chart(chosen, log=options.log, seeds=inputs.seeds)
    style.caption(figure, about(chosen))
    return figure, notes


def make_panels(inputs: Inputs, options: Options) -> list[CurveForecast]:
    """The panels that curves and forecasters, or evaluated cells, give; the smaller runs first."""
    return _asked(inputs, options)[0]


def _asked(inputs: Inputs, options: Options) -> tuple[list[CurveForecast], Told, list[str]]:
    """Panels, what is said below some of them, and notes for people."""
    share = LOOK_BACK if options.context is None else options.context
    notes: list[str] = []
    if inputs.cells is not None:
        every = _select_cells(average_seed_cells(inputs.cells), options)
        cells = _nearest_context(every, share)
        if len(cells) < len(every) and options.context is None:
            notes = [f"of several contexts those nearest to {share:.0%} are drawn; choose by `context`"]
        curves = options.selection.of(inputs.curves) if inputs.curves is not None else None
        board = inputs.leaderboard or {}
        return by_size(from_cells(cells, curves)), lambda shown: of_cells(board, shown), notes
    if inputs.curves is None:
        raise InputError("a fan needs a curve table or the cells of an evaluation", field="path")
    found = forecast(
        inputs.curves,
        options.forecasters or [DEFAULT_FORECASTER],
        selection=options.selection,
        context=share,
        plan=drawn(options.beyond),
        references=options.references,
        losses=options.losses,
    )
    return by_size(found.curves), lambda shown: of_forecasts(found, shown), notes


def _select_cells(cells: pl.DataFrame, options: Options) -> pl.DataFrame:
    wanted = {
        "run": options.runs, "task": options.tasks, "forecaster": options.forecasters,
        "metric": [options.metric] if options.metric else [],
        "n_shot": [] if options.n_shot is None else [options.n_shot],
        "variant": [options.variant] if options.variant else [],
    }  # fmt: skip
    for field, values in wanted.items():
        for value in values:
            check_known(value, cells[field].unique().sort(), field, "is not in the cells")
        if values:
            cells = cells.filter(pl.col(field).is_in(list(values)))
    if options.step_min is not None or options.step_max is not None:
        low, high = options.step_min or 0, options.step_max or MAX_STEP
        cells = cells.filter(pl.col("step").is_between(low, high))
    if not len(cells):
        raise InputError("no cell is left", field="cells")
    return cells


def _nearest_context(cells: pl.DataFrame, fraction: float) -> pl.DataFrame:
    """Of each curve the context end nearest to this share of its last clock."""
    curve = ["source", "run", "task", "metric", "n_shot", "variant"]
    distance = (pl.col("context_clock") / pl.col("clock").max().over(curve) - fraction).abs()
    return cells.filter(distance == distance.min().over(curve))


def _scored(inputs: Inputs, options: Options) -> ScoredCells:
    if inputs.cells is None:
        raise InputError("this figure needs the cells of `neuneu evaluate --output FOLDER`", field="path")
    return ScoredCells.from_frame(_select_cells(inputs.cells, options))


def _board(inputs: Inputs, options: Options) -> dict[str, Any]:
    for name, value in (("step_min", options.step_min), ("step_max", options.step_max)):
        if value is not None:
            rule = "a leaderboard is of all steps; draw tasks, runs, horizon, coverage or steps"
            raise InputError(rule, field=name, value=value)
    if inputs.leaderboard is None:
        rule = f"this figure needs the {LEADERBOARD_FILE} of `neuneu evaluate --output FOLDER`"
        raise InputError(rule, field="path")
    return inputs.leaderboard


def _steps(inputs: Inputs, options: Options) -> "Figure":
    cells = _scored(inputs, options)
    if inputs.curves is not None and inputs.curves.curves:
        return lines.steps_chart(cells, inputs.curves.curves[0].clock_unit)
    units = [] if inputs.cells is None else inputs.cells["clock_unit"].drop_nulls().unique().to_list()
    return lines.steps_chart(cells, units[0] if len(units) == 1 else "clock")


def _decisions(inputs: Inputs, options: Options) -> "Figure":
    if len(inputs.decisions) != 1:
        rule = f"this figure needs one {DECISIONS_FILE} of `neuneu evaluate --decisions --output FOLDER`"
        raise InputError(rule, field="path", value=len(inputs.decisions))
    return decisions_chart(inputs.decisions[0])


Draw = Callable[[Inputs, Options], "tuple[Figure, list[str]]"]


def _plain(draw_one: Callable[[Inputs, Options], "Figure"]) -> Draw:
    def draw_told(inputs: Inputs, options: Options) -> "tuple[Figure, list[str]]":
        figure = draw_one(inputs, options)
        style.caption(figure, of_evaluation(inputs.leaderboard or {}))
        return figure, []

    return draw_told


KINDS: dict[str, tuple[Draw, str]] = {
    "fan": (_fan, "forecasts over the clock, a panel a run and task, truth overlaid (curves or cells)"),
    "compute": (
        _compute,
        "accuracy against training compute, several forecasters (curves or cells + curves)",
    ),
    "leaderboard": (
        _plain(lambda inputs, options: bars.leaderboard_chart(_board(inputs, options))),
        "error of every forecaster with intervals and the noise floor (evaluation)",
    ),
    "ranking": (
        _plain(lambda inputs, options: bars.ranking_chart(_board(inputs, options))),
        "how often the better of two runs is named (evaluation)",
    ),
    "decisions": (
        _plain(_decisions),
        "what pair probabilities were worth, and dropping runs by them (evaluation with --decisions)",
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


def write_figure(
    kind: str, paths: Sequence[str | Path], output: Path, options: Options | None = None
) -> list[str]:
    """Draw a figure and write it as PNG or SVG; returns notes for people."""
    style.check_format(output)
    figure, notes = draw(kind, paths, options)
    style.save(figure, output)
    return notes


MANY = {
    "all": "every figure that the evaluation allows, a file each",
    "trajectories": "a fan of every task of a run, a file a run",
}
"""Kinds that write several files to a folder → what they are."""

OF_CURVES = ("fan", "compute")
"""Figures of single curves, which `all` leaves to `trajectories`."""


def write_figures(
    kind: str, paths: Sequence[str | Path], folder: Path, options: Options | None = None
) -> list[str]:
    """Draw the figures of a kind of `MANY` as PNG into a folder; returns notes for people.

    Raises InputError where none can be drawn.
    """
    check_known(kind, MANY, "kind", "unknown")
    inputs, options = _show_seeds(read_inputs(paths), options or Options())
    figures = _all(inputs, options) if kind == "all" else _trajectories(inputs, options)
    notes, n_drawn = list(inputs.notes), 0
    with together(folder):
        for name, figure in figures:
            if isinstance(figure, InputError):
                notes.append(f"{name}: {figure.rule}")
                continue
            style.save(figure, folder / f"{name}.png")
            n_drawn += 1
    if not n_drawn:
        raise InputError(f"no figure can be drawn: {'; '.join(notes)}", field="path")
    return [*notes, f"{n_drawn} figure{'' if n_drawn == 1 else 's'} → {folder}"]


def _all(inputs: Inputs, options: Options) -> "Iterator[tuple[str, Figure | InputError]]":
    for name in counted(KINDS, "figures"):
        draw_one = KINDS[name][0]
        if name in OF_CURVES:
            continue
        try:
            yield name, draw_one(inputs, options)[0]
        except InputError as error:
            yield name, error


def _trajectories(inputs: Inputs, options: Options) -> "Iterator[tuple[str, Figure | InputError]]":
    """A fan of every task of a run, run by run."""
    of_run: dict[str, list[CurveForecast]] = {}
    every, about, _ = _asked(inputs, options)
    for panel in every:
        of_run.setdefault(panel.curve.key.run, []).append(panel)
    for run, panels in zip(counted(of_run, "figures"), of_run.values(), strict=True):
        figure = fans.fan_chart(panels, log=options.log, title=run, seeds=inputs.seeds)
        style.caption(figure, about(panels))
        yield run.replace("/", "--").replace("\\", "--"), figure
