"""Who may ask: the host by its name, pages of this server only, and a token where others can reach it."""

import hashlib
import hmac
from collections.abc import MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from neuneu.errors import InputError, MissingExtraError

try:
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.responses import JSONResponse, RedirectResponse, Response
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError("fastapi", "app") from error

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names of this machine for itself."""

EVERY = ("0.0.0.0", "::")
"""Addresses that stand for all of a machine's."""

COOKIE = "neuneu-token"
MIN_TOKEN = 16
"""Characters of a token: too many to try."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page of the server may load: its own script and style."""

REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads"
)
"""What a report may do, which shows names of other people's files: run its own script, and no more."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Where the server listens and who may ask. token: needed wherever it is not this machine alone."""

    host: str = LOOPBACK[0]
    token: str | None = None

    def __post_init__(self) -> None:
        """Refuse an open door, and a token that can be guessed."""
        if self.host not in LOOPBACK and self.token is None:
            rule = "is reached by others: give a `token` too; auto makes one"
            raise InputError(rule, field="host", value=self.host)
        if self.token is not None and not (len(self.token) >= MIN_TOKEN and self.token.isascii()):
            raise InputError(f"must have at least {MIN_TOKEN} characters, all ASCII", field="token")

    @property
    def cookie(self) -> str:
        """What a browser shows in place of the token."""
        return hashlib.sha256(f"neuneu {self.token}".encode()).hexdigest()

    def takes_host(self, name: str) -> bool:
        """Whether a request may call the server by this name.

        Names that lead here by a trick (DNS rebinding) are refused; where every address is listened to, any
        name may be right, and the token, which a browser keeps by name, refuses the tricks.
        """
        return self.host in EVERY or name in (*LOOPBACK, self.host)


def same(one: str, other: str) -> bool:
    """Whether two texts are the same; takes as long where they are not."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class Guard:
    """Refuses who may not ask, and puts HEADERS on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", PAGE_POLICY)
            await send(message)

        app = self.refusal(scope) or self.app
        await app(scope, receive, send_with_headers)

    def refusal(self, scope: Scope) -> Response | None:
        """The answer to who may not ask; None where they may."""
        headers = Headers(scope=scope)
        name = _host_name(headers.get("host", ""))
        if not self.access.takes_host(name):
            return JSONResponse({"error": f"host = {name[:80]!r}: is no name of this server"}, 400)
        if not _own_page(scope, headers):
            return JSONResponse({"error": "origin: another site's page may not ask here"}, 403)
        return self._token(scope, headers) if self.access.token is not None else None

    def _token(self, scope: Scope, headers: Headers) -> Response | None:
        token = self.access.token or ""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and same(given.strip(), token):
            return None
        if same(_cookie(headers), self.access.cookie):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        named = [value for name, value in query if name == "token"]
        if scope["method"] in ("GET", "HEAD") and named and same(named[0], token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            answer = RedirectResponse(scope["path"] + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(COOKIE, self.access.cookie, httponly=True, samesite="strict")
            return answer
        return JSONResponse(
            {"error": "token: open the address that was printed, or send Authorization: Bearer TOKEN"},
            401, {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _own_page(scope: Scope, headers: Headers) -> bool:
    """Whether a request comes from no page, or from one of this server's.

    Browsers say where a page is from: in Origin, whenever it sends something, and in Sec-Fetch-Site. A link
    from elsewhere may be followed to the page itself, and to nothing else.
    """
    origin = headers.get("origin")
    if origin is not None:
        try:
            place = urlsplit(origin)
        except ValueError:
            return False
        if place.scheme not in ("http", "https") or place.netloc.lower() != headers.get("host", "").lower():
            return False
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    return bool(scope["method"] in ("GET", "HEAD") and scope["path"] == "/")


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
