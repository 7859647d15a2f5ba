"""A folder and a table that grow: what is served is what is there, and pages hear of it within a second."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.app.conftest import resident, result, send, serving

from neuneu.curves.table import CurveTable

SLACK = 5
"""A busy machine may take so many times as long as an idle one."""


@contextmanager
def listening(address: str) -> Iterator[Any]:
    """Events of a server: call to get the next."""
    with urllib.request.urlopen(address + "api/events", timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")

        def following() -> Any:
            for line in stream:
                if line.startswith(b"data: "):
                    return json.loads(line[6:])
            return None

        yield following


def checkpoint(folder: Path, step: int, run: str = "one") -> None:
    path = folder / run / f"step{step}" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(result(step, run, piqa=0.5 + step / 1e5, sciq=0.6 + step / 1e5))


def test_a_new_file_is_heard_of_within_a_second(tmp_path: Path) -> None:
    for k in range(1, 7):
        checkpoint(tmp_path, 1000 * k)
    with serving(tmp_path, "--tokens-per-step", 1000) as (address, _), listening(address) as following:
        first = following()
        assert first["id"] == send(address + "api/tables/served").json["id"]
        before = send(address + "api/report").body
        time.sleep(1)
        began = time.monotonic()
        checkpoint(tmp_path, 7000)
        event = following()
        took = time.monotonic() - began
        assert event["changed"] == [send(address + "api/tables/served").json["runs"][0]["name"]]
        assert event["id"] != first["id"]
        assert took < 1 * SLACK
        after = send(address + f"api/report?table={event['id']}").body
        assert after != before
        assert send(address + f"api/tables/{first['id']}").status == 404
        checkpoint(tmp_path, 1000, run="two")
        assert following()["n_changed"] == 1


def test_a_table_that_grows_is_followed_and_a_broken_one_leaves_the_last(table: Path, tmp_path: Path) -> None:
    curves, place = CurveTable.read(table), tmp_path / "grow.csv"
    whole = curves.frame.write_csv()
    place.write_text("".join(whole.splitlines(keepends=True)[:-3]))
    with serving(place) as (address, _), listening(address) as following:
        n = send(address + "api/tables/served").json["n_values"]
        following()
        time.sleep(1)
        place.write_text(whole)
        assert following()["n_changed"] == 1
        served = send(address + "api/tables/served").json
        assert served["n_values"] == n + 3 == len(curves)
        time.sleep(1)
        (tmp_path / "next.csv").write_text("run,task\n1,2\n")
        (tmp_path / "next.csv").replace(place)
        event = following()
        assert "metric" in event["trouble"]
        assert event["id"] == served["id"]
        assert send(address + "api/page").json["served"] == served


def test_a_history_that_grows_is_followed_like_a_folder(tmp_path: Path) -> None:
    place = tmp_path / "history.csv"
    lines = ["step,tokens,eval/piqa/acc", *(f"{k},{1000 * k},{0.5 + k / 50}" for k in range(1, 9))]
    place.write_text("\n".join(lines[:-1]) + "\n")
    with serving(place) as (address, _), listening(address) as following:
        following()
        assert send(address + "api/tables/served").json["n_values"] == 7
        time.sleep(1)
        place.write_text("\n".join(lines) + "\n")
        assert following()["changed"] == ["history"]
        assert send(address + "api/tables/served").json["n_values"] == 8
        assert send(address + "api/forecast?context=0.5&forecaster=last-value").status == 200


def test_memory_does_not_grow_with_the_changes(tmp_path: Path) -> None:
    for k in range(1, 7):
        checkpoint(tmp_path, 1000 * k)
    with serving(tmp_path) as (address, pid), listening(address) as following:
        following()
        held = []
        for k in range(24):
            checkpoint(tmp_path, 501 + 100 * k)
            following()
            send(address + "api/report?forecaster=last-value")
            held.append(resident(pid))
    assert max(held) < 1e9
    assert held[-1] - held[11] < 60e6


def test_a_server_without_files_tells_of_no_changes() -> None:
    with serving() as (address, _):
        assert send(address + "api/events").status == 204
        page = send(address + "api/page").json
        assert (page["served"], page["follows"]) == (None, False)
        assert send(address + "api/forecast", b"").status == 422
