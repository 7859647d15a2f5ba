"""The page under bad company and with much to show, measured over HTTP and in a real browser.

python -m benchmarks.page [bomb|slow|bad|cached|large ...]

bomb: case B-02, a Parquet file of 2 MB that unpacks to 11 GB. slow: 50 bodies that do not come, beside 20
clients. bad: three files that take long to read, beside a forecast. cached: 20 clients that ask for a kept
view, and for a style sheet, which costs the server nothing: the floor. large: a folder of 100 runs × 66
tasks; the page opened, a new file, the view of all runs.

Seconds, and the memory of the server and all its processes (pages that they share counted once).
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from tests.app.conftest import resident, result, send, serving
from tests.app.test_live import listening
from tests.browsing import chromium, opened

from neuneu.suite.home import read_home_curves

MAKE = Path(__file__).parents[1] / "tests/cases/hostile/B-02-parquet-unpacks-to-gigabytes/make.py"
CLIENTS, SLOW, BAD = 20, 50, 3
ASKED = 10
"""Times that each client asks for a kept view."""

RUNS, TASKS, CHECKPOINTS = 100, 66, 10
PATIENCE = 300_000


class Watch(threading.Thread):
    """Notes the most memory that a server holds."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0

    def run(self) -> None:
        """Look ten times a second."""
        while True:
            self.peak = max(self.peak, resident(self.pid))
            time.sleep(0.1)


def watched(pid: int) -> Watch:
    """A watch that looks from now on."""
    watch = Watch(pid)
    watch.start()
    return watch


def timed(address: str, body: bytes | None = None) -> tuple[int, float]:
    """(status, seconds) of a request."""
    began = time.monotonic()
    answer = send(address, body)
    return answer.status, time.monotonic() - began


def good_table(folder: Path) -> bytes:
    """Two packaged runs."""
    curves = read_home_curves().one_metric()
    curves.filter(run=curves.runs[:2]).write(folder / "good.parquet")
    return (folder / "good.parquet").read_bytes()


def bomb(folder: Path) -> None:
    """Case B-02."""
    subprocess.run([sys.executable, str(MAKE)], cwd=folder, check=True)
    good, packed = good_table(folder), (folder / "bomb.parquet").read_bytes()
    with serving() as (address, pid):
        timed(f"{address}api/forecast?context=0.3", good)
        idle, watch = resident(pid), watched(pid)
        status, seconds = timed(f"{address}api/forecast?name=bomb.parquet", packed)
        over = (watch.peak - idle) / 1e6
        print(f"bomb: {status} in {seconds:.1f} s, {over:.0f} MB over {idle / 1e6:.0f}", flush=True)


def slow(folder: Path) -> None:
    """Bodies that do not come, beside clients who forecast: each a question of its own."""
    good = good_table(folder)
    with serving() as (address, pid):
        timed(f"{address}api/forecast?context=0.3", good)
        watch, place = watched(pid), urlsplit(address)
        bodies = [socket.create_connection((str(place.hostname), place.port or 0)) for _ in range(SLOW)]
        for one in bodies:
            one.sendall(b"POST /api/forecast HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\nPAR1")
        with ThreadPoolExecutor(CLIENTS) as pool:
            shares = [0.2 + 0.01 * number for number in range(CLIENTS)]
            answers = list(pool.map(lambda c: timed(f"{address}api/forecast?context={c}", good), shares))
        statuses, last = sorted({one[0] for one in answers}), max(one[1] for one in answers)
        print(
            f"{CLIENTS} clients beside {SLOW} slow bodies: {statuses}, the last after {last:.1f} s",
            flush=True,
        )
        ends = {one.recv(12).decode()[9:12] for one in bodies}
        print(f"slow bodies: {ends}; {watch.peak / 1e6:.0f} MB in all", flush=True)


def bad(folder: Path) -> None:
    """Files that take long to read and are bad, beside a forecast."""
    good = good_table(folder)
    rows = "\n".join(f"r{i % 40_000},t,acc,{i},0.5" for i in range(900_000))
    body = f"run,task,metric,step,value\n{rows}\nr,t,acc,1,x\n".encode()
    with serving() as (address, pid):
        timed(f"{address}api/forecast?context=0.3", good)
        _, alone = timed(f"{address}api/forecast?context=0.31", good)
        watch = watched(pid)
        with ThreadPoolExecutor(BAD) as pool:
            sent = [pool.submit(timed, f"{address}api/tables?name=bad.csv", body) for _ in range(BAD)]
            time.sleep(0.5)
            status, beside = timed(f"{address}api/forecast?context=0.32", good)
            ends = [one.result() for one in sent]
        told = ", ".join(f"{code} in {seconds:.1f} s" for code, seconds in ends)
        print(
            f"a forecast alone {alone:.1f} s, beside {BAD} bad files {beside:.1f} s ({status}); they: {told}"
        )
        print(f"{watch.peak / 1e6:.0f} MB in all", flush=True)


