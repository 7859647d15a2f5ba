"""What is asked of a table and what is answered: the work of a request, in a process of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, Field

from neuneu.app.uploads import read_upload
from neuneu.curves.table import CurveTable
from neuneu.errors import TooLargeError, check_known
from neuneu.evidence.select import Selection
from neuneu.files import to_json
from neuneu.forecasters.base import DEFAULT_FORECASTER, REGISTRY
from neuneu.reports.answer import Answer, ask, ready_forecasters
from neuneu.reports.html import ReportOrigin, render_report

MAX_CURVES = 5_000


class Asked(BaseModel):
    """What is asked of a curve table."""

    forecaster: str = Field("", description="One of /api/forecasters; the default where empty.")
    context: float = Field(0.2, gt=0, le=1, description="Share of each run's clock that is seen.")
    beyond: float | None = Field(
        None, gt=1, le=1000, description="Forecast up to this multiple of the clock."
    )
    metric: str | None = Field(None, description="One accuracy a curve where not given.")
    run: list[str] = Field([], description="Only these runs.")
    task: list[str] = Field([], description="Only these tasks.")
    n_shot: int | None = Field(None, description="Only with this number of shots.")
    variant: str | None = Field(None, description="Only this variant of the tasks.")
    references: Literal["", "none", "smaller", "finished"] = Field(
        "", description="Finished runs that may be looked at; what the server was started with where empty."
    )
    name: str = Field("curves.parquet", description="The file's name; its ending says how to read the body.")


class ForecasterInfo(BaseModel):
    """A forecaster that can answer here."""

    name: str
    description: str
    default: bool


class Score(BaseModel):
    """A forecaster's scores where the truth is known; errors in points for accuracies, null where unknown."""

    forecaster: str
    mae: float | None
    mae_low: float | None = Field(description="95 % interval by bootstrap over runs")
    mae_high: float | None
    pinball: float | None
    coverage80: float | None
    n_refused: int


class ForecastAnswer(BaseModel):
    """Forecasts of a table's curves."""

    forecaster: str
    context: float
    n_curves: int
    n_left_out: int
    noise_floor: float | None
    scores: list[Score]
    cells: list[dict[str, Any]] = Field(description="A row a forecaster and horizon, as in cells.parquet.")


class Input(BaseModel):
    """Where the table of a request is: an upload on disk, or the table that the server offers."""

    path: Path
    uploaded: bool
    losses: Path | None = None
    references: str = "none"


Done = Callable[[], object]


def forecast(done_reading: Done, given: Input, asked: Asked) -> bytes:
    """Forecasts as JSON (ForecastAnswer)."""
    found = _answer(done_reading, given, asked)
    return _with_rows(to_json(_document(found)), found.cells)


def report(done_reading: Done, given: Input, asked: Asked) -> bytes:
    """The same as a self-contained HTML page."""
    found = _answer(done_reading, given, asked)
    origin = ReportOrigin(command=f"neuneu serve, context {asked.context:g}", data=Path(asked.name).name)
    return render_report(found, origin).encode()


def forecasters(done_reading: Done) -> bytes:
    """A JSON list of ForecasterInfo: each forecaster is loaded and asked once."""
    done_reading()
    return to_json(
        [
            ForecasterInfo(name=name, description=text, default=name == DEFAULT_FORECASTER).model_dump()
            for name, text in ready_forecasters().items()
        ]
    ).encode()


def _answer(done_reading: Done, given: Input, asked: Asked) -> Answer:
    """Answer with registered forecasters only: a name from outside is never a path."""
    names = [name.strip() for name in asked.forecaster.split(",") if name.strip()]
    for name in names:
        check_known(name, REGISTRY, "forecaster", f"unknown; known: {', '.join(REGISTRY)}")
    table = read_upload(given.path, asked.name) if given.uploaded else CurveTable.read(given.path)
    done_reading()
    selection = Selection(asked.run, asked.task, asked.metric, asked.n_shot, asked.variant)
    if len(selection.of(table).curves) > MAX_CURVES:
        raise TooLargeError(f"more than {MAX_CURVES} curves; choose runs or tasks")
    return ask(
        table, names, selection=selection, context=asked.context, beyond=asked.beyond,
        references=asked.references or given.references, losses=given.losses,
    )  # fmt: skip


def _document(answer: Answer) -> dict[str, Any]:
    scored = answer.scored
    return ForecastAnswer(
        forecaster=answer.chosen,
        context=answer.context,
        n_curves=len(answer.panels),
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
