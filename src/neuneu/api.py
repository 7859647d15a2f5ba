"""What Python users call: read, forecast, evaluate, rank, advise, inspect, report, plot. Thin calls into
rooms.

Curves are given as a CurveTable, a path, or a Polars, pandas or Arrow table; frames come back as Polars, or
as `library` says.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from neuneu.curves.broken import broken_in_words
from neuneu.curves.frames import from_polars
from neuneu.curves.seeds import show_seeds
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evaluation import comparison, leaderboard
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import DEFAULT_FORECASTER, Forecaster
from neuneu.forecasts import forecast as asking
from neuneu.forecasts.horizons import given, read_horizons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neuneu.curves.seeds import JoinedSeeds
    from neuneu.decisions.stopping import Verdict
    from neuneu.decisions.trust import Trust

Library = Literal["polars", "pandas", "arrow"]
Names = str | Sequence[str] | None
Method = str | Path | Forecaster


def read_results(
    *paths: str | Path,
    format: str = "auto",  # noqa: A002
    run: str | None = None,
    params: float | None = None,
    tokens_per_step: float | None = None,
    planned_tokens: float | None = None,
    schedule: str | Path | None = None,
    family: str | None = None,
    recipe: str | None = None,
    source: str | None = None,
    seed: str | None = None,
    keep: Literal["first", "last"] | None = None,
    **options: str | None,
) -> CurveTable:
    """Read evaluation results of any known format (`neuneu import --help` lists them) into a curve table.

    paths: files or folders; params: parameters; tokens_per_step: fills the clock where the files count steps
    only; planned_tokens: where the run will end; schedule: of the learning rate, as `import` takes it; keep:
    which of two values of one step stays. Skipped files are a warning. InputError where there is nothing.
    """
    from neuneu.curves.readers.formats import read_format
    from neuneu.curves.readers.learning_rates import read_schedule
    from neuneu.curves.readers.parsing import Given

    facts = Given(
        run=run, source=source, family=family, params=_whole(params, "params"), recipe=recipe, seed=seed,
        planned_tokens=_whole(planned_tokens, "planned_tokens"), schedule=read_schedule(schedule),
        tokens_per_step=_whole(tokens_per_step, "tokens_per_step"), keep=keep,
    )  # fmt: skip
    result = read_format(format, paths, given=facts, **options)
    for line in result.report.warnings():
        warnings.warn(line, stacklevel=2)
    return result.table


def read_lm_eval(*paths: str | Path, **facts: Any) -> CurveTable:
    """Read results of lm-evaluation-harness: `read_results` with that format."""
    return read_results(*paths, format="lm-eval", **facts)


def forecast(
    curves: Any,
    *,
    horizons: Sequence[float | str] | None = None,
    context: float | None = None,
    forecasters: Method | Sequence[Method] = DEFAULT_FORECASTER,
    runs: Names = None,
    tasks: Names = None,
    metric: str | None = None,
    n_shot: int | None = None,
    variant: str | None = None,
    references: Any = None,
    losses: Any = None,
) -> "Forecasts":
    """Forecast each curve: quantiles at horizons.

    horizons: clock values (3e11) or multiples of the context end ("2x"); by default the planned end and what
    lies before it, or every later checkpoint where a context is given. context: share of the clock that may
    be seen, to look back at finished runs; all that is known where None. forecasters: names, folders or
    instances. references: finished runs to look at: "none", "smaller", "finished", a curve table or its path.
    losses: a store of checkpoints' token losses, or its path.
    Raises InputError on anything that is not there, CannotForecastError where every curve is declined.
    """
    plan = None if horizons is None else given(read_horizons(horizons))
    table = as_table(curves)
    asked: dict[str, Any] = {
        "selection": _selection(runs, tasks, metric, n_shot, variant), "context": context,
        "references": references, "losses": losses,
    }  # fmt: skip
    found = asking.forecast(table, _several(forecasters), plan=plan, **asked)
    return Forecasts(
        found.curves, found.names, found.share, found.references, found.left_out,
        table=table, forecasters=_several(forecasters), asked=asked,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Forecasts(asking.TableForecasts):
    """Forecasts of curves, with a table, figures and a report. In a notebook it shows charts.

    table, forecasters, asked: what was asked of what, for the report, which asks the baselines too.
    """

    table: CurveTable | None = None
    forecasters: Sequence[Method] = ()
    asked: dict[str, Any] = field(default_factory=dict)

    def to_frame(self, library: Library = "polars") -> Any:
        """A row a forecaster and horizon, with the columns of cells.parquet (docs/evaluation.md)."""
        return from_polars(self.cells, library)

    def plot(
        self, path: str | Path | None = None, *, log: bool = False, title: str | None = None,
        seeds: "JoinedSeeds | None" = None,
    ) -> "Figure":  # fmt: skip
        """Fan charts, as a matplotlib figure; written to a .png or .svg file where a path is given.

        log: logarithmic clock; seeds: which runs are the mean of several, for their bands. Of many curves a
        few runs and tasks are drawn.
        """
        from neuneu.forecasts.forecast import by_size
        from neuneu.reports.captions import of_forecasts
        from neuneu.reports.fans import fan_chart
        from neuneu.reports.panels import grid_of
        from neuneu.reports.style import caption

        shown = grid_of(by_size(self.curves))
        figure = fan_chart(shown, log=log, title=title, seeds=seeds)
        caption(figure, of_forecasts(self, shown))
        return _saved(figure, path)

    def report(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        seeds: str = "each",
        since: str | Path | None = None,
    ) -> Path:
        """Write a self-contained HTML page of these curves, beside the baselines; returns its path.

        seeds: as in `rank`; since: an earlier report or a ledger, to tell what has changed.
        """
        from neuneu.files import write_text

        if Path(path).suffix not in (".html", ".htm"):
            raise InputError("must end in .html", field="path", value=str(path))
        write_text(path, self._page(title=title, seeds=seeds, since=since))
        return Path(path)

    def _page(self, title: str | None = None, seeds: str = "each", since: str | Path | None = None) -> str:
        from neuneu.reports.answer import ask
        from neuneu.reports.former import read_former
        from neuneu.reports.html import ReportOrigin, render_report

        assert self.table is not None
        former = read_former(Path(since), self.chosen) if since is not None else None
        answer = ask(self.table, self.forecasters, seeds=seeds, **self.asked)
        return render_report(answer, ReportOrigin(title=title or "Forecasts of training runs"), former)

    def _repr_html_(self) -> str:
        """The report in a frame of its own, or the table where the extra `report` is missing."""
        from html import escape

        from neuneu.errors import MissingExtraError

        try:
            page = self._page()
        except MissingExtraError:
            return str(self.cells._repr_html_())
        return f'<iframe srcdoc="{escape(page)}" style="width:100%;height:640px;border:0"></iframe>'


def evaluate(
    curves: Any,
    forecasters: Method | Sequence[Method] = ("last-value", "power-law", DEFAULT_FORECASTER),
    *,
    context: float = 0.2,
    protocol: str = "fraction",
    by: str = "clock",
    feed: str = "median",
    runs: Names = None,
    tasks: Names = None,
    metric: str | None = None,
    n_shot: int | None = None,
    variant: str | None = None,
    references: Any = None,
    losses: Any = None,
    manifest: str | Path | None = None,
    fit: bool = True,
    seed: int = 0,
) -> "Leaderboard":
    """Compare forecasters on the same cells of finished runs; last-value and power-law are always among them.

    curves: a table, a path, or several; forecasters: names, folders or instances; context: share of the clock
    that is seen; fit: whether methods are fitted afresh on what the split allows (runs of other sources), or
    used as they ship; references, losses: as in `forecast`; the rest as `neuneu evaluate --help` says.
    """
    several = curves if isinstance(curves, list | tuple) else [curves]
    results = comparison.evaluate(
        several,
        _several(forecasters),
        protocol=protocol,
        context=context,
        by=by,
        feed=feed,
        selection=_selection(runs, tasks, metric, n_shot, variant),
        losses=losses,
        references=references,
        manifest=None if manifest is None else Path(manifest),
        fit=fit,
        seed=seed,
    )
    for line in results.cells.notes:
        warnings.warn(line, stacklevel=2)
    return Leaderboard(results)


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Forecasters on the same cells: scores, cells, figures. In a notebook it shows the scores."""

    results: leaderboard.Results

    @cached_property
    def document(self) -> dict[str, Any]:
        """What leaderboard.json holds."""
        return leaderboard.leaderboard(self.results)

    @cached_property
    def cells(self) -> pl.DataFrame:
        """Every forecast, a row a cell."""
        return leaderboard.results_frame(self.results)

    def to_frame(self, library: Library = "polars") -> Any:
        """A row a source and forecaster, "all" the mean over several; accuracies in [0, 1], not points."""
        return from_polars(leaderboard.leaderboard_frame(self.document), library)

    def plot(self, kind: str = "leaderboard", path: str | Path | None = None) -> "Figure":
        """A figure of the evaluation (`neuneu plot --help` lists the kinds), as a matplotlib figure."""
        from neuneu.reports.figure_inputs import Inputs
        from neuneu.reports.figures import draw_inputs

        figure, notes = draw_inputs(kind, Inputs(cells=self.cells, leaderboard=self.document))
        for line in notes:
            warnings.warn(line, stacklevel=2)
        return _saved(figure, path)

    def write(self, folder: str | Path) -> Path:
        """Write cells.parquet, leaderboard.json and timings.json to a folder; returns it."""
        comparison.write_results(self.results, Path(folder))
        return Path(folder)

    def _repr_html_(self) -> str:
        names = ["source", "forecaster", "mae", "pinball", "coverage80", "width80", "skill_vs_last_value",
                 "n_runs", "n_cells"]  # fmt: skip
        return str(self.to_frame().select(names)._repr_html_())