def cached(folder: Path) -> None:
    """Clients who ask for a view that is kept, each with a browser's headers."""
    good_table(folder)
    with serving(folder / "good.parquet") as (address, pid):
        view = f"{address}view?context=0.5"
        _, first = timed(view)
        watch = watched(pid)

        floor, kept = at_once(f"{address}page.css"), at_once(view)
        print(
            f"a view: {first:.1f} s first; kept, {CLIENTS} clients at once: {kept}; a style sheet, the "
            f"floor: {floor}; {watch.peak / 1e6:.0f} MB", flush=True,
        )  # fmt: skip


def at_once(place: str) -> str:
    """How long answers take that CLIENTS ask for at once, each again and again."""

    def client(_: int) -> list[float]:
        return [time_of(lambda: send(place, Accept_Encoding="gzip")) for _ in range(ASKED)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        seconds = [one for each in pool.map(client, range(CLIENTS)) for one in each]
    return f"median {statistics.median(seconds):.3f} s, p95 {statistics.quantiles(seconds, n=20)[-1]:.3f} s"


def time_of(work: Callable[[], object]) -> float:
    """Seconds of a piece of work."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def large(folder: Path) -> None:
    """A folder of harness results; the page opened in a browser, and a new file."""
    for run in range(RUNS):
        for k in range(1, CHECKPOINTS + 1):
            checkpoint(folder / "runs", run, k)
    began = time.monotonic()
    with serving(folder / "runs", "--tokens-per-step", 1000) as (address, pid), chromium() as browser:
        print(f"{RUNS} runs × {TASKS} tasks × {CHECKPOINTS}: served after {time.monotonic() - began:.1f} s")
        watch = watched(pid)
        time.sleep(5)
        with opened(browser) as (page, _):
            opening = time.monotonic()
            page.goto(address)
            page.locator(".question").wait_for(timeout=PATIENCE)
            fields = time.monotonic() - opening
            page.locator(".told", has_text="Done.").wait_for(timeout=PATIENCE)
            first = time.monotonic() - opening
            page.reload()
            again = time_of(lambda: page.locator(".told", has_text="Done.").wait_for(timeout=PATIENCE))
            print(f"page: fields {fields:.1f} s, first answer {first:.1f} s, again {again:.1f} s")
            with listening(address) as following:
                following()
                values = page.locator(".status.read").inner_text()
                writing = time.monotonic()
                checkpoint(folder / "runs", RUNS - 1, CHECKPOINTS + 1)
                new = following()["id"]
                heard = time.monotonic() - writing
                page.wait_for_function(
                    "was => document.querySelector('.status.read').innerText !== was", arg=values
                )
                shown = time.monotonic() - writing
                page.wait_for_function(
                    "id => document.querySelector('iframe:not(.coming)')?.src.includes(id)", arg=new
                )
                drawn = time.monotonic() - writing
            print(f"a new file: heard of {heard:.1f} s, shown {shown:.1f} s, drawn anew {drawn:.1f} s")
            status, all_runs = timed(f"{address}api/report")
            print(
                f"all {RUNS * TASKS} curves: {status} in {all_runs:.1f} s; {watch.peak / 1e6:.0f} MB",
                flush=True,
            )


def checkpoint(folder: Path, run: int, k: int) -> None:
    """A result file."""
    level = 0.6 - 0.3 * k**-0.4
    values = {f"task_{t}": level + 0.001 * ((run * 7 + t * 3 + k) % 10) for t in range(TASKS)}
    path = folder / f"run{run}" / f"step{1000 * k}" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(result(1000 * k, f"run{run}", **values))


PARTS: dict[str, Callable[[Path], None]] = {
    "bomb": bomb, "slow": slow, "bad": bad, "cached": cached, "large": large,
}  # fmt: skip


def main() -> None:
    """The parts that are named, or all, each with a folder of its own."""
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
