"""A question about a curve table → the bytes of its answer: the work of a forecaster's process."""

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.app.asked import (
    Asked,
    ForecastAnswer,
    Pair,
    RankedRun,
    Ranking,
    Score,
    Started,
)
from neuneu.curves.table import CurveTable, normalise
from neuneu.decisions import choices
from neuneu.errors import InputError, TooLargeError, check_known
from neuneu.evidence.select import Selection
from neuneu.files import to_json
from neuneu.forecasters.base import DEFAULT_FORECASTER, REGISTRY, Forecaster, load_forecaster
from neuneu.reports.answer import BASELINES, Answer, ask
from neuneu.reports.html import ReportOrigin, render_report

MAX_CURVES = 10_000
"""Curves of one question: thirty seconds' work."""

MOST_PAIRED = 20
"""Runs of a ranking that are compared two by two."""

MOST_KEPT = 50_000
"""Values of a table that a worker keeps read, for the next question about it."""

LOADED = 4
"""Forecasters that a worker keeps loaded beside the default one and the baselines."""


def load_default() -> None:
    """Load what is asked for when nothing is named."""
    for name in (DEFAULT_FORECASTER, *BASELINES):
        _loaded(name)


def forecast(table: Path, asked: Asked, started: Started) -> bytes:
    """Forecasts as JSON (ForecastAnswer)."""
    found = _answer(table, asked, started)
    return _with_rows(to_json(_document(found)), found.cells)


def forecast_csv(table: Path, asked: Asked, started: Started) -> bytes:
    """Forecasts as CSV, with the columns of cells.parquet."""
    return _answer(table, asked, started).cells.write_csv().encode()


def report(table: Path, asked: Asked, started: Started, name: str) -> bytes:
    """The same as a self-contained HTML page."""
    found = _answer(table, asked, started)
    words = [f"context {asked.context:g}"] + ([f"to {asked.beyond:g} × the clock"] if asked.beyond else [])
    origin = ReportOrigin(command=f"neuneu serve, {', '.join(words)}", data=name)
    return render_report(found, origin).encode()


def view(table: Path, asked: Asked, started: Started, name: str) -> bytes:
    """The report as the page shows it in a frame: it tells the page what is opened and chosen there."""
    page, bridge = report(table, asked, started, name), files("neuneu.app").joinpath("static", "bridge.js")
    body, end, rest = page.rpartition(b"</body>")
    return b"".join([body, b"<script>\n", bridge.read_bytes(), b"</script>\n", end, rest])


def rank(table: Path, asked: Asked, started: Started) -> bytes:
    """Which run wins, as JSON (Ranking), as the report says it: each run at its own end."""
    curves, selection = _chosen(table, asked, started)
    name = _names(asked)[0] if _names(asked) else DEFAULT_FORECASTER
    clock = max(float(curve.clock[-1]) for curve in selection.of(curves))
    found = choices.compare_runs(
        curves, _forecaster(name, started), selection=selection,
        horizon=asked.beyond * clock if asked.beyond else None, in_flight=True, own_ends=not asked.beyond,
        context=_context(asked),
        references=asked.references or started.references, losses=started.losses,
    )  # fmt: skip
    ranked = choices.rank(found)
    few = len(ranked) <= MOST_PAIRED
    return to_json(
        Ranking(
            forecaster=name,
            at=found.at,
            shared=found.shared.in_words,
            lower_is_better=found.lower_is_better,
            runs=[RankedRun(**row) for row in ranked.iter_rows(named=True)],
            pairs=[Pair(**row) for row in choices.pairs(found).iter_rows(named=True)] if few else [],
            left_out=dict(found.shared.lacking),
        ).model_dump()
    ).encode()


def _answer(table: Path, asked: Asked, started: Started) -> Answer:
    curves, selection = _chosen(table, asked, started)
    names = dict.fromkeys([*(_names(asked) or [DEFAULT_FORECASTER]), *BASELINES])
    return ask(
        curves, [_forecaster(name, started) for name in names],
        selection=selection, context=_context(asked), beyond=asked.beyond,
        references=asked.references or started.references, losses=started.losses,
    )  # fmt: skip


