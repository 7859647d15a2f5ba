"""Scoring on a local Ray of two workers that loses one in the middle; clusters that are not there."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from neuneu.errors import InputError
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints

pytest.importorskip("ray", reason="ray is not installed: pip install 'neuneu[cluster]'")

CODE = """
import sys
import threading
import time
from contextlib import suppress

import psutil
import ray
from neuneu.losses.scorer import Scoring
from neuneu.losses.scoring import score_checkpoints
from neuneu.progress import listening
from tests.hearing import Ear

runs, corpus, output = sys.argv[1:]
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
killed = []


def lose_one():
    while not killed:  # the first worker that is seen at work
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if not killed and "ray::_score" in " ".join(process.cmdline()):
                    process.kill()
                    killed.append(process.pid)
        time.sleep(0.02)


threading.Thread(target=lose_one, daemon=True).start()
scoring = Scoring(window=32, stride=16, batch_tokens=32)
ear = Ear()
with listening(ear):
    score_checkpoints([runs], corpus, output, scoring, ray="local")
print(ear.told("checkpoints")[-1][0], len(killed))
"""


@pytest.mark.slow
def test_a_lost_worker_loses_no_checkpoint(runs: Path, corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(runs), str(corpus), str(tmp_path / "ray")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever Ray may have left
    assert process.returncode == 0, errors[-3000:]
    assert output.split()[-2:] == ["6", "1"]
    alone = score_checkpoints([runs], corpus, tmp_path / "alone", Scoring(window=32, stride=16))
    together = score_checkpoints([runs], corpus, tmp_path / "ray", Scoring(window=32, stride=16))
    assert together.runs == alone.runs
    for run in alone.runs:
        assert together.steps(run).tolist() == alone.steps(run).tolist()
        for step in alone.steps(run):
            np.testing.assert_allclose(together.read(run, step), alone.read(run, step), atol=1e-2, rtol=0)


def refused(runs: Path, corpus: Path, store: Path, address: str, **options: float) -> str:
    """What is said of a cluster that cannot be used; nothing is written."""
    with pytest.raises(InputError) as error:
        score_checkpoints([runs], corpus, store, Scoring(window=32), ray=address, **options)
    assert not store.exists()
    return error.value.with_options({"ray": "--ray", "gpus": "--gpus"})


@pytest.fixture
def closed() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_a_cluster_that_does_not_answer_is_named(
    runs: Path, corpus: Path, tmp_path: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in (closed, f"ray://{closed}"):
        said = refused(runs, corpus, tmp_path / "s", given)
        assert said.startswith(f"--ray = '{given}': no Ray cluster answers there (Connection refused): start")
        assert "`ray start --head`, or use `--ray` local" in said
    assert "must be auto, local or host:port" in refused(runs, corpus, tmp_path / "s", "head")
    monkeypatch.setenv("RAY_ADDRESS", closed)
    assert closed in refused(runs, corpus, tmp_path / "s", "auto")


def test_where_no_cluster_runs_auto_says_how_to_start_one(
    runs: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if any("raylet" in (process.info["name"] or "") for process in psutil.process_iter(["name"])):
        pytest.skip("a Ray cluster runs on this machine")
    said = refused(runs, corpus, tmp_path / "s", "auto")
    assert said == (
        "--ray = 'auto': no Ray cluster runs here: start one with `ray start --head`, or use `--ray` local"
    )


def test_what_is_scored_needs_no_cluster(runs: Path, corpus: Path, tmp_path: Path, closed: str) -> None:
    scoring = Scoring(window=32)
    score_checkpoints([runs / "alpha/step0"], corpus, tmp_path / "s", scoring)
    again = score_checkpoints([runs / "alpha/step0"], corpus, tmp_path / "s", scoring, ray=closed)
    assert again.steps("alpha").tolist() == [0]


@pytest.mark.slow
def test_a_cluster_of_our_own_without_so_many_gpus_is_refused(
    runs: Path, corpus: Path, tmp_path: Path
) -> None:
    said = refused(runs, corpus, tmp_path / "s", "local", gpus=1000.0)
    assert said.startswith("--gpus = 1000.0: this Ray cluster has ")
    assert "leave `--gpus` out" in said