def rank(
    curves: Any,
    *,
    pairs: bool = False,
    library: Library = "polars",
    forecaster: Method = DEFAULT_FORECASTER,
    horizon: float | None = None,
    context: float | None = None,
    runs: Names = None,
    tasks: Names = None,
    metric: str | None = None,
    n_shot: int | None = None,
    variant: str | None = None,
    references: Any = None,
    losses: Any = None,
    seeds: str = "each",
) -> Any:
    """Which run will win, with what probability: a frame, the likeliest best first.

    The mean over the benchmarks that all runs have, each in one setting; horizon: clock value, by default the
    farthest planned end; pairs: P(run beats other) of every pair instead; seeds: `each` run by itself, or as
    a `band` those that differ in their seed alone. The rest as in `forecast`.
    """
    from neuneu.decisions import choices

    found = _compared(
        curves, forecaster=forecaster, horizon=horizon, context=context, references=references, losses=losses,
        selection=_selection(runs, tasks, metric, n_shot, variant), seeds=seeds,
    )  # fmt: skip
    return from_polars(choices.pairs(found) if pairs else choices.rank(found), library)


def advise(
    curves: Any,
    *,
    target: float | None = None,
    rival: str | None = None,
    threshold: float = 0.05,
    library: Library = "polars",
    forecaster: Method = DEFAULT_FORECASTER,
    horizon: float | None = None,
    context: float | None = None,
    runs: Names = None,
    tasks: Names = None,
    metric: str | None = None,
    n_shot: int | None = None,
    variant: str | None = None,
    references: Any = None,
    losses: Any = None,
    seeds: str = "each",
) -> Any:
    """Whether to stop a run or let it go on: a frame, a row a run that has not ended.

    target: value to reach; rival: run to beat; one of the two. Stop where that is less likely than
    `threshold`. The rest as in `rank`.
    """
    from neuneu.decisions import choices

    wanted = _listed(runs)
    if wanted and rival is not None and rival not in wanted:
        wanted.append(rival)
    found = _compared(
        curves, forecaster=forecaster, horizon=horizon, context=context, references=references, losses=losses,
        selection=_selection(wanted, tasks, metric, n_shot, variant), seeds=seeds, in_flight=True,
    )  # fmt: skip
    return from_polars(choices.advise(found, target=target, rival=rival, threshold=threshold), library)


