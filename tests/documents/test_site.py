"""The site in Chromium: every page, light and dark, asks nobody else, and axe finds nothing."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browsing import chromium, opened, screenshot, violations
from tests.conftest import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'neuneu[docs]'")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning or a dead link fails here."""
    folder = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with chromium() as found:
        yield found


@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_page_is_clean(site: Path, address: str, browser: Any, look: str) -> None:
    pages = sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))
    assert len(pages) > 25
    found: list[str] = []
    with opened(browser, look) as (page, problems):
        page.set_default_timeout(120_000)
        page.on("request", lambda asked: found.append(asked.url) if not _here(asked.url, address) else None)
        for name in pages:
            page.goto(f"{address}/{name}")
            found += [f"{name}: {line}" for line in violations(page)]
            found += [f"{name}: {line}" for line in problems]
            problems.clear()
            if name in ("index.html", "tutorials/recipes.html", "reference/python.html"):
                screenshot(page, f"site-{name.replace('/', '-').removesuffix('.html')}-{look}", whole=False)
    assert found == [], "\n".join(found)


def _here(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))
