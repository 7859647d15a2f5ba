"""The web application: a page and a JSON API over curve tables; it reaches no network and keeps nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any, TypeAlias

from neuneu import __version__
from neuneu.app.asked import (
    Asked,
    ForecastAnswer,
    ForecasterInfo,
    FormatInfo,
    Message,
    PageInfo,
    Ranking,
    Sending,
    Sent,
    TableInfo,
)
from neuneu.app.guard import EVERY, LOOPBACK, REPORT_POLICY, Access, Guard
from neuneu.app.kept_answers import unpack
from neuneu.app.kept_tables import GoneError, Kept
from neuneu.app.read_pool import BusyError
from neuneu.app.service import Service, Settings, forecasters
from neuneu.app.uploads import SlowError
from neuneu.errors import InputError, MissingExtraError, NeuneuError, TooLargeError

try:
    from fastapi import FastAPI, Path, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
    from starlette.requests import ClientDisconnect
except ImportError as error:
    raise MissingExtraError("fastapi", "app") from error

CONNECTIONS = 256
"""Connections at once; further ones are answered with 503."""

IDLE_SECONDS = 5
"""Time for which a connection stays open without a request."""

LAST_SECONDS = 1
"""Time that answers on their way have when the server is stopped."""

_REASONS = {
    400: "By a name that is not this server's.",
    401: "Without the token of a server that has one.",
    403: "From another site's page.",
    404: "No such table is here any more.",
    408: "The body takes too long to come.",
    413: "Larger than the server takes, in size, memory or time.",
    422: "Bad input, in one line.",
    503: "Too many requests wait; Retry-After says when to come again.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Message, "description": reason} for code, reason in _REASONS.items()
}
_MESSAGE = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
ERRORS_BESIDE: dict[int | str, dict[str, Any]] = {
    code: {"description": reason, "content": _MESSAGE} for code, reason in _REASONS.items()
}
"""The same of requests whose answer is no JSON: an error is."""

STATUS: dict[type[Exception], int] = {TooLargeError: 413, SlowError: 408, BusyError: 503, GoneError: 404}
RETRY_SECONDS = "5"

_FILES = {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}}
BODY = {
    "requestBody": {
        "description": "A curve table or a result file as it is, or several files as a form; nothing where "
        "a table is named, or the server offers one.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {"schema": {"type": "object", "properties": _FILES}},
        },
    }
}
Question: TypeAlias = Annotated[Asked, Query()]
Files: TypeAlias = Annotated[Sent, Query()]
Both: TypeAlias = Annotated[Sending, Query()]
TableId: TypeAlias = Annotated[str, Path(max_length=64, description="The id of a table, or `served`.")]
SERVED = "served"
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}},
    204: {"description": "The server offers no table."},
}

STATIC = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/fields.js": ("fields.js", "text/javascript"),
    "/api": ("api.html", "text/html"),
    "/api.js": ("api.js", "text/javascript"),
}
"""What the page is made of, by its address."""

TYPES = {
    "forecast": "application/json", "rank": "application/json", "forecast_csv": "text/csv; charset=utf-8",
    "report": "text/html; charset=utf-8", "view": "text/html; charset=utf-8",
}  # fmt: skip


def make_app(settings: Settings | None = None, access: Access | None = None) -> FastAPI:
    """The application. It starts its workers when it is started, and ends them with it."""
    service = Service(settings or Settings())

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="neuneu",
        version=__version__,
        description="Forecasts of training runs. Send a curve table or result files, ask about them.",
        docs_url=None,
        redoc_url=None,
        lifespan=running,
    )
    app.state.service = service
    app.add_middleware(Guard, access=access or Access())
    app.add_exception_handler(NeuneuError, _one_line)
    app.add_exception_handler(RequestValidationError, _one_line)
    app.add_exception_handler(ClientDisconnect, _nobody)
    app.add_exception_handler(Exception, _failed)
    _add_pages(app)
    _add_tables(app, service)
    _add_questions(app, service)
    return app


def _add_pages(app: FastAPI) -> None:
    for address, (name, kind) in STATIC.items():
        text = files("neuneu.app").joinpath("static", name).read_bytes()
        app.add_api_route(address, _static(text, kind), include_in_schema=False)
    style = files("neuneu.reports").joinpath("templates", "report.css").read_bytes()
    app.add_api_route("/report.css", _static(style, "text/css"), include_in_schema=False)


def _static(text: bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(text, media_type=f"{kind}; charset=utf-8")


def _add_tables(app: FastAPI, service: Service) -> None:
    @app.get("/api/page", response_model=PageInfo, responses=_some(400, 401, 403))
    async def page() -> PageInfo:
        """What the page starts with: the table that the server offers, its limits."""
        return service.page()

    @app.get("/api/forecasters", response_model=list[ForecasterInfo], responses=_some(400, 401, 403))
    async def list_forecasters() -> list[ForecasterInfo]:
        """Forecasters that answer as they ship."""
        return forecasters()

    @app.get("/api/formats", response_model=list[FormatInfo], responses=_some(400, 401, 403))
    async def list_formats() -> list[FormatInfo]:
        """Formats of result files that are read, with the names of their files."""
        return await service.formats()

    @app.post("/api/tables", response_model=TableInfo, responses=ERRORS, openapi_extra=BODY)
    async def send_table(request: Request, sent: Files) -> TableInfo:
        """Send files; the answer says what was read, what there is to choose from, and the table's id."""
        kept = await service.receive(request.headers, request.stream(), sent)
        return kept.info

    @app.get("/api/tables/{table}", response_model=TableInfo, responses=_some(400, 401, 403, 404, 422))
    async def find_table(table: TableId) -> TableInfo:
        """What a table holds that was sent before, or, as `served`, the one that the server offers."""
        return service.table("" if table == SERVED else table).info

    @app.get("/api/events", responses=EVENTS | _some(400, 401, 403, 503))
    async def events() -> Response:
        """Changes of the offered table, as server-sent events: its new id, the runs that grew."""
        if service.live is None:
            return Response(status_code=204)
        stream = service.live.events()
        first = await anext(stream)

        async def rest() -> AsyncIterator[bytes]:
            yield first
            async for part in stream:
                yield part

        return StreamingResponse(rest(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _add_questions(app: FastAPI, service: Service) -> None:
    async def answer(request: Request, asked: Asked, sent: Sent, job: str) -> Response:
        kept: Kept
        if request.method == "POST" and not asked.table and _has_body(request):
            kept = await service.receive(request.headers, request.stream(), sent)
        else:
            kept = service.table(asked.table)
        packed = await service.answer(job, kept, asked)
        headers = {"Vary": "Accept-Encoding"}
        if job in ("report", "view"):
            headers["Content-Security-Policy"] = REPORT_POLICY
        if job == "forecast_csv":
            headers["Content-Disposition"] = 'attachment; filename="forecasts.csv"'
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            packed = await asyncio.to_thread(unpack, packed)
        return Response(packed, media_type=TYPES[job], headers=headers)

    @app.get("/view", include_in_schema=False)
    async def view(request: Request, asked: Question) -> Response:
        return await answer(request, asked, Sent(), "view")

    def both(address: str, job: str, **described: Any) -> None:
        async def get(request: Request, asked: Question) -> Response:
            return await answer(request, asked, Sent(), job)

        async def post(request: Request, asked: Both) -> Response:
            return await answer(request, asked.asked, asked.sent, job)

        described["responses"] = ERRORS if TYPES[job] == "application/json" else ERRORS_BESIDE
        for method, function in (("GET", get), ("POST", post)):
            app.add_api_route(
                address, function, methods=[method], name=f"{job}_{method.lower()}",
                operation_id=f"{job}_{method.lower()}", openapi_extra=BODY if method == "POST" else None,
                **described,
            )  # fmt: skip

    both(
        "/api/forecast", "forecast", response_model=ForecastAnswer,
        description="Forecast every chosen curve of a table: quantiles at horizons, beside the baselines.",
    )  # fmt: skip
    both(
        "/api/forecast.csv", "forecast_csv", response_class=PlainCSV,
        description="The same as CSV, a row a forecaster and horizon.",
    )  # fmt: skip
    both(
        "/api/report", "report", response_class=HTMLResponse,
        description="The same as a self-contained HTML page.",
    )  # fmt: skip
    both(
        "/api/rank", "rank", response_model=Ranking,
        description="Which run wins, with what probability: the mean over the benchmarks that all have.",
    )  # fmt: skip


class PlainCSV(Response):
    """A table as CSV."""

    media_type = "text/csv"


def _some(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: ERRORS[code] for code in codes}


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "") != "0" and (
        "content-length" in request.headers or "transfer-encoding" in request.headers
    )


async def _one_line(_: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        message = f"{first['loc'][-1]} = {str(first.get('input'))[:80]!r}: {first['msg']}"
        return JSONResponse({"error": message}, 422)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
    headers = {"Retry-After": RETRY_SECONDS} if status == 503 else None
    return JSONResponse({"error": str(error)}, status, headers)


async def _failed(_: Request, __: Exception) -> Response:
    """What should not happen: who asks is told, and the server's terminal why."""
    return JSONResponse({"error": "the server failed at this; its terminal says why"}, 500)


async def _nobody(_: Request, __: Exception) -> Response:
    """The sender has gone: there is no one to answer, and nothing to report."""
    return Response(status_code=400)


def serve(
    settings: Settings, access: Access | None = None, port: int = 8080,
    ready: Callable[[str], object] | None = None,
) -> None:  # fmt: skip
    """Serve until interrupted; `ready` is called with the address once the port is open.

    Raises InputError where the port is taken, and where what is offered cannot be read.
    """
    if settings.place is not None and settings.place.is_file():
        from neuneu.files import open_file

        with open_file(settings.place):  # what cannot be read is named before anything starts
            pass
    import uvicorn

    access = access or Access()
    application = make_app(settings, access)
    listener = _listen(access.host, port)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )

    async def run() -> None:
        await application.state.service.check()
        if ready is not None:
            ready(_address(access, listener.getsockname()[1]))
        await uvicorn.Server(config).serve(sockets=[listener])

    asyncio.run(run())


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except socket.gaierror as error:
        raise InputError(
            f"is no address of this machine: {error.strerror}", field="host", value=host
        ) from error
    except OSError as error:
        raise InputError(f"cannot be used: {error.strerror}", field="port", value=port) from error
    listener.listen()
    return listener


def _address(access: Access, port: int) -> str:
    """The address to open; of a server for all of the machine's addresses, by the machine's name."""
    host = socket.gethostname() if access.host in EVERY else access.host
    shown = f"[{host}]" if ":" in host else host
    token = f"?token={access.token}" if access.token is not None else ""
    return f"http://{shown}:{port}/{token}"


__all__ = ["LOOPBACK", "Access", "Settings", "make_app", "serve"]