def _context(asked: Asked) -> float | None:
    """The share that is seen; None where all is, and the runs are in flight."""
    return asked.context if asked.context < 1 else None


def _chosen(path: Path, asked: Asked, started: Started) -> tuple[CurveTable, Selection]:
    """The table, and which of its curves are asked.

    Of a large table only the rows of the runs that are asked, where no other run is looked at.
    """
    selection = Selection(asked.run, asked.task, asked.metric, asked.n_shot, asked.variant)
    table = _small_table(path)
    if table is None and asked.run and (asked.references or started.references) == "none":
        rows = pl.read_parquet(path).filter(pl.col("run").is_in(asked.run))
        table = _read(rows) if rows["run"].n_unique() == len(set(asked.run)) else None
    table = table or _read(pl.read_parquet(path))
    if len(selection.of(table).curves) > MAX_CURVES:
        raise TooLargeError(f"more than {MAX_CURVES:,} curves; choose runs, tasks or a setting")
    return table, selection


def _names(asked: Asked) -> list[str]:
    """The forecasters asked for: registered ones only, a name from outside is never a path."""
    names = [name.strip() for name in asked.forecaster.split(",") if name.strip()]
    for name in names:
        check_known(name, REGISTRY, "forecaster", "unknown")
    return names


def _forecaster(name: str, started: Started) -> Forecaster | str:
    """A forecaster that stays loaded; its name where it has to learn from the references first."""
    try:
        return _loaded(name)
    except InputError:
        if started.references in ("none", "smaller", "finished"):
            raise
        return name


@lru_cache(maxsize=LOADED + 1 + len(BASELINES))
def _loaded(name: str) -> Forecaster:
    return load_forecaster(name)


@lru_cache(maxsize=4)
def _small_table(path: Path) -> CurveTable | None:
    """A table that a reader wrote, kept read where it is small. Its path names its content."""
    rows = pl.scan_parquet(path).select(pl.len()).collect().item()
    return _read(pl.read_parquet(path)) if rows <= MOST_KEPT else None


def _read(rows: pl.DataFrame) -> CurveTable:
    """Rows of a table that a reader has checked and sorted."""
    return CurveTable(normalise(rows, "the table"))


def _document(answer: Answer) -> dict[str, Any]:
    scored = answer.scored
    return ForecastAnswer(
        forecaster=answer.chosen,
        context=answer.context,
        n_curves=answer.n_curves,
        n_left_out=answer.n_left_out,
        noise_floor=scored.noise_floor * scored.unit if scored else None,
        scores=[
            Score(
                forecaster=line.forecaster, mae=line.mae.value, mae_low=line.mae.low, mae_high=line.mae.high,
                pinball=line.pinball, coverage80=line.coverage80.value, n_refused=line.n_refused,
            )
            for line in answer.lines
        ],
        cells=[],
    ).model_dump()  # fmt: skip


def _with_rows(document: str, cells: pl.DataFrame) -> bytes:
    """A document that ends with an empty list of cells, with the cells in it.

    They are written a slice at a time: as Python objects they are ten times as large.
    """
    slices = (to_json(part.to_dicts()) for part in cells.iter_slices(_SLICE))
    rows = ",\n".join("  " + text[2:-3].replace("\n", "\n  ") for text in slices)
    return f"{document.removesuffix(_EMPTY)}[\n{rows}\n  ]\n}}\n".encode() if rows else document.encode()


_SLICE = 5_000
_EMPTY = "[]\n}\n"
"""How a document ends whose last field is an empty list."""

JOBS: dict[str, Callable[..., bytes]] = {
    "forecast": forecast, "forecast_csv": forecast_csv, "report": report, "view": view, "rank": rank,
}  # fmt: skip
"""What can be asked, by name: so that the server need not load what works on it."""