def should_stop(
    curves: Any,
    run: str,
    *,
    target: float | None = None,
    rival: str | None = None,
    horizon: float | None = None,
    threshold: float = 0.05,
    forecaster: Method = DEFAULT_FORECASTER,
    tasks: Names = None,
    metric: str | None = None,
    n_shot: int | None = None,
    variant: str | None = None,
    references: Any = None,
    losses: Any = None,
    patience: int = 1,
) -> "Verdict":
    """Whether a run in flight should stop: true or false, with `chance` and the `reason` in one sentence.

    patience: checkpoints in a row at which it must have been so; the other arguments are those of `advise`.
    There is no verdict from fewer than three checkpoints.
    """
    from neuneu.decisions import stopping

    return stopping.should_stop(
        as_table(curves), run, target=target, rival=rival, horizon=horizon, threshold=threshold,
        selection=_selection(None, tasks, metric, n_shot, variant), forecaster=forecaster,
        references=references, losses=losses, patience=patience,
    )  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """What is in a curve table: frames of its runs, its tasks, and everything that looks wrong."""

    runs: pl.DataFrame
    tasks: pl.DataFrame
    problems: pl.DataFrame

    def _repr_html_(self) -> str:
        parts = {"runs": self.runs, "tasks": self.tasks, "problems": self.problems}
        return "".join(f"<h4>{len(part)} {name}</h4>{part._repr_html_()}" for name, part in parts.items())


