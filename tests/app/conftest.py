"""A real server on loopback, and a client that says what came back."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.browsing import chromium

from neuneu.app.asked import Sent


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


def send(address: str, data: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
    """Send a request, and read the answer to its end."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, data=data, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return Answer(response.status, response.read(), dict(response.headers))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), dict(error.headers))


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[str, int]]:
    """`neuneu serve` with these arguments: its address, as it prints it, and its process."""
    command = [sys.executable, "-m", "neuneu", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        try:
            yield found[0], server.pid
        finally:
            server.terminate()


def form(files: dict[str, bytes]) -> tuple[bytes, str]:
    """Files by name as the body of a form, and its content type."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    return b"".join([*parts, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"


def result(step: int, run: str = "one", **values: float) -> bytes:
    """A result file of lm-evaluation-harness."""
    scores = {task: {"acc,none": value, "acc_stderr,none": 0.01} for task, value in values.items()}
    document = {"results": scores, "config": {"model_args": f"pretrained=/ckpt/{run}/step{step}"}}
    return json.dumps(document).encode()


def resident(pid: int) -> int:
    """Bytes that a process and all below it hold, pages that they share counted once."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            (share,) = (line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
            total += 1024 * int(share)
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
        except (OSError, ValueError):
            continue
    return total


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
    with serving(table) as found:
        yield found


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
    return lambda path, *arguments, **headers: send(address + path, *arguments, **headers)


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """What a reader makes of a body: read(body, name=…) → TableInfo."""
    from neuneu.app.sent_files import read_sent

    def made(body: bytes, content_type: str = "", **sent: Any) -> Any:
        folder = tmp_path_factory.mktemp("read")
        (folder / "body").write_bytes(body)
        return read_sent(folder / "body", content_type, Sent(**sent), folder / "table.parquet")

    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; skips where there is none."""
    with chromium() as found:
        yield found
