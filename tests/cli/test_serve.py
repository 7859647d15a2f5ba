import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path


def test_serve_answers_and_stops_when_interrupted() -> None:
    command = [sys.executable, "-m", "neuneu", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", server.stderr.readline())
        assert found
        with urllib.request.urlopen(found[0], timeout=60) as page:
            assert b"neuneu" in page.read()
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 130


def test_a_port_that_is_taken_is_said(neuneu) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = neuneu("serve", "--port", taken.getsockname()[1])
    assert done.returncode == 2
    assert "port" in done.stderr


def test_a_table_that_cannot_be_read_is_said_before_anything_is_served(neuneu, tmp_path: Path) -> None:
    done = neuneu("serve", tmp_path / "no.parquet", "--port", "0")
    assert done.returncode == 2
    assert "no such file" in done.stderr
