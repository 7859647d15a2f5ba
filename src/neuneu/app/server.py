"""The web application: a page and a JSON API on this machine; it reaches no network and keeps nothing."""

from collections.abc import MutableMapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import BaseModel

from neuneu import __version__
from neuneu.app import asking
from neuneu.app.asking import Asked, ForecastAnswer, ForecasterInfo, Input
from neuneu.app.uploads import MAX_UPLOAD, Receiver, SlowError, check_name
from neuneu.app.workers import BusyError, Job, RequestWorkers
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, MissingExtraError, NeuneuError, TooLargeError
from neuneu.evidence.finished import read_references
from neuneu.forecasters.base import DEFAULT_FORECASTER
from neuneu.reports.html import asset, template

try:
    from fastapi import FastAPI, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse
    from starlette.datastructures import MutableHeaders
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError("fastapi", "app") from error

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""Names that a browser may reach the server by: others are refused (DNS rebinding)."""

CONNECTIONS = 256
"""Connections at once; further ones are answered with 503."""

IDLE_SECONDS = 5
"""Time for which a connection stays open without a request."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; frame-src blob: 'self'; img-src data:; form-action 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Message(BaseModel):
    """What is wrong with a request, in one line."""

    error: str


ERRORS: dict[int | str, dict[str, Any]] = {
    408: {"model": Message, "description": "The body takes too long to come."},
    413: {"model": Message, "description": "Larger than the server takes, in size, memory or time."},
    422: {"model": Message, "description": "Bad input, in one line."},
    503: {"model": Message, "description": "Too many requests wait."},
}
BODY = {
    "requestBody": {
        "description": "A curve table with the columns run, task, metric, step and value.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Question = Annotated[Asked, Query()]


class AddHeaders:
    """Puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def make_app(
    curves: Path | None = None,
    *,
    losses: Path | None = None,
    references: str = "none",
    max_upload: int = MAX_UPLOAD,
) -> FastAPI:
    """The application. curves: a table that is used where a request has no body; losses: of its checkpoints;
    references: a rule or a table that requests use unless they name a rule, checked at once;
    max_upload: bytes of a body.

    Raises InputError where `curves` is not a curve table.
    """
    if curves is not None:
        CurveTable.read(curves)
    read_references(references)
    receiver, workers = Receiver(max_upload), RequestWorkers()
    app = FastAPI(
        title="neuneu",
        version=__version__,
        description="Forecasts of training runs. The body of a request is a curve table.",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.add_middleware(AddHeaders)
    app.add_exception_handler(NeuneuError, _one_line)
    app.add_exception_handler(RequestValidationError, _one_line)
    app.add_exception_handler(ClientDisconnect, _nobody)

    async def answer(request: Request, asked: Asked, job: Job) -> bytes:
        with TemporaryDirectory(prefix="neuneu-") as folder:
            path = Path(folder) / "upload"
            size = await receiver.receive(request.headers, request.stream(), path)
            try:
                if size:
                    check_name(asked.name)
                    given = Input(path=path, uploaded=True, losses=losses, references=references)
                elif curves is not None:
                    given = Input(path=curves, uploaded=False, losses=losses, references=references)
                else:
                    raise InputError("is empty; send a curve table", field="body")
                return await workers.run(job, given, asked)
            finally:
                receiver.release(size)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _page(curves, max_upload)

    known: list[bytes] = []

    @app.get("/api/forecasters", response_model=list[ForecasterInfo])
    async def forecasters() -> Response:
        """Forecasters that answer as they ship; slow the first time, as each is loaded and asked."""
        if not known:
            known.append(await workers.run(asking.forecasters))
        return Response(known[0], media_type="application/json")

    @app.post("/api/forecast", response_model=ForecastAnswer, responses=ERRORS, openapi_extra=BODY)
    async def forecast(request: Request, asked: Question) -> Response:
        """Forecast every curve of a table: quantiles at each later checkpoint, beside the baselines."""
        return Response(await answer(request, asked, asking.forecast), media_type="application/json")

    @app.post("/api/report", response_class=HTMLResponse, responses=ERRORS, openapi_extra=BODY)
    async def report(request: Request, asked: Question) -> Response:
        """The same as a self-contained HTML page."""
        return HTMLResponse(await answer(request, asked, asking.report))

    return app


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
    kinds = {TooLargeError: 413, SlowError: 408, BusyError: 503}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 422)
    return JSONResponse({"error": str(error)}, status, {"Retry-After": "5"} if status == 503 else None)


async def _nobody(_: Request, __: Exception) -> Response:
    """The sender has gone: there is no one to answer, and nothing to report."""
    return Response(status_code=400)


def serve(
    curves: Path | None,
    port: int,
    ready: Any = None,
    losses: Path | None = None,
    references: str = "none",
) -> None:
    """Serve on 127.0.0.1 until interrupted; `ready` is called with the address once the port is open.

    Raises InputError where the port is taken.
    """
    import socket

    import uvicorn

    application = make_app(curves, losses=losses, references=references)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"cannot be used: {error.strerror}", field="port", value=port) from error
    listener.listen()
    if ready is not None:
        ready(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])
