"""The page under bad company: a bomb of eleven gigabytes, fifty slow bodies, twenty clients at once.

python -m benchmarks.page

Seconds, and the memory of the server and all its processes (pages that they share counted once).
"""

import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.app.conftest import resident

from neuneu.suite.home import read_home_curves

MAKE = Path(__file__).parents[1] / "tests/cases/hostile/B-02-parquet-unpacks-to-gigabytes/make.py"
CLIENTS, SLOW = 20, 50


def send(address: str, body: bytes) -> tuple[int, float]:
    """(status, seconds) of a request."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=300) as answer:
            answer.read()
            return answer.status, time.monotonic() - began
    except urllib.error.HTTPError as error:
        return error.code, time.monotonic() - began


class Watch(threading.Thread):
    """Notes the most memory that a server holds."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.on = pid, 0, True

    def run(self) -> None:
        """Look ten times a second."""
        while self.on:
            self.peak = max(self.peak, resident(self.pid))
            time.sleep(0.1)


def main() -> None:
    """The measurement, printed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, str(MAKE)], cwd=folder, check=True)
        bomb = Path(folder, "bomb.parquet").read_bytes()
        curves = read_home_curves().one_metric()
        curves.filter(run=curves.runs[:2]).write(Path(folder) / "good.parquet")
        good = Path(folder, "good.parquet").read_bytes()
        command = [sys.executable, "-m", "neuneu", "serve", "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", server.stderr.readline())
            assert found
            ask = f"{found[0]}api/forecast?context=0.3"
            send(ask, good)
            idle = resident(server.pid)
            watch = Watch(server.pid)
            watch.start()
            status, seconds = send(f"{ask}&name=bomb.parquet", bomb)
            print(
                f"bomb: {status} in {seconds:.1f} s, {(watch.peak - idle) / 1e6:.0f} MB over {idle / 1e6:.0f}"
            )
            slow = [socket.create_connection(("127.0.0.1", int(found[1]))) for _ in range(SLOW)]
            for one in slow:
                one.sendall(
                    b"POST /api/forecast HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\nPAR1"
                )
            with ThreadPoolExecutor(CLIENTS) as pool:
                answers = list(pool.map(lambda _: send(ask, good), range(CLIENTS)))
            statuses, last = sorted({one[0] for one in answers}), max(one[1] for one in answers)
            print(f"{CLIENTS} clients beside {SLOW} slow bodies: {statuses}, the last after {last:.1f} s")
            print(f"{watch.peak / 1e6:.0f} MB in all")
            ends = [one.recv(12).decode()[9:12] for one in slow]
            print(f"slow bodies: {dict.fromkeys(ends)}")
            watch.on = False
            server.terminate()


if __name__ == "__main__":
    main()
