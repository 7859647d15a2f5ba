"""Who may ask: by the server's own names, from its own page, with the token where there is one."""

import re
import secrets
import urllib.request
from pathlib import Path

import pytest
from tests.app.conftest import Ask, send, serving

from neuneu.app.guard import Access, same
from neuneu.errors import InputError


def test_other_names_for_this_host_are_refused(ask: Ask) -> None:
    for name in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "0.0.0.0"):
        assert ask("", Host=name).status == 400, name
    for name in ("localhost", "localhost:9999", "127.0.0.1", "[::1]:80"):
        assert ask("", Host=name).status == 200, name


def test_a_foreign_page_may_not_ask(ask: Ask, address: str, table: Path) -> None:
    own = address.rstrip("/")
    for origin in ("http://evil.example", "null", own + "1", "https://127.0.0.1", "file://", "http://[", ""):
        answer = ask("api/forecast?context=0.5", table.read_bytes(), Origin=origin)
        assert answer.status == 403, origin
    assert ask("api/forecast?context=0.5", table.read_bytes(), Origin=own).status == 200
    tunnel = {"Host": "localhost:9999", "Origin": "http://localhost:9999"}
    assert ask("api/forecast?context=0.5", table.read_bytes(), **tunnel).status == 200
    for site in ("cross-site", "same-site"):
        assert ask("api/report?context=0.5", Sec_Fetch_Site=site).status == 403
        assert ask("api/report?context=0.5", b"", Sec_Fetch_Site=site).status == 403
        assert ask("", Sec_Fetch_Site=site).status == 200  # a link from elsewhere leads to the page


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_other_script(ask: Ask) -> None:
    for path in ("", "api", "page.js", "page.css", "fields.js", "api.js"):
        answer = ask(path)
        assert answer.status == 200
        assert not re.search(rb"https?://", answer.body)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    report = ask("api/report?context=0.5").headers["content-security-policy"]
    assert "sandbox allow-scripts" in report
    assert "allow-same-origin" not in report
    assert "connect-src" not in report


@pytest.fixture(scope="module")
def token() -> str:
    return secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def locked(token: str, table: Path):
    with serving(table, "--host", "127.0.0.1", "--token", token) as (address, _):
        yield address


def test_with_a_token_nobody_else_is_answered(locked: str, token: str) -> None:
    base = locked.partition("?")[0]
    assert locked == f"{base}?token={token}"
    for path in ("", "api/page", "api/forecast?context=0.5", "openapi.json", "page.js", "api/events"):
        refused = send(base + path)
        assert refused.status == 401, path
        assert token not in refused.body.decode()
    assert send(base + "api/tables", b"x", Authorization="Bearer " + token[:-1]).status == 401
    assert send(f"{base}api/page?token={token}x").status == 401
    assert send(f"{base}api/tables?token={token}", b"x").status == 401  # an address alone sends nothing
    assert send(base + "api/page", Authorization=f"Bearer {token}").status == 200
    assert send(base + "api/page", Cookie="neuneu-token=" + token).status == 401


def test_the_address_that_is_printed_gives_the_browser_its_cookie(locked: str, token: str) -> None:
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    with pytest.raises(urllib.error.HTTPError) as found:
        opener.open(locked)
    assert found.value.code == 303
    assert found.value.headers["location"] == "/"
    cookie = found.value.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert token not in cookie
    base = locked.partition("?")[0]
    assert send(base + "api/page", Cookie=cookie.partition(";")[0]).status == 200
    foreign = send(base + "api/rank", b"", Cookie=cookie.partition(";")[0], Origin="http://evil.example")
    assert foreign.status == 403


def test_a_door_to_others_needs_a_token_that_cannot_be_guessed() -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "login.example"):
        with pytest.raises(InputError, match="token"):
            Access(host)
    for bad in ("", "short", "ünïcödé-that-is-long-enough"):
        with pytest.raises(InputError, match="16 characters"):
            Access("0.0.0.0", bad)
    open_to_all = Access("0.0.0.0", "0123456789abcdef")
    assert open_to_all.takes_host("login.example")
    named = Access("login.example", "0123456789abcdef")
    assert named.takes_host("login.example")
    assert not named.takes_host("evil.example")


def test_tokens_are_compared_whole() -> None:
    assert same("a" * 20, "a" * 20)
    assert not same("a" * 20, "a" * 19)
    assert not same("ä", "a")


def test_auto_makes_a_token(table: Path) -> None:
    with serving("--token", "auto") as (address, _):
        assert len(address.partition("?token=")[2]) >= 32
        assert send(address.partition("?")[0] + "api/page").status == 401