def inspect(curves: Any) -> Inspection:
    """Say what is in a curve table, which need not be valid, and what looks wrong in it."""
    from neuneu.curves import inspect as room
    from neuneu.curves.frames import read_frame, to_polars
    from neuneu.curves.table import normalise

    where = curves if isinstance(curves, str | Path) else "table"
    given = curves.frame if isinstance(curves, CurveTable) else curves
    raw = read_frame(given) if isinstance(given, str | Path) else to_polars(given, "table")
    frame = normalise(raw, where, lenient=True)
    return Inspection(room.runs(frame), room.tasks(frame), room.problems(frame))


def trust(
    curves: Any,
    *,
    runs: Names = None,
    tasks: Names = None,
    metric: str | None = None,
    n_shot: int | None = None,
    variant: str | None = None,
) -> "Trust":
    """Which tasks to trust: noise, spread between seeds, signal, pairs decided right early; `.table` has all.

    Per task in one setting; of two runs, how many checkpoints or seeds tell those two apart.
    """
    from neuneu.decisions import trust as room

    return room.trust(as_table(curves), _selection(runs, tasks, metric, n_shot, variant))


def report(
    curves: Any,
    path: str | Path = "report.html",
    *,
    title: str | None = None,
    seeds: str = "each",
    since: str | Path | None = None,
    **asked: Any,
) -> Path:
    """Write a self-contained HTML page: what each run will score, who leads, every chart; returns its path.

    seeds: as in `rank`; since: an earlier report or a ledger, to tell what has changed; asked: as `forecast`
    takes it. Without a context runs are in flight, with one it looks back.
    """
    return forecast(curves, **asked).report(path, title=title, seeds=seeds, since=since)


def plot(
    curves: Any, path: str | Path | None = None, *, log: bool = False, seeds: str = "each", **asked: Any
) -> "Figure":
    """Fan charts of forecasts as a matplotlib figure, written where a path is given.

    seeds: as in `rank`; asked: as `forecast` takes it.
    """
    table, runs, joined = show_seeds(as_table(curves), seeds, _listed(asked.pop("runs", None)))
    return forecast(table, runs=runs, **asked).plot(path, log=log, seeds=joined)


def as_table(curves: Any) -> CurveTable:
    """A CurveTable as it is, files read, frames checked. Raises InputError on anything else.

    Curves of a file that break a rule of rows are told, and raise where they are asked (`read_sound`).
    """
    if isinstance(curves, list | tuple):
        return CurveTable.concat([as_table(each) for each in curves])
    table = CurveTable.sound(curves, "curves")
    for line in broken_in_words(table.broken) if table is not curves else ():
        warnings.warn(line, stacklevel=3)
    return table


def _compared(curves: Any, **asked: Any) -> Any:
    """`compare_runs` of these curves; what was left out and what ends early are warnings."""
    from neuneu.decisions.choices import compare_runs

    found = compare_runs(as_table(curves), **asked)
    for line in [*found.shared.left_out_in_words, *found.notes]:
        warnings.warn(line, stacklevel=3)
    return found


def _selection(
    runs: Names, tasks: Names, metric: str | None, n_shot: int | None, variant: str | None
) -> Selection:
    return Selection(_listed(runs), _listed(tasks), metric, n_shot, variant)


def _listed(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names or [])


def _several(forecasters: Method | Sequence[Method]) -> list[Method]:
    return [forecasters] if isinstance(forecasters, str | Path | Forecaster) else list(forecasters)


def _whole(value: float | None, field: str) -> int | None:
    if value is not None and value != int(value):
        raise InputError("must be a whole number", field=field, value=value)
    return None if value is None else int(value)


def _saved(figure: "Figure", path: str | Path | None) -> "Figure":
    if path is not None:
        from neuneu.reports import style

        style.check_format(Path(path))
        style.save(figure, Path(path))
    return figure
