"""The web application: a page and a JSON API on this machine; it reaches no network and keeps nothing."""

import threading
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from neuneu import __version__
from neuneu.app.uploads import MAX_UPLOAD, TooLargeError, read_body, read_upload
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, MissingExtraError, NeuneuError, check_known
from neuneu.evidence.select import Selection
from neuneu.files import to_json
from neuneu.forecasters.base import DEFAULT_FORECASTER, REGISTRY
from neuneu.reports.answer import Answer, ask, ready_forecasters
from neuneu.reports.html import Origin, asset, render_report, template

try:
    from fastapi import FastAPI, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware.trustedhost import TrustedHostMiddleware
except ImportError as error:
    raise MissingExtraError("fastapi", "app") from error

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""Names that a browser may reach the server by: others are refused (DNS rebinding)."""

MAX_CURVES = 5_000
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; frame-src blob: 'self'; img-src data:; form-action 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


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
    references: Literal["none", "smaller", "finished"] = Field(
        "none", description="Finished runs of the same family that may be looked at."
    )
    name: str = Field("curves.parquet", description="The file's name; its ending says how to read the body.")


class ForecasterInfo(BaseModel):
    """A forecaster that can answer here."""

    name: str
    description: str
    default: bool


class Message(BaseModel):
    """What is wrong with a request, in one line."""

    error: str


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


ERRORS: dict[int | str, dict[str, Any]] = {
    413: {"model": Message, "description": "Larger than the server takes."},
    422: {"model": Message, "description": "Bad input, in one line."},
}
BODY = {
    "requestBody": {
        "description": "A curve table with the columns run, task, metric, step and value.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Question = Annotated[Asked, Query()]


def make_app(
    curves: Path | None = None, *, losses: Path | None = None, max_upload: int = MAX_UPLOAD
) -> FastAPI:
    """The application. curves: a table that is used where a request has no body; losses: of its checkpoints;
    max_upload: bytes of a body.

    Raises InputError where `curves` is not a curve table.
    """
    offered = CurveTable.read(curves) if curves is not None else None
    app = FastAPI(
        title="neuneu",
        version=__version__,
        description="Forecasts of training runs. The body of a request is a curve table.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.add_exception_handler(NeuneuError, _one_line)
    app.add_exception_handler(RequestValidationError, _one_line)
    one_at_a_time = threading.Lock()

    async def answer(request: Request, asked: Asked) -> Answer:
        data = await read_body(request.stream(), max_upload)
        if not data and offered is None:
            raise InputError("is empty; send a curve table", field="body")

        def work() -> Answer:
            with one_at_a_time:
                table = read_upload(data, asked.name) if data else offered
                assert table is not None
                return _ask(table, asked, losses)

        return await run_in_threadpool(work)

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _page(curves, max_upload)

    @app.get("/api/forecasters")
    def forecasters() -> list[ForecasterInfo]:
        """Forecasters that answer as they ship; slow the first time, as each is loaded and asked."""
        chosen = DEFAULT_FORECASTER
        return [
            ForecasterInfo(name=name, description=text, default=name == chosen)
            for name, text in ready_forecasters().items()
        ]

    @app.post("/api/forecast", response_model=ForecastAnswer, responses=ERRORS, openapi_extra=BODY)
    async def forecast(request: Request, asked: Question) -> Response:
        """Forecast every curve of a table: quantiles at each later checkpoint, beside the baselines."""
        found = await answer(request, asked)
        text = await run_in_threadpool(lambda: to_json(_document(found)))
        return Response(text, media_type="application/json")

    @app.post("/api/report", response_class=HTMLResponse, responses=ERRORS, openapi_extra=BODY)
    async def report(request: Request, asked: Question) -> str:
        """The same as a self-contained HTML page."""
        found = await answer(request, asked)
        origin = Origin(command=f"neuneu serve, context {asked.context:g}", data=Path(asked.name).name)
        return await run_in_threadpool(render_report, found, origin)

    return app


def _ask(table: CurveTable, asked: Asked, losses: Path | None) -> Answer:
    """Answer with registered forecasters only: a name from outside is never a path."""
    names = [name.strip() for name in asked.forecaster.split(",") if name.strip()]
    for name in names:
        check_known(name, REGISTRY, "forecaster", f"unknown; known: {', '.join(REGISTRY)}")
    selection = Selection(asked.run, asked.task, asked.metric, asked.n_shot, asked.variant)
    if len(selection.of(table).curves) > MAX_CURVES:
        raise TooLargeError(f"more than {MAX_CURVES} curves; choose runs or tasks")
    return ask(
        table, names, selection=selection, context=asked.context, beyond=asked.beyond,
        references=asked.references, losses=losses,
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
        cells=answer.cells.to_dicts(),
    ).model_dump()  # fmt: skip


def _page(curves: Path | None, max_upload: int) -> str:
    text: str = template("page.html.j2").render(
        css=asset("report.css"),
        script=asset("page.js"),
        default=DEFAULT_FORECASTER,
        offered=curves.name if curves is not None else "",
        limit=f"{max_upload / 2**20:.0f} MB",
    )
    return text


async def _one_line(_: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        message = f"{first['loc'][-1]} = {str(first.get('input'))[:80]!r}: {first['msg']}"
        return JSONResponse({"error": message}, 422)
    return JSONResponse({"error": str(error)}, 413 if isinstance(error, TooLargeError) else 422)


def serve(curves: Path | None, port: int, ready: Any = None, losses: Path | None = None) -> None:
    """Serve on 127.0.0.1 until interrupted; `ready` is called with the address once the port is open.

    Raises InputError where the port is taken.
    """
    import socket

    import uvicorn

    application = make_app(curves, losses=losses)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"cannot be used: {error.strerror}", field="port", value=port) from error
    listener.listen()
    if ready is not None:
        ready(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    config = uvicorn.Config(application, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])
