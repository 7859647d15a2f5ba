"""A real server on loopback, and a client that says what came back."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Answer:
    """What the server said."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packaged runs on two tasks."""
    from neuneu.suite.home import read_home_curves

    curves = read_home_curves().one_metric()
    path = tmp_path_factory.mktemp("app") / "curves.parquet"
    curves.filter(run=curves.runs[:2], task=curves.tasks[:2]).write(path)
    return path


@pytest.fixture(scope="session")
def served(table: Path) -> Iterator[tuple[str, int]]:
    """Where `neuneu serve` listens, with the table offered, and its process."""
    command = [sys.executable, "-m", "neuneu", "serve", str(table), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        yield found[0], server.pid
        server.terminate()


@pytest.fixture(scope="session")
def address(served: tuple[str, int]) -> str:
    """Where the server listens."""
    return served[0]


@pytest.fixture(scope="session")
def server(served: tuple[str, int]) -> int:
    """The server's process."""
    return served[1]


@pytest.fixture(scope="session")
def ask(address: str) -> Ask:
    """Send a request: ask("api/forecast?context=0.5", data)."""

    def send(path: str, data: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
        request = urllib.request.Request(address + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return Answer(response.status, response.read(), dict(response.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))

    return send
