"""A folder that grows: real result files, real forecasts."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from neuneu.app.status import AlertStatus, Status, read_status
from neuneu.app.watch import Watcher, WatchSettings, alert_lines, watch
from neuneu.cli import watch as command_line
from neuneu.curves.readers.parsing import Given
from neuneu.errors import InputError

FACTS = Given(tokens_per_step=1000, planned_tokens=20_000_000)
ROOT = Path(__file__).resolve().parents[2]


def result(folder: Path, run: str, step: int, **values: float) -> Path:
    """A harness result file of one checkpoint."""
    path = folder / run / f"step{step}" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = {task: {"acc,none": value, "acc_stderr,none": 0.01} for task, value in values.items()}
    document = {"results": scores, "config": {"model_args": f"pretrained=/ckpt/{run}/step{step}"}}
    path.write_text(json.dumps(document))
    return path


def rising(k: int) -> float:
    return float(0.7 - 0.4 * k**-0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k in range(1, 9):
        result(tmp_path / "r", "one", 1000 * k, piqa=rising(k), sciq=rising(k) + 0.05)
    return tmp_path / "r"


def settings(folder: Path, **more: object) -> WatchSettings:
    return WatchSettings(folder, folder.parent / "status.json", "lm-eval", facts=FACTS, **more)  # type: ignore[arg-type]


def update(settings: WatchSettings) -> Status:
    """One look of a process that knows nothing but the status file."""
    return watch(settings, once=True)


def kinds(status: Status) -> set[tuple[str, str | None]]:
    return {(alert.kind, alert.task) for alert in status.alerts}


def clocks(status: Status) -> dict[str, float]:
    return {run: own.clock for run, own in status.runs.items()}


def test_the_status_says_what_each_run_will_score(folder: Path) -> None:
    status = update(settings(folder))
    assert read_status(folder.parent / "status.json") == status
    (run,) = status.runs.values()
    assert run.clock == 8_000_000
    assert {curve.task for curve in run.curves} == {"piqa", "sciq"}
    assert [horizon.clock for horizon in run.curves[0].forecasts] == [16_000_000, 20_000_000]
    assert status.alerts == []


def test_the_file_is_as_its_schema_says(folder: Path) -> None:
    written = json.loads((ROOT / "docs" / "status.schema.json").read_text())
    assert written == Status.model_json_schema(), "docs/status.schema.json: write it anew"
    jsonschema = pytest.importorskip("jsonschema")
    update(settings(folder, target=0.99))
    document = json.loads((folder.parent / "status.json").read_text())
    assert document["schema"] == 1
    assert document["alerts"]
    jsonschema.validate(document, written)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"runs": []}, written)
    (folder.parent / "status.json").write_text(json.dumps(document | {"later": 1}))
    assert read_status(folder.parent / "status.json") is not None
    (folder.parent / "status.json").write_text(json.dumps(document | {"schema": 2}))
    assert read_status(folder.parent / "status.json") is None


def test_only_runs_that_changed_are_forecast_again(folder: Path) -> None:
    for k in range(1, 9):
        result(folder, "two", 1000 * k, piqa=rising(k))
    watcher = Watcher(settings(folder))
    first = watcher.update()
    assert watcher.update() is None
    result(folder, "two", 9000, piqa=rising(9))
    second = watcher.update()
    assert first is not None
    assert second is not None
    assert second.runs["one"] is first.runs["one"]
    assert clocks(second) == {"one": 8_000_000, "two": 9_000_000}
    fresh = update(settings(folder))
    assert fresh.runs == second.runs
    assert fresh.alerts == second.alerts


def test_runs_that_may_look_at_others_are_forecast_anew_with_them(folder: Path) -> None:
    watcher = Watcher(settings(folder, references="finished"))
    first = watcher.update()
    for k in range(1, 21):
        result(folder, "two", 1000 * k, piqa=rising(k) - 0.2)
    second = watcher.update()
    assert first is not None
    assert second is not None
    assert second.runs["one"] is not first.runs["one"]
    assert second.runs == update(settings(folder, references="finished")).runs


def test_a_half_written_file_leaves_the_rest_and_is_read_once_it_is_whole(folder: Path) -> None:
    watcher = Watcher(settings(folder))
    path = result(folder, "one", 9000, piqa=rising(9), sciq=rising(9))
    whole = path.read_text()
    path.write_text(whole[:40])
    status = watcher.update()
    assert status is not None
    assert any("step9000" in line for line in status.problems)
    assert clocks(status) == {"one": 8_000_000}
    path.write_text(whole)
    status = watcher.update()
    assert status is not None
    assert clocks(status) == {"one": 9_000_000}
    assert not any("step9000" in line for line in status.problems)


def test_what_was_known_stays_where_nothing_can_be_read(folder: Path) -> None:
    before = update(settings(folder, target=0.99))
    folder.rename(folder.parent / "away")
    folder.mkdir()
    status = update(settings(folder, target=0.99))
    assert status.runs == before.runs
    assert status.alerts == before.alerts
    assert status.problems


def test_a_run_that_breaks_a_rule_is_named_and_the_others_go_on(folder: Path) -> None:
    """Steps go back: step 5000 is evaluated again with another value, in another folder."""
    for k in range(1, 9):
        result(folder, "two", 1000 * k, piqa=rising(k))
    again = result(folder, "one/again", 5000, piqa=0.1)
    again.write_text(again.read_text().replace("/one/again/", "/one/"))
    status = update(settings(folder))
    assert set(clocks(status)) == {"two"}
    assert any("run one" in line and "keep" in line for line in status.problems)


def test_a_run_whose_last_checkpoints_are_gone_goes_back(folder: Path) -> None:
    watcher = Watcher(settings(folder))
    watcher.update()
    for k in (7, 8):
        (folder / "one" / f"step{k}000" / "results.json").unlink()
    status = watcher.update()
    assert status is not None
    assert clocks(status) == {"one": 6_000_000}


def test_an_empty_folder_is_no_error_and_a_bad_name_is_a_problem(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "none").mkdir()
    status = update(settings(tmp_path / "none"))
    assert status.runs == {}
    assert status.problems
    with pytest.raises(InputError, match="no such file or folder"):
        update(settings(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="patience"):
        update(settings(folder, patience=0))


def test_once_waits_for_lines_that_are_still_written_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "r" / "run.csv"
    path.parent.mkdir()
    rows = "".join(f"a,piqa,acc,{k},{rising(k)}\n" for k in range(1, 9))
    path.write_text("run,task,metric,step,value\n" + rows + "a,piqa,acc,9,0.6")
    status = update(WatchSettings(path.parent, tmp_path / "status.json"))
    assert clocks(status) == {"a": 9.0}
    stopped = threading.Event()

    def write() -> None:
        while not stopped.wait(0.05):
            add()

    def add() -> None:
        with path.open("a") as stream:
            stream.write("1")

    add()

    writer = threading.Thread(target=write)
    writer.start()
    began = time.monotonic()
    status = update(WatchSettings(path.parent, tmp_path / "status.json"))
    stopped.set()
    writer.join()
    assert time.monotonic() - began < 30
    assert any("last line" in line for line in status.problems)


def test_alerts_are_handed_on_once_and_again_where_they_were_not_taken(folder: Path) -> None:
    told: list[Sequence[AlertStatus]] = []
    takes = [False]

    def deliver(alerts: Sequence[AlertStatus]) -> bool:
        told.append(alerts)
        return takes[0]

    asked = settings(folder, target=0.99)
    status = watch(asked, once=True, deliver=deliver)
    assert kinds(status) == {("target", None)}
    assert "to reach 0.99" in alert_lines(status)[0]
    assert not status.alerts[0].told
    takes[0] = True
    status = watch(asked, once=True, deliver=deliver)
    assert status.alerts[0].told
    result(folder, "one", 9000, piqa=rising(9), sciq=rising(9) + 0.05)
    status = watch(asked, once=True, deliver=deliver)
    assert kinds(status) == {("target", None)}
    assert len(told) == 2


@pytest.mark.parametrize("other", [{"target": 0.98}, {"forecaster": "last-value"}, {"folder": "s"}])
def test_another_watch_of_the_same_file_starts_anew(folder: Path, other: dict[str, str]) -> None:
    """Alerts of another target, forecaster or folder are handed on; runs of another are not kept."""
    told: list[AlertStatus] = []

    def deliver(alerts: Sequence[AlertStatus]) -> bool:
        told.extend(alerts)
        return True

    asked = settings(folder, target=0.99, forecaster="power-law")
    watch(asked, once=True, deliver=deliver)
    changed = {name: folder.parent / value if name == "folder" else value for name, value in other.items()}
    if "folder" in other:
        shutil.copytree(folder, folder.parent / "s")
    watch(replace(asked, **changed), once=True, deliver=deliver)
    assert [alert.kind for alert in told] == ["target", "target"]
    (folder.parent / "empty").mkdir()
    status = update(replace(asked, folder=folder.parent / "empty"))
    assert status.runs == {}
    assert status.alerts == []


def test_a_status_of_before_that_names_no_folder_is_taken_up(folder: Path) -> None:
    told: list[Sequence[AlertStatus]] = []
    asked = settings(folder, target=0.99)
    status = watch(asked, once=True, deliver=lambda alerts: True)
    document = json.loads(status.model_dump_json())
    asked.status.write_text(json.dumps(document | {"folder": None, "target": None}))
    watch(asked, once=True, deliver=lambda alerts: not told.append(alerts))
    assert told == []
    del document["folder"], document["target"]
    asked.status.write_text(json.dumps(document | {"forecaster": "power-law"}))
    watch(asked, once=True, deliver=lambda alerts: not told.append(alerts))
    assert len(told) == 1


class _Hook(BaseHTTPRequestHandler):
    bodies: list[dict[str, object]]
    code = 200

    def do_POST(self) -> None:
        type(self).bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_webhook_gets_the_alerts_and_one_that_fails_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = type("Hook", (_Hook,), {"bodies": []})
    with HTTPServer(("127.0.0.1", 0), hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        status = watch(
            settings(folder, target=0.99), once=True,
            deliver=lambda alerts: command_line._alert(alerts, None, address),
        )  # fmt: skip
        assert status.alerts[0].told
        (body,) = hook.bodies  # type: ignore[attr-defined]
        assert body["alerts"][0]["kind"] == "target"
        hook.code = 500  # type: ignore[attr-defined]
        assert not command_line._alert(status.alerts, None, address)
        server.shutdown()
    assert "handed on again" in capsys.readouterr().err
    for command, webhook in (("none-such-program", None), ('"', None), (None, "no address"), ("false", None)):
        assert not command_line._alert(status.alerts, command, webhook)


def test_once_ends_with_three_where_there_are_alerts(folder: Path, neuneu) -> None:  # type: ignore[no-untyped-def]
    common = ("--format", "lm-eval", "--tokens-per-step", 1000, "--planned-tokens", 20_000_000, "--once",
              "--status", folder.parent / "s.json")  # fmt: skip
    assert neuneu("watch", folder, *common).returncode == 0
    told = folder.parent / "told.json"
    script = folder.parent / "tell.py"
    script.write_text(f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read())")
    done = neuneu("watch", folder, *common, "--target", 0.99, "--on-alert", f"{sys.executable} {script}",
                  "--page", folder.parent / "p.html", "--ledger", folder.parent / "l.jsonl")  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert json.loads(told.read_text())["alerts"][0]["kind"] == "target"
    assert "<html" in (folder.parent / "p.html").read_text()
    line = json.loads((folder.parent / "l.jsonl").read_text().splitlines()[0])
    assert line["forecaster"] == "neuneu-2"


def test_killed_at_random_moments_it_comes_to_the_same_status(folder: Path) -> None:
    status = folder.parent / "status.json"
    asked = f"watch {folder} --format lm-eval --status {status} --tokens-per-step 1000 --target 0.99"
    command = [sys.executable, "-m", "neuneu", *asked.split(), "--planned-tokens", "20000000"]
    draw = random.Random(0)
    for k in range(9, 11):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            process.stderr.readline()
            result(folder, "one", 1000 * k, piqa=rising(k), sciq=rising(k))
            time.sleep(draw.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
        assert read_status(status) is not None
    after = update(settings(folder, target=0.99))
    status.unlink()
    fresh = update(settings(folder, target=0.99))
    assert after.model_copy(update={"updated": ""}) == fresh.model_copy(update={"updated": ""})
    assert clocks(after) == {"one": 10_000_000}
    assert {path.name for path in folder.parent.iterdir()} == {"r", "status.json"}


def test_an_update_of_many_curves_is_quick_and_memory_stays(tmp_path: Path) -> None:
    """A short leg of benchmarks/watching.py, which measures 20 runs of 60 tasks and 10,000 updates."""
    rng = np.random.default_rng(0)
    tasks = [f"task_{i}" for i in range(10)]

    def add(run: int, k: int) -> Path:
        values = rising(k) + rng.normal(0, 0.003, len(tasks))
        return result(tmp_path / "r", f"run{run}", 1000 * k, **dict(zip(tasks, values, strict=True)))

    for run in range(4):
        for k in range(1, 9):
            add(run, k)
    watcher = Watcher(settings(tmp_path / "r"))
    watcher.update()
    parsed = watcher.followed.memory.parsed
    took = []
    for number in range(12):
        path = add(number % 4, 9)
        began = time.process_time()
        assert watcher.update() is not None
        took.append(time.process_time() - began)
        path.unlink()
    watcher.update()
    assert watcher.followed.memory.parsed == parsed + 12
    assert float(np.median(took)) < 1.0
    assert len(watcher.followed.memory) == 32
