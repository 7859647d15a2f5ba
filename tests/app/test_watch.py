"""A folder that grows: real result files, real forecasts."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neuneu.app.watch import Settings, alert_lines, update, watch
from neuneu.curves.readers.parsing import Given

FACTS = Given(tokens_per_step=1000, planned_tokens=20_000_000)


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


def settings(folder: Path, **more: object) -> Settings:
    return Settings(folder, folder.parent / "status.json", "lm-eval", facts=FACTS, **more)  # type: ignore[arg-type]


def test_the_status_says_what_each_run_will_score(folder: Path) -> None:
    status = update(settings(folder))
    assert json.loads((folder.parent / "status.json").read_text()) == status
    (run,) = status["runs"].values()
    assert run["clock"] == 8_000_000
    assert {curve["task"] for curve in run["curves"]} == {"piqa", "sciq"}
    assert [f["clock"] for f in run["curves"][0]["forecasts"]] == [16_000_000, 20_000_000]
    assert status["alerts"] == []


def test_a_half_written_file_is_named_and_read_once_it_is_whole(folder: Path) -> None:
    path = result(folder, "one", 9000, piqa=rising(9), sciq=rising(9))
    whole = path.read_text()
    path.write_text(whole[:40])
    status = update(settings(folder))
    assert any("step9000" in line for line in status["problems"])
    assert status["runs"] == {}
    path.write_text(whole)
    before = update(settings(folder))
    path.write_text(whole[:40])
    assert update(settings(folder))["runs"] == before["runs"]
    path.unlink()
    by_what_it_is = Settings(folder, folder.parent / "status.json", facts=FACTS)
    result(folder, "one", 9000, piqa=rising(9), sciq=rising(9)).write_text(whole[:40])
    status = update(by_what_it_is)
    assert any("step9000" in line for line in status["problems"])
    assert next(iter(status["runs"].values()))["clock"] == 8_000_000
    path.write_text(whole)
    assert next(iter(update(settings(folder))["runs"].values()))["clock"] == 9_000_000


def test_alerts_name_what_somebody_should_look_at(folder: Path) -> None:
    hopeless = update(settings(folder, target=0.99))
    assert [alert["kind"] for alert in hopeless["alerts"]] == ["target"]
    assert "to reach 0.99" in alert_lines(hopeless)[0]
    for k, value in enumerate((0.5, 0.45, 0.4), start=9):
        result(folder, "one", 1000 * k, piqa=value, sciq=rising(k) + 0.05)
    fallen = update(settings(folder))
    assert "falls" in {alert["kind"] for alert in fallen["alerts"] if alert["task"] == "piqa"}


def test_a_value_outside_the_band_of_the_last_status_is_told(folder: Path) -> None:
    update(settings(folder))
    result(folder, "one", 16_000, piqa=0.05, sciq=rising(16) + 0.05)
    kinds = {(alert["kind"], alert["task"]) for alert in update(settings(folder))["alerts"]}
    assert ("outside", "piqa") in kinds
    assert ("outside", "sciq") not in kinds


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    status = update(settings(tmp_path / "r"))
    assert status["runs"] == {}
    assert status["problems"]


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
    assert (folder.parent / "l.jsonl").stat().st_size


def test_a_killed_watch_leaves_a_whole_status_and_goes_on(folder: Path) -> None:
    status = folder.parent / "status.json"
    asked = f"watch {folder} --format lm-eval --status {status} --tokens-per-step 1000"
    command = [sys.executable, "-m", "neuneu", *asked.split(), "--planned-tokens", "20000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        result(folder, "one", 9000, piqa=rising(9), sciq=rising(9))
        process.send_signal(signal.SIGKILL)
    json.loads(status.read_text())
    assert next(iter(update(settings(folder))["runs"].values()))["clock"] == 9_000_000
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".status")]


def test_an_update_of_many_curves_is_quick(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tasks = [f"task_{i}" for i in range(60)]
    for run in range(5):
        for k in range(1, 11):
            noise = rng.normal(0, 0.003, len(tasks))
            result(tmp_path / "r", f"run{run}", 1000 * k, **dict(zip(tasks, rising(k) + noise, strict=True)))
    began = time.perf_counter()
    status = watch(settings(tmp_path / "r"), once=True)
    assert len(status["runs"]) == 5
    assert time.perf_counter() - began < 30
