"""One request cannot hold up, slow down or starve another, whatever its body is (case B-02)."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest
from neuneu.app.asking import Asked, Input

from neuneu.app import asking
from neuneu.app.uploads import Receiver, SlowError
from neuneu.app.workers import BusyError, Limits, RequestWorkers
from neuneu.errors import NeuneuError, TooLargeError

SLACK = 3
"""A busy machine may take so many times as long as an idle one."""


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Some kilobytes that unpack to 400 MB of text; the whole case is measured by benchmarks/hostile.py."""
    n, path = 400_000, tmp_path_factory.mktemp("bomb") / "bomb.parquet"
    frame = pl.select(
        run=pl.lit("r"), task=pl.lit("t"), metric=pl.lit("acc"), step=pl.int_range(n), value=pl.lit(0.5),
        source=pl.lit("A" * 490), variant=pl.lit("B" * 490),
    )  # fmt: skip
    frame.write_parquet(path, compression="zstd")
    return path.read_bytes()


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


def test_b02_a_bomb_is_refused_at_once_and_in_little_memory(ask, server: int, bomb: bytes) -> None:
    ask("api/forecast?context=0.5&forecaster=last-value", b"")  # all is loaded
    idle, peak = resident(server), 0
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        sent = pool.submit(ask, "api/forecast?name=bomb.parquet&forecaster=last-value", bomb)
        while not sent.done():
            peak = max(peak, resident(server))
            time.sleep(0.02)
        took = time.monotonic() - began
    assert sent.result().status == 413
    assert "bomb.parquet: source: holds more than 128 MB of text" in sent.result().json["error"]
    assert took < 2 * SLACK
    assert peak - idle < 300e6


def test_slow_bodies_hold_up_nobody(ask, address: str, table: Path, server: int) -> None:
    place = urlsplit(address)
    slow = [socket.create_connection((place.hostname, place.port)) for _ in range(50)]
    for one in slow:
        one.sendall(b"POST /api/forecast HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nPAR1")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, "api/forecast?forecaster=last-value", table.read_bytes()) for _ in range(4)]
        assert [one.result().status for one in asked] == [200] * 4
    assert resident(server) < 1e9
    for one in slow:
        one.close()


def test_a_body_too_large_is_refused_by_its_header(address: str) -> None:
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=20) as one:
        one.sendall(b"POST /api/forecast HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert one.recv(100).startswith(b"HTTP/1.1 413 ")


async def parts(*each: bytes, wait: float = 0.0) -> AsyncIterator[bytes]:
    for part in each:
        await asyncio.sleep(wait)
        yield part


def receive(receiver: Receiver, path: Path, stream: AsyncIterator[bytes], **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(receiver.receive(named, stream, path))


def test_a_body_comes_whole_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "body"
    receiver = Receiver(10, seconds=0.3, at_rest=15)
    assert receive(receiver, path, parts(b"abc", b"def")) == 6
    assert path.read_bytes() == b"abcdef"
    with pytest.raises(TooLargeError, match="holds too many uploads"):
        receive(receiver, path, parts(b"0123456789"))
    receiver.release(6)
    assert receive(receiver, path, parts(b"0123456789")) == 10
    receiver.release(10)
    with pytest.raises(TooLargeError, match="larger than"):
        receive(receiver, path, parts(b"0123456789", b"0"))
    with pytest.raises(TooLargeError, match="larger than"):
        receive(receiver, path, parts(), content_length="11")
    with pytest.raises(NeuneuError, match="Content-Length"):
        receive(receiver, path, parts(), content_length="many")
    with pytest.raises(SlowError):
        receive(receiver, path, parts(b"a", b"b", b"c", b"d", b"e", wait=0.1))
    assert receiver._held == 0


def run_job(limits: Limits, table: Path) -> bytes:
    workers = RequestWorkers(limits)
    given = Input(path=table, uploaded=False)
    return asyncio.run(workers.run(asking.forecast, given, Asked(forecaster="last-value", context=0.5)))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        # Polars waits for ever where the limit leaves no room for its threads; then time ends the job.
        (Limits(memory=2**23), "more memory|takes too long to read"),
        (Limits(read_seconds=0.01), "takes too long to read"),
        (Limits(work_seconds=0.001), "takes too long; choose fewer"),
    ],
)
def test_a_job_beyond_its_limits_ends_alone(table: Path, limits: Limits, words: str) -> None:
    with pytest.raises(TooLargeError, match=words):
        run_job(limits, table)
    assert run_job(Limits(), table).startswith(b"{")


def test_more_requests_than_may_wait_hear_that_the_server_is_busy(table: Path) -> None:
    workers = RequestWorkers(Limits(at_once=1, waiting=1))
    given, asked = Input(path=table, uploaded=False), Asked(forecaster="last-value", context=0.5)

    async def ask_thrice() -> list[bytes | BaseException]:
        jobs = [workers.run(asking.forecast, given, asked) for _ in range(3)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    answers = asyncio.run(ask_thrice())
    assert [isinstance(answer, BusyError) for answer in answers] == [False, False, True]
    assert answers[0] == answers[1]
