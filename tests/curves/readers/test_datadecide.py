"""DataDecide results: both layouts, and the hub's own client against a server that speaks its protocol."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from neuneu.curves.readers.datadecide import read_datadecide
from neuneu.curves.readers.parsing import Given
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError


def long(metrics: list[Any]) -> pl.DataFrame:
    n = len(metrics)
    return pl.DataFrame(
        {
            "params": ["150M"] * n, "data": ["C4"] * n, "task": ["arc_easy"] * n, "seed": ["small aux 2"] * n,
            "step": [float(1250 * i) for i in range(n)], "metrics": metrics,
        },
        strict=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["object", "json", "python"])
def test_the_long_layout(tmp_path: Path, kind: str) -> None:
    metrics = [{"acc_raw": 0.25, "correct_prob": 0.1}, {"acc_raw": 0.5, "correct_prob": 0.2}]
    texts = {
        "object": list,
        "json": lambda all_: list(map(json.dumps, all_)),
        "python": lambda all_: list(map(repr, all_)),
    }
    long(texts[kind](metrics)).write_parquet(tmp_path / "a.parquet")
    frame = read_datadecide([tmp_path]).table.frame
    assert frame["run"].unique().to_list() == ["datadecide/C4-150M-seed1"]
    assert frame.filter(metric="acc_raw").select("step", "value", "params").rows() == [
        (0, 0.25, 150_000_000),
        (1250, 0.5, 150_000_000),
    ]
    assert frame.select("n_shot", "variant", "recipe").unique().row(0) == (5, "olmes_rc", "C4")


@pytest.mark.parametrize(
    "bad", ["__import__('os').system('true')", "[1]", "{", "(" * 5000, "{'a': 1" + "0" * 30_000]
)
def test_metrics_that_are_no_object_are_refused_and_never_run(tmp_path: Path, bad: str) -> None:
    long([bad]).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"metrics = .*must be an object of numbers"):
        read_datadecide([tmp_path])


def test_only_the_metrics_asked_for(shared: Path) -> None:
    given = Given(metrics=frozenset(["primary_metric"]))
    table = read_datadecide([shared / "data" / "raw" / "datadecide"], given=given).table
    assert table.metrics == ["primary_metric"]
    assert len(table.runs) == 4


def test_other_parquet_files_are_skipped_with_the_reason(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="it has no column params"):
        read_datadecide([tmp_path])


@pytest.fixture
def hub(shared: Path) -> Iterator[str]:
    """The address of a server that gives one data set, as huggingface.co does."""
    content = (shared / "data" / "raw" / "datadecide" / "pretrain_metrics_sample.parquet").read_bytes()
    sha, etag = "0" * 40, hashlib.sha256(content).hexdigest()
    name = "train-00000-of-00001.parquet"

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            files = {"rfilename": name, "size": len(content)}
            if self.path.startswith("/api/datasets/o/d/revision/main"):
                self.reply(json.dumps({"id": "o/d", "sha": sha, "siblings": [files]}).encode())
            elif self.path.startswith("/api/datasets/o/d/tree/"):
                entry = {"type": "file", "path": name, "size": len(content), "oid": etag[:40]}
                self.reply(json.dumps([entry]).encode())
            elif self.path.startswith(f"/datasets/o/d/resolve/{sha}/{name}"):
                self.reply(content, {"ETag": f'"{etag}"', "X-Repo-Commit": sha})
            else:
                self.send_error(404)

        def reply(self, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(200)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_from_the_hub(hub: str, neuneu: Any, tmp_path: Path, shared: Path) -> None:
    import os

    environment = {**os.environ, "HF_ENDPOINT": hub, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    output = tmp_path / "out.parquet"
    arguments = ["import", "datadecide", "hf://o/d", "--metric", "primary_metric", "-o", output]
    done = neuneu(*arguments, env=environment)
    assert done.returncode == 0, done.stderr
    local = read_datadecide(
        [shared / "data" / "raw" / "datadecide"], given=Given(metrics=frozenset(["primary_metric"]))
    )
    assert CurveTable.read(output).frame.equals(local.table.frame)
    absent = neuneu("import", "datadecide", "hf://o/none", "-o", tmp_path / "no.parquet", env=environment)
    assert absent.returncode == 2
    assert "the hub does not give it" in absent.stderr
    assert not (tmp_path / "no.parquet").exists()
